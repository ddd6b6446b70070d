"""Ends what takes a database too long, for those who asked within a limit of time; who stores is never limited."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Deadline(NamedTuple):
    """Until when a question may take, by the monotonic clock, and how many seconds that were."""

    at: float
    seconds: float


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the database end what is asked of it in this context after so many seconds: TooSlow is raised then."""
    token = _deadline.set(Deadline(time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def deadline() -> Deadline | None:
    """Return the deadline of this context; None when there is none."""
    return _deadline.get()


def milliseconds_left() -> int | None:
    """Return how much time is left, at least one millisecond; None when there is no deadline."""
    found = _deadline.get()
    return None if found is None else max(1, round((found.at - time.monotonic()) * 1000))
