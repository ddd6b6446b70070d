"""Deletes what is older than a source's `keep`, with its records and full forms; the coverage never claims it after.

Each batch takes its time out of the coverage in the transaction that deletes it, so that nothing that was deleted is
ever told as complete, and it is not read again: what is wanted begins later. While a hold lasts, nothing is deleted.
"""

import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from flagtrail import covering, hold
from flagtrail.bulk import among
from flagtrail.database import alone, guarded, writing
from flagtrail.errors import Held
from flagtrail.schema import COVERAGE, DETAIL, EVENT, GAP, RECORD, STREAM, VERDICT
from flagtrail.store import Store

BATCH = 1000  # events deleted in one transaction


def delete_older(
    store: Store, source: str, horizon: datetime, *, seconds: float, ending: Callable[[], bool] = lambda: False
) -> int | None:
    """Delete what a source has from before a moment, oldest first, for so long; return how many events that were.

    None when the trail is on hold. What is left is deleted the next time.
    """
    until, deleted = time.monotonic() + seconds, 0
    logs = sorted({state.log or state.stream for state in store.streams() if state.source == source})
    with guarded(store.shown):
        for log in logs:
            while not ending() and time.monotonic() < until:
                try:
                    count = _delete_some(store, source, log, horizon)
                except Held:
                    return None
                deleted += count
                if count < BATCH:
                    break
    return deleted


def _delete_some(store: Store, source: str, log: str, horizon: datetime) -> int:
    old = (EVENT.c.source == source, EVENT.c.stream == log, EVENT.c.occurred_at < horizon)
    with store.engine.connect() as connection:
        any_old = connection.execute(select(EVENT.c.number).where(*old).limit(1)).first()
        since = select(COVERAGE.c.since).where(COVERAGE.c.source == source, COVERAGE.c.since < horizon)
        if not (any_old or connection.execute(since.limit(1)).first()):
            return 0  # which is most often so, and keeps nobody waiting who writes
    with writing(store.engine) as connection:
        alone(connection)
        hold.check_free(connection)
        _shorten(connection, source, horizon)
        query = select(EVENT.c.number).where(*old).order_by(EVENT.c.occurred_at).limit(BATCH)
        numbers = list(connection.execute(query).scalars())
        for table in (DETAIL, RECORD, EVENT):
            connection.execute(delete(table).where(among(table.c.number, numbers, connection)))
    return len(numbers)


def _shorten(connection: Connection, source: str, horizon: datetime) -> None:
    """Let the coverage, the gaps and the verdicts of a source begin no earlier than a moment, and note that."""
    streams = list(connection.execute(select(STREAM.c.stream).where(STREAM.c.source == source)).scalars())
    covering.lock_streams(connection, source, streams)
    before = (COVERAGE.c.source == source, COVERAGE.c.since < horizon)
    across = connection.execute(select(COVERAGE).where(*before, COVERAGE.c.until > horizon)).mappings().all()
    connection.execute(delete(COVERAGE).where(*before))
    if across:
        connection.execute(insert(COVERAGE), [dict(row) | {"since": horizon} for row in across])
    for table in (GAP, VERDICT):  # what reaches across stays as it is: a gap was told of by its window
        connection.execute(delete(table).where(table.c.source == source, table.c.until <= horizon))
    mine = STREAM.c.source == source
    connection.execute(update(STREAM).where(mine).values(kept_since=horizon))
    connection.execute(update(STREAM).where(mine, STREAM.c.wanted_since < horizon).values(wanted_since=horizon))
