"""The schema's history; each step is a file in `versions`, run by Alembic when flagtrail starts."""

KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
HEAD = KNOWN[-1]
