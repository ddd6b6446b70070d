"""Counts by environment, of what is linked, and what finds events by more fields; all of it is made anew."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
TOLD = ", ".join(
    ["occurred_at", "source", "vendor", "stream", "related_event", "action", "project", "project_name", "environment",
     "environment_name", "object_kind", "actor_kind", "actor_id", "actor_name", "actor_email", "object_key",
     "object_name", "location", "summary", "comment"]
)  # fmt: skip
HOUR = {
    "sqlite": "substr({0}.occurred_at, 1, 13) || ':00:00.000Z'",
    "postgresql": "date_trunc('hour', {0}.occurred_at, 'UTC')",
}
SIZE = "CASE lower({}) WHEN 'none' THEN 0 WHEN 'small' THEN 10 WHEN 'medium' THEN 50 WHEN 'large' THEN 90 END"
IMPACT = {
    "sqlite": "CASE WHEN json_type(impact, '$.percentage') IN ('integer', 'real') "
    "THEN json_extract(impact, '$.percentage') ELSE " + SIZE.format("json_extract(impact, '$.size')") + " END",
    "postgresql": "CASE WHEN jsonb_typeof(impact -> 'percentage') = 'number' "
    "THEN (impact ->> 'percentage')::numeric ELSE " + SIZE.format("(impact ->> 'size')") + " END",
}


def upgrade() -> None:
    """Empty what is made from events: whoever stores some next fills it, and until then every event is looked at."""
    dialect = op.get_bind().dialect.name
    for name in ("changed", "deleted"):
        op.execute(f"DROP TRIGGER event_{name}" + (" ON event" if dialect == "postgresql" else ""))
    for name in ("tally", "total"):
        op.drop_table(name)
    op.create_table(
        "tally",
        sa.Column("hour", INSTANT, primary_key=True),
        *(sa.Column(name, sa.String, primary_key=True) for name in ("vendor", "source", "environment")),
        *_counts(),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "total",
        *(sa.Column(name, sa.String, primary_key=True) for name in ("source", "stream", "vendor", "action")),
        *_counts(),
        sqlite_with_rowid=False,
    )
    for name in ("facet", "waiting"):
        op.execute(f"DELETE FROM {name}")  # noqa: S608
    op.execute("UPDATE gathered SET upto = 0")
    for name, condition in (
        ("vanished", "vanished_at IS NOT NULL"),
        ("provisional", "provisional"),
        ("truncated", "truncated"),
        ("commented", "comment <> ''"),
    ):
        op.execute(f"CREATE INDEX search_{name} ON event (occurred_at, number) WHERE {condition}")
    op.execute(sa.text(f"CREATE INDEX search_impact ON event (({IMPACT[dialect]})) WHERE impact IS NOT NULL"))
    body = _taken_back(HOUR[dialect])
    if dialect == "sqlite":
        op.execute("INSERT INTO search (search) VALUES ('delete-all')")
        for name, happening in (("changed", f"UPDATE OF {TOLD}"), ("deleted", "DELETE")):
            op.execute(
                f"CREATE TRIGGER event_{name} BEFORE {happening} ON event "  # noqa: S608
                "WHEN OLD.number <= (SELECT upto FROM gathered) AND OLD.number NOT IN (SELECT number FROM waiting) "
                f"BEGIN {body} END"
            )
        return
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION event_taken_back() RETURNS trigger LANGUAGE plpgsql AS $$
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
    for name in ("object_kind", "actor_kind"):
        op.execute(f"CREATE INDEX search_{name} ON event ((left(lower({name}), 200)), occurred_at, number)")


def _counts() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in ("events", "linked")]


def _taken_back(hour: str) -> str:
    """Return the statements that take an event out of the counts, and let it wait to be counted again."""
    counted = "{0}.number <= (SELECT upto FROM gathered) AND {0}.number NOT IN (SELECT number FROM waiting)"
    tables = {
        "tally": {
            "hour": hour,
            "vendor": "{0}.vendor",
            "source": "{0}.source",
            "environment": "coalesce({0}.environment, '')",
        },
        "total": {name: f"{{0}}.{name}" for name in ("source", "stream", "vendor", "action")},
    }
    statements = [
        f"""
        UPDATE {table} SET events = events - 1, linked = linked - (
            SELECT count(*) FROM event n WHERE n.id = OLD.related_event AND {counted.format("n")}
        ) WHERE {" AND ".join(f"{name} = {value.format('OLD')}" for name, value in keys.items())};
        UPDATE {table} SET linked = linked - (
            SELECT count(*) FROM event f WHERE f.related_event = OLD.id AND f.number <> OLD.number
            AND {counted.format("f")}
            AND {" AND ".join(f"{value.format('f')} = {table}.{name}" for name, value in keys.items())}
        ) WHERE ({", ".join(keys)}) IN (
            SELECT {", ".join(value.format("f") for value in keys.values())} FROM event f
            WHERE f.related_event = OLD.id AND {counted.format("f")}
        );
        """  # noqa: S608
        for table, keys in tables.items()
    ]
    return "\n".join([*statements, "INSERT INTO waiting (number) VALUES (OLD.number);"])
