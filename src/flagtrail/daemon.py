"""Runs every source on its schedule until it is told to stop."""

import queue
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from flagtrail.errors import FlagtrailError
from flagtrail.limit import Limiter
from flagtrail.report import Report
from flagtrail.source import Source
from flagtrail.status import aging
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.upkeep import fetch_details, verify_due

UPKEEP = 60.0  # seconds between looks for verifications that are due and full forms that are wanted
AWAKE = 1.0  # seconds that a signal may have to wait
JUMP = 5.0  # seconds between our clock and the passing of time after which somebody has set it: ticks are due anew
GRACE = 4.0  # seconds for the pages under way to be stored; then the rest stays a gap for the next start

log = structlog.get_logger()


class Daemon:
    """Three jobs for each source: the newest windows, older gaps, and upkeep.

    One that overruns is never doubled, a late one never dropped, and none waits for another.
    """

    def __init__(
        self, sources: list[Source], store: Store, *, after: Callable[[Report], None] | None = None,
        ending: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Prepare to read the sources; `after` is told of each report, in the thread of its source.

        `ending` is called as soon as it begins to end, so that what runs beside it can end at the same time.
        """
        self.sources = sources
        self.store = store
        self.after = after
        self.ending = ending
        self.stopped: queue.SimpleQueue[None] = queue.SimpleQueue()  # may be put to within a signal's handler
        limiters: dict[Any, Limiter] = {}  # sources with the same credential share its limits
        self.sessions = [Session(source, store, limiters=limiters) for source in sources]

    def run(self) -> bool:
        """Read until SIGTERM, SIGINT or `stop`; return whether everything came to its end within the grace."""
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(3 * len(self.sources))},
            # APScheduler's own default drops a tick that is one second late.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        for session in self.sessions:
            seconds = session.source.every.total_seconds()
            name = session.source.name
            for job, called in ((self.tick, name), (self.catch_up, f"{name} older")):
                scheduler.add_job(
                    job, "interval", seconds=seconds, args=[session], id=called, next_run_time=datetime.now(UTC)
                )
            scheduler.add_job(self.upkeep, "interval", seconds=UPKEEP, args=[session], id=f"{name} upkeep")
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._signalled)
        scheduler.start()
        log.info("daemon_started", sources=[source.name for source in self.sources], store=self.store.shown)
        self._wait(scheduler)
        return self._shut_down(scheduler)

    def stop(self) -> None:
        """Make `run` return soon."""
        self.stopped.put(None)

    def tick(self, session: Session) -> Report | None:
        """Look at the newest windows of one source; what goes wrong is logged, and tried again at the next tick."""
        report = self._read(session, "tick", session.look)
        if report is not None and self.after is not None:
            self.after(report)
        return report

    def look_at(self, source: str) -> Report | None:
        """Do the tick of a source now, by its name, whenever the next one is due; None when there is no such source."""
        found = next((session for session in self.sessions if session.source.name == source), None)
        return self.tick(found) if found else None

    def catch_up(self, session: Session) -> Report | None:
        """Fill the older gaps of one source; what goes wrong is logged, and tried again soon."""
        return self._read(session, "catch_up", session.catch_up)

    def _read(self, session: Session, what: str, read: Callable[[], Report]) -> Report | None:
        failed, crashed = what + "_failed", what + "_crashed"
        try:
            report = read()
        except FlagtrailError as error:
            log.error(failed, source=session.source.name, error=str(error))
            return None
        except Exception:
            log.exception(crashed, source=session.source.name)
            return None
        if what == "tick" or report.new or report.errors:
            changed = sum(stream.changed for stream in report.streams.values())
            log.info(what, source=report.source, new=report.new, changed=changed, requests=report.requests,
                     streams=len(report.streams), errors=len(report.errors))  # fmt: skip
        return report

    def upkeep(self, session: Session) -> None:
        """Verify what is due of one source, and fetch full forms of entries; what goes wrong is logged."""
        name = session.source.name
        try:
            self.store.gather()
            self.store.write_back()
            for stream in aging(self.store, name):
                log.warning("entries_age_out", source=name, stream=stream.state.stream, at=str(stream.ages_out_at))
            for report in verify_due(session):
                streams = report.streams.values()
                log.info("verified", source=name, streams=[stream.stream.name for stream in streams],
                         found=sum(stream.found for stream in streams), differing=report.differing,
                         vanished=sum(len(stream.vanished) for stream in streams), requests=report.requests,
                         error=report.error)  # fmt: skip
            fetched = fetch_details(session, UPKEEP)
            if fetched.stored or fetched.error:
                log.info("details", source=name, stored=fetched.stored, gone=fetched.gone, error=fetched.error)
        except FlagtrailError as error:
            log.error("upkeep_failed", source=name, error=str(error))
        except Exception:
            log.exception("upkeep_crashed", source=name)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.stopped.put(None)

    def _wait(self, scheduler: BackgroundScheduler) -> None:
        """Wait for the end, awake each second: a signal may reach another thread, and somebody may set our clock."""
        ahead = time.time() - time.monotonic()
        while True:
            with suppress(queue.Empty):
                return self.stopped.get(timeout=AWAKE)
            if abs(time.time() - time.monotonic() - ahead) > JUMP:
                ahead = time.time() - time.monotonic()
                log.warning("clock_was_set", now=str(datetime.now(UTC)))
                for job in scheduler.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))

    def _shut_down(self, scheduler: BackgroundScheduler) -> bool:
        log.info("daemon_stopping")
        if self.ending is not None:
            self.ending()
        for session in self.sessions:
            session.stop()
        ending = threading.Thread(target=scheduler.shutdown, daemon=True)
        ending.start()
        ending.join(GRACE)
        log.info("daemon_stopped", clean=not ending.is_alive())
        return not ending.is_alive()
