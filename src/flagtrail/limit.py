"""Keeps one credential inside the vendor's request limits, as the vendor's own headers tell them.

The vendors' headers differ in name and unit, so each connector translates them into allowances; the waiting is here.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

LONGEST_RESET = 60.0  # seconds; the longest known limit window is LaunchDarkly's, of 10 s: more is a broken header
SHORTEST_WAIT = 0.1  # seconds; a reset in the past must not become a busy loop
SAME_RESET = 1.0  # seconds that two answers about the same limit window may differ by
UNKNOWN_RESET = 1.0  # seconds between probes while nothing remains and the vendor does not say until when


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many more requests one limit of the vendor allows, and when it starts afresh.

    `name` tells the vendor's limits apart; `limit` is the whole size, None when unknown; `resets_in` is in seconds from
    now, None when the vendor does not say it in a unit that is known.
    """

    name: str
    remaining: int
    limit: int | None = None
    resets_in: float | None = None


Dialect = Callable[[Mapping[str, str], datetime | None], Iterable[Allowance]]
"""Reads the allowances out of response headers (names in lower case), given the vendor's own time of the answer."""


@dataclass(slots=True)
class _Budget:
    spendable: float
    resets_at: float
    fresh: float  # what may be spent when the limit starts afresh, until an answer tells: one request if unknown
    limit: int = 0  # the whole size, or the most that was ever told to remain
    probing: bool = False  # it has started afresh, and the next answer tells with how much

    def lacks(self, spare: float) -> bool:
        """Return whether a request that leaves this share of the limit to others has to wait."""
        kept = 0 if self.probing else min(spare * self.limit, max(self.fresh, self.limit) - 1)
        return self.spendable - kept < 1


@dataclass
class Limiter:
    """Makes every thread of one credential wait until the vendor allows another request.

    `reserve` is the share of each limit that is left to the customer's other tools: LaunchDarkly's limits belong to the
    whole account, not to our token.
    """

    reserve: float = 0.2
    _budgets: dict[str, _Budget] = field(default_factory=dict)
    _in_flight: int = 0
    _held_until: float = 0.0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    def acquire(self, spare: float = 0.0) -> bool:
        """Wait for a request to be allowed and count it as under way; False when the limiter was closed meanwhile.

        `spare` is the share of each limit that this request leaves to others of the same credential: what can wait
        takes only what is left over.
        """
        with self._changed:
            while not self._closed:
                wait = self._wait_needed(time.monotonic(), spare)
                if wait <= 0:
                    for budget in self._budgets.values():
                        budget.spendable -= 1
                    self._in_flight += 1
                    return True
                self._changed.wait(wait)
            return False

    def release(self, allowances: Iterable[Allowance] = ()) -> None:
        """Count a request as answered, and learn what its answer said about the limits."""
        with self._changed:
            self._in_flight -= 1
            now = time.monotonic()
            for told in allowances:
                kept_back = int(told.limit * self.reserve) if told.limit else 0
                fresh = max(1, told.limit - kept_back) if told.limit else 1
                resets_in = UNKNOWN_RESET if told.resets_in is None else told.resets_in
                spendable: float = told.remaining - kept_back - self._in_flight
                resets_at = now + min(max(resets_in, SHORTEST_WAIT), LONGEST_RESET)
                old = self._budgets.get(told.name)
                if old is not None and told.resets_in is not None and abs(resets_at - old.resets_at) < SAME_RESET:
                    spendable = min(spendable, old.spendable)  # answers overtake each other: the least is true
                size = told.limit or max(told.remaining, old.limit if old else 0)
                self._budgets[told.name] = _Budget(spendable, resets_at, fresh, size)
            self._changed.notify_all()

    def hold(self, seconds: float) -> None:
        """Let no request start for this long: the vendor refused one."""
        with self._changed:
            self._held_until = max(self._held_until, time.monotonic() + seconds)

    def held(self) -> float:
        """Return for how many seconds no request may start because the vendor refused one."""
        with self._changed:
            return max(0.0, self._held_until - time.monotonic())

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def pause(self, seconds: float) -> bool:
        """Sleep, and return True; return False at once when the limiter is closed."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._closed, seconds)

    def close(self) -> None:
        """Wake everyone who waits; nobody is let through any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait_needed(self, now: float, spare: float) -> float:
        wait = self._held_until - now
        for budget in self._budgets.values():
            if budget.resets_at <= now:
                # Not everybody at once into the unknown: the next answer tells how much there is.
                budget.spendable, budget.resets_at, budget.probing = budget.fresh, now + UNKNOWN_RESET, True
            if budget.lacks(spare):
                # A little later than told, and not everybody at once: clocks differ.
                wait = max(wait, budget.resets_at - now + random.uniform(0.01, 0.1))  # noqa: S311
        return wait
