"""Verification: verdicts, details, and what a store needs to tell late, changed, vanished and lost entries apart."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add the columns and tables; what is stored stays as it is."""
    for name in ("truncated", "provisional"):
        op.add_column("event", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("event", sa.Column("vanished_reason", sa.String))
    provisional = sa.text("provisional")
    op.create_index(
        "event_provisional",
        "event",
        ["source", "stream", "occurred_at"],
        postgresql_where=provisional,
        sqlite_where=provisional,
    )
    vanished = sa.text("vanished_at IS NOT NULL")
    op.create_index(
        "event_vanished",
        "event",
        ["source", "stream", "vanished_reason"],
        postgresql_where=vanished,
        sqlite_where=vanished,
    )
    op.add_column("gap", sa.Column("permanent", sa.Boolean, nullable=False, server_default=sa.false()))
    for name in ("log", "credential", "counts"):
        op.add_column("stream", sa.Column(name, sa.String))
    for name in ("credential_at", "counts_at"):
        op.add_column("stream", sa.Column(name, INSTANT))
    op.add_column("stream", sa.Column("retention", sa.Integer))
    op.create_table(
        "verdict",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("stream", sa.String, primary_key=True),
        sa.Column("method", sa.String, primary_key=True),
        sa.Column("since", INSTANT, primary_key=True),
        sa.Column("checked_at", INSTANT, primary_key=True),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("expected", sa.Integer),
        sa.Column("stored", sa.Integer),
        sa.Column("found", sa.Integer, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("vanished", sa.Integer, nullable=False),
        sa.Column("reason", sa.String),
    )
    op.create_table(
        "detail",
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("stream", sa.String, nullable=False),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("tried_at", INSTANT),
        sa.Column("body", sa.Text),
    )
    is_open = sa.text("state = 'open'")
    op.create_index("detail_open", "detail", ["source", "occurred_at"], postgresql_where=is_open, sqlite_where=is_open)
