"""Compares what was counted with the events themselves, and gathers everything anew where it differs."""

from sqlalchemy import Connection, Engine, text

from flagtrail.database import alone, writing
from flagtrail.gather import HOUR, rebuild

GATHERED = "{0}.number <= (SELECT upto FROM gathered) AND {0}.number NOT IN (SELECT number FROM waiting)"
COUNTED = """
    SELECT {keys}, count(*) AS events, count(n.number) AS linked
    FROM event e LEFT JOIN event n ON n.id = e.related_event AND {entry} WHERE {own} GROUP BY {places}
"""
DIFFERENT = """
    SELECT 1 FROM (SELECT * FROM ({truth}) truth EXCEPT SELECT {names} FROM {table}) missing UNION ALL
    SELECT 1 FROM (SELECT {names} FROM {table} WHERE events <> 0 EXCEPT SELECT * FROM ({truth}) truth) wrong LIMIT 1
"""


def recount(engine: Engine) -> bool:
    """Gather everything anew if the counts are not those of the events, and return whether it was so.

    Nobody stores meanwhile. Reads every event.
    """
    with writing(engine) as connection:
        alone(connection)
        wrong = miscounted(connection)
    if wrong:
        rebuild(engine)
    return wrong


def miscounted(connection: Connection) -> bool:
    """Return whether the counts by the hour or by stream are not those of the events that were gathered."""
    hour = HOUR[connection.dialect.name].format("e")
    tables = {
        "tally": {
            "hour": hour,
            "vendor": "e.vendor",
            "source": "e.source",
            "environment": "coalesce(e.environment, '')",
        },
        "total": {name: f"e.{name}" for name in ("source", "stream", "vendor", "action")},
    }
    for table, keys in tables.items():
        truth = COUNTED.format(
            keys=", ".join(keys.values()),
            places=", ".join(str(place) for place in range(1, len(keys) + 1)),
            own=GATHERED.format("e"),
            entry=GATHERED.format("n"),
        )
        names = ", ".join([*keys, "events", "linked"])
        statement = DIFFERENT.format(truth=truth, names=names, table=table).replace(":", "\\:")
        if connection.execute(text(statement)).first():
            return True
    return False
