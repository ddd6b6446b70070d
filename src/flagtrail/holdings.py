"""Tells what the table holds of a log in a window, for comparing it with the vendor, and marks what has vanished."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, func, select, update

from flagtrail.database import guarded, writing
from flagtrail.numbers import Times
from flagtrail.rows import event_id
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.window import MILLISECOND, Window, to_ms

MANY = 10_000  # rows fetched at a time
# Why the vendor no longer shows an entry.
RETENTION = "retention"
ENVIRONMENT_DELETED = "environment deleted"
HIDDEN = "hidden"
UNEXPLAINED = "unexplained"


class Held(NamedTuple):
    """A stored event that the vendor is not known to have dropped; `ms` is when it happened."""

    vendor_id: str
    ms: int
    project: str | None
    environment: str | None
    first_seen_at: datetime


def times(store: Store, source: str, log: str, window: Window, edge_ms: int) -> Times:
    """Return when the events of a window happened that the vendor is not known to have dropped."""
    query = select(EVENT.c.occurred_at).where(_inside(source, log, window)).order_by(EVENT.c.occurred_at)
    with guarded(store.shown), store.engine.connect().execution_options(yield_per=MANY) as connection:
        return Times((to_ms(row.occurred_at) for row in connection.execute(query)), edge_ms)


def count(store: Store, source: str, log: str, window: Window) -> int:
    """Return how many events of a window the vendor is not known to have dropped."""
    with guarded(store.shown), store.engine.connect() as connection:
        return int(connection.execute(select(func.count()).where(_inside(source, log, window))).scalar() or 0)


def held(store: Store, source: str, log: str, window: Window) -> dict[str, Held]:
    """Return the events of a window that the vendor is not known to have dropped, by its ids."""
    columns = (EVENT.c.vendor_id, EVENT.c.occurred_at, EVENT.c.project, EVENT.c.environment, EVENT.c.first_seen_at)
    query = select(*columns).where(_inside(source, log, window))
    with guarded(store.shown), store.engine.connect() as connection:
        return {row[0]: Held(row[0], to_ms(row[1]), *row[2:]) for row in connection.execute(query)}


def witnesses(
    store: Store, source: str, log: str, like: Held, count: int, *, any_environment: bool = False
) -> list[Held]:
    """Return the newest events of the same project and environment, or of the project, that did not vanish."""
    columns = (EVENT.c.vendor_id, EVENT.c.occurred_at, EVENT.c.project, EVENT.c.environment, EVENT.c.first_seen_at)
    same = [EVENT.c.source == source, EVENT.c.stream == log, EVENT.c.project == like.project]
    # Where an environment is deleted with its log, the entries about its own coming and going stay.
    same.append(func.coalesce(EVENT.c.object_kind, "") != "environment")
    if not any_environment:
        here = EVENT.c.environment
        same.append(here == like.environment if like.environment else here.is_(None))
    query = select(*columns).where(*same, EVENT.c.vanished_at.is_(None)).order_by(EVENT.c.occurred_at.desc())
    with guarded(store.shown), store.engine.connect() as connection:
        return [Held(row[0], to_ms(row[1]), *row[2:]) for row in connection.execute(query.limit(count))]


def environment_deleted(store: Store, source: str, like: Held) -> bool:
    """Return whether the trail itself tells that the environment of an event was deleted after it happened."""
    if like.environment is None:
        return False
    deleted = and_(
        EVENT.c.source == source,
        EVENT.c.object_kind == "environment",
        EVENT.c.action == "deleted",
        (EVENT.c.object_key == like.environment) | (EVENT.c.object_name == like.environment),
        (EVENT.c.project == like.project) | EVENT.c.project.is_(None),
        EVENT.c.occurred_at >= Window.of_ms(like.ms, like.ms + 1).since,
    )
    with guarded(store.shown), store.engine.connect() as connection:
        return connection.execute(select(EVENT.c.id).where(deleted).limit(1)).first() is not None


def unmoved(store: Store, source: str, log: str, events: Mapping[str, Held]) -> dict[str, Held]:
    """Return the events that still stand at the time that they were found missing at."""
    kept: dict[str, Held] = {}
    with guarded(store.shown), store.engine.connect() as connection:
        for vendor_id, event in events.items():
            query = select(EVENT.c.occurred_at).where(EVENT.c.id == event_id(source, log, vendor_id))
            moment = connection.execute(query).scalar()
            if moment is not None and to_ms(moment) == event.ms:
                kept[vendor_id] = event
    return kept


def mark_vanished(store: Store, source: str, log: str, reasons: Mapping[str, str]) -> None:
    """Mark events, by the vendor's ids, as no longer shown, each with its reason; their rows and records stay."""
    now = datetime.now(UTC)
    with guarded(store.shown), writing(store.engine) as connection:
        for vendor_id, reason in sorted(reasons.items(), key=lambda told: event_id(source, log, told[0])):
            mine = EVENT.c.id == event_id(source, log, vendor_id)
            values = {"vanished_at": now, "vanished_reason": reason}
            connection.execute(update(EVENT).where(mine, EVENT.c.vanished_at.is_(None)).values(values))


def provisional(store: Store, source: str, log: str, since: datetime) -> list[Window]:
    """Return the moments from a given one on whose events the vendor will still change."""
    mine = and_(
        EVENT.c.source == source,
        EVENT.c.stream == log,
        EVENT.c.provisional,
        EVENT.c.vanished_at.is_(None),
        EVENT.c.occurred_at >= since,
    )
    with guarded(store.shown), store.engine.connect() as connection:
        found = connection.execute(select(EVENT.c.occurred_at).where(mine).distinct().order_by(EVENT.c.occurred_at))
        return [Window(row.occurred_at, row.occurred_at + MILLISECOND) for row in found]


def _inside(source: str, log: str, window: Window) -> Any:
    """Return the condition that an event lies in a window of a log and has not vanished."""
    return and_(
        EVENT.c.source == source,
        EVENT.c.stream == log,
        EVENT.c.occurred_at >= window.since,
        EVENT.c.occurred_at < window.until,
        EVENT.c.vanished_at.is_(None),
    )
