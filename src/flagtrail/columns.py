"""What both databases keep in a column: instants, numbers, documents.

PostgreSQL's own types are imported only where that is the database: every start would pay for them.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, TIMESTAMP, BigInteger, Dialect, Integer, Table, Text, text
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import SQLModel

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


class Document(TypeDecorator[Any]):
    """A JSON document; None is NULL, and never JSON's null."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return JSONB for PostgreSQL and JSON elsewhere."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON(none_as_null=True))
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))


def where(condition: str) -> dict[str, Any]:
    """Return the options of an index over the few rows that meet a condition."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


# SQLite keeps a table in the order of an INTEGER PRIMARY KEY, and of nothing else.
Number = BigInteger().with_variant(Integer, "sqlite")


def table_of(row: type[SQLModel]) -> Table:
    """Return the table of a class of rows."""
    return SQLModel.metadata.tables[str(row.__tablename__)]
