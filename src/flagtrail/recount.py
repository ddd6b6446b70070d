"""Compares what was counted with the events themselves, and gathers everything anew where it differs."""

from sqlalchemy import Connection, Engine, text

from flagtrail.database import writing
from flagtrail.gather import HOUR, alone, rebuild

GATHERED = "{0}.number <= (SELECT upto FROM gathered) AND {0}.number NOT IN (SELECT number FROM waiting)"
TALLIED = """
    SELECT {hour} AS hour, e.vendor, e.source, count(*) AS events, count(n.number) AS linked
    FROM event e LEFT JOIN event n ON n.id = e.related_event AND {entry} WHERE {own} GROUP BY 1, 2, 3
"""
COUNTED = """
    SELECT source, stream, vendor, action, count(*) AS events FROM event e WHERE {own} GROUP BY 1, 2, 3, 4
"""
DIFFERENT = """
    SELECT 1 FROM (SELECT * FROM ({truth}) truth EXCEPT SELECT {names} FROM {table}) missing UNION ALL
    SELECT 1 FROM (SELECT {names} FROM {table} WHERE events <> 0 EXCEPT SELECT * FROM ({truth}) truth) wrong LIMIT 1
"""


def recount(engine: Engine) -> bool:
    """Gather everything anew if the counts are not those of the events, and return whether it was so.

    Nobody stores meanwhile. Reads every event: about ten seconds for a million.
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
    own, entry = GATHERED.format("e"), GATHERED.format("n")
    truths = {
        "tally": ("hour, vendor, source, events, linked", TALLIED.format(hour=hour, own=own, entry=entry)),
        "total": ("source, stream, vendor, action, events", COUNTED.format(own=own)),
    }
    for table, (names, truth) in truths.items():
        statement = DIFFERENT.format(truth=truth, names=names, table=table).replace(":", "\\:")
        if connection.execute(text(statement)).first():
            return True
    return False
