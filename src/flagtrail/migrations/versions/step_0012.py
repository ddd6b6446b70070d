"""People who are forgotten, holds, what our own keeping has deleted, and when counts were begun anew."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Create the tables, and add the columns; what is stored stays as it is."""
    op.create_table(
        "forgotten",
        sa.Column("number", NUMBER, sa.Identity(), primary_key=True),
        sa.Column("pseudonym", sa.String, nullable=False),
        sa.Column("begun_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.Column("reason", sa.String),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("details", sa.Integer, nullable=False),
        sa.Column("others", sa.Integer, nullable=False),
        sa.Column("dictionaries", DOCUMENT),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "identity",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("pseudonym", sa.String, nullable=False),
        sa.Column("words", sa.Integer, nullable=False),
        sa.Column("begins", sa.Integer, nullable=False),
        sa.Column("within", sa.Boolean, nullable=False),
    )
    op.create_table(
        "identity_key",
        sa.Column("id", sa.Integer, autoincrement=False, primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "hold",
        sa.Column("number", NUMBER, sa.Identity(), primary_key=True),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("until", INSTANT),
        sa.Column("ended_reason", sa.String),
        sqlite_autoincrement=True,
    )
    op.add_column("gathered", sa.Column("era", sa.Integer, nullable=False, server_default="0"))
    op.add_column("stream", sa.Column("kept_since", INSTANT))
