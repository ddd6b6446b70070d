"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "event",
        sa.Column("id", sa.String, primary_key=True),
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
        sa.Column("change_set", sa.String),
        sa.Column("related_event", sa.String),
        sa.Column("url", sa.String),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("vanished_at", INSTANT),
    )
    op.create_index("event_by_time", "event", ["occurred_at", "id"])
    op.create_index("event_by_stream", "event", ["source", "stream", "occurred_at"])
    op.create_index(
        "event_by_related", "event", ["related_event"], postgresql_where=sa.text("related_event IS NOT NULL")
    )
    op.create_table(
        "record",
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "coverage",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("stream", sa.String, primary_key=True),
        sa.Column("since", INSTANT, primary_key=True),
        sa.Column("until", INSTANT, nullable=False),
    )
    op.create_table(
        "gap",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("stream", sa.String, primary_key=True),
        sa.Column("since", INSTANT, primary_key=True),
        sa.Column("until", INSTANT, primary_key=True),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("expected", sa.Integer),
        sa.Column("stored", sa.Integer, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
    )
    op.create_table(
        "source",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("succeeded_at", INSTANT),
        sa.Column("failed_at", INSTANT),
        sa.Column("error", sa.String),
    )
    op.create_table(
        "stream",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("stream", sa.String, primary_key=True),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("label", sa.String),
        sa.Column("account", sa.String),
        sa.Column("wanted_since", INSTANT),
        sa.Column("settled_at", INSTANT),
        sa.Column("succeeded_at", INSTANT),
        sa.Column("failed_at", INSTANT),
        sa.Column("error", sa.String),
    )
