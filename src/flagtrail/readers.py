"""Reads many windows at once and stores their pages: the inside of a sync.

Api → Connector.pages → Connector.event → Store: the whole way of an entry is in `readings` and `store_together`.
"""

import queue
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog

from flagtrail.api import Api
from flagtrail.connector import Hole, Page
from flagtrail.errors import AccessDenied, SourceError, Unavailable, UnexpectedResponse
from flagtrail.event import Action
from flagtrail.jobs import Jobs, Part
from flagtrail.plan import PAGES, SMALL, Job
from flagtrail.report import News, Report, Watch
from flagtrail.rows import Prepared, Reading, prepared
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.traces import failed, traced
from flagtrail.window import Window

PLACES = {"project", "environment", "organization"}  # when one comes or goes, there may be other streams
RECENT = timedelta(hours=1)  # only a recent coming or going: a first load tells of every old one
SECOND = timedelta(seconds=1)
WAITING = 24  # pages that may wait for the store before readers wait too; the most that one transaction holds
ENOUGH = 12  # pages that are worth a transaction at once
LINGER = 0.1  # seconds that a page waits for others, to share a transaction with them
FEW = 4  # readers for a little work, and requests for each of more: an idle look needs no crowd
OLDER_SPARE = 0.01  # share of each limit that what is older leaves to the newest windows, which also go first
STRIKES = 3  # windows of one stream that may fail before the rest of it waits for the next run
LATELY = 60.0  # seconds; a vendor that has answered other questions is not down because one window fails
SILENCE = 8  # failures to reach the vendor, with nothing heard in between, after which it counts as down
DIED = "the readers ended without a word: the machine may have run out of memory or threads"
UNDATED = "the answers carry no Date that can be trusted, so what was read cannot be counted as covered"

log = structlog.get_logger()


class Readers:
    """Reads jobs in several threads and stores their pages in one, the caller's; `stop` ends it from anywhere."""

    def __init__(
        self,
        source: Source,
        store: Store,
        api: Api,
        stop: threading.Event,
        report: Report,
        jobs: Iterable[Job],
        watch: Watch,
    ) -> None:
        self.source, self.store, self.connector, self.api = source, store, source.connector, api
        self.stop, self.report, self.watch = stop, report, watch
        self.started = api.now() or datetime.max.replace(tzinfo=UTC)
        self.over = False  # nothing more is to be asked of this vendor in this run
        self.unheard = 0  # failures to reach the vendor since it was last heard
        self.heard = api.heard_within(LATELY)
        self.jobs = Jobs(jobs, self.wanted)
        self.pages: queue.Queue[Prepared | None] = queue.Queue(maxsize=WAITING)
        self.lock = threading.Lock()
        self.enough = threading.Event()  # no use to linger: many pages wait, or a reader is done
        self.broken = threading.Event()  # the store failed: readers must not wait for it

    def go(self) -> None:
        """Do every job; errors go into the report."""
        expected = [job.expected for job in self.jobs.waiting]
        known = None if None in expected and len(self.jobs) > 1 else round(sum(n or 0 for n in expected))
        self.watch.planned(len(self.jobs), known)
        readers = [
            threading.Thread(target=self.read_jobs, name=f"{self.source.name}-{number}", daemon=True)
            for number in range(self.readers_needed())
        ]
        try:
            for reader in readers:
                reader.start()
            self.store_pages(readers)
        except BaseException:
            self.broken.set()
            raise
        for reader in readers:
            reader.join()
        if self.over:
            for job in self.jobs.waiting:
                state = self.report.streams[job.stream.name]
                state.error = state.error or self.report.error
        self.watch.ended()

    def store_pages(self, readers: list[threading.Thread]) -> None:
        """Store pages as they come until every reader is done; those that wait together share a transaction."""
        reading = len(readers)
        while reading:
            try:
                pages = [self.pages.get(timeout=1.0)]
            except queue.Empty:
                if not any(reader.is_alive() for reader in readers) and self.pages.empty():
                    self.report.error = self.report.error or DIED  # for want of memory, they could not even say so
                    return
                continue
            self.enough.wait(LINGER)
            self.enough.clear()
            while len(pages) < WAITING and not self.pages.empty():
                pages.append(self.pages.get())
            reading -= pages.count(None)
            self.store_together([page for page in pages if page is not None])

    @traced("store", lambda self, readings: {"source": self.source.name, "pages": len(readings)})
    def store_together(self, readings: list[Prepared]) -> None:
        """Write pages in one transaction, and count what was new in each stream."""
        if not readings:
            return
        added = self.store.write(self.source.name, readings)
        for row in added.new:
            state, event = self.report.streams[row.stream], row.values
            state.new += 1
            if event["occurred_at"] >= self.started - RECENT:
                moved = event["object_kind"] in PLACES and event["action"] in (Action.CREATED, Action.DELETED)
                self.report.grown |= moved
                self.report.news.add(News(state.stream.log, event["project"], event["environment"]))
        for row in added.changed:
            self.report.streams[row.stream].changed += 1
        self.watch.stored(len(added.new))

    def read_jobs(self) -> None:
        """Do jobs until none is left; a reader's last word is None."""
        try:
            while (part := self.jobs.take(lambda: self.ending)) is not None:
                try:
                    self.read(part)
                finally:
                    self.jobs.finished(part)
                if not part.taken:
                    self.watch.finished()
        finally:
            self.put(None)

    @property
    def ending(self) -> bool:
        """Whether readers should leave their work undone."""
        return self.stop.is_set() or self.broken.is_set()

    def readers_needed(self) -> int:
        """Return how many readers the work is worth; idle ones take over parts of what others read."""
        unknown = (job.expected is None and job.window.length > SMALL for job in self.jobs.waiting)
        requests = sum(PAGES if long else job.requests for long, job in zip(unknown, self.jobs.waiting, strict=True))
        return min(self.source.parallel, max(min(len(self.jobs), FEW), requests // FEW))

    def wanted(self, job: Job) -> bool:
        """Return whether a job may be read: its stream has not failed too often."""
        return self.report.streams[job.stream.name].failures < STRIKES and not self.over

    @traced("window", lambda self, part: _about(self, part.job))
    def read(self, part: Part) -> None:
        """Read one window; an error ends it, and what it did not cover stays a gap."""
        job = part.job
        bound = log.bind(source=self.source.name, stream=job.stream.name, window=str(job.window))
        try:
            # `map` keeps no events while a page waits to be stored.
            for page in map(partial(prepared, self.source.name, self.connector.vendor), self.readings(part)):
                self.put(page)
                if self.ending or self.jobs.nothing_left(part):
                    return  # the rest stays a gap, or was taken over by another reader
            bound.debug("window_read")
        except SourceError as error:
            if not self.stop.is_set():
                self.fail(job, error)
        except Exception as error:  # noqa: BLE001 - a connector's bug must not take the other sources down
            bound.error("connector_bug", exc_info=True)
            self.fail(job, UnexpectedResponse(f"the connector failed on an answer: {type(error).__name__}: {error}"))

    def readings(self, part: Part) -> Iterable[Reading]:
        """Yield what the connector reads, translated, with claims clipped to what the answers can prove.

        A claim may rest on several answers: the earliest of them decides how far it has settled, and the latest from
        when on the vendor still showed everything.
        """
        dates: list[datetime | None] = []
        job = part.job
        newest = job.window.until > self.started
        api = self.api if newest else self.api.sparing(OLDER_SPARE)
        for page in self.connector.pages(api, job.stream, job.window):
            if isinstance(page, Hole):
                self.report.streams[job.stream.name].gaps += 1
                self.jobs.note(part, len(page.records), page.window)
                yield self.source.reading(job.stream, page.records, gap=(page.window, page.reason, page.expected))
                continue
            self.heard, self.unheard = True, 0
            self.jobs.note(part, len(page.records), page.covers)
            dates.append(page.date)
            yield self.source.reading(job.stream, page.records, self.proven(job, page, dates))
            if page.covers is not None:
                dates = []

    def proven(self, job: Job, page: Page, dates: list[datetime | None]) -> Window | None:
        """Return the part of a page's claim that lies in its job, has settled, and that the vendor still keeps."""
        if page.covers is None:
            return None
        known = [date for date in dates if date is not None]
        if len(known) < len(dates):
            state = self.report.streams[job.stream.name]
            state.error = state.error or UNDATED
            return None
        covers = page.covers.clip(job.window)
        covers = covers.before(min(known) - self.source.settle) if covers else None
        kept_since = self.source.kept_since(max(known) + SECOND)  # a Date is cut to the second
        return covers.after(kept_since) if covers and kept_since else covers

    def fail(self, job: Job, error: SourceError) -> None:
        """Write an error into the report, and decide whose other jobs it ends."""
        state = self.report.streams[job.stream.name]
        log.warning(
            "window_failed", source=self.source.name, stream=job.stream.name, window=str(job.window), error=str(error)
        )
        failed(error)
        signed_out = isinstance(error, AccessDenied) and error.status == 401
        with self.lock:
            if isinstance(error, AccessDenied):
                self.report.refused[None if signed_out else job.stream.name] = error
            lost = isinstance(error, Unavailable)
            self.unheard += lost
            if signed_out or (lost and (not self.heard or self.unheard >= SILENCE)):
                self.report.error, self.over = str(error), True  # the vendor is down, or refuses the credential
            state.error = state.error or str(error)
            state.failures += STRIKES if lost or isinstance(error, AccessDenied) else 1

    def put(self, reading: Prepared | None) -> None:
        """Hand a page to the storing thread, waiting while it is behind, unless it has failed."""
        while not self.broken.is_set():
            try:
                self.pages.put(reading, timeout=1.0)
            except queue.Full:
                continue
            if reading is None or self.pages.qsize() >= ENOUGH:
                self.enough.set()
            return


def _about(readers: Readers, job: Job) -> dict[str, Any]:
    """Return what is traced of a window that is read."""
    told = {"source": readers.source.name, "stream": job.stream.name, "window": str(job.window)}
    return told | {"parent": getattr(readers.watch, "trace", None)}
