"""Decides when a source is planned, and which of its quiet streams are looked at: from the clock and the tables alone.

So it makes no difference which worker plans.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from flagtrail.database import guarded
from flagtrail.reach import NEWEST
from flagtrail.report import News
from flagtrail.schema import EVENT
from flagtrail.store import SourceState, Store, StreamState
from flagtrail.sync import Session

MINUTE, HOUR, DAY = 60, 3600, 86400
# Seconds between the ticks of one source: what cron can say, so that Procrastinate lets each of them come once.
SECONDS, MINUTES, HOURS = (1, 2, 3, 5, 6, 10, 15, 20, 30), (1, 2, 3, 5, 6, 10, 15, 20, 30), (1, 2, 3, 4, 6, 8, 12)
STEPS = (*SECONDS, *(MINUTE * each for each in MINUTES), *(HOUR * each for each in HOURS), DAY)


def step(every: timedelta) -> int:
    """Return how many seconds lie between two ticks: no more than between two looks."""
    return max(each for each in STEPS if each <= max(every.total_seconds(), 1))


def cron(seconds: int) -> str:
    """Return a step as cron writes it, with a column for seconds where it takes one."""
    if seconds < MINUTE:
        return f"* * * * * */{seconds}"
    if seconds < HOUR:
        return f"*/{seconds // MINUTE} * * * *"
    return f"0 */{seconds // HOUR} * * *" if seconds < DAY else "0 0 * * *"


def is_due(every: timedelta, tick: int, looked: SourceState | None) -> bool:
    """Return whether a source is to be looked at, at a tick in seconds since the Unix epoch."""
    seconds = max(every.total_seconds(), 1)
    if tick // seconds != (tick - step(every)) // seconds:
        return True
    last = max((at for at in (looked.succeeded_at, looked.failed_at) if at), default=None) if looked else None
    return last is None or datetime.fromtimestamp(tick, UTC) - last >= every  # nobody was there when it was due


def looked_at(store: Store, source: str) -> SourceState | None:
    """Return how the last look at a source went; None when there was none."""
    return next((state for state in store.sources() if state.source == source), None)


def recall_quiet(session: Session) -> None:
    """Let a session know which streams are quiet, as the tables tell of what all workers have read; raises StoreError.

    Raises SourceError when no stream is known.
    """
    name, store = session.source.name, session.store
    streams = session.streams(whole=False)
    ahead = session.now() - datetime.now(UTC)  # the session thinks in the vendor's time
    states = [state for state in store.streams() if state.source == name and state.succeeded_at]
    looked = {state.stream: _begun(session, state, ahead) for state in states}
    heard = {state.log or state.stream for state in states} - {state.log for state in states if state.error}
    edge = session.now() - NEWEST - session.source.settle
    place = (EVENT.c.stream, EVENT.c.project, EVENT.c.environment)
    query = select(*place, func.max(EVENT.c.first_seen_at)).where(EVENT.c.source == name, EVENT.c.occurred_at >= edge)
    with guarded(store.shown), store.engine.connect() as connection:
        rows = connection.execute(query.group_by(*place)).all()
    session.quiet.recall(streams, looked, heard, {News(*row[:3]): row[3] + ahead for row in rows})


def _begun(session: Session, state: StreamState, ahead: timedelta) -> datetime:
    """Return when the last look at a stream began: what others have stored since may be about what it did not see."""
    assert state.succeeded_at is not None
    ended = state.succeeded_at + ahead
    return min(ended, state.settled_at + session.source.settle) if state.settled_at else ended
