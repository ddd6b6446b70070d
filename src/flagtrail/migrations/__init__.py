"""The schema's history; each step is a file in `versions`, run by Alembic when flagtrail starts."""

KNOWN = (*(f"{number:04}" for number in range(1, 10)), "0011")
HEAD = KNOWN[-1]
