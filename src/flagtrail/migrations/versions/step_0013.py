"""Words that were not found: in SQLite `checkout2` by `check`; in PostgreSQL such as stand beside rare signs."""

from secrets import randbits

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

TEXTS = ("summary", "comment", "object_key", "object_name", "location", "actor_name")
KEPT = (
    r"0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u012f\u0131-\u017f\u0386\u0388-\u038a\u038c\u038e-\u0397\u0399-\u03a1"
    r"\u03a4-\u03b7\u03b9-\u03c1\u03c4-\u03ce\u0400-\u0481\u048a-\u052f\u05d0-\u05ea\u0620-\u064a\u0904-\u0939"
    r"\u0e01-\u0e30\u1e00-\u1eff\u2126\u212a-\u212b\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)


def upgrade() -> None:
    """Make PostgreSQL's index of words anew; in SQLite let nothing have been gathered, which is done behind a load."""
    if op.get_bind().dialect.name == "postgresql":
        texts = " || ' ' || ".join(f"coalesce({name}, '')" for name in TEXTS)
        plain = f"replace(replace(left({texts}, 100000), '\u0130', 'i '), '\u212a', 'k')"
        words = f"regexp_replace({plain}, '[^{KEPT}]+', ' ', 'g')"
        index = f"to_tsvector('simple'::regconfig, regexp_replace({words}, '(^| )([0-9])', '\\1ǂ\\2', 'g'))"
        op.execute("DROP INDEX search_text")
        op.execute(sa.text(f"CREATE INDEX search_text ON event USING gin ({index})".replace(":", "\\:")))
        op.execute("ANALYZE event")
        return
    for table in ("tally", "total", "facet", "waiting", "gathered"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608
    op.execute("INSERT INTO search (search) VALUES ('delete-all')")
    op.execute(f"INSERT INTO gathered (id, upto, era) VALUES (1, 0, {randbits(31)})")  # noqa: S608
