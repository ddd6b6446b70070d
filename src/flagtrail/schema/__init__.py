"""The tables. People query them with plain SQL, so names, types and comments here are an interface.

Every instant is UTC with milliseconds: TIMESTAMPTZ in PostgreSQL; in SQLite text such as 2026-03-01T14:03:00.000Z,
which sorts by time and which its date functions read.
"""

from sqlmodel import SQLModel

from flagtrail.schema.coverage import CoverageRow, GapRow, VerdictRow
from flagtrail.schema.forgetting import ForgottenRow, HoldRow, IdentityKeyRow, IdentityRow
from flagtrail.schema.gathered import FacetRow, GatheredRow, TallyRow, TotalRow, WaitingRow
from flagtrail.schema.notices import FindingRow, NoticeRow, RuleRow
from flagtrail.schema.streams import SourceRow, StreamRow
from flagtrail.schema.tokens import TokenRow
from flagtrail.schema.trail import DetailRow, DictionaryRow, EventRow, RecordRow

TABLES: tuple[type[SQLModel], ...] = (
    EventRow, RecordRow, DictionaryRow, DetailRow, CoverageRow, GapRow, VerdictRow, SourceRow, StreamRow,
    TallyRow, TotalRow, FacetRow, WaitingRow, GatheredRow, TokenRow, RuleRow, NoticeRow, FindingRow,
    ForgottenRow, IdentityRow, IdentityKeyRow, HoldRow,
)  # fmt: skip
(
    EVENT, RECORD, DICTIONARY, DETAIL, COVERAGE, GAP, VERDICT, SOURCE, STREAM, TALLY, TOTAL, FACET, WAITING, GATHERED,
    TOKEN, RULE, NOTICE, FINDING, FORGOTTEN, IDENTITY, IDENTITY_KEY, HOLD,
) = (SQLModel.metadata.tables[str(row.__tablename__)] for row in TABLES)  # fmt: skip
