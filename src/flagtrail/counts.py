"""Counts events: by span of time, by stream, by what the vendor did; from the tables of counts where those can tell."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, extract, func, select, union_all

from flagtrail.conditions import EXACT, Query, meets, span
from flagtrail.database import guarded
from flagtrail.schema import DETAIL, EVENT, TALLY, TOTAL
from flagtrail.store import Store
from flagtrail.walk import ENDLESS, Walk, beside_indexes, ungathered
from flagtrail.window import EPOCH, Window

HOUR = timedelta(hours=1)
Counts = Counter[tuple[datetime, str | None]]


def histogram_of(
    connection: Connection, query: Query, by: str | None, bucket: timedelta
) -> dict[tuple[datetime, str | None], int]:
    """Return how many events there are in each span of time, by its start and the value of a column."""
    if bucket < timedelta(seconds=1) or bucket % timedelta(seconds=1):
        raise ValueError("the spans of a histogram are whole seconds")
    if by is not None and by not in EVENT.c:
        raise ValueError(f"events have no {by!r}")
    whole = _whole_hours(query) if _is_tallied(query, by, bucket) else None
    if whole is None:
        return dict(_counted(connection, query, by, bucket))
    counts = _tallied(connection, query, by, bucket, whole)
    counts += _counted(connection, replace(query, until=whole.since), by, bucket) if query.since else Counter()
    counts += _counted(connection, replace(query, since=whole.until), by, bucket) if query.until else Counter()
    return {key: count for key, count in counts.items() if count}


def _is_tallied(query: Query, by: str | None, bucket: timedelta) -> bool:
    """Return whether the counts by the hour tell what is asked, but for the ends of the time."""
    others = [name for name in (*EXACT, "actor", "object", "text", "after") if name not in ("vendor", "source")]
    return not bucket % HOUR and by in (None, "vendor", "source") and not any(getattr(query, name) for name in others)


def _whole_hours(query: Query) -> Window | None:
    """Return the hours that lie in the time that is asked for; None when there is none."""
    since, until = query.since or EPOCH, query.until or ENDLESS
    first = since + (EPOCH - since) % HOUR
    last = until - (until - EPOCH) % HOUR
    return Window(first, last) if first < last else None


def _tallied(connection: Connection, query: Query, by: str | None, bucket: timedelta, hours: Window) -> Counts:
    """Return the counts of whole hours: those that were gathered, and what came and changed since."""
    conditions = [TALLY.c.hour >= hours.since, TALLY.c.hour < hours.until]
    asked = [(name, value) for name in ("vendor", "source") if (value := getattr(query, name))]
    conditions += [func.lower(TALLY.c[name]) == func.lower(value) for name, value in asked]
    events = func.sum(TALLY.c.events if query.linked else TALLY.c.events - TALLY.c.linked)
    names = [TALLY.c[by]] if by else []
    counts: Counts = Counter()
    for hour, *value, count in connection.execute(
        select(TALLY.c.hour, *names, events).where(*conditions).group_by(TALLY.c.hour, *names)
    ):
        counts[_start(hour, bucket), value[0] if value else None] += count
    columns = [EVENT.c.occurred_at, *([EVENT.c[by]] if by else [])]
    inside = span(replace(query, since=hours.since, until=hours.until))
    dialect = connection.dialect.name
    came = select(*columns).where(EVENT.c.number.in_(ungathered()), beside_indexes(inside), meets(query, dialect))
    for at, *value in connection.execute(came):
        counts[_start(at, bucket), value[0] if value else None] += 1
    if query.linked:
        return counts
    # Their audit entry came since they were counted.
    entry = EVENT.alias("came")
    ids = select(entry.c.id).where(entry.c.number.in_(ungathered()))
    linked = select(*columns).where(EVENT.c.related_event.in_(ids), beside_indexes(inside))
    linked = linked.where(meets(replace(query, linked=True), dialect), EVENT.c.number.not_in(ungathered()))
    for at, *value in connection.execute(linked):
        counts[_start(at, bucket), value[0] if value else None] -= 1
    return counts


def _counted(connection: Connection, query: Query, by: str | None, bucket: timedelta) -> Counts:
    """Return the counts of events that are looked at one by one."""
    counts: Counts = Counter()
    columns = [EVENT.c.occurred_at, EVENT.c.number, *([EVENT.c[by]] if by else [])]
    if query.actor or query.object or query.text or query.after:
        for row in Walk(connection, replace(query, limit=0), columns).rows():
            counts[_start(row["occurred_at"], bucket), row[by] if by else None] += 1
        return counts
    dialect, seconds = connection.dialect.name, round(bucket.total_seconds())
    if dialect == "sqlite":
        number: ColumnElement[int] = cast(func.strftime("%s", EVENT.c.occurred_at), BigInteger).op("/")(seconds)
    else:
        number = cast(func.floor(extract("epoch", EVENT.c.occurred_at) / seconds), BigInteger)
    place = number.label("place")
    names = [EVENT.c[by]] if by else []
    statement = select(place, *names, func.count()).where(span(query), meets(query, dialect)).group_by(place, *names)
    for which, *value, count in connection.execute(statement):
        counts[EPOCH + which * bucket, value[0] if value else None] += count
    return counts


def _start(at: datetime, bucket: timedelta) -> datetime:
    return at - (at - EPOCH) % bucket


def count_by_stream(store: Store) -> dict[tuple[str, str], int]:
    """Return how many events each stream has, by source and stream."""
    counts: Counter[tuple[str, str]] = Counter()
    for (source, stream, _, _), count in _totals(store):
        counts[source, stream] += count
    return {name: count for name, count in counts.items() if count}


def unmapped(store: Store, known: set[str]) -> dict[tuple[str, str], int]:
    """Return the vendor actions that no shared verb fits, and how many events have each, by vendor and action."""
    counts: Counter[tuple[str, str]] = Counter()
    for (_, _, vendor, action), count in _totals(store):
        if action not in known:
            counts[vendor, action] += count
    return {name: count for name, count in counts.items() if count}


def _totals(store: Store) -> Iterator[tuple[tuple[str, str, str, str], int]]:
    """Yield numbers of events by source, stream, vendor and action, to be added up."""
    kind = ("source", "stream", "vendor", "action")
    columns = [EVENT.c[name] for name in kind]
    came = select(*columns, func.count()).where(EVENT.c.number.in_(ungathered())).group_by(*columns)
    # One statement: what is gathered meanwhile is counted once.
    both = union_all(select(*(TOTAL.c[name] for name in kind), TOTAL.c.events), came)
    with guarded(store.shown), store.engine.connect() as connection:
        for *names, count in connection.execute(both):
            yield (names[0], names[1], names[2], names[3]), count


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
