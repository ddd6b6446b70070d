"""What the daemon does besides reading: verifies what is due, fetches full forms of entries, deletes what is too old.

The first two take only what the vendor's limits leave over, so that neither ever delays the reading.
"""

import time
from datetime import UTC, datetime, timedelta

from flagtrail.connector import Stream
from flagtrail.details import Fetched, fetch
from flagtrail.errors import SourceError
from flagtrail.holdings import provisional
from flagtrail.keep import delete_older
from flagtrail.report import Verification, Watch
from flagtrail.rounds import Round, due
from flagtrail.sync import Session
from flagtrail.verdicts import Method, verdicts_of
from flagtrail.verify import AGING, verify
from flagtrail.window import EPOCH, Window, subtract

REST = 300.0  # seconds that a stream is left alone whose verification failed, so that the others have their turn
UNREAD = 0.1  # share of the wanted time that may be unread: more of it, and the first reading goes before
PROVISIONAL_FOR = timedelta(days=7)  # how long an entry is read again on which the vendor says it will still change
DELETING = 20.0  # seconds of deleting at a time
VERIFY_SPARE, DETAIL_SPARE = 0.3, 0.5  # shares of each limit that are left to what is more urgent


def streams_due(session: Session) -> list[str]:
    """Return the names of the streams of which a verification is due; raises StoreError."""
    streams = _streams(session) if session.source.verify else []
    return [stream.name for stream in streams if _due(session, stream)]


def verify_due(session: Session, only: str | None = None) -> list[Verification]:
    """Do what is due of verifying a source, or one stream of it, and return the reports; raises StoreError.

    A stream whose verification failed rests for a while, and so does one that is still being read for the first time.
    """
    done: list[Verification] = []
    for stream in _streams(session) if session.source.verify else []:
        if only not in (None, stream.name):
            continue
        for method, window in _due(session, stream):
            everything = method is Method.COUNTS and window.since <= session.source.wanted_since(session.now())
            report = verify(session, None if everything else window, method, only=stream, spare=VERIFY_SPARE,
                            patient=False)  # fmt: skip
            done.append(report)
            if report.errors:
                session.resting[stream.name] = time.monotonic() + REST
            if report.error or session.stopping.is_set():
                return done
            if report.errors:
                break
    return done


def _due(session: Session, stream: Stream) -> list[Round]:
    """Return the rounds of a stream that are due."""
    source, store, now = session.source, session.store, session.now()
    if session.resting.get(stream.name, 0.0) > time.monotonic() or session.refusals.hold(stream.name):
        return []
    kept_since = max(source.kept_since(now) or EPOCH, EPOCH)
    wanted_since = max(source.wanted_since(now), kept_since)
    if wanted_since >= now:
        return []  # by the vendor's clock, which is behind ours, nothing is wanted yet
    wanted = Window(wanted_since, now)
    coverage = store.coverage(source.name, stream.name)
    covered = [kept for window in coverage if (kept := window.after(kept_since + AGING))]
    unread = subtract(wanted, [*covered, *(gap.window for gap in store.gaps(source.name, stream.name))])
    if sum((hole.length for hole in unread), timedelta()) > wanted.length * UNREAD + 2 * source.settle:
        return []
    unfinished = provisional(store, source.name, stream.log, max(kept_since, now - PROVISIONAL_FOR))
    return due(covered, verdicts_of(store, source.name, stream.name), unfinished, datetime.now(UTC))


def fetch_details(
    session: Session, seconds: float, watch: Watch | None = None, *, spare: float = DETAIL_SPARE
) -> Fetched:
    """Fetch full forms for so many seconds at most, newest first; raises StoreError, never SourceError."""
    try:
        session.refusals.check()
        streams = session.streams(whole=False)
    except SourceError as error:
        return Fetched(error=str(error))
    api = session.api.sparing(spare)
    return fetch(session.source, session.store, api, streams, session.stopping, seconds=seconds, watch=watch)


def delete_old(session: Session) -> int | None:
    """Delete what is older than the source's `keep`, for a while; return how many events, or None while on hold."""
    told = session.api.now()
    if told is None:
        return 0
    # A clock that is far ahead would delete everything: the vendor's and ours have to agree on what is old.
    horizon = session.source.kept_here_since(min(told, datetime.now(UTC)))
    if horizon is None:
        return 0
    ending = session.stopping.is_set
    return delete_older(session.store, session.source.name, horizon, seconds=DELETING, ending=ending)


def _streams(session: Session) -> list[Stream]:
    """Return the streams of a source; none while they cannot be found, which the reading reports."""
    try:
        session.refusals.check()
        return session.streams(whole=False)
    except SourceError:
        return []
