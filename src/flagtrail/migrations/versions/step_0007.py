"""Views for people who connect with tools of their own: docs/sql.md describes them.

A step that rebuilds a table under them drops them first, and makes them anew.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

CHANGE = """
    CREATE VIEW change AS
    SELECT e.number, e.id, e.occurred_at, e.vendor, e.source,
        e.project, e.project_name, e.environment, e.environment_name,
        coalesce(e.actor_name, e.actor_email, e.actor_id, e.actor_kind) AS actor, e.actor_email, e.action,
        e.object_kind, coalesce(e.object_key, e.object_name) AS object, e.object_name, e.summary, e.comment,
        {size} AS impact_size, e.url, e.first_seen_at, e.vanished_at
    FROM event e
    WHERE e.related_event IS NULL
        OR (SELECT entry.number FROM event entry WHERE entry.id = e.related_event) IS NULL
"""
SIZE = """
    coalesce({own}, (SELECT {of_effect} FROM event f WHERE f.related_event = e.id ORDER BY f.occurred_at DESC LIMIT 1))
"""
DAILY = """
    CREATE VIEW daily AS
    SELECT {day} AS day, vendor, source, project, environment, action, count(*) AS changes
    FROM change
    GROUP BY 1, 2, 3, 4, 5, 6
"""
COMPLETENESS = """
    CREATE VIEW completeness AS
    SELECT w.source, w.stream, w.vendor, w.label, w.since, w.until,
        (
            SELECT {least}(1.0, coalesce(sum({seconds_of_part}) / {seconds_of_whole}, 0.0)) FROM coverage c
            WHERE c.source = w.source AND c.stream = w.stream AND c.until > w.since AND c.since < w.until
        ) AS covered,
        (SELECT max(c.until) FROM coverage c WHERE c.source = w.source AND c.stream = w.stream) AS covered_until,
        (
            SELECT count(*) FROM gap g WHERE g.source = w.source AND g.stream = w.stream AND NOT g.permanent
        ) AS unreadable,
        (SELECT count(*) FROM gap g WHERE g.source = w.source AND g.stream = w.stream AND g.permanent) AS lost,
        w.succeeded_at, w.error
    FROM (
        SELECT s.*, s.wanted_since AS since, {greatest}(s.settled_at, coalesce((
            SELECT max(c.until) FROM coverage c WHERE c.source = s.source AND c.stream = s.stream
        ), s.settled_at)) AS until
        FROM stream s
    ) w
"""


def upgrade() -> None:
    """Create the views."""
    if op.get_bind().dialect.name == "postgresql":
        size, day = "{}.impact ->> 'size'", "CAST(occurred_at AT TIME ZONE 'UTC' AS date)"
        least, greatest, seconds = "least", "greatest", "CAST(extract(epoch FROM {}) AS double precision)"
    else:
        size, day = "json_extract({}.impact, '$.size')", "substr(occurred_at, 1, 10)"
        least, greatest, seconds = "min", "max", "julianday({})"
    part = (
        seconds.format(f"{least}(c.until, w.until)") + " - " + seconds.format(f"{greatest}(c.since, w.since)"),
        seconds.format("w.until") + " - " + seconds.format("w.since"),
    )
    own_size = SIZE.format(own=size.format("e"), of_effect=size.format("f")).strip()
    op.execute(CHANGE.format(size=own_size))
    op.execute(DAILY.format(day=day))
    op.execute(
        COMPLETENESS.format(
            least=least, greatest=greatest, seconds_of_part=part[0], seconds_of_whole=f"nullif({part[1]}, 0)"
        )
    )
