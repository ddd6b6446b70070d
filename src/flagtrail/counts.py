"""Counts what the status of streams tells: events, actions, what vanished, what waits for its full form."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import and_, bindparam, func, literal_column, select, union_all

from flagtrail.database import guarded
from flagtrail.schema import DETAIL, EVENT, STREAM, TOTAL
from flagtrail.store import Store
from flagtrail.walk import ungathered

MANY = 10_000  # entries of a source that wait and are counted; more of them are not


class Waiting(NamedTuple):
    """How many entries wait for their full form: at least so many, where all were not counted."""

    number: int
    at_least: bool = False


def count_by_stream(store: Store) -> dict[tuple[str, str], int]:
    """Return how many events each stream has, by source and stream."""
    counts: Counter[tuple[str, str]] = Counter()
    for (source, stream, _, _), count in _totals(store):
        counts[source, stream] += count
    return {name: count for name, count in counts.items() if count}


def count_by_action(store: Store) -> dict[tuple[str, str], int]:
    """Return how many events there are by vendor and action."""
    counts: Counter[tuple[str, str]] = Counter()
    for (_, _, vendor, action), count in _totals(store):
        counts[vendor, action] += count
    return dict(counts)


def unmapped(store: Store, known: set[str]) -> dict[tuple[str, str], int]:
    """Return the vendor actions that no shared verb fits, and how many events have each, by vendor and action."""
    return {name: count for name, count in count_by_action(store).items() if count and name[1] not in known}


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


def first_ages(store: Store, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], timedelta]:
    """Return how old the oldest event of each stream was when it was stored, by source and stream, if it has any."""
    mine = and_(EVENT.c.source == bindparam("of"), EVENT.c.stream == bindparam("named"))
    query = select(EVENT.c.occurred_at, EVENT.c.first_seen_at).where(mine).order_by(EVENT.c.occurred_at).limit(1)
    found: dict[tuple[str, str], timedelta] = {}
    with guarded(store.shown), store.engine.connect() as connection:
        for source, stream in names:
            first = connection.execute(query, {"of": source, "named": stream}).first()
            if first:
                found[source, stream] = first.first_seen_at - first.occurred_at
    return found


def count_vanished(store: Store) -> dict[tuple[str, str], dict[str, int]]:
    """Return how many events the vendor no longer shows, by source and stream, and by reason."""
    name = (EVENT.c.source, EVENT.c.stream, EVENT.c.vanished_reason)
    query = select(*name, func.count()).where(EVENT.c.vanished_at.is_not(None)).group_by(*name)
    found: dict[tuple[str, str], dict[str, int]] = {}
    with guarded(store.shown), store.engine.connect() as connection:
        for source, stream, reason, count in connection.execute(query):
            found.setdefault((source, stream), {})[reason] = count
    return found


def count_details(store: Store) -> dict[tuple[str, str], Waiting]:
    """Return how many entries wait for their full form, by source and stream; of a source with many, only the newest.

    Nothing keeps that number, and counting millions would take seconds.
    """
    found: dict[tuple[str, str], Waiting] = {}
    is_open = DETAIL.c.state == literal_column("'open'")
    sources = select(STREAM.c.source).distinct()
    with guarded(store.shown), store.engine.connect() as connection:
        for source in connection.execute(sources).scalars().all():
            newest = select(DETAIL.c.stream).where(is_open, DETAIL.c.source == source)
            some = newest.order_by(DETAIL.c.occurred_at.desc()).limit(MANY + 1).subquery()
            counts = connection.execute(select(some.c.stream, func.count()).group_by(some.c.stream)).all()
            more = sum(count for _, count in counts) > MANY
            found |= {(source, stream): Waiting(min(count, MANY), more) for stream, count in counts}
    return found


def count_open(store: Store, source: str) -> int:
    """Return how many entries of a source wait for their full form, all of them."""
    query = select(func.count()).where(DETAIL.c.state == literal_column("'open'"), DETAIL.c.source == source)
    with guarded(store.shown), store.engine.connect() as connection:
        return int(connection.execute(query).scalar_one())
