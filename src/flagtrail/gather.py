"""Counts events, and notes where each can be found, in batches behind their storing.

`gathered` says up to which number events were. Those above, and those that wait because they were changed, are looked
at one by one by whoever asks, so that an answer never depends on how far this has come. Triggers of the database take
an event that is changed or deleted out of the counts and let it wait, also when somebody else's SQL did it.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from flagtrail.conditions import EXACT
from flagtrail.database import writing
from flagtrail.schema import EVENT, FACET, GATHERED, TALLY, TOTAL, WAITING
from flagtrail.search import ACTOR, BETWEEN, OBJECT, facet_of, marks, told
from flagtrail.window import to_ms
from flagtrail.words import words

AT_ONCE = 2000  # events in one transaction; fewer than these are looked at quickly enough one by one
REMEMBERED = 10_000  # values that are known to be there
LOCK = 1718378855  # any number; the triggers of PostgreSQL name it too
HOUR = {
    "sqlite": "substr({}.occurred_at, 1, 13) || ':00:00.000Z'",
    "postgresql": "date_trunc('hour', {}.occurred_at, 'UTC')",
}
# The order in which tables are read is said: each statement begins with the few that wait.
TALLIED = """
    INSERT INTO tally (hour, vendor, source, events, linked)
    SELECT {e}, e.vendor, e.source, %s FROM waiting w %s
    GROUP BY 1, 2, 3
    ON CONFLICT (hour, vendor, source)
    DO UPDATE SET events = tally.events + excluded.events, linked = tally.linked + excluded.linked
"""
LINKED = (
    # Flag events whose audit entry is there, and those that it comes after.
    TALLIED
    % (
        "0, count(*)",
        """CROSS JOIN event e CROSS JOIN event n
        WHERE e.number = w.number AND n.id = e.related_event AND n.number <= (SELECT upto FROM gathered)""",
    ),
    TALLIED
    % (
        "0, count(*)",
        """CROSS JOIN event n CROSS JOIN event e
        WHERE n.number = w.number AND e.related_event = n.id AND e.number <= (SELECT upto FROM gathered)
        AND e.number NOT IN (SELECT number FROM waiting)""",
    ),
)


class Gathering:
    """Counts the events of one database as they come; belongs to the thread that stores."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stored: int | None = None
        self._known: set[tuple[str, str]] = set()

    def stored(self, events: int) -> None:
        """Take note of events that were stored, and gather them once they are enough."""
        if self._stored is None:
            with self._engine.connect() as connection:
                self._stored = backlog(connection)
        else:
            self._stored += events
        if self._stored >= AT_ONCE:
            self.catch_up()

    def catch_up(self) -> None:
        """Gather what is stored by now."""
        while self.step():
            pass
        self._stored = 0

    def step(self) -> bool:
        """Gather some events, in a transaction, and return whether there may be more."""
        with writing(self._engine) as connection:
            alone(connection)
            more = _let_wait(connection)
            noted = self._note(connection)
            hour = HOUR[connection.dialect.name].format("e").replace(":", "\\:")
            for statement in LINKED:
                connection.execute(text(statement.replace("{e}", hour)))
            connection.execute(delete(WAITING))
        if len(self._known) > REMEMBERED:
            self._known.clear()
        self._known |= noted
        return more

    def _note(self, connection: Connection) -> set[tuple[str, str]]:
        """Note the values of what waits, and where SQLite's index finds it; return those that were not known."""
        values: set[tuple[str, str]] = set()
        texts: set[str] = set()
        found = []
        indexed = connection.dialect.name == "sqlite"
        names = ("occurred_at", "stream", "summary", "comment", "location", *OBJECT, *ACTOR, *EXACT)
        totals: Counter[tuple[str, str, str, str]] = Counter()
        hours: Counter[tuple[datetime, str, str]] = Counter()
        query = select(*(EVENT.c[name] for name in names)).where(EVENT.c.number.in_(select(WAITING.c.number)))
        for at, stream, summary, comment, location, key, name, *others in connection.execute(query).all():
            actor, exact = facet_of(others[:3]), tuple(others[3:])
            vendor, source, *_, action = exact
            totals[source, stream, vendor, action] += 1
            hours[at.replace(minute=0, second=0, microsecond=0), vendor, source] += 1
            values.add(("actor", actor))
            values.add(("object", facet_of((key, name))))
            if indexed:
                parts = {told(one) for one in (summary, location, key, name, others[0]) if one}
                if comment:
                    parts.add(" ".join(words(comment)))
                texts |= parts
                all_marks = (marks(EXACT, exact), marks(OBJECT, (key, name)), marks(("who",), (actor or BETWEEN,)))
                found.append((to_ms(at), " ".join((*all_marks, *parts))))
        _count(connection, TOTAL, totals)
        _count(connection, TALLY, hours)
        found.sort()  # the index is written by rising time, or in pieces
        if found:
            connection.exec_driver_sql("INSERT INTO search (rowid, marks) VALUES (?, ?)", found)
        values |= {("word", word) for word in {one for part in texts for one in part.split(" ")} if word.isalpha()}
        new = sorted(values - self._known)
        if new:
            insert_into = "INSERT INTO facet (field, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
            connection.exec_driver_sql(insert_into if indexed else insert_into.replace("?", "%s"), new)
        return values


def _count(connection: Connection, table: Table, counts: Mapping[tuple[Any, ...], int]) -> None:
    """Add numbers of events to a table of counts."""
    if not counts:
        return
    insert_into: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    names = [column.name for column in table.primary_key]
    told = insert_into.on_conflict_do_update(
        index_elements=names, set_={"events": table.c.events + insert_into.excluded.events}
    )
    nothing = {"linked": 0} if "linked" in table.c else {}
    rows = [dict(zip(names, key, strict=True)) | nothing | {"events": count} for key, count in sorted(counts.items())]
    connection.execute(told, rows)


def enter(connection: Connection) -> None:
    """Let nobody gather until the transaction ends: its numbers are lower than those of others that end before."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(LOCK)))


def alone(connection: Connection) -> None:
    """Wait for everybody who is storing, and let nobody begin."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


def backlog(connection: Connection) -> int:
    """Return about how many events were stored since they were gathered last."""
    last = select(func.coalesce(func.max(EVENT.c.number), 0)).scalar_subquery()
    waits = select(func.count()).select_from(WAITING).scalar_subquery()
    upto = func.coalesce(select(GATHERED.c.upto).scalar_subquery(), 0)
    return int(connection.execute(select(last - upto + waits)).scalar_one())


def rebuild(engine: Engine) -> None:
    """Count and note everything anew, whatever was there before."""
    with writing(engine) as connection:
        alone(connection)
        _forget(connection)
    Gathering(engine).catch_up()


def _forget(connection: Connection) -> None:
    """Let nothing have been gathered."""
    for table in (TALLY, TOTAL, FACET, WAITING, GATHERED):
        connection.execute(delete(table))
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO search (search) VALUES ('delete-all')")
    connection.execute(GATHERED.insert().values(id=1, upto=0))


def _let_wait(connection: Connection) -> bool:
    """Let the next events wait that were never gathered, and return whether there are more of them."""
    if connection.execute(select(GATHERED.c.upto)).first() is None:
        _forget(connection)  # somebody has emptied the tables
    upto = connection.execute(select(GATHERED.c.upto)).scalar_one()
    numbers = select(EVENT.c.number).where(EVENT.c.number > upto).order_by(EVENT.c.number).limit(AT_ONCE)
    found = list(connection.execute(numbers).scalars())
    if found:
        added = select(EVENT.c.number).where(EVENT.c.number > upto, EVENT.c.number <= found[-1])
        connection.execute(WAITING.insert().from_select(["number"], added))
        connection.execute(update(GATHERED).values(upto=found[-1]))
    return len(found) == AT_ONCE
