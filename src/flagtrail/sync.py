"""Fills the gaps of a source: the one loop behind the daemon, a one-off sync and a backfill.

The daemon looks at the newest windows in one job and reads older gaps in another, so that a first load, which may take
hours, never keeps what happens meanwhile waiting.

A `Session` reads every wanted window that is not covered yet, several at a time, and stores each page together with the
window it proves, clipped to what has settled by the vendor's own Date. Nothing else is remembered, so a run that was
killed anywhere is resumed by running it again.
"""

import threading
from collections.abc import Callable, Iterable, MutableSet
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx
import structlog

from flagtrail.api import Api
from flagtrail.connector import Stream
from flagtrail.discovery import Discovery, Memory
from flagtrail.errors import AccessDenied, SourceError, UnexpectedResponse
from flagtrail.holdings import provisional
from flagtrail.limit import Limiter
from flagtrail.plan import Job, plan, portion, remainder
from flagtrail.quiet import Quiet
from flagtrail.reach import Reach, wanted
from flagtrail.readers import Readers
from flagtrail.refusals import Refusals
from flagtrail.renewal import Connection
from flagtrail.report import Nobody, Report, StreamReport, Watch
from flagtrail.source import Source
from flagtrail.store import Gap, Store
from flagtrail.when import spoken
from flagtrail.window import EPOCH, Window, subtract

RETRY_GAP = timedelta(hours=1)  # a window that cannot be read whole is tried again after this

log = structlog.get_logger()


class Session:
    """One source, connected: its limits and streams are remembered from run to run. Use as a context manager.

    `resting` holds until when upkeep leaves a stream alone, by name. Sessions that are given the same `limiters` obey
    the vendor's limits together where they have the same credential. With a `memory` the source is read by other
    processes too, which know of its streams together.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        transport: httpx.BaseTransport | None = None,
        limiters: dict[Any, Limiter] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.store = store
        self.connection = Connection(source, transport, {} if limiters is None else limiters)
        self.discovery = Discovery(source.name, lambda: self.source.connector.streams(self.api), self._stored, memory)
        self.shared = memory is not None
        self._looking = threading.Lock()
        self.stopping = threading.Event()
        self._begun: set[tuple[str, Reach]] = set()
        self.quiet = Quiet(source.every, source.settle)
        self.behind: MutableSet[str] = set()  # streams whose older gaps could not be read the last time
        self.resting: dict[str, float] = {}
        self.refusals = Refusals()

    @property
    def source(self) -> Source:
        """The source, with its present secrets."""
        return self.connection.source

    @property
    def api(self) -> Api:
        """The vendor's API with these secrets."""
        return self.connection.api

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self.connection.leave()

    def stop(self) -> None:
        """Let a running `fill` end soon, from any thread; what is stored stays, the rest stays a gap."""
        self.stopping.set()
        self.connection.stop()

    def fill(self, asked: Window | None = None, watch: Watch | None = None) -> Report:
        """Read every gap up to now, or every gap of an asked window, and report; never raises SourceError.

        Raises StoreError when the database fails.
        """
        reach = Reach.ASKED if asked else Reach.WHOLE
        return self.read(lambda: self.wanted(reach, asked), reach, watch)

    def look(self, watch: Watch | None = None) -> Report:
        """Read the newest windows of every stream that is not quiet; raises what `fill` raises.

        A look that is asked for while another one goes on comes after it, so that it sees what is newer.
        """
        with self._looking:
            return self.read(lambda: self.wanted(Reach.NEW), Reach.NEW, watch)

    def catch_up(self, watch: Watch | None = None) -> Report:
        """Read the gaps that are older than what `look` reads; raises what `fill` raises."""
        return self.read(lambda: self.wanted(Reach.OLD), Reach.OLD, watch)

    def read(
        self, find: Callable[[], list[Job]], reach: Reach, watch: Watch | None = None, most: int | None = None
    ) -> Report:
        """Read what of wanted windows of streams is not covered; raises what `fill` raises. Every engine's job is this.

        `find` finds them, and may raise SourceError. With `most` the newest jobs of about so many requests are done,
        and the others are left in the report.
        """
        report, api = Report(self.source.name), self.api
        requests = api.requests
        failure = self._attempt(report, find, reach, watch or Nobody(), most)
        refused = report.refused.get(None)
        if refused and refused.status == 401 and not self.stopping.is_set() and self.connection.renew(api):
            self.refusals.forget()
            earlier, report = report, Report(self.source.name)
            failure = self._attempt(report, find, reach, watch or Nobody(), most)
            report.add(earlier)
        report.requests = self.api.requests - requests
        report.stopped = self.stopping.is_set()
        if failure is not None:
            if report.stopped:
                report.error, report.refused = None, {}
                return report
            log.warning("source_failed", source=self.source.name, error=report.error)
        if report.error or (reach.tells_of_now and not report.stopped):
            self.store.note_source(self.source.name, self.source.connector.vendor, report.error)
        self.refusals.remember(report.refused)
        return report

    def _attempt(
        self, report: Report, find: Callable[[], list[Job]], reach: Reach, watch: Watch, most: int | None
    ) -> SourceError | None:
        """Read what is to be read, once; return the error that kept it from beginning, which is in the report too."""
        try:
            self.refusals.check()
            jobs, report.left = portion(self._plan(report, find(), reach), most)
            started = self.now()
        except SourceError as error:
            if isinstance(error, AccessDenied):
                report.refused[None] = error
            report.error = str(error)
            return error
        Readers(self.source, self.store, self.api, self.stopping, report, jobs, watch).go()
        report.error = report.error or self.discovery.failed
        self._note(report, started, reach)
        if report.grown:
            self.discovery.look_again()
        if reach.tells_of_now:
            self.quiet.learn(report, self.discovery.known, started)
        return None

    def estimate(self, asked: Window | None = None) -> list[Job]:
        """Return the jobs that `fill` would do, having asked the vendor for its counts only; raises SourceError."""
        report = Report(self.source.name)
        reach = Reach.ASKED if asked else Reach.WHOLE
        jobs = self._plan(report, self.wanted(reach, asked), reach, register=False)
        if report.errors:
            raise UnexpectedResponse(report.errors[0])
        return jobs

    def streams(self, *, whole: bool = True) -> list[Stream]:
        """Return the streams of the source, as `Discovery.streams` does."""
        return self.discovery.streams(whole=whole)

    def _stored(self) -> set[str]:
        return {state.stream for state in self.store.streams() if state.source == self.source.name}

    def now(self) -> datetime:
        """Return the vendor's present, or ours before the vendor said one: it sizes windows and proves nothing."""
        return self.api.now() or datetime.now(UTC)

    def _settled(self, now: datetime) -> datetime:
        """Return up to when everything can be covered by now: whole seconds, like the Date headers that decide it."""
        return now.replace(microsecond=0) - self.source.settle

    def wanted(self, reach: Reach, asked: Window | None = None) -> list[Job]:
        """Return the window of each stream that a run of this reach is to read, covered or not; raises SourceError."""
        streams: Iterable[Stream] = self.streams(whole=False)
        now = self.now()  # one instant for all: windows that end together are read in the connector's order
        window = wanted(self.source, reach, asked, now)
        if reach is Reach.NEW:
            streams = [stream for stream in streams if self.quiet.is_due(stream, now)]
        return [Job(stream, window) for stream in streams] if window else []

    def unread(self, job: Job) -> list[Window]:
        """Return what of a job's window is neither covered nor known to be unreadable, oldest first."""
        kept_since = self.source.kept_since(self.now())
        kept = job.window.after(kept_since) if kept_since else job.window
        covered = self.store.coverage(self.source.name, job.stream.name)
        return subtract(kept, [*covered, *self._unreadable(job.stream)]) if kept else []

    def _unreadable(self, stream: Stream) -> list[Window]:
        gaps = self.store.gaps(self.source.name, stream.name)
        return [gap.window for gap in gaps if gap.permanent or _just_tried(gap)]

    def _plan(self, report: Report, found: list[Job], reach: Reach, *, register: bool = True) -> list[Job]:
        """Return what is to be read of wanted windows, newest first."""
        jobs: list[Job] = []
        now, connector = self.now(), self.source.connector
        for job in found:
            stream, window = job.stream, job.window
            state = report.streams[stream.name] = StreamReport(stream)
            try:
                self.refusals.check(stream.name)
                if register:
                    self.register(stream, now)
                covered = self.store.coverage(self.source.name, stream.name)
                if register:
                    self._note_lost(stream, window, covered, now)
                unreadable = self._unreadable(stream)
                state.gaps = len(unreadable)
                kept = window.after(kept_since) if (kept_since := self.source.kept_since(now)) else window
                if kept is None:
                    continue
                done = [*self._finished(stream, covered, reach), *unreadable]
                is_cut = job.expected is not None
                jobs += remainder(job, kept, done) if is_cut else plan(connector, self.api, stream, kept, done)
            except AccessDenied as error:
                if error.status == 401:
                    raise
                report.refused[stream.name] = error
                state.error = str(error)
        return sorted(jobs, key=lambda job: job.window.until, reverse=True)

    def _finished(self, stream: Stream, covered: list[Window], reach: Reach) -> list[Window]:
        """Return what is covered, at a session's first run without that which the vendor will still change.

        So that is read again. A session that lives longer has upkeep to do so.
        """
        if self.shared or (stream.name, reach) in self._begun:
            return covered
        self._begun.add((stream.name, reach))
        since = self.source.kept_since(self.now()) or EPOCH
        unfinished = provisional(self.store, self.source.name, stream.log, since)
        return [part for window in covered for part in subtract(window, unfinished)]

    def register(self, stream: Stream, now: datetime) -> None:
        """Make a stream known to the store; raises AccessDenied when it was another account's log before."""
        times = {"wanted_since": self.source.wanted_since(now), "settled_at": self._settled(now)}
        vendor = self.source.connector.vendor
        self.store.register(self.source.name, vendor, stream, retention=self.source.retention, **times)

    def _note_lost(self, stream: Stream, wanted: Window, covered: list[Window], now: datetime) -> None:
        """Remember what was never read and is not kept by the vendor any more: nobody can read it now."""
        kept_since = self.source.kept_since(now)
        gone = wanted.before(kept_since) if kept_since else None
        lost = subtract(gone, covered) if gone else []
        if lost:
            reason = f"the vendor keeps entries for {spoken(self.source.retention or timedelta())} only"
            for window in self.store.note_lost(self.source.name, stream.name, lost, reason):
                log.warning(
                    "entries_lost", source=self.source.name, stream=stream.name, window=str(window), reason=reason
                )

    def _note(self, report: Report, started: datetime, reach: Reach) -> None:
        """Write down how it went, for `status`."""
        now = datetime.now(UTC)
        for name, state in report.streams.items():
            values: dict[str, Any] = {}
            if reach.tells_of_gaps:
                self.behind.add(name) if state.error else self.behind.discard(name)
            if state.error:
                values = {"failed_at": now, "error": state.error}
            elif self.stopping.is_set() or not reach.tells_of_now:
                continue  # neither a failure, nor a look at everything up to now
            else:
                values = {"succeeded_at": now}
                if name not in self.behind:
                    values |= {"failed_at": None, "error": None}
                values |= {"wanted_since": self.source.wanted_since(started), "settled_at": self._settled(started)}
            self.store.note(self.source.name, name, **values)


def _just_tried(gap: Gap) -> bool:
    """Return whether a window was tried in vain a short while ago, by our clock, which may have been set since."""
    now = datetime.now(UTC)
    return gap.seen_at is not None and now - RETRY_GAP < gap.seen_at <= now
