"""Runs work on several sources at the same time, with a progress bar for each, until it is done or interrupted."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from flagtrail import memory
from flagtrail.cli.showing import err
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session

AWAKE = 1.0  # seconds that a signal may have to wait: it may reach another thread than the one that sleeps here
GRACE = 4.0  # seconds for the pages under way to be stored; then the rest stays a gap for the next time
Done = TypeVar("Done")


def at_once(sources: list[Source], store: Store, work: Callable[[Session, "Bar"], Done], *, quiet: bool) -> list[Done]:
    """Do something with several sources at the same time, each with a progress bar, and return what came of it."""
    memory.give_back()
    sessions = [Session(source, store) for source in sources]
    with _progress(quiet) as progress, contextlib.ExitStack() as open_sessions:
        for session in sessions:
            open_sessions.enter_context(session)
        pool = ThreadPoolExecutor(len(sessions))
        with _terminable():
            bars = [Bar(progress, session.source.name) for session in sessions]
            running = [pool.submit(work, *pair) for pair in zip(sessions, bars, strict=True)]
            try:
                while wait(running, timeout=AWAKE).not_done:
                    pass
                return [done.result() for done in running]
            except BaseException:
                for session in sessions:
                    session.stop()
                wait(running, timeout=GRACE)
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


class Bar:
    """Shows one source's sync as a progress bar."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress = progress
        self.task = progress.add_task(name, total=None, records=0, rate=0.0)
        self.records, self.windows, self.by_records = 0, 0, False
        self.started = time.monotonic()

    def planned(self, jobs: int, records: int | None) -> None:
        """Measure by the vendor's count of records where there is one, else by windows."""
        self.by_records = bool(records)
        self.progress.update(self.task, total=max(records or jobs, 1))

    def stored(self, new: int) -> None:
        """Move the bar."""
        self.records += new
        rate = self.records / max(time.monotonic() - self.started, 0.001)
        self.progress.update(self.task, records=self.records, rate=rate)
        if self.by_records:
            self.progress.update(self.task, completed=self.records)

    def finished(self) -> None:
        """Move the bar, where it counts windows."""
        self.windows += 1
        if not self.by_records:
            self.progress.update(self.task, completed=self.windows)

    def ended(self) -> None:
        """Fill the bar, whatever the vendor had counted."""
        if self.by_records:
            self.progress.update(self.task, total=max(self.records, 1), completed=max(self.records, 1))


def _progress(quiet: bool) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[records]} events, {task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
        console=err,
        disable=quiet or not err.is_terminal,
        transient=False,
    )


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C: stop soon, keep what is stored."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
