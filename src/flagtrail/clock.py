"""The vendor's clock, as its Date headers tell it: it decides what has settled, and ours does not."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

STEP = timedelta(seconds=60)  # two answers of one vendor do not differ by more, unless one of them is wrong


class VendorClock:
    """Shows the vendor's time between its answers. A date that jumps is doubted until a second one agrees with it.

    A jump may be a cache that answers, or one broken server: believing it would count time as settled that is not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: tuple[datetime, float] | None = None
        self._doubted: tuple[datetime, float] | None = None

    def now(self) -> datetime | None:
        """Return the vendor's present time; None before its first answer."""
        with self._lock:
            return None if self._set is None else _shown(self._set, time.monotonic())

    def learn(self, header: str | None) -> datetime | None:
        """Return the time that a Date header tells; None when there is none, or it cannot be trusted."""
        date = _parsed(header)
        if date is None:
            return None
        at = time.monotonic()
        with self._lock:
            if not _agree(self._set, date, at):
                if self._set is not None and not _agree(self._doubted, date, at):
                    self._doubted = (date, at)
                    return None
                self._set = (date, at)
            elif self._set is not None and date > _shown(self._set, at):
                self._set = (date, at)  # an answer that was overtaken does not turn the clock back
            self._doubted = None
        return date


def _parsed(header: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(header or "")
        # Without a zone, or with -0000, it is UTC all the same (RFC 9110, 5.6.7), not the zone of this machine.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _shown(clock: tuple[datetime, float], at: float) -> datetime:
    """Return what a clock shows at a moment, that was set to a date at another one."""
    date, when = clock
    return date + timedelta(seconds=at - when)


def _agree(clock: tuple[datetime, float] | None, date: datetime, at: float) -> bool:
    return clock is not None and abs(date - _shown(clock, at)) <= STEP
