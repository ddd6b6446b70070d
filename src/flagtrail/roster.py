"""Keeps a session with three jobs for each source in the scheduler, and exchanges them while the others go on."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from flagtrail.limit import Limiter
from flagtrail.pulse import Pulse
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session

log = structlog.get_logger()


class Job(NamedTuple):
    """What is done for each source again and again: every so many seconds, or as often as the source is looked at."""

    name: str
    do: Callable[[Session], object]
    every: float | None = None


class Roster:
    """The sources that are read.

    Each has threads of its own, so that none waits for another. A job that overruns is never doubled, and a late one
    never dropped. Sources with the same credential share its limits.
    """

    def __init__(self, sources: Iterable[Source], store: Store, pulse: Pulse, jobs: Iterable[Job]) -> None:
        self.store, self.pulse, self.jobs = store, pulse, list(jobs)
        self.limiters: dict[Any, Limiter] = {}
        self.sessions = [self._session(source) for source in sources]
        self.leaving: list[Session] = []  # they finish what is under way
        # APScheduler's own default drops a tick that is one second late.
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self.scheduler = BackgroundScheduler(job_defaults=defaults, timezone=UTC)
        self._numbers: dict[int, str] = {}  # the name that a session's threads and jobs have, by its identity
        self._begun = 0

    @property
    def everybody(self) -> list[Session]:
        """The sessions, and those that are leaving."""
        return [*self.sessions, *self.leaving]

    def start(self) -> None:
        """Let every source be read from now on."""
        for session in self.sessions:
            self._begin(session)
        self.scheduler.start()

    def exchange(self, sources: Iterable[Source]) -> dict[str, list[str]]:
        """Read these sources from now on; return the names of those that were added, changed and removed.

        What is under way of a source that is changed or removed ends after the pages that are read already are stored.
        """
        wanted = {source.name: source for source in sources}
        had = {session.source.name: session for session in self.sessions}
        gone = [session for name, session in had.items() if session.source != wanted.get(name)]
        self.pulse.forget(session.source.name for session in gone)
        for session in gone:
            self._end(session)
        new = [self._session(source) for name, source in wanted.items() if name not in had or had[name] in gone]
        staying = [session for session in self.sessions if session not in gone]
        self.sessions = sorted([*staying, *new], key=lambda session: list(wanted).index(session.source.name))
        for session in new:
            self._begin(session)
        return {
            "added": [name for name in wanted if name not in had],
            "changed": [session.source.name for session in gone if session.source.name in wanted],
            "removed": [session.source.name for session in gone if session.source.name not in wanted],
        }

    def sweep(self) -> None:
        """Let go of sessions that have left and have nothing under way any more."""
        for session in [each for each in self.leaving if not self.pulse.is_busy(each)]:
            session.connection.leave()
            self.leaving.remove(session)

    def shut_down(self) -> None:
        """Let nothing begin any more, and wait for the end of what is under way."""
        self.scheduler.shutdown()
        while any(self.pulse.is_busy(session) for session in self.everybody):
            time.sleep(0.05)

    def due_now(self) -> None:
        """Let every job be due at once."""
        for job in self.scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))

    def _session(self, source: Source) -> Session:
        session = Session(source, self.store, limiters=self.limiters)
        session.api.tell(lambda status: self.pulse.answered(source.name, status))
        return session

    def _begin(self, session: Session) -> None:
        source = session.source
        self._begun += 1
        own = self._numbers[id(session)] = f"{source.name} {self._begun}"
        self.scheduler.add_executor(ThreadPoolExecutor(len(self.jobs)), own)
        for job in self.jobs:
            first = {"next_run_time": datetime.now(UTC)} if job.every is None else {}
            seconds = job.every or source.every.total_seconds()
            self.scheduler.add_job(
                job.do, "interval", seconds=seconds, args=[session], id=f"{own} {job.name}", executor=own, **first
            )

    def _end(self, session: Session) -> None:
        """Take a session's jobs away, and let what is under way of them come to its end."""
        own = self._numbers.pop(id(session))
        for job in self.jobs:
            self.scheduler.remove_job(f"{own} {job.name}")
        session.stopping.set()
        self.leaving.append(session)
        executor = self.scheduler._executors[own]
        self.scheduler.remove_executor(own, shutdown=False)
        executor.shutdown(wait=False)
