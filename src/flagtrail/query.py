"""Asks the table: which events, and one event whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select

from flagtrail.database import guarded
from flagtrail.schema import DETAIL, EVENT, RECORD
from flagtrail.store import Store

MANY = 1000  # rows fetched at a time


@dataclass(frozen=True, slots=True)
class Query:
    """Which events are wanted, newest first; every condition that is set must hold.

    `object` takes `*` for any characters. `actor` is part of a name or an e-mail. `text` is part of the summary, the
    comment, the object or the place. `linked` also shows the flag events whose audit entry is in the table: their
    impact stands on that entry anyway. `limit` 0 means all.
    """

    since: datetime | None = None
    until: datetime | None = None
    vendor: str | None = None
    source: str | None = None
    project: str | None = None
    environment: str | None = None
    actor: str | None = None
    action: str | None = None
    object: str | None = None
    text: str | None = None
    linked: bool = False
    limit: int = 50


def events(store: Store, query: Query) -> Iterator[dict[str, Any]]:
    """Yield events as dicts with the columns of the table `event`, newest first."""
    statement = _select(query)
    with guarded(store.shown), store.engine.connect().execution_options(yield_per=MANY) as connection:
        for row in connection.execute(statement).mappings():
            yield dict(row)


def event(store: Store, id: str) -> list[dict[str, Any]]:
    """Return the events whose id begins with `id`, at most two, each with its `records` (newest revision first)."""
    beginning = EVENT.c.id.like(_escaped(id) + "%", escape="\\")
    with guarded(store.shown), store.engine.connect() as connection:
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


def count_by_stream(store: Store) -> dict[tuple[str, str], int]:
    """Return how many events each stream has, by source and stream."""
    query = select(EVENT.c.source, EVENT.c.stream, func.count()).group_by(EVENT.c.source, EVENT.c.stream)
    with guarded(store.shown), store.engine.connect() as connection:
        return {(source, stream): count for source, stream, count in connection.execute(query)}


def first_age(store: Store, source: str, stream: str) -> timedelta | None:
    """Return how old the oldest event of a stream was when it was stored; None when there is none."""
    mine = select(EVENT.c.occurred_at, EVENT.c.first_seen_at).where(EVENT.c.source == source, EVENT.c.stream == stream)
    with guarded(store.shown), store.engine.connect() as connection:
        first = connection.execute(mine.order_by(EVENT.c.occurred_at).limit(1)).first()
    return first.first_seen_at - first.occurred_at if first else None


def count_vanished(store: Store) -> dict[tuple[str, str], dict[str, int]]:
    """Return how many events the vendor no longer shows, by source and stream, and by reason."""
    name = (EVENT.c.source, EVENT.c.stream, EVENT.c.vanished_reason)
    query = select(*name, func.count()).where(EVENT.c.vanished_at.is_not(None)).group_by(*name)
    found: dict[tuple[str, str], dict[str, int]] = {}
    with guarded(store.shown), store.engine.connect() as connection:
        for source, stream, reason, count in connection.execute(query):
            found.setdefault((source, stream), {})[reason] = count
    return found


def count_details(store: Store) -> dict[tuple[str, str], int]:
    """Return how many entries wait for their full form, by source and stream."""
    name = (DETAIL.c.source, DETAIL.c.stream)
    query = select(*name, func.count()).where(DETAIL.c.state == "open").group_by(*name)
    with guarded(store.shown), store.engine.connect() as connection:
        return {(source, stream): count for source, stream, count in connection.execute(query)}


def unmapped(store: Store, known: set[str]) -> dict[tuple[str, str], int]:
    """Return the vendor actions that no shared verb fits, and how many events have each, by vendor and action."""
    query = select(EVENT.c.vendor, EVENT.c.action, func.count()).where(EVENT.c.action.not_in(sorted(known)))
    with guarded(store.shown), store.engine.connect() as connection:
        found = connection.execute(query.group_by(EVENT.c.vendor, EVENT.c.action))
        return {(vendor, action): count for vendor, action, count in found}


def _select(query: Query) -> Select[Any]:
    effect = EVENT.alias("effect")
    impact = (
        select(effect.c.impact)
        .where(effect.c.related_event == EVENT.c.id)
        .order_by(effect.c.occurred_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = [func.coalesce(c, impact).label("impact") if c.name == "impact" else c for c in EVENT.c]
    statement = select(*columns).where(and_(True, *_conditions(query)))
    if not query.linked:
        entry = EVENT.alias("entry")
        statement = statement.where(~select(entry.c.id).where(entry.c.id == EVENT.c.related_event).exists())
    statement = statement.order_by(EVENT.c.occurred_at.desc(), EVENT.c.number.desc())
    return statement.limit(query.limit) if query.limit else statement


def _conditions(query: Query) -> Iterator[ColumnElement[bool]]:
    if query.since:
        yield EVENT.c.occurred_at >= query.since
    if query.until:
        yield EVENT.c.occurred_at < query.until
    for name in ("vendor", "source", "project", "environment", "action"):
        wanted = getattr(query, name)
        if wanted:
            yield func.lower(EVENT.c[name]) == wanted.lower()
    if query.actor:
        yield _contains(EVENT, query.actor, "actor_name", "actor_email", "actor_id")
    if query.object:
        pattern = _escaped(query.object).replace("*", "%")
        yield or_(*(EVENT.c[name].ilike(pattern, escape="\\") for name in ("object_key", "object_name")))
    if query.text:
        yield _contains(EVENT, query.text, "summary", "comment", "object_key", "object_name", "location")


def _contains(table: Table, text: str, *names: str) -> ColumnElement[bool]:
    return or_(*(table.c[name].ilike(f"%{_escaped(text)}%", escape="\\") for name in names))


def _escaped(text: str) -> str:
    """Return text that LIKE takes literally."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
