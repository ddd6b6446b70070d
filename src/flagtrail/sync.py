"""Fills the gaps of a source: the one loop behind the daemon, a one-off sync and a backfill.

A `Session` reads every wanted window that is not covered yet, several at a time, and stores each page together with the
window it proves, clipped to what has settled by the vendor's own Date. Nothing else is remembered, so a run that was
killed anywhere is resumed by running it again.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Self

import httpx
import structlog

from flagtrail.connector import Stream
from flagtrail.errors import AccessDenied, SourceError, UnexpectedResponse
from flagtrail.plan import Job, plan
from flagtrail.readers import Readers
from flagtrail.report import Nobody, Report, StreamReport, Watch
from flagtrail.source import AHEAD, Source
from flagtrail.store import Store
from flagtrail.window import Window

DISCOVER_EVERY = 600.0  # seconds between looks for new projects, environments and organizations
RETRY_GAP = timedelta(days=1)  # a window that cannot be read whole is tried again after this
REFUSED_SOURCE = 300.0  # seconds before a refused credential is tried again: no storm that locks the account
REFUSED_STREAM = 3600.0  # seconds before a refused stream is tried again

log = structlog.get_logger()


class Session:
    """One source, connected: its limits and streams are remembered from run to run. Use as a context manager."""

    def __init__(self, source: Source, store: Store, transport: httpx.BaseTransport | None = None) -> None:
        self.source = source
        self.store = store
        self.api = source.connector.connect(transport)
        self._streams: list[Stream] = []
        self._discovered = float("-inf")
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
            if isinstance(error, AccessDenied):
                report.refused[None] = error
            report.error = str(error)
            log.warning("source_failed", source=self.source.name, error=report.error)
            self._note_source_failure(report.error)
        else:
            Readers(self.source, self.store, self.api, self._stop, report, jobs, watch or Nobody()).go()
            self._note(report, asked)
            if report.grown:
                self._discovered = float("-inf")
        self._remember_refusals(report)
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
        return self._streams

    def now(self) -> datetime:
        """Return the vendor's present, or ours before the vendor said one: it sizes windows and proves nothing."""
        return self.api.now() or datetime.now(UTC)

    def _remember_refusals(self, report: Report) -> None:
        """Leave alone for a while what the vendor refuses, counted from the first refusal."""
        for stream, error in report.refused.items():
            if self._refused.get(stream, (None, 0.0))[0] is not error:
                self._refused[stream] = (error, time.monotonic())

    def _check_refusal(self, stream: str | None, seconds: float) -> None:
        error, at = self._refused.get(stream, (None, 0.0))
        if error is not None and time.monotonic() - at < seconds:
            raise error

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
                report.refused[stream.name] = error
                state.error = str(error)
        return sorted(jobs, key=lambda job: job.window.until, reverse=True)

    def _note(self, report: Report, asked: Window | None) -> None:
        """Write down how it went, for `status`."""
        now = datetime.now(UTC)
        for name, state in report.streams.items():
            error = state.error or report.error
            if error:
                values = {"failed_at": now, "error": error}
            elif self._stop.is_set() or asked:
                continue  # neither a failure, nor a look at everything up to now
            else:
                values = {"succeeded_at": now, "failed_at": None, "error": None}
            self.store.note(self.source.name, name, **values)

    def _note_source_failure(self, error: str) -> None:
        for state in self.store.streams():
            if state.source == self.source.name:
                self.store.note(state.source, state.stream, failed_at=datetime.now(UTC), error=error)
