"""What the daemon does besides reading: verifies what is due, and fetches the full forms of entries.

Both take only what the vendor's limits leave over, so that neither ever delays the reading.
"""

from datetime import UTC, datetime

from flagtrail.connector import Stream
from flagtrail.details import Fetched, fetch
from flagtrail.errors import SourceError
from flagtrail.holdings import provisional
from flagtrail.report import Verification, Watch
from flagtrail.rounds import due
from flagtrail.sync import Session
from flagtrail.verdicts import verdicts_of
from flagtrail.verify import verify
from flagtrail.window import EPOCH

VERIFY_SPARE, DETAIL_SPARE = 0.3, 0.5  # shares of each limit that are left to what is more urgent


def verify_due(session: Session) -> list[Verification]:
    """Do the verifications of a source that are due by now, and return their reports; raises StoreError."""
    source, store = session.source, session.store
    done: list[Verification] = []
    for stream in _streams(session) if source.verify else []:
        name = (source.name, stream.name)
        unfinished = provisional(store, source.name, stream.log, source.kept_since(session.now()) or EPOCH)
        for method, window in due(store.coverage(*name), verdicts_of(store, *name), unfinished, datetime.now(UTC)):
            done.append(verify(session, window, method, only=stream, spare=VERIFY_SPARE, patient=False))
            if done[-1].error or session.stopping.is_set():
                return done
    return done


def fetch_details(
    session: Session, seconds: float, watch: Watch | None = None, *, spare: float = DETAIL_SPARE
) -> Fetched:
    """Fetch full forms for so many seconds at most, newest first; raises StoreError, never SourceError."""
    try:
        session.check_refusal()
        streams = session.streams(whole=False)
    except SourceError as error:
        return Fetched(error=str(error))
    api = session.api.sparing(spare)
    return fetch(session.source, session.store, api, streams, session.stopping, seconds=seconds, watch=watch)


def _streams(session: Session) -> list[Stream]:
    """Return the streams of a source; none while they cannot be found, which the reading reports."""
    try:
        session.check_refusal()
        return session.streams(whole=False)
    except SourceError:
        return []
