"""The tables. People query them with plain SQL, so names, types and comments here are an interface.

Every instant is UTC with milliseconds: TIMESTAMPTZ in PostgreSQL; in SQLite text such as 2026-03-01T14:03:00.000Z,
which sorts by time and which its date functions read.
"""

# Those that nearly every command needs; the others are named in modules of their own: each takes its time to start.
from flagtrail.schema.coverage import COVERAGE, GAP, VERDICT
from flagtrail.schema.gathered import FACET, GATHERED, TALLY, TOTAL, WAITING
from flagtrail.schema.streams import SOURCE, STREAM
from flagtrail.schema.trail import DETAIL, DICTIONARY, EVENT, RECORD

__all__ = (
    "COVERAGE", "DETAIL", "DICTIONARY", "EVENT", "FACET", "GAP", "GATHERED", "RECORD", "SOURCE", "STREAM", "TALLY",
    "TOTAL", "VERDICT", "WAITING",
)  # fmt: skip
