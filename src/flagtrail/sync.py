"""Fills the gaps of a source: the one loop behind the daemon, a one-off sync and a backfill.

A `Session` reads every wanted window that is not covered yet, several at a time, and stores each page together with the
window it proves, clipped to what has settled by the vendor's own Date. Nothing else is remembered, so a run that was
killed anywhere is resumed by running it again.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self

import httpx
import structlog

from flagtrail.connector import Hole, Page, Stream
from flagtrail.errors import AccessDenied, SourceError, Unavailable, UnexpectedResponse
from flagtrail.event import Action, Event
from flagtrail.plan import Job, plan
from flagtrail.source import AHEAD, Source
from flagtrail.store import Reading, Store
from flagtrail.window import Window

DISCOVER_EVERY = 600.0  # seconds between looks for new projects, environments and organizations
PLACES = {"project", "environment", "organization", "product"}  # a change of one of these is a reason to look at once
GROUP = 200  # pages that one transaction may hold
WAITING = 64  # pages that may wait for the store before readers wait too
STRIKES = 3  # windows of one stream that may fail before the rest of it waits for the next run
RETRY_GAP = timedelta(days=1)  # a window that cannot be read whole is tried again after this
REFUSED_SOURCE = 300.0  # seconds before a refused credential is tried again: no storm that locks the account
REFUSED_STREAM = 3600.0  # seconds before a refused stream is tried again

log = structlog.get_logger()


class Watch(Protocol):
    """Somebody who watches a sync, such as a progress bar."""

    def planned(self, jobs: int, records: int | None) -> None:
        """Say how many windows will be read, and how many records are expected in all (None: nobody knows)."""

    def stored(self, records: int) -> None:
        """Say that so many records were read and are stored."""

    def finished(self) -> None:
        """Say that one window has been read to its end, or given up."""


class Nobody:
    """Watches nothing."""

    def planned(self, jobs: int, records: int | None) -> None:
        """Ignore it."""

    def stored(self, records: int) -> None:
        """Ignore it."""

    def finished(self) -> None:
        """Ignore it."""


@dataclass(slots=True)
class StreamReport:
    """How the sync of one stream went; `error` is what a person should read, None when all is well."""

    stream: Stream
    new: int = 0
    changed: int = 0
    gaps: int = 0
    failures: int = 0
    error: str | None = None


@dataclass(slots=True)
class Report:
    """How the sync of one source went."""

    source: str
    streams: dict[str, StreamReport] = field(default_factory=dict)
    requests: int = 0
    error: str | None = None
    stopped: bool = False

    @property
    def new(self) -> int:
        """How many events were not there before."""
        return sum(stream.new for stream in self.streams.values())

    @property
    def errors(self) -> list[str]:
        """Every error, the source's own first, each with the stream it belongs to."""
        own = [f"{self.source}: {self.error}"] if self.error else []
        others = [(name, s.error) for name, s in self.streams.items() if s.error and s.error != self.error]
        return own + [f"{self.source} {name}: {error}" for name, error in others]


class Session:
    """One source, connected: its limits and streams are remembered from run to run. Use as a context manager."""

    def __init__(self, source: Source, store: Store, transport: httpx.BaseTransport | None = None) -> None:
        self.source = source
        self.store = store
        self.api = source.connector.connect(transport)
        self._streams: list[Stream] = []
        self._discovered = float("-inf")
        self._discovered_at = datetime.max.replace(tzinfo=UTC)  # by the vendor's clock
        self._stop = threading.Event()
        self._refused: dict[str | None, tuple[AccessDenied, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self.api.__exit__(*exception)

    def stop(self) -> None:
        """Let a running `fill` end soon, from any thread; what is stored stays, the rest stays a gap."""
        self._stop.set()
        self.api.close()

    def fill(self, asked: Window | None = None, watch: Watch | None = None) -> Report:
        """Read every gap up to now, or every gap of an asked window, and report; never raises SourceError.

        Raises StoreError when the database fails.
        """
        report = Report(self.source.name)
        asked_before = self.api.requests
        try:
            self._check_refusal(None, REFUSED_SOURCE)
            jobs = self._plan(report, asked)
        except SourceError as error:
            self.refuse(None, error)
            report.error = str(error)
            log.warning("source_failed", source=self.source.name, error=report.error)
            self._note_source_failure(report.error)
        else:
            _Run(self, report, jobs, watch or Nobody()).go()
            self._note(report, asked)
        report.requests = self.api.requests - asked_before
        report.stopped = self._stop.is_set()
        return report

    def estimate(self, asked: Window | None = None) -> list[Job]:
        """Return the jobs that `fill` would do, having asked the vendor for its counts only; raises SourceError."""
        report = Report(self.source.name)
        jobs = self._plan(report, asked)
        if report.errors:
            raise UnexpectedResponse(report.errors[0])
        return jobs

    def streams(self) -> list[Stream]:
        """Return the streams of the source, asked for again when that is due; raises SourceError."""
        if time.monotonic() - self._discovered > DISCOVER_EVERY:
            self._streams = self.source.connector.streams(self.api)
            self._discovered = time.monotonic()
            self._discovered_at = self.now()
        return self._streams

    def heard(self, event: Event) -> None:
        """Look for new streams at the next run when an event says that there may be some."""
        grown = event.object_kind in PLACES and event.action in (Action.CREATED, Action.DELETED)
        if grown and event.occurred_at >= self._discovered_at:
            self._discovered = float("-inf")

    def refuse(self, stream: str | None, error: SourceError) -> None:
        """Leave a stream, or the whole source (None), alone for a while when the vendor refuses it."""
        if isinstance(error, AccessDenied) and (stream, error) not in [(s, e) for s, (e, _) in self._refused.items()]:
            self._refused[stream] = (error, time.monotonic())

    def _check_refusal(self, stream: str | None, seconds: float) -> None:
        error, at = self._refused.get(stream, (None, 0.0))
        if error is not None and time.monotonic() - at < seconds:
            raise error

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def now(self) -> datetime:
        """Return the vendor's present, or ours before the vendor said one: it sizes windows and proves nothing."""
        return self.api.now() or datetime.now(UTC)

    def _plan(self, report: Report, asked: Window | None) -> list[Job]:
        jobs: list[Job] = []
        for stream in self.streams():
            wanted = asked or Window(self.source.wanted_since(self.now()), self.now() + AHEAD)
            state = report.streams[stream.name] = StreamReport(stream)
            name = (self.source.name, stream.name)
            try:
                self._check_refusal(stream.name, REFUSED_STREAM)
                vendor = self.source.connector.vendor
                # Whole seconds, like the Date headers that the claims are measured by.
                settled = self.now().replace(microsecond=0) - self.source.settle
                self.store.register(
                    *name, vendor, stream.label, stream.account, self.source.wanted_since(self.now()), settled
                )
                recent = datetime.now(UTC) - RETRY_GAP
                unreadable = [gap.window for gap in self.store.gaps(*name) if gap.seen_at > recent]
                state.gaps = len(unreadable)
                covered = [*self.store.coverage(*name), *unreadable]
                jobs += plan(self.source.connector, self.api, stream, wanted, covered)
            except AccessDenied as error:
                if error.status == 401:
                    raise
                self.refuse(stream.name, error)
                state.error = str(error)
        return sorted(jobs, key=lambda job: job.window.until, reverse=True)

    def _note(self, report: Report, asked: Window | None) -> None:
        """Write down how it went, for `status`."""
        now = datetime.now(UTC)
        for name, state in report.streams.items():
            error = state.error or report.error
            if error:
                values = {"failed_at": now, "error": error}
            elif self.stopping or asked:
                continue  # neither a failure, nor a look at everything up to now
            else:
                values = {"succeeded_at": now, "failed_at": None, "error": None}
            self.store.note(self.source.name, name, **values)

    def _note_source_failure(self, error: str) -> None:
        for state in self.store.streams():
            if state.source == self.source.name:
                self.store.note(state.source, state.stream, failed_at=datetime.now(UTC), error=error)


class _Run:
    """Reads jobs in several threads and stores their pages in one, the caller's."""

    def __init__(self, session: Session, report: Report, jobs: Iterable[Job], watch: Watch) -> None:
        self.session, self.report, self.watch = session, report, watch
        self.source, self.store, self.connector = session.source, session.store, session.source.connector
        self.jobs = deque(jobs)
        self.pages: queue.Queue[Reading | None] = queue.Queue(maxsize=WAITING)
        self.lock = threading.Lock()
        self.broken = threading.Event()  # the store failed: readers must not wait for it

    def go(self) -> None:
        """Do every job; errors go into the report."""
        expected = [job.expected for job in self.jobs]
        known = None if None in expected and len(self.jobs) > 1 else round(sum(n or 0 for n in expected))
        self.watch.planned(len(self.jobs), known)
        readers = [
            threading.Thread(target=self.read_jobs, name=f"{self.source.name}-{number}", daemon=True)
            for number in range(min(self.source.parallel, len(self.jobs)))
        ]
        for reader in readers:
            reader.start()
        try:
            self.store_pages(len(readers))
        except BaseException:
            self.broken.set()
            raise
        for reader in readers:
            reader.join()

    def store_pages(self, reading: int) -> None:
        """Store pages as they come until every reader is done; those that wait together share a transaction."""
        while reading:
            pages = [self.pages.get()]
            while len(pages) < GROUP and not self.pages.empty():
                pages.append(self.pages.get())
            reading -= pages.count(None)
            self.store_together([page for page in pages if page is not None])

    def store_together(self, readings: list[Reading]) -> None:
        """Write pages in one transaction, and count what was new in each stream."""
        if not readings:
            return
        added = self.store.add(self.source.name, self.connector.vendor, readings)
        for stream, event in added.new:
            self.report.streams[stream].new += 1
            self.session.heard(event)
        for stream, _ in added.changed:
            self.report.streams[stream].changed += 1
        self.watch.stored(sum(len(reading.events) for reading in readings))

    def read_jobs(self) -> None:
        """Do jobs until none is left; a reader's last word is None."""
        try:
            while not self.ending and (job := self.next_job()) is not None:
                self.read(job)
                self.watch.finished()
        finally:
            self.put(None)

    @property
    def ending(self) -> bool:
        """Whether readers should leave their work undone."""
        return self.session.stopping or self.broken.is_set()

    def next_job(self) -> Job | None:
        """Return the newest job of a stream that has not failed too often."""
        with self.lock:
            while self.jobs:
                job = self.jobs.popleft()
                if self.report.streams[job.stream.name].failures < STRIKES and not self.report.error:
                    return job
        return None

    def read(self, job: Job) -> None:
        """Read one window; an error ends it, and what it did not cover stays a gap."""
        bound = log.bind(source=self.source.name, stream=job.stream.name, window=str(job.window))
        try:
            for reading in self.readings(job):
                self.put(reading)
                if self.ending:
                    return
            bound.debug("window_read")
        except SourceError as error:
            if not self.session.stopping:
                self.fail(job, error)
        except Exception as error:  # noqa: BLE001 - a connector's bug must not take the other sources down
            bound.error("connector_bug", exc_info=True)
            self.fail(job, UnexpectedResponse(f"the connector failed on an answer: {type(error).__name__}: {error}"))

    def readings(self, job: Job) -> Iterable[Reading]:
        """Yield what the connector reads, translated, with claims clipped to what has settled.

        A claim may rest on several answers, and the earliest of them decides how far it has settled.
        """
        horizon: datetime | None = datetime.max.replace(tzinfo=UTC)
        for page in self.connector.pages(self.session.api, job.stream, job.window):
            events = [(self.connector.event(job.stream, record), record) for record in page.records]
            if isinstance(page, Hole):
                self.report.streams[job.stream.name].gaps += 1
                yield Reading(job.stream.name, events, gap=(page.window, page.reason, page.expected))
                continue
            horizon = None if page.date is None or horizon is None else min(horizon, page.date - self.source.settle)
            yield Reading(job.stream.name, events, self.settled(job, page, horizon))
            if page.covers is not None:
                horizon = datetime.max.replace(tzinfo=UTC)

    def settled(self, job: Job, page: Page, horizon: datetime | None) -> Window | None:
        """Return the part of a page's claim that lies in its job and has settled by the vendor's clock."""
        if page.covers is None or horizon is None:
            return None
        covers = page.covers.clip(job.window)
        return covers.before(horizon) if covers else None

    def fail(self, job: Job, error: SourceError) -> None:
        """Write an error into the report, and decide whose other jobs it ends."""
        state = self.report.streams[job.stream.name]
        log.warning(
            "window_failed", source=self.source.name, stream=job.stream.name, window=str(job.window), error=str(error)
        )
        signed_out = isinstance(error, AccessDenied) and error.status == 401
        self.session.refuse(None if signed_out else job.stream.name, error)
        with self.lock:
            if isinstance(error, Unavailable) or signed_out:
                self.report.error = str(error)  # the whole source: it is down, or refuses the credential
            state.error = state.error or str(error)
            state.failures += STRIKES if isinstance(error, AccessDenied) else 1

    def put(self, reading: Reading | None) -> None:
        """Hand a page to the storing thread, waiting while it is behind, unless it has failed."""
        while not self.broken.is_set():
            try:
                return self.pages.put(reading, timeout=1.0)
            except queue.Full:
                continue
        return None
