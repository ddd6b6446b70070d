"""Counts events, and notes where each can be found, in batches behind their storing.

`gathered` says up to which number events were. Those above, and those that wait because they were changed, are looked
at one by one by whoever asks, so that an answer never depends on how far this has come. Triggers of the database take
an event that is changed or deleted out of the counts and let it wait, also when somebody else's SQL did it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from secrets import randbits
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, func, select, text, update

from flagtrail.bulk import insert_into
from flagtrail.database import alone, writing
from flagtrail.facets import BETWEEN, facet_of
from flagtrail.fields import BY_NAME
from flagtrail.schema import EVENT, FACET, GATHERED, TALLY, TOTAL, WAITING
from flagtrail.search import ACTOR, FREQUENT_COLUMNS, MARKED, OBJECT, SELDOM_COLUMNS, marks, told
from flagtrail.window import from_ms, to_ms
from flagtrail.words import found_by

LONGEST = 3.0  # seconds of gathering before whoever stores goes on
AT_ONCE = 2000  # events in one transaction; fewer than these are looked at quickly enough one by one
REMEMBERED = 10_000  # values that are known to be there
HOUR_MS = 3_600_000
Values = tuple[Any, ...]
HOUR = {
    "sqlite": "substr({}.occurred_at, 1, 13) || ':00:00.000Z'",
    "postgresql": "date_trunc('hour', {}.occurred_at, 'UTC')",
}
# What stands in the tables of counts for each kind of event that is counted. An event is of no environment, or of one.
KEYS = {
    "tally": {"hour": "{hour}", "vendor": "e.vendor", "source": "e.source",
              "environment": "coalesce(e.environment, '')"},
    "total": {name: f"e.{name}" for name in ("source", "stream", "vendor", "action")},
}  # fmt: skip
# The fields of marks, and the columns in which their values stand.
OFTEN, SELDOM = (tuple(name for name, _ in pairs) for pairs in (FREQUENT_COLUMNS, SELDOM_COLUMNS))
OFTEN_IN, SELDOM_IN = (tuple(name for _, name in pairs) for pairs in (FREQUENT_COLUMNS, SELDOM_COLUMNS))
TEXTS = ("summary", "location", *OBJECT, "actor_name")
NAMED = ("source", "project", "project_name", "environment", "environment_name")
COLUMNS = tuple(dict.fromkeys(("occurred_at", "comment", *TEXTS, *ACTOR, *OFTEN_IN, *SELDOM_IN, *NAMED)))


def _of(*names: str) -> Callable[[Values], Values]:
    """Return what takes the values of some columns out of a row of `COLUMNS`."""
    return itemgetter(*map(COLUMNS.index, names))


often_of, seldom_of, object_of, actor_of = _of(*OFTEN_IN), _of(*SELDOM_IN), _of(*OBJECT), _of(*ACTOR)
texts_of, named_of, total_of, place_of = (
    _of(*TEXTS),
    _of(*NAMED),
    _of(*KEYS["total"]),
    _of("vendor", "source", "environment"),
)
# Flag events whose audit entry is there, and those that it comes after. The order in which tables are read is said:
# each statement begins with the few that wait.
CAME = (
    """CROSS JOIN event e CROSS JOIN event n
    WHERE e.number = w.number AND n.id = e.related_event AND n.number <= (SELECT upto FROM gathered)""",
    """CROSS JOIN event n CROSS JOIN event e
    WHERE n.number = w.number AND e.related_event = n.id AND e.number <= (SELECT upto FROM gathered)
    AND e.number NOT IN (SELECT number FROM waiting)""",
)


def _linked(hour: str) -> Iterator[str]:
    """Yield the statements that count, of what waits, the flag events whose audit entry is there."""
    for table, keys in KEYS.items():
        names, values = ", ".join(keys), ", ".join(keys.values()).format(hour=hour)
        for came in CAME:
            yield f"""
                INSERT INTO {table} ({names}, events, linked) SELECT {values}, 0, count(*) FROM waiting w {came}
                GROUP BY {", ".join(map(str, range(1, len(keys) + 1)))} ON CONFLICT ({names})
                DO UPDATE SET events = {table}.events + excluded.events, linked = {table}.linked + excluded.linked
            """  # noqa: S608


class Gathering:
    """Counts the events of one database as they come; belongs to the thread that stores."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stored: int | None = None
        self._known: set[tuple[str, str]] = set()
        self._era: int | None = None

    def stored(self, events: int) -> None:
        """Take note of events that were stored, and gather for a while once they are enough.

        After an upgrade that makes everything anew, millions may wait: whoever stores is not kept for so long.
        """
        if self._stored is None:
            with self._engine.connect() as connection:
                self._stored = backlog(connection)
        else:
            self._stored += events
        until = time.monotonic() + LONGEST
        while self._stored >= AT_ONCE and time.monotonic() < until:
            self._stored = self._stored - AT_ONCE if self.step() else 0

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
            era = connection.execute(select(GATHERED.c.era)).scalar_one()
            if era != self._era:
                self._known.clear()  # another process has begun anew, maybe without some of these
            noted = self._note(connection)
            hour = HOUR[connection.dialect.name].format("e").replace(":", "\\:")
            for statement in _linked(hour):
                connection.execute(text(statement))
            connection.execute(delete(WAITING))
        self._era = era
        if len(self._known) > REMEMBERED:
            self._known.clear()
        self._known |= noted
        return more

    def _note(self, connection: Connection) -> set[tuple[str, str]]:
        """Note the values of what waits, and where SQLite's index finds it; return those that were not known."""
        often, seldom, objects, actors, named, texts = (set[Any]() for _ in range(6))
        found = []
        indexed = connection.dialect.name == "sqlite"
        totals: Counter[Values] = Counter()
        hours: Counter[tuple[int, Values]] = Counter()
        query = select(*(EVENT.c[name] for name in COLUMNS)).where(EVENT.c.number.in_(select(WAITING.c.number)))
        for row in map(tuple, connection.execute(query)):  # a row of SQLAlchemy's is slow to take apart
            ms, frequent, rare, what, who = to_ms(row[0]), often_of(row), seldom_of(row), object_of(row), actor_of(row)
            often.add(frequent)
            seldom.add(rare)
            objects.add(what)
            actors.add(who)
            named.add(named_of(row))
            totals[total_of(row)] += 1
            hours[ms // HOUR_MS, place_of(row)] += 1
            if indexed:
                parts = {told(one) for one in texts_of(row) if one}
                if row[1]:
                    parts.add(" ".join(found_by(row[1])))
                texts |= parts
                all_marks = (marks(OFTEN, frequent), marks(SELDOM, rare), marks(OBJECT, what), _mark_of(who))
                found.append((ms, " ".join((*all_marks, *parts))))
        _count(connection, TOTAL, totals)
        _count(connection, TALLY, _by_hour(hours))
        found.sort()  # the index is written by rising time, or in pieces
        if found:
            connection.exec_driver_sql("INSERT INTO search (rowid, marks) VALUES (?, ?)", found)
        values = {("actor", facet_of(who)) for who in actors} | {("object", facet_of(what)) for what in objects}
        values |= {facet for kind in often for facet in _facets(dict(zip(OFTEN_IN, kind, strict=True)))}
        values |= {facet for kind in seldom for facet in _facets(dict(zip(SELDOM_IN, kind, strict=True)))}
        values |= {facet for kind in named for facet in _names(*kind)}
        values |= {("word", word) for word in {one for part in texts for one in part.split(" ")} if word.isalpha()}
        new = sorted(values - self._known)
        if new:
            insert_into = "INSERT INTO facet (field, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
            connection.exec_driver_sql(insert_into if indexed else insert_into.replace("?", "%s"), new)
        return values


@lru_cache(maxsize=4096)  # the same people again and again
def _mark_of(actor: Values) -> str:
    """Return the mark of who acted."""
    return marks(("who",), (facet_of(actor) or BETWEEN,))


def _by_hour(hours: Mapping[tuple[int, Values], int]) -> "Counter[tuple[Any, ...]]":
    """Return numbers of events by the columns that they are kept by."""
    tally: Counter[tuple[Any, ...]] = Counter()
    for (hour, (vendor, source, environment)), events in hours.items():
        tally[from_ms(hour * HOUR_MS), vendor, source, environment or ""] += events
    return tally


def _names(
    source: str, project: str | None, project_name: str | None, environment: str | None, environment_name: str | None
) -> Iterator[tuple[str, str]]:
    """Yield what the places of events are called, as facets."""
    if project:
        yield "project_name", facet_of((project, project_name, source))
    if environment:
        yield "environment_name", facet_of((environment, environment_name, source, project))


def _facets(event: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield the facets of the fields whose columns some values of an event are of."""
    for name in MARKED:
        columns = BY_NAME[name].columns
        if event.keys() >= set(columns) and any(event[column] for column in columns):
            yield name, facet_of(event[column] for column in columns)


def _count(connection: Connection, table: Table, counts: Mapping[tuple[Any, ...], int]) -> None:
    """Add numbers of events to a table of counts."""
    if not counts:
        return
    statement = insert_into(table, connection.dialect)
    names = [column.name for column in table.primary_key]
    told = statement.on_conflict_do_update(
        index_elements=names, set_={"events": table.c.events + statement.excluded.events}
    )
    rows = [
        dict(zip(names, key, strict=True)) | {"events": count, "linked": 0} for key, count in sorted(counts.items())
    ]
    connection.execute(told, rows)


def backlog(connection: Connection) -> int:
    """Return about how many events were stored since they were gathered last."""
    last = select(func.coalesce(func.max(EVENT.c.number), 0)).scalar_subquery()
    waits = select(func.count()).select_from(WAITING).scalar_subquery()
    upto = func.coalesce(select(GATHERED.c.upto).scalar_subquery(), 0)
    fresh, waiting = connection.execute(select(last - upto, waits)).one()
    return max(int(fresh), 0) + int(waiting)  # what was gathered last may be deleted by now


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
    connection.execute(GATHERED.insert().values(id=1, upto=0, era=randbits(31)))


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
