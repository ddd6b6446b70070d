"""Counts the events of a question by any of their columns and by span of time.

What the tables of counts can tell exactly is taken from there; the rest is counted event by event.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, cast, extract, func, not_, select

from flagtrail.conditions import meets, one_of, span
from flagtrail.fields import BY_NAME
from flagtrail.question import Query, QueryError
from flagtrail.schema import EVENT, TALLY, TOTAL
from flagtrail.walk import ENDLESS, Walk, beside_indexes, ungathered
from flagtrail.window import EPOCH, Window

HOUR = timedelta(hours=1)
FIRST = datetime(1, 1, 1, tzinfo=UTC)  # a vendor's clock may have been wrong: there are events before 1970
QUARTER = timedelta(minutes=15)  # of which the differences between the zones of the world are made
SPANS = ("hour", "day", "week")
# What events are counted by, besides the columns that have just one value of a kind each.
NAMED = {
    "actor": ("actor_email", "actor_name", "actor_id", "actor_kind"),
    "object": ("object_key", "object_name"),
}
NOT_COUNTED = ("number", "changes", "impact", "occurred_at", "first_seen_at", "vanished_at", "id", "vendor_id")
DIMENSIONS = (*NAMED, *(column.name for column in EVENT.c if column.name not in NOT_COUNTED))
Counts = Counter[tuple[Any, ...]]


class Counted(NamedTuple):
    """How many events there are in each group, the most frequent first; groups of one span of time stand together.

    A row holds the value of each name in `by` and the number of events. `total` counts all events, `groups` all groups
    before only the top ones were taken, and `rest` the events of those that are left out.
    """

    by: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    total: int
    groups: int
    rest: int


def counted(
    connection: Connection, query: Query, by: Sequence[str], top: int = 0, zone: tzinfo | None = None
) -> Counted:
    """Return how many events there are by some dimensions, of which one may be hour, day or week; see `query.count`."""
    return counted_by(partial(counts_of, connection, query), by, top, zone)


def counted_by(
    counts: Callable[[Sequence[str], timedelta | None], Counts], by: Sequence[str], top: int, zone: tzinfo | None
) -> Counted:
    """Do what `counted` does with counts by some dimensions, and by spans of time so long."""
    spans = [name for name in by if name in SPANS]
    unknown = [name for name in by if name not in (*SPANS, *DIMENSIONS)]
    if unknown:
        known = ", ".join((*SPANS, *DIMENSIONS))
        raise QueryError(f"events are not counted by {', '.join(map(repr, unknown))}; they are by: {known}")
    if len(spans) > 1 or len(set(by)) < len(by):
        raise QueryError("events are counted by each thing once, and by one of hour, day and week")
    names = [name for name in by if name not in SPANS]
    if not spans:
        found = counts(names, None)
    else:
        fine = counts(names, HOUR)
        if any(zone_offset(start, zone) % HOUR for start, *_ in fine):
            fine = counts(names, QUARTER)
        found = Counter()  # by the instant: of one zone, Python takes the hour that comes twice for one
        for (start, *values), number in fine.items():
            found[beginning(start, spans[0], zone).astimezone(UTC), *values] += number
    told = _topmost(found, tuple(by), bool(spans), top)
    if not spans:
        return told
    place = by.index(spans[0])
    return told._replace(rows=[(*row[:place], row[place].astimezone(zone), *row[place + 1 :]) for row in told.rows])


def _topmost(counts: Counts, by: tuple[str, ...], timed: bool, top: int) -> Counted:
    """Return the groups of the most frequent values, in an order that people read."""
    frequent: Counts = Counter()
    for key, number in counts.items():
        frequent[key[1:] if timed else key] += number
    ranked = sorted(frequent, key=lambda key: (-frequent[key], [str(value or "") for value in key]))
    place = {key: rank for rank, key in enumerate(ranked[: top or None])}
    kept = [key for key in counts if (key[1:] if timed else key) in place]
    kept.sort(key=lambda key: (key[0] if timed else EPOCH, place[key[1:] if timed else key]))
    told = [name for name in by if name in SPANS] + [name for name in by if name not in SPANS]
    order = [told.index(name) for name in by]
    rows = [(*(key[at] for at in order), counts[key]) for key in kept]
    shown = sum(row[-1] for row in rows)
    return Counted(by, rows, counts.total(), len(ranked), counts.total() - shown)


def zone_offset(instant: datetime, zone: tzinfo | None) -> timedelta:
    """Return how far the clocks of a zone, or of this machine, are ahead of UTC at an instant."""
    return instant.astimezone(zone).utcoffset() or timedelta()


def beginning(instant: datetime, unit: str, zone: tzinfo | None) -> datetime:
    """Return when the hour, the day or the week (from Monday) began in a zone, with that zone's offset."""
    here = instant.astimezone(zone)
    if unit == "hour":
        return here.replace(minute=0, second=0, microsecond=0)
    day = here.date() - timedelta(days=here.weekday() if unit == "week" else 0)
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - it gets its zone here
    return midnight.astimezone() if zone is None else midnight.replace(tzinfo=zone)


def histogram_of(
    connection: Connection, query: Query, by: str | None, bucket: timedelta
) -> dict[tuple[datetime, Any], int]:
    """Return how many events there are in each span of time, by its start and the value of a dimension."""
    if bucket < timedelta(seconds=1) or bucket % timedelta(seconds=1):
        raise ValueError("the spans of a histogram are whole seconds")
    if by is not None and by not in DIMENSIONS:
        raise ValueError(f"events have no {by!r} to count by; they have: {', '.join(DIMENSIONS)}")
    counts = counts_of(connection, query, [by] if by else [], bucket)
    return {(start, value[0] if value else None): number for (start, *value), number in counts.items()}


def is_tallied(query: Query, by: Sequence[str]) -> bool:
    """Return whether the counts of a question by some dimensions stand in a table, by the hour."""
    return _tells(TALLY, query, by)


def counts_of(connection: Connection, query: Query, by: Sequence[str], bucket: timedelta | None) -> Counts:
    """Return how many events there are by the start of their span, if those are asked for, and some dimensions."""
    plain = replace(query, limit=0, oldest_first=False)
    if bucket is None and not (query.since or query.until) and _tells(TOTAL, plain, by):
        return _positive(_gathered(connection, TOTAL, plain, by, None, None))
    whole = _whole_hours(query) if _tells(TALLY, plain, by) and not (bucket and bucket % HOUR) else None
    if whole is None:
        return _counted(connection, plain, by, bucket)
    counts = _gathered(connection, TALLY, plain, by, bucket, whole)
    if query.since:
        counts.update(_counted(connection, replace(plain, until=whole.since), by, bucket))
    if query.until:
        counts.update(_counted(connection, replace(plain, since=whole.until), by, bucket))
    return _positive(counts)


def _positive(counts: Counts) -> Counts:
    return Counter({key: number for key, number in counts.items() if number})


def _tells(table: Any, query: Query, by: Iterable[str]) -> bool:
    """Return whether a table of counts has every column that a question and its dimensions are about."""
    if query.text or query.after:
        return False
    names = [*query.wanted, *query.unwanted]
    columns = [column for name in names for column in (BY_NAME[name].columns if name in BY_NAME else ()) or ("",)]
    return all(name in table.c for name in (*columns, *by))


def _whole_hours(query: Query) -> Window | None:
    """Return the hours that lie in the time that is asked for; None when there is none."""
    since, until = query.since or FIRST, query.until or ENDLESS
    first = min(since, ENDLESS - HOUR) + (EPOCH - since) % HOUR
    last = until - (until - EPOCH) % HOUR
    return Window(first, last) if first < last else None


def _gathered(
    connection: Connection, table: Any, query: Query, by: Sequence[str], bucket: timedelta | None, hours: Window | None
) -> Counts:
    """Return the counts of a table, of whole hours if any are given, corrected by what came and changed since."""
    dialect = connection.dialect.name
    known = table.alias("known")
    # What an event does not have is an empty text there. Nothing else is touched, or groups would have to be sorted.
    empty = {column.name for column in EVENT.c if column.nullable}
    blank = select(
        *(func.nullif(column, "").label(column.name) if column.name in empty else column for column in known.c)
    ).subquery()
    conditions = [one_of(blank, name, wanted) for name, wanted in query.wanted.items()]
    conditions += [
        not_(func.coalesce(one_of(blank, name, not_wanted), False)) for name, not_wanted in query.unwanted.items()
    ]
    inside = query
    if hours is not None:
        conditions += [blank.c.hour >= hours.since, blank.c.hour < hours.until]
        inside = replace(query, since=hours.since, until=hours.until)
    group = [*([blank.c.hour] if bucket else []), *(blank.c[name] for name in by)]
    events = func.sum(blank.c.events if query.linked else blank.c.events - blank.c.linked)
    counts: Counts = Counter()
    for *key, number in connection.execute(select(*group, events).where(*conditions).group_by(*group)):
        counts[_key(key, bucket)] += int(number or 0)
    columns = [*([EVENT.c.occurred_at] if bucket else []), *(dimension(name) for name in by)]
    shown = columns or [EVENT.c.number]
    fresh = ungathered(connection)
    beside = beside_indexes(span(inside))
    came = select(*shown).where(EVENT.c.number.in_(fresh), beside, meets(query, dialect))
    for row in connection.execute(came):
        counts[_key(row if columns else (), bucket)] += 1
    if query.linked:
        return counts
    # Their audit entry came since they were counted.
    entry = EVENT.alias("came")
    ids = select(entry.c.id).where(entry.c.number.in_(fresh))
    linked = select(*shown).where(EVENT.c.related_event.in_(ids), beside)
    linked = linked.where(meets(replace(query, linked=True), dialect), EVENT.c.number.not_in(fresh))
    for row in connection.execute(linked):
        counts[_key(row if columns else (), bucket)] -= 1
    return counts


def dimension(name: str, event: FromClause = EVENT) -> ColumnElement[Any]:
    """Return the value of an event, in a table that has its columns, by which events are counted."""
    return func.coalesce(*(event.c[column] for column in NAMED[name])) if name in NAMED else event.c[name]


def _counted(connection: Connection, query: Query, by: Sequence[str], bucket: timedelta | None) -> Counts:
    """Return the counts of events that are looked at one by one."""
    counts: Counts = Counter()
    names = [dimension(name).label(f"by_{place}") for place, name in enumerate(by)]
    if query.after or query.text or any(name in query.wanted for name in ("actor", "object", "impact")):
        for row in Walk(connection, query, [EVENT.c.occurred_at, EVENT.c.number, *names]).rows():
            values = [row[name.name] for name in names]
            counts[_key([row["occurred_at"], *values] if bucket else values, bucket)] += 1
        return counts
    dialect = connection.dialect.name
    group: list[ColumnElement[Any]] = list(names)
    if bucket:
        seconds = round(bucket.total_seconds())
        if dialect == "sqlite":
            epoch = cast(func.strftime("%s", EVENT.c.occurred_at), BigInteger)
            # SQLite divides towards zero, and its remainder is negative before 1970; spans begin before their events.
            number: ColumnElement[int] = (epoch - (epoch % seconds + seconds) % seconds) // seconds
        else:
            number = cast(func.floor(extract("epoch", EVENT.c.occurred_at) / seconds), BigInteger)
        group.insert(0, number.label("place"))
    statement = select(*group, func.count()).where(span(query), meets(query, dialect)).group_by(*group)
    for *key, count in connection.execute(statement):
        counts[(EPOCH + key[0] * bucket, *key[1:]) if bucket else tuple(key)] += count
    return _positive(counts)


def _key(values: Iterable[Any], bucket: timedelta | None) -> tuple[Any, ...]:
    if bucket is None:
        return tuple(values)
    at, *rest = values
    return (at - (at - EPOCH) % bucket, *rest)
