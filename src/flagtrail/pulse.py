"""What a running daemon knows of itself and no table tells: that it ticks, what is under way, what was asked.

The daemon writes it, from many threads; health, metrics and the watchdog of systemd are answered from it.
"""

import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from flagtrail.limit import Limiter
from flagtrail.report import Report
from flagtrail.sync import Session

LATE = 30.0  # seconds without a beat after which a loop counts as dead: it beats every second, or every few
CALLS = 4  # innermost calls of ours that are told of each thread of a turn that is stuck
KNOWN = frozenset({"200", "400", "401", "403", "404", "408", "429", "500", "502", "503", "504", "none"})


class Turn:
    """One job of one source, as it is under way; as a `Watch` it is told what moves.

    `has_plan` says that it knows which windows it reads: then each of them is a sign of life, and what other jobs of
    the source hear from the vendor is none any more.
    """

    def __init__(self, source: str, job: str, owner: object = None) -> None:
        self.source, self.job, self.owner = source, job, owner
        self.thread = threading.get_ident()
        self.moved_at = time.monotonic()
        self.has_plan = False
        self.trace: Any = None  # where its spans belong

    def move(self) -> None:
        """Note a sign of life."""
        self.moved_at = time.monotonic()

    def planned(self, jobs: int, records: int | None) -> None:
        """Note that it is known now what will be read."""
        self.has_plan = True
        self.move()

    def stored(self, new: int) -> None:
        """Note that pages were stored."""
        self.move()

    def finished(self) -> None:
        """Note that a window was read to its end, or given up."""
        self.move()

    def ended(self) -> None:
        """Note that everything was read."""
        self.has_plan = False
        self.move()

    @property
    def idle_for(self) -> float:
        """For how many seconds there was no sign of life."""
        return time.monotonic() - self.moved_at

    def where(self) -> list[str]:
        """Return where its threads stand, as `module:line function`: the innermost call of each, and those of ours.

        No values are told, which may be secret.
        """
        readers = {each.ident for each in threading.enumerate() if each.name.startswith(f"{self.source}-")}
        told = []
        for ident, frame in sys._current_frames().items():
            if ident == self.thread or ident in readers:
                calls = [(inner.f_globals.get("__name__", ""), line, inner.f_code.co_name)
                         for inner, line in traceback.walk_stack(frame)]  # fmt: skip
                ours = [call for call in calls[1:] if call[0].startswith("flagtrail")]
                told += [f"{module}:{line} {function}" for module, line, function in [calls[0], *ours[:CALLS]]]
        return told


class Pulse:
    """The signs of life of one process; safe to use from many threads.

    `refused` are the sources whose vendor refuses them, with its words; `limiters` those of the sources by name;
    `reload_failed` is why the config that stands now was not taken over, None when it was.
    """

    def __init__(self, stuck: timedelta = timedelta(minutes=15)) -> None:
        self.stuck_after = stuck.total_seconds()
        self.refused: dict[str, str] = {}
        self.limiters: dict[str, Limiter] = {}
        self.requests: Counter[tuple[str, str]] = Counter()
        self.reload_failed: str | None = None
        self.reloaded_at = datetime.now(UTC)
        self._beats: dict[str, float] = {}
        self._turns: set[Turn] = set()
        self._lock = threading.Lock()

    def beat(self, loop: str) -> None:
        """Note that a loop of this name ticks; from its first beat on it has to go on."""
        self._beats[loop] = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """Whether every loop that began ticks still."""
        return all(time.monotonic() - at < LATE for at in self._beats.copy().values())

    @contextmanager
    def turn(self, source: str, job: str, owner: object = None) -> Iterator[Turn]:
        """Tell of a job of a source for as long as it is under way, in this thread; `owner` is whose it is."""
        turn = Turn(source, job, owner)
        with self._lock:
            self._turns.add(turn)
        try:
            yield turn
        finally:
            with self._lock:
                self._turns.remove(turn)

    def is_busy(self, owner: object) -> bool:
        """Return whether anything of somebody's is under way."""
        with self._lock:
            return any(turn.owner is owner for turn in self._turns)

    def note(self, report: Report, session: Session) -> None:
        """Note how a source was read: whether its vendor refuses it."""
        if session.stopping.is_set():
            return  # it is leaving: another session may have its name by now, or nobody
        name = report.source
        refused = report.refused.get(None)
        if refused is not None:
            self.refused[name] = str(refused)
        elif not (report.error or report.stopped):
            self.refused.pop(name, None)
        self.limiters[name] = session.api.limiter

    def answered(self, source: str, status: str) -> None:
        """Count a request to a source's vendor, by the status of its answer, `none` without one."""
        folded = status if status in KNOWN else f"{status[:1]}xx"
        with self._lock:
            self.requests[source, folded] += 1
            for turn in self._turns:
                if turn.source == source and not turn.has_plan:
                    turn.move()

    def counted(self) -> dict[tuple[str, str], int]:
        """Return how many requests were made, by source and status."""
        with self._lock:
            return dict(self.requests)

    def stuck(self) -> list[Turn]:
        """Return what has been under way without any sign of life for too long."""
        with self._lock:
            return [turn for turn in self._turns if turn.idle_for > self.stuck_after]

    def forget(self, sources: Iterable[str]) -> None:
        """Forget sources that are not read any more; what was asked of them stays counted."""
        for name in sources:
            self.refused.pop(name, None)
            self.limiters.pop(name, None)
