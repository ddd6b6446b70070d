"""Verifies a source: compares everything covered with the vendor, stores what was missing, and keeps the verdicts.

A verification claims nothing and takes nothing away: it stores entries that appeared late, makes revisions of those
that changed, marks those that the vendor no longer shows, and says of each window how it came out.
"""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from flagtrail.again import LONGEST, Rereader, Stopped
from flagtrail.api import Api
from flagtrail.compare import Comparison
from flagtrail.connector import Stream
from flagtrail.errors import AccessDenied, RateLimited, SourceError, StoreError, Unavailable, UnexpectedResponse
from flagtrail.holdings import count
from flagtrail.report import Nobody, StreamVerification, Verification, Watch
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.vanished import mark
from flagtrail.verdicts import Method, Outcome, Verdict, distrust, note_verdicts
from flagtrail.window import MILLISECOND, Window

AT_ONCE = timedelta(days=7)  # the longest window whose contents are compared at once
PAGES = 40  # and the most pages that it may hold
STRIKES = 3  # windows of one stream that may fail before the rest of it waits for the next verification
SYSTEMATIC = 3  # windows whose numbers are wrong while nothing was missing: then they are numbers of something else
AGING = timedelta(hours=1)  # what is so close to the vendor's retention may go while it is compared
EVENTS = {  # what is logged of a window in which something was found, or that differs
    Outcome.VERIFIED: "window_healed", Outcome.HEALED: "window_healed",
    Outcome.DIFFERS: "window_differs", Outcome.NOT_VERIFIABLE: "window_not_verifiable",
}  # fmt: skip

log = structlog.get_logger()


def verify(
    session: Session,
    asked: Window | None = None,
    method: Method = Method.COUNTS,
    watch: Watch | None = None,
    *,
    only: Stream | None = None,
    spare: float = 0.0,
    patient: bool = True,
) -> Verification:
    """Compare what is covered, or what of it lies in an asked window, with the vendor; never raises SourceError.

    Every stream is verified, or one. `spare` is the share of the vendor's limits that is left to everything else.
    Unless `patient`, numbers that were found to be those of something else are left alone for a day. Raises StoreError
    when the database fails.
    """
    report = Verification(session.source.name)
    requests = session.api.requests
    try:
        session.refusals.check()
        streams = [only] if only else session.streams(whole=False)
        for stream in streams:
            session.register(stream, session.now())
        api = session.api.sparing(spare)
        verifier = Verifier(session.source, session.store, api, session.stopping, report, watch or Nobody())
        verifier.verify(streams, method, asked, patient=patient)
    except SourceError as error:
        if not session.stopping.is_set():
            report.error = str(error)
    report.error = report.error or session.discovery.failed
    report.requests = session.api.requests - requests
    report.stopped |= session.stopping.is_set()
    return report


@dataclass
class Verifier:
    """Verifies the streams of one source, several windows at a time."""

    source: Source
    store: Store
    api: Api
    stop: threading.Event
    report: Verification
    watch: Watch = field(default_factory=Nobody)
    over: threading.Event = field(default_factory=threading.Event)

    def verify(self, streams: Iterable[Stream], method: Method, asked: Window | None, *, patient: bool = True) -> None:
        """Compare what is covered of an asked window, or all of it; errors go into the report.

        Unless `patient`, numbers that were found not to be those of the list within a day are not asked for again.
        """
        work = []
        for stream in streams:
            self.report.streams.setdefault(stream.name, StreamVerification(stream))
            pieces = self._pieces(stream, method, asked)
            if pieces or self.source.retention:
                rereader = Rereader(self.source, self.store, self.api, stream, self.stop)
                work.append((Comparison(rereader, shared=self._shared(stream)), pieces))
        self.watch.planned(sum(len(pieces) for _, pieces in work), None)
        with ThreadPoolExecutor(self.source.parallel, thread_name_prefix=f"{self.source.name}-verify") as pool:
            for comparison, pieces in work:
                if self.over.is_set() or self.stop.is_set():
                    break
                self._stream(pool, comparison, pieces, method, asked, patient=patient)
        self.watch.ended()

    def _pieces(self, stream: Stream, method: Method, asked: Window | None) -> list[Window]:
        """Return the covered windows to compare, newest first, each no longer than can be compared at once."""
        covered = self.store.coverage(self.source.name, stream.name)
        parts = [part for window in covered if (part := window.clip(asked) if asked else window)]
        now = self.api.now() or datetime.now(UTC)
        if kept_since := self.source.kept_since(now):
            parts = [kept for part in parts if (kept := part.after(kept_since + AGING))]
        longest = AT_ONCE if method is Method.CONTENTS else LONGEST
        if stream.span is not None:
            longest = min(longest, stream.span - 2 * stream.edge - MILLISECOND)
        pieces = [piece for part in parts for piece in part.pieces(longest)]
        if method is Method.CONTENTS:  # a busy week is compared in parts, each with a verdict of its own
            most = PAGES * stream.page
            pieces = [
                small
                for piece in pieces
                for small in piece.split(count(self.store, self.source.name, stream.log, piece) // most + 1)
            ]
        return pieces[::-1]

    def _shared(self, stream: Stream) -> bool:
        """Return whether the table holds entries of this stream's log that other streams have told."""
        others = [state for state in self.store.streams() if state.source == self.source.name]
        return stream.name != stream.log and any(
            (state.log or state.stream) == stream.log and state.stream != stream.name for state in others
        )

    def _stream(
        self,
        pool: ThreadPoolExecutor,
        comparison: Comparison,
        pieces: list[Window],
        method: Method,
        asked: Window | None,
        *,
        patient: bool,
    ) -> None:
        name = comparison.stream.name
        state = self.report.streams[name]
        verdicts: list[Verdict] = []
        try:
            if method is Method.COUNTS and not comparison.shared:
                comparison.trust.calibrate(pieces, patient=patient)
            for found in pool.map(lambda piece: self._piece(comparison, piece, method), pieces):
                verdicts += found
            if healed := comparison.healed():
                note_verdicts(self.store, self.source.name, name, healed)
                verdicts += healed
            off = sum(v.outcome is Outcome.DIFFERS and v.told_by_counts for v in verdicts)
            if method is Method.COUNTS and off >= SYSTEMATIC:
                comparison.trust.distrusted = (
                    comparison.trust.distrusted or f"the vendor's counts differ from its list in {off} windows"
                )
            if comparison.trust.distrusted:
                comparison.trust.note()
                distrust(self.store, self.source.name, name)
                verdicts = [self._not_verifiable(comparison, verdict) for verdict in verdicts]
                note_verdicts(self.store, self.source.name, name, verdicts)
            self._look_at_aged(comparison, asked)
            if comparison.missing and not self.over.is_set():
                state.vanished |= mark(comparison.rereader, comparison.missing, shown_any=comparison.trust.shown_any)
        except Stopped:
            self.report.stopped = True
        except StoreError:
            raise
        except Exception as failure:  # noqa: BLE001 - a connector's bug must not take the other streams down
            self._fail(state, _as_source_error(failure))
        state.verdicts += verdicts

    def _piece(self, comparison: Comparison, piece: Window, method: Method) -> list[Verdict]:
        """Return the verdicts on one window, stored; none when an error ended it, which goes into the report."""
        state = self.report.streams[comparison.stream.name]
        if self.over.is_set() or self.stop.is_set() or state.failures >= STRIKES:
            return []
        compare = comparison.by_contents if method is Method.CONTENTS else comparison.by_counts
        bound = log.bind(source=self.source.name, stream=comparison.stream.name, window=str(piece))
        try:
            verdicts = list(compare(piece))
        except Stopped:
            self.report.stopped = True
            return []
        except StoreError:
            raise
        except Exception as failure:  # noqa: BLE001 - a connector's bug must not take the other streams down
            error = _as_source_error(failure)
            if not self.stop.is_set():
                bound.warning("verification_failed", error=str(error))
                self._fail(state, error)
            return []
        note_verdicts(self.store, self.source.name, comparison.stream.name, verdicts)
        for verdict in verdicts:
            if verdict.found or verdict.outcome is Outcome.DIFFERS:
                bound.warning(EVENTS[verdict.outcome], found=verdict.found, reason=verdict.reason)
        self.watch.stored(sum(verdict.found for verdict in verdicts))
        self.watch.finished()
        return verdicts

    def _look_at_aged(self, comparison: Comparison, asked: Window | None) -> None:
        """Find what has aged out at the vendor since it was verified; its verdicts stay as they are."""
        kept_since = self.source.kept_since(self.api.now() or datetime.now(UTC))
        for window in self.store.coverage(self.source.name, comparison.stream.name) if kept_since else []:
            part = window.clip(asked) if asked else window
            aged = part.before(kept_since) if part and kept_since else None
            for piece in aged.pieces(AT_ONCE) if aged else []:
                comparison.look_for_missing(piece)

    def _fail(self, state: StreamVerification, error: SourceError) -> None:
        """Write an error into the report, and decide what else of the stream or of the source it ends."""
        state.error = state.error or str(error)
        state.failures += STRIKES if isinstance(error, AccessDenied) else 1
        signed_out = isinstance(error, AccessDenied) and error.status == 401
        if signed_out or isinstance(error, Unavailable | RateLimited):
            self.report.error = self.report.error or str(error)
            self.over.set()

    def _not_verifiable(self, comparison: Comparison, verdict: Verdict) -> Verdict:
        """Return a verdict by numbers that turned out to be those of something else; what was healed is no less so."""
        if verdict.outcome is Outcome.HEALED:
            return verdict
        return verdict._replace(outcome=Outcome.NOT_VERIFIABLE, expected=None, reason=comparison.trust.distrusted)


def _as_source_error(failure: Exception) -> SourceError:
    """Return a failure for the report; one that only a connector's bug can cause is logged whole."""
    if isinstance(failure, SourceError):
        return failure
    log.error("connector_bug", exc_info=failure)
    return UnexpectedResponse(f"the connector failed on an answer: {type(failure).__name__}: {failure}")
