"""Compares the lake with the database row by row: counts and hashes of each month and vendor.

What is noted as changed, and not followed yet, is left out on both sides, so that it can be asked at any time.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import not_

from flagtrail.bulk import among
from flagtrail.database import guarded
from flagtrail.errors import ConfigError
from flagtrail.lake import events, feed
from flagtrail.lake.asking import Asking
from flagtrail.lake.change import Change
from flagtrail.lake.keeping import Keeper
from flagtrail.lake.lock import alone_with_the_lake
from flagtrail.lake.table import shown
from flagtrail.query import reading
from flagtrail.schema import EVENT

EVERYTHING = 2**62  # a position after all others
Place = tuple[str, str]


class Part(NamedTuple):
    """A partition: how many rows it has, and the hashes of all of them put together."""

    rows: int
    digest: str


class Difference(NamedTuple):
    """A partition that is not the same here and there; None where there is none."""

    vendor: str
    month: str
    database: Part | None
    lake: Part | None


class Comparison(NamedTuple):
    """What differs, how many events were compared, and how many wait to be followed."""

    differences: list[Difference]
    events: int
    waiting: int


def compare(keeper: Keeper) -> Comparison:
    """Return what differs between the lake and its database; raises LakeError, StoreError.

    Raises ConfigError when it is no lake of this database.
    """
    store, lake, watch = keeper.store, keeper.lake, keeper.watch
    with (
        alone_with_the_lake(store, watch.waiting),
        guarded(store.shown),
        reading(store) as connection,
        Asking(lake) as asking,
    ):
        if not feed.is_kept(connection) or lake.events.id() != feed.state(store).table_id:
            raise ConfigError(f"{shown(lake.events.uri)} is no lake that is kept of this database")
        waiting = feed.notes(connection, EVERYTHING, limit=None)
        concerned = Change(connection, waiting).numbers
        here: dict[Place, Part] = {}
        for month in events.months(connection):
            which = events.in_month(month) & not_(among(EVENT.c.number, concerned, connection))
            here |= _parts(asking.sums(_moving(keeper, month, events.read(connection, which))))
        there = _parts(asking.sums(None, without=concerned))
    names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    differences = [Difference(*name, here.get(name), there.get(name)) for name in names]
    return Comparison(differences, sum(part.rows for part in here.values()), len(waiting))


def _parts(sums: Iterable[tuple[str, str, int, str]]) -> dict[Place, Part]:
    return {(vendor, month): Part(rows, digest) for vendor, month, rows, digest in sums}


def _moving(keeper: Keeper, month: str, batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        yield batch
        keeper.report.written += batch.num_rows
        keeper.watch.moved(month, keeper.report.written, None)
