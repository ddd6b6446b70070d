"""What answers questions quickly: counts by the hour, and where each word, person and object occurs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TOLD = ", ".join(
    ["occurred_at", "source", "vendor", "stream", "related_event", "action", "project", "environment", "actor_id",
     "actor_name", "actor_email", "object_key", "object_name", "location", "summary", "comment"]
)  # fmt: skip
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~–—…“”‘’«»·•"  # noqa: RUF001
TEXTS = ("summary", "comment", "object_key", "object_name", "location", "actor_name")


def upgrade() -> None:
    """Create the tables, empty: whoever stores events next fills them, and until then every event is looked at."""
    op.create_table(
        "tally",
        sa.Column("hour", INSTANT, primary_key=True),
        sa.Column("vendor", sa.String, primary_key=True),
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("linked", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "total",
        *(sa.Column(name, sa.String, primary_key=True) for name in ("source", "stream", "vendor", "action")),
        sa.Column("events", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "facet",
        sa.Column("field", sa.String, primary_key=True),
        sa.Column("value", sa.String, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table("waiting", sa.Column("number", NUMBER, autoincrement=False, primary_key=True))
    op.create_table(
        "gathered",
        sa.Column("id", sa.Integer, autoincrement=False, primary_key=True),
        sa.Column("upto", NUMBER, nullable=False),
    )
    op.execute("INSERT INTO gathered (id, upto) VALUES (1, 0)")
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _sqlite() -> None:
    for name, value in (
        ("key", "substr(value, 1, instr(value, char(31)) - 1)"),
        ("name", "substr(value, instr(value, char(31)) + 1)"),
    ):
        op.execute(f"CREATE INDEX search_by_{name} ON facet (lower({value})) WHERE field = 'object'")
    op.execute("CREATE VIRTUAL TABLE search USING fts5(marks, content='', columnsize=0, detail=none, tokenize='ascii')")
    body = _taken_back("substr({}.occurred_at, 1, 13) || ':00:00.000Z'")
    for name, happening in (("changed", f"UPDATE OF {TOLD}"), ("deleted", "DELETE")):
        op.execute(
            f"CREATE TRIGGER event_{name} BEFORE {happening} ON event "  # noqa: S608
            "WHEN OLD.number <= (SELECT upto FROM gathered) AND OLD.number NOT IN (SELECT number FROM waiting) "
            f"BEGIN {body} END"
        )


def _postgresql() -> None:
    body = _taken_back("date_trunc('hour', {}.occurred_at, 'UTC')")
    op.execute(
        f"""
        CREATE FUNCTION event_taken_back() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(1718378855);
            IF OLD.number <= (SELECT upto FROM gathered) AND OLD.number NOT IN (SELECT number FROM waiting) THEN
                {body}
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        END $$
        """  # noqa: S608
    )
    for name, happening in (("changed", f"UPDATE OF {TOLD}"), ("deleted", "DELETE")):
        op.execute(
            f"CREATE TRIGGER event_{name} BEFORE {happening} ON event FOR EACH ROW EXECUTE FUNCTION event_taken_back()"
        )
    for name, value in (
        ("project", "left(lower(project), 200)"),
        ("environment", "left(lower(environment), 200)"),
        ("action", "left(lower(action), 200)"),
        ("actor", "left(lower(coalesce(actor_email, actor_id, actor_name)), 200)"),
        ("object", "left(lower(coalesce(object_key, object_name)), 200)"),
    ):
        op.execute(f"CREATE INDEX search_{name} ON event (({value}), occurred_at, number)")
    for part, name in ((1, "key"), (2, "name")):
        value = f"lower(split_part(value, chr(31), {part}))"
        op.execute(f"CREATE INDEX search_by_{name} ON facet ({value} text_pattern_ops) WHERE field = 'object'")
    texts = " || ' ' || ".join(f"coalesce({name}, '')" for name in TEXTS)
    blanks = " " * len(PUNCTUATION)
    quoted = PUNCTUATION.replace("'", "''")
    op.execute(
        sa.text(
            f"CREATE INDEX search_text ON event USING gin (to_tsvector('simple'::regconfig, "
            f"translate(left({texts}, 100000), '{quoted}', '{blanks}')))".replace(":", "\\:")
        )
    )


def _taken_back(hour: str) -> str:
    """Return the statements that take an event out of the counts, and let it wait to be counted again."""
    counted = "{0}.number <= (SELECT upto FROM gathered) AND {0}.number NOT IN (SELECT number FROM waiting)"
    return f"""
        UPDATE tally SET events = events - 1, linked = linked - (
            SELECT count(*) FROM event n WHERE n.id = OLD.related_event AND {counted.format("n")}
        ) WHERE hour = {hour.format("OLD")} AND vendor = OLD.vendor AND source = OLD.source;
        UPDATE tally SET linked = linked - (
            SELECT count(*) FROM event f WHERE f.related_event = OLD.id AND f.number <> OLD.number
            AND {counted.format("f")}
            AND {hour.format("f")} = tally.hour AND f.vendor = tally.vendor AND f.source = tally.source
        ) WHERE (hour, vendor, source) IN (
            SELECT {hour.format("f")}, f.vendor, f.source FROM event f
            WHERE f.related_event = OLD.id AND {counted.format("f")}
        );
        UPDATE total SET events = events - 1
        WHERE source = OLD.source AND stream = OLD.stream AND vendor = OLD.vendor AND action = OLD.action;
        INSERT INTO waiting (number) VALUES (OLD.number);
    """  # noqa: S608
