"""In PostgreSQL words that begin with a digit are kept whole: its parser took `0e1f2a9` for a number and a word."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TEXTS = ("summary", "comment", "object_key", "object_name", "location", "actor_name")
DIVIDING = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~–—…“”‘’«»·•→←⇒×÷±\u00a0\t\n\r"  # noqa: RUF001


def upgrade() -> None:
    """Make the index of words anew."""
    if op.get_bind().dialect.name != "postgresql":
        return
    texts = " || ' ' || ".join(f"coalesce({name}, '')" for name in TEXTS)
    quoted, blanks = DIVIDING.replace("'", "''"), " " * len(DIVIDING)
    words = f"translate(left({texts}, 100000), '{quoted}', '{blanks}')"
    index = f"to_tsvector('simple'::regconfig, regexp_replace({words}, '(^| )([0-9])', '\\1ǂ\\2', 'g'))"
    op.execute("DROP INDEX search_text")
    op.execute(sa.text(f"CREATE INDEX search_text ON event USING gin ({index})".replace(":", "\\:")))
