"""What both databases keep in a column: instants, numbers, documents, and indexes over a few rows."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

from flagtrail.window import iso


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored so that both databases sort and read it."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return TIMESTAMPTZ for PostgreSQL and TEXT elsewhere."""
        chosen: TypeEngine[Any] = TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(chosen)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return what is written."""
        return value if value is None or dialect.name == "postgresql" else iso(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return what was written, as an aware UTC datetime."""
        if value is None:
            return None
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def where(condition: str) -> dict[str, Any]:
    """Return the options of an index over the few rows that meet a condition."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


# SQLite keeps a table in the order of an INTEGER PRIMARY KEY, and of nothing else.
Number = BigInteger().with_variant(Integer, "sqlite")
Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
