"""Follows the trail: each event once, in the order of storing, as soon as it is stored, and none left out.

Events have numbers, but in PostgreSQL a number is taken before its transaction ends, so a lower one may be seen after a
higher one. Whoever stores holds a lock from before that until the end (`database.enter`). So of the numbers that can be
seen at a moment, all lower ones can be seen too once everybody has ended who held that lock just afterwards. Nobody is
kept from storing. SQLite has one writer, whose numbers are seen in their order.

An event that changes later keeps its number, and is not shown again: `flagtrail events` shows what it is by now.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from threading import Event as Flag
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, text

from flagtrail.conditions import meets, span
from flagtrail.database import LOCK, guarded
from flagtrail.naming import named
from flagtrail.query import Query, reading, shown
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.walk import beside_indexes

AT_ONCE = 500  # events in one transaction, which ends before they are given to somebody slow
EVERY = 1.0  # seconds between two looks
WRITERS = text(
    """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND classid = 0 AND objid = :lock AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


class Edge(NamedTuple):
    """A number up to which nothing can be missing any more once none of some writers is still storing."""

    number: int
    writers: frozenset[str]

    @property
    def is_sure(self) -> bool:
        """Whether that is so by now."""
        return not self.writers


def position_of(row: Mapping[str, Any]) -> str:
    """Return the position after an event that was followed: opaque, for `follow` to go on from."""
    return _position(row["number"])


def start(store: Store, stop: Flag | None = None, every: float = EVERY) -> str | None:
    """Return the position after all that is stored by now; it waits for those who are storing. None if stopped."""
    stop = stop or Flag()
    edge = edge_of(store)
    while not edge.is_sure:
        if stop.wait(every):
            return None
        edge = edge_of(store, edge)
    return _position(edge.number)


def follow(
    store: Store, query: Query, after: str | None = None, stop: Flag | None = None, every: float = EVERY
) -> Iterator[dict[str, Any] | None]:
    """Yield the events of a question as they are stored after a position, and None after each look, until stopped.

    Without a position it begins with what is stored from now on. The question's time is that of the change, so an old
    change that is read only now is shown too, unless `since` says otherwise. Its limit and cursor count for nothing.
    Raises ValueError for what is no position of this database, StoreError when that cannot be read.
    """
    stop = stop or Flag()
    place = after if after is not None else start(store, stop, every)
    if place is None:
        return
    last = number_of(place)
    edge = edge_of(store)
    if last > max(edge.number, _highest(store)):  # `keep` may have deleted the newest numbers
        raise ValueError(f"{place!r} is a position of another database, which holds more events")
    while not stop.is_set():
        if edge.is_sure:
            for row in between(store, query, last, edge.number):
                yield row
                if stop.is_set():
                    return
            last = max(last, edge.number)
        yield None
        stop.wait(every)
        edge = edge_of(store, edge)


def _highest(store: Store) -> int:
    """Return the highest number that an event ever had here."""
    sqlite = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'event'"
    postgresql = "SELECT pg_sequence_last_value(pg_get_serial_sequence('event', 'number')::regclass)"
    with guarded(store.shown), store.engine.connect() as connection:
        query = sqlite if connection.dialect.name == "sqlite" else postgresql
        return connection.exec_driver_sql(query).scalar() or 0


def number_of(position: str) -> int:
    """Return the number of the last event before a position; raises ValueError when it is none."""
    try:
        name, number = urlsafe_b64decode(position + "=" * (-len(position) % 4)).decode("ascii").split(" ")
        return {"after": int(number)}[name]
    except (ValueError, KeyError):
        raise ValueError(f"{position!r} is no position in the order of storing") from None


def _position(number: int) -> str:
    return urlsafe_b64encode(f"after {number}".encode()).decode().rstrip("=")


def edge_of(store: Store, before: Edge | None = None) -> Edge:
    """Return the edge by now: one from before, until that is sure, and then the next one."""
    with guarded(store.shown), store.engine.connect() as connection:
        number = connection.execute(select(func.coalesce(func.max(EVENT.c.number), 0))).scalar_one()
        writers = _writers(connection)  # those who took lower numbers have the lock by now, or have ended
    return Edge(number, writers) if before is None or before.is_sure else Edge(before.number, before.writers & writers)


def _writers(connection: Connection) -> frozenset[str]:
    if connection.dialect.name == "sqlite":
        return frozenset()
    return frozenset(connection.execute(WRITERS, {"lock": LOCK}).scalars())


def between(store: Store, query: Query, last: int, upto: int) -> Iterator[dict[str, Any]]:
    """Yield the events of a question whose numbers lie after one and up to another, in their order."""
    number = EVENT.c.number
    while last < upto:
        with reading(store) as connection:
            asked = named(connection, replace(query, after=None))
            wanted = beside_indexes(meets(asked, store.engine.dialect.name) & span(asked))
            statement = select(*shown()).where(number > last, number <= upto, wanted).order_by(number).limit(AT_ONCE)
            found = [dict(row) for row in connection.execute(statement).mappings()]
        yield from found
        last = found[-1]["number"] if len(found) == AT_ONCE else upto
