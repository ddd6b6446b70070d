"""Numbers for events, by which records and full forms are kept; bodies packed by Zstandard."""

import sys
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

revision = "0003"
down_revision = "0002"

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MANY = 1000  # rows packed together

EVENT = (
    sa.Column("source", sa.String, nullable=False),
    sa.Column("vendor", sa.String, nullable=False),
    sa.Column("stream", sa.String, nullable=False),
    sa.Column("vendor_id", sa.String, nullable=False),
    sa.Column("occurred_at", INSTANT, nullable=False),
    sa.Column("first_seen_at", INSTANT, nullable=False),
    sa.Column("actor_kind", sa.String, nullable=False),
    sa.Column("actor_id", sa.String),
    sa.Column("actor_name", sa.String),
    sa.Column("actor_email", sa.String),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("vendor_action", sa.String, nullable=False),
    sa.Column("object_kind", sa.String),
    sa.Column("object_key", sa.String),
    sa.Column("object_name", sa.String),
    sa.Column("project", sa.String),
    sa.Column("environment", sa.String),
    sa.Column("organization", sa.String),
    sa.Column("location", sa.String),
    sa.Column("summary", sa.String),
    sa.Column("comment", sa.String),
    sa.Column("changes", DOCUMENT),
    sa.Column("impact", DOCUMENT),
    sa.Column("truncated", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("provisional", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("change_set", sa.String),
    sa.Column("related_event", sa.String),
    sa.Column("url", sa.String),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("vanished_at", INSTANT),
    sa.Column("vanished_reason", sa.String),
)


def upgrade() -> None:
    """Build the tables anew with numbers, in the order in which their events were stored."""
    if op.get_bind().dialect.name == "postgresql":
        # Another daemon may still write to them, and would commit into what is dropped.
        op.execute("LOCK TABLE event, record, detail IN ACCESS EXCLUSIVE MODE")
    op.create_table(
        "dictionary",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    _number_events()
    op.create_table(
        "record_3",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "detail_3",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("stream", sa.String, nullable=False),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("tried_at", INSTANT),
        sa.Column("body", sa.LargeBinary),
    )
    for name in ("record", "detail"):
        _pack(name)
        op.drop_table(name)
        op.rename_table(f"{name}_3", name)
    is_open = sa.text("state = 'open'")
    op.create_index("detail_open", "detail", ["source", "occurred_at"], postgresql_where=is_open, sqlite_where=is_open)


def _number_events() -> None:
    number = sa.Column("number", NUMBER, sa.Identity(), primary_key=True)
    op.create_table("event_3", number, sa.Column("id", sa.String, nullable=False), *EVENT, sqlite_autoincrement=True)
    names = ", ".join(["id", *(column.name for column in EVENT)])
    copied = f"INSERT INTO event_3 ({names}) SELECT {names} FROM event ORDER BY first_seen_at, occurred_at, id"  # noqa: S608
    op.execute(copied)
    op.drop_table("event")  # with its indexes
    op.rename_table("event_3", "event")
    op.create_index("event_by_id", "event", ["id"], unique=True)
    op.create_index("event_by_time", "event", ["occurred_at", "number"])
    op.create_index("event_by_stream", "event", ["source", "stream", "occurred_at"])
    for name, columns, condition in (
        ("event_by_related", ["related_event"], "related_event IS NOT NULL"),
        ("event_provisional", ["source", "stream", "occurred_at"], "provisional"),
        ("event_vanished", ["source", "stream", "vanished_reason"], "vanished_at IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, "event", columns, postgresql_where=where, sqlite_where=where)


def _pack(name: str) -> None:
    """Copy a table's rows into the new one, which knows their events by number and holds their bodies packed."""
    connection = op.get_bind()
    new = sa.Table(f"{name}_3", sa.MetaData(), autoload_with=connection)
    others = ", ".join(f"t.{column.name}" for column in new.c if column.name not in ("number", "body"))
    query = f"SELECT event.number, t.body, {others} FROM {name} t JOIN event ON event.id = t.event_id ORDER BY 1"  # noqa: S608
    options = {"stream_results": True, "max_row_buffer": MANY}
    found = connection.execute(sa.text(query), execution_options=options)
    for rows in _batches(found):
        connection.execute(new.insert(), [row | {"body": _packed(row["body"])} for row in rows])


def _batches(result: Any) -> Iterator[list[dict[str, Any]]]:
    while rows := result.mappings().fetchmany(MANY):
        yield [dict(row) for row in rows]


def _packed(body: str | None) -> bytes | None:
    return None if body is None else zstd.compress(body.encode())
