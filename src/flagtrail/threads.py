"""The engine of one machine: APScheduler lets the turns of each source come, in threads of its own."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from flagtrail.report import Report
from flagtrail.roster import BEAT, Roster
from flagtrail.source import Source
from flagtrail.sync import Session
from flagtrail.turns import UPKEEP, Turns


class Job(NamedTuple):
    """What is done for each source again and again: every so many seconds, or as often as the source is looked at."""

    name: str
    do: Callable[[Session], object]
    every: float | None = None


class Threads(Roster):
    """Three jobs for each source: the newest windows, older gaps, and upkeep.

    Each source has threads of its own, so that none waits for another. A job that overruns is never doubled, and a late
    one never dropped.
    """

    def __init__(self, sources: Iterable[Source], turns: Turns) -> None:
        super().__init__(sources, turns)
        self.jobs = (Job("tick", turns.tick), Job("older", turns.catch_up), Job("upkeep", turns.upkeep, UPKEEP))
        # APScheduler's own default drops a tick that is one second late.
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self.scheduler = BackgroundScheduler(job_defaults=defaults, timezone=UTC)
        self._numbers: dict[int, str] = {}  # the name that a session's threads and jobs have, by its identity
        self._begun = 0

    def start(self) -> None:
        """Let every source be read from now on."""
        self.scheduler.add_job(self.pulse.beat, "interval", seconds=BEAT, args=["scheduler"])
        for session in self.sessions:
            self._begin(session)
        self.scheduler.start()
        self.pulse.beat("scheduler")

    def due_now(self) -> None:
        """Let every job be due at once."""
        for job in self.scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))

    def look_at(self, session: Session) -> Report | None:
        """Do the tick of a source now, whenever the next one is due."""
        return self.turns.tick(session)

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
        """Take a session's jobs away; what is under way of them comes to its end."""
        own = self._numbers.pop(id(session))
        for job in self.jobs:
            self.scheduler.remove_job(f"{own} {job.name}")
        executor = self.scheduler._executors[own]
        self.scheduler.remove_executor(own, shutdown=False)
        executor.shutdown(wait=False)

    def _stop(self) -> None:
        self.scheduler.shutdown()
