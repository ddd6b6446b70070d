"""Notices: how far each rule has come, the messages that are to be sent, and what of the trail itself was told of."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "rule",
        sa.Column("rule", sa.String, primary_key=True),
        sa.Column("position", NUMBER, nullable=False),
        sa.Column("began_at", INSTANT, nullable=False),
        sa.Column("left_out", sa.Integer, nullable=False),
    )
    op.create_table(
        "notice",
        sa.Column("number", NUMBER, sa.Identity(), primary_key=True),
        sa.Column("rule", sa.String, nullable=False),
        sa.Column("sink", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("events", DOCUMENT),
        sa.Column("more", sa.Integer, nullable=False),
        sa.Column("findings", DOCUMENT),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("tried_at", INSTANT),
        sa.Column("error", sa.String),
        sa.Column("leased_until", INSTANT),
        sa.Column("lease", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_index("notice_waiting", "notice", ["sink", "due_at"], postgresql_where=WAITING, sqlite_where=WAITING)
    op.create_table(
        "finding",
        sa.Column("rule", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("seen_at", INSTANT, nullable=False),
    )
