"""Asks the table: which events, how many in each span of time, and one event whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from flagtrail.conditions import effect_of, escaped
from flagtrail.database import guarded
from flagtrail.fields import like
from flagtrail.histogram import DIMENSIONS, SPANS, Counted, counted, histogram_of
from flagtrail.naming import named
from flagtrail.question import Query, QueryError, cursor_of, expanded, place_of
from flagtrail.schema import EVENT, RECORD
from flagtrail.store import Store
from flagtrail.walk import Walk

__all__ = [
    "DIMENSIONS",
    "SPANS",
    "Counted",
    "Query",
    "QueryError",
    "check_known",
    "count",
    "cursor_of",
    "event",
    "events",
    "expanded",
    "histogram",
    "may_be",
    "place_of",
    "reading",
    "shown",
]

ROOM = 65_536  # KiB that PostgreSQL may take for the places of what an index finds: enough for 15 million events


@contextmanager
def reading(store: Store) -> Iterator[Connection]:
    """Give a connection whose queries all see the same events."""
    options = {} if store.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with guarded(store.shown), store.engine.connect().execution_options(**options) as connection:
        if options:
            # A plan for any values would suit none, and compiling one takes longer than a question may. Without room
            # for the place of each event, PostgreSQL takes whole pages of them apart into words again.
            custom = func.set_config("plan_cache_mode", "force_custom_plan", True)
            room = func.greatest(func.pg_size_bytes(func.current_setting("work_mem")) / 1024, ROOM)
            roomy = func.set_config("work_mem", func.concat(room, "kB"), True)
            connection.execute(select(custom, func.set_config("jit", "off", True), roomy))
        yield connection


def events(store: Store, query: Query) -> Iterator[dict[str, Any]]:
    """Yield events as dicts with the columns of the table `event`, in the order of the question."""
    with reading(store) as connection:
        yield from Walk(connection, named(connection, query), shown()).rows()


def shown() -> list[ColumnElement[Any]]:
    """Return the columns of an event as they are shown: with the impact that its flag event tells."""
    impact = func.coalesce(EVENT.c.impact, effect_of(lambda effect: effect.c.impact)).label("impact")
    return [impact if column.name == "impact" else column for column in EVENT.c]


def may_be(store: Store, environment: str | None, project: str | None) -> dict[str, Callable[[str | None], bool]]:
    """Return by `environment` and `project` whether a value of it may be the one asked for, by key, name or pattern.

    Where nothing is asked for, any may; None may be any too: what says nothing of its environment may concern it.
    """
    with reading(store) as connection:
        wanted = named(connection, Query(environment=environment, project=project)).wanted
    return {name: _or_none(wanted.get(name, ("*",))) for name in ("environment", "project")}


def _or_none(patterns: Sequence[str]) -> Callable[[str | None], bool]:
    fits = like(patterns)
    return lambda value: not value or fits(value)


def histogram(store: Store, query: Query, by: str | None, bucket: timedelta) -> dict[tuple[datetime, Any], int]:
    """Return how many events there are in each span of time, by its start and the value of a dimension.

    They are those that `events` would show without a limit. Spans are as long as `bucket`, and begin at its multiples
    since the Unix epoch; those without events are left out. `by` is any of `DIMENSIONS`.
    """
    with reading(store) as connection:
        return histogram_of(connection, named(connection, query), by, bucket)


def count(store: Store, query: Query, by: Sequence[str] = (), top: int = 0, zone: tzinfo | None = UTC) -> Counted:
    """Return how many events there are by some of `DIMENSIONS`, and by one of hour, day and week if that is among them.

    They are those that `events` would show without a limit. Hours, days and weeks (from Monday) are those of `zone`;
    None is the zone of this machine. `top` keeps the groups of so many most frequent values, 0 all; what is left out is
    told. Raises QueryError.
    """
    with reading(store) as connection:
        return counted(connection, named(connection, query), by, top, zone)


def event(store: Store, id: str) -> list[dict[str, Any]]:
    """Return the events whose id begins with `id`, at most two, each with its `records` (newest revision first)."""
    beginning: ColumnElement[bool] = EVENT.c.id.like(escaped(id) + "%", escape="\\")
    if store.engine.dialect.name == "sqlite":  # which uses no index for LIKE, and would look at every id
        beginning = and_(beginning, EVENT.c.id >= id.lower(), EVENT.c.id < id.lower() + "\U0010ffff")
    with guarded(store.shown), store.engine.connect() as connection:
        rows = connection.execute(select(EVENT).where(EVENT.c.id == id)).mappings().all()
        if not rows:
            rows = connection.execute(select(EVENT).where(beginning).order_by(EVENT.c.id).limit(2)).mappings().all()
        found = [dict(row) for row in rows]
        for row in found:
            kept = select(RECORD.c.revision, RECORD.c.seen_at, RECORD.c.body).where(RECORD.c.number == row["number"])
            records = connection.execute(kept.order_by(RECORD.c.revision.desc())).all()
            row["records"] = [
                {"revision": revision, "seen_at": seen_at, "record": store.record(connection, body)}
                for revision, seen_at, body in records
            ]
    return found


def check_known(store: Store, query: Query) -> None:
    """Raise QueryError when a source or a vendor is asked for that this database has never seen."""
    for name in ("source", "vendor"):
        known = sorted({str(getattr(look, name)) for look in store.sources()})
        for value in query.wanted.get(name, ()):
            if known and not any(map(like([value]), known)):
                raise QueryError(f"there is no {name} {value!r} in this database; there is: {', '.join(known)}")
