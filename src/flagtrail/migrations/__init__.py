"""The schema's history; each step is a file in `versions`, run by Alembic when flagtrail starts."""

KNOWN = tuple(f"{number:04}" for number in range(1, 14))
HEAD = KNOWN[-1]
