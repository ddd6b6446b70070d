"""What workers do: plan a source, read a part of one stream, verify one, and the upkeep of a source.

Coverage says what is left to do whenever a job begins. So a job that comes twice, late, or again after its worker was
killed reads what nobody has read, or nothing.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from flagtrail.plan import Job
from flagtrail.pulse import Turn
from flagtrail.reach import Reach
from flagtrail.report import Report, Verification
from flagtrail.sync import Session
from flagtrail.turns import Turns
from flagtrail.upkeep import streams_due
from flagtrail.window import Window
from flagtrail.workers.planning import is_due, looked_at, recall_quiet
from flagtrail.workers.queue import Priority, Queue

MOST = 60  # requests that one job of older gaps should take, about: the newest time of its stream waits for it
DOWN = 15.0  # seconds that a vendor is left alone by a worker which could not reach it
PRIORITY = {Reach.NEW: Priority.NEWEST, Reach.OLD: Priority.OLDER}

log = structlog.get_logger()


class Stopped(Exception):
    """A job did not come to its end because its worker was told to stop, or its source was exchanged."""


class Jobs:
    """The jobs of one worker; `find` returns its session of a source, None when it has none (any more).

    Each returns whether it came to its end; else it is to be done again. Raises Stopped when nothing else kept it.
    """

    def __init__(self, turns: Turns, queue: Queue, find: Callable[[str], Session | None]) -> None:
        self.turns, self.queue, self.find = turns, queue, find
        self._down_until: dict[str, float] = {}

    def plan(self, source: str, timestamp: int | None = None) -> bool:
        """Let be read what is wanted of a source; at a tick only if that is due."""
        session = self.find(source)
        if session is None:
            return True
        if timestamp is not None and not is_due(session.source.every, timestamp, looked_at(self.turns.store, source)):
            return True

        def put() -> list[Job]:
            self._put_reads(session)
            return []  # it reads nothing itself

        report = self.turns.read(session, "plan", lambda turn: session.read(put, Reach.OLD, turn))
        return self._finished(session, report)

    def put_plan(self, source: str) -> None:
        """Let a source be planned soon; raises StoreError."""
        # Not as a tick: one that waits may turn out not to be due, and what was wished for would be lost with it.
        self.queue.put("plan", source, Priority.PLAN, lock=f"plan {source}", once=f"look {source}")

    def read(self, source: str, stream: str, reach: str, windows: list[list[Any]]) -> bool:
        """Read what nobody has read yet of windows of a stream; what is too much at once is put back."""
        session = self.find(source)
        known = session.discovery.named(stream) if session else None
        if session is None or known is None or time.monotonic() < self._down_until.get(source, 0.0):
            return True
        wanted = [Job(known, Window.of_ms(since, until), expected) for since, until, expected in windows]
        most = MOST if reach == Reach.OLD.value else None

        def reading(turn: Turn) -> Report:
            report = session.read(lambda: wanted, Reach(reach), turn, most)
            if report.left and not (report.error or report.stopped):
                self._put_read(session, report.left, Reach(reach))
            return report

        with bound_contextvars(stream=stream):
            return self._finished(session, self.turns.read(session, "read", reading))

    def upkeep(self, source: str, timestamp: int | None = None) -> bool:
        """Delete what is too old, fetch full forms, and let streams be verified of which that is due."""
        session = self.find(source)
        return session is None or _ended(session, self.turns.upkeep(session, self._put_verifications))

    def verify(self, source: str, stream: str) -> bool:
        """Verify what is due of one stream."""
        session = self.find(source)
        return session is None or _ended(session, self.turns.verify(session, stream))

    def _put_reads(self, session: Session) -> None:
        recall_quiet(session)
        looks = session.wanted(Reach.NEW)
        gaps = [job for job in session.wanted(Reach.OLD) if session.unread(job)]
        put = sum(self._put_read(session, [job], Reach.NEW) for job in looks)
        put += sum(self._put_read(session, [job], Reach.OLD) for job in gaps)
        log.info("planned", source=session.source.name, streams=len(looks), behind=len(gaps), jobs=put)

    def _put_read(self, session: Session, jobs: list[Job], reach: Reach) -> bool:
        source, stream = session.source.name, jobs[0].stream.name
        lock = f"{source}/{stream}"
        windows = [[job.window.since_ms, job.window.until_ms, job.expected] for job in jobs]
        return self.queue.put(
            "read", source, PRIORITY[reach], lock=lock, once=f"{reach.value} {lock}", stream=stream, reach=reach.value,
            windows=windows,
        )  # fmt: skip

    def _put_verifications(self, session: Session) -> list[Verification]:
        source = session.source.name
        for stream in streams_due(session):
            lock = f"verify {source}/{stream}"  # not that of reading: what is new must not wait for it
            self.queue.put("verify", source, Priority.VERIFY, lock=lock, once=lock, stream=stream)
        return []

    def _finished(self, session: Session, report: Report | None) -> bool:
        """Return whether a job that reads came to its end, and remember a vendor that could not be reached."""
        if not _ended(session, report) or report is None:
            return False
        if report.stopped:
            raise Stopped
        if report.error and not report.refused and report.error != session.discovery.failed:
            self._down_until[report.source] = time.monotonic() + DOWN
        if self.turns.after is not None:
            self.turns.after(report)
        return True


def _ended(session: Session, result: object) -> bool:
    """Return whether a turn came to its end; raises Stopped."""
    if result is None and session.stopping.is_set():
        raise Stopped
    return result is not None
