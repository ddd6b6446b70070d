"""Says when a request that failed is tried again: what passes by itself is, but nobody waits for long."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

from flagtrail.errors import RateLimited
from flagtrail.limit import LONGEST_WAIT

ATTEMPTS = 6
BACKOFF = tenacity.wait_random_exponential(multiplier=0.5, max=60)
LONGEST_RETRY_AFTER = 900.0  # seconds


class NotWorthWaiting(tenacity.stop.stop_base):
    """Gives up when the vendor wants us away for longer than a thread should wait: the next tick tries again."""

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        """Return whether to give up."""
        error = retry_state.outcome.exception() if retry_state.outcome else None
        return isinstance(error, RateLimited) and (error.retry_after or 0.0) > LONGEST_WAIT


def wait(state: tenacity.RetryCallState) -> float:
    """Return how long to wait before the next try: the vendor's wish is the least, with some jitter on top."""
    seconds = float(BACKOFF(state))
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited) and error.retry_after is not None:
        seconds = max(seconds, error.retry_after + random.uniform(0, 0.25))  # noqa: S311
    return max(seconds, 0.1)


def retry_after(values: list[str], date: datetime | None) -> float | None:
    """Return the longest wait that Retry-After headers ask for, in seconds; they hold seconds or a date."""
    waits = []
    for value in values:
        try:
            waits.append(float(min(int(value), int(LONGEST_RETRY_AFTER))))
        except ValueError:
            try:
                waits.append((parsedate_to_datetime(value) - (date or datetime.now(UTC))).total_seconds())
            except (ValueError, TypeError):
                continue
    return min(max(waits), LONGEST_RETRY_AFTER) if waits and max(waits) > 0 else None
