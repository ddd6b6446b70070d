"""Writes docs/schema.md."""

from flagtrail import schema
from flagtrail.columns import table_of
from flagtrail.schema.whole import TABLES


def describe() -> str:
    """Return the tables as Markdown: `docs/schema.md`, which `make docs` writes."""
    lines = ["# The tables", "", "Written by `make docs` from `src/flagtrail/schema`.", ""]
    lines += [(schema.__doc__ or "").split("\n\n", 1)[1].strip(), ""]
    for row in TABLES:
        table = table_of(row)
        lines += [f"## {table.name}", "", str(row.__doc__), "", "| column | type | |", "|---|---|---|"]
        for column in table.columns:
            about = row.model_fields[column.name].description
            kind = {
                "Instant": "instant",
                "Document": "JSON",
                "LargeBinary": "bytes",
                "Integer": "integer",
                "BigInteger": "integer",
                "Boolean": "boolean",
            }.get(type(column.type).__name__, "text")
            lines.append(f"| `{column.name}` | {kind}{', may be null' if column.nullable else ''} | {about} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
