"""Hands out what is to be read, newest first, and when nothing is left, the older half of what somebody reads."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta

from flagtrail.plan import Job
from flagtrail.window import Window, subtract

WORTHWHILE = 4  # pages that must be left of a job before somebody else takes half of them
SHORTEST = timedelta(seconds=10)  # what is left is not divided any more when it is shorter
AWAKE = 0.5  # seconds after which an idle reader looks again whether everything has come to an end


class Part:
    """A job that somebody reads, as far as it is still that reader's; `taken` when it was a part of another's."""

    def __init__(self, job: Job, *, taken: bool = False) -> None:
        self.job, self.taken = job, taken
        self.left = [job.window]
        self.narrowed = False  # somebody took a part of it over
        self.records = 0

    @property
    def requests_left(self) -> float:
        """How many requests are left, as far as one can tell; 0 before the first window of it was covered."""
        left = sum((window.length for window in self.left), timedelta())
        done = self.job.window.length - left
        if not (left and done):
            return 0.0
        known = (self.job.expected or 0) - self.records
        return (known if known > 0 else self.records * (left / done)) / self.job.stream.page


class Jobs:
    """The jobs of one run, shared by its readers."""

    def __init__(self, jobs: Iterable[Job], wanted: Callable[[Job], bool]) -> None:
        """Prepare to hand out jobs, leaving out those that are not `wanted` any more when their turn comes."""
        self.waiting = deque(jobs)
        self._wanted = wanted
        self._running: list[Part] = []
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return len(self.waiting)

    def take(self, ending: Callable[[], bool]) -> Part | None:
        """Return what to read next; None when everything is read, or is to end."""
        with self._changed:
            while not ending():
                part = self._next() or self._half()
                if part is not None:
                    self._running.append(part)
                    return part
                if not self._running:
                    return None
                self._changed.wait(AWAKE)
            return None

    def note(self, part: Part, records: int, window: Window | None) -> None:
        """Note what an answer brought in, and the window that needs not be read any more."""
        with self._changed:
            part.records += records
            if window is not None:
                part.left = [rest for each in part.left for rest in subtract(each, [window])]
                self._changed.notify_all()

    def nothing_left(self, part: Part) -> bool:
        """Return whether what is left of a job was taken over by another reader."""
        with self._changed:
            return part.narrowed and not part.left

    def finished(self, part: Part) -> None:
        """Note that nobody reads this any more."""
        with self._changed:
            self._running.remove(part)
            self._changed.notify_all()

    def _next(self) -> Part | None:
        while self.waiting:
            job = self.waiting.popleft()
            if self._wanted(job):
                return Part(job)
        return None

    def _half(self) -> Part | None:
        """Return the older half of what is left of the longest job: its reader ends where this one begins."""
        running = max(self._running, key=lambda part: part.requests_left, default=None)
        if running is None or running.requests_left < WORTHWHILE or not self._wanted(running.job):
            return None
        left = Window(running.left[0].since, running.left[-1].until)
        if left.length < SHORTEST:
            return None
        middle = (left.since + left.length / 2).replace(microsecond=0)
        older = Window(left.since, middle)
        expected = running.requests_left * running.job.stream.page / 2
        running.left = [rest for each in running.left for rest in subtract(each, [older])]
        running.narrowed = True
        return Part(Job(running.job.stream, older, expected), taken=True)
