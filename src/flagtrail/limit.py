"""Keeps one credential inside the vendor's request limits, as the vendor's own headers tell them.

The vendors' headers differ in name and unit, so each connector translates them into allowances; the waiting is here.
Nothing of a limit that is not left to others is to be wasted, and no request is to be refused once a limit is known.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flagtrail.ledger import Ledger, Told, UnderWay

RESERVE = 0.2  # share of each limit that is left to the customer's other tools, unless the config says otherwise
LONGEST_RESET = 60.0  # seconds; the longest known limit window is LaunchDarkly's, of 10 s: more is a broken header
LONGEST_WAIT = 60.0  # seconds that a thread waits for a request, instead of giving up until the next tick
SHORTEST_WAIT = 0.1  # seconds; a reset in the past must not become a busy loop
AT_ONCE = 0.01  # seconds until a reset that is known exactly, and passes just now
EARLY = 0.25  # seconds to wait on when a limit turns out not to have started afresh yet
SAME_RESET = 1.0  # seconds that two answers about the same limit window may differ by
UNKNOWN_RESET = 1.0  # seconds between probes while nothing remains and the vendor does not say until when
SLIP = 2.0  # seconds that a Date and the network make a reset seem later than it is; more, and a clock was set
FORGET = 0.0005  # share by which each answer moves what is known of the vendor's clock: clocks drift apart slowly


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many more requests one limit of the vendor allows, and when it starts afresh.

    `name` tells the vendor's limits apart; one that is `by_route` is counted for each route of its own. `limit` is the
    whole size, None when unknown; `resets_in` is in seconds from now, None when the vendor does not say it in a unit
    that is known. `resets_at` is the same instant in seconds by the vendor's own clock, where it says it exactly: it
    tells one window of the limit from the next.
    """

    name: str
    remaining: int
    limit: int | None = None
    resets_in: float | None = None
    resets_at: float | None = None
    by_route: bool = False


Dialect = Callable[[Mapping[str, str], datetime | None], Iterable[Allowance]]
"""Reads the allowances out of response headers (names in lower case), given the vendor's own time of the answer."""


@dataclass(slots=True)
class _Budget:
    """What is known of one limit; `remaining` is the least that was told of this window, requests under way included.

    `size` is the whole limit, or the most that was told to remain in this window and the last. While `probing`, the
    limit should have started afresh, and one request finds out.
    """

    remaining: float
    resets_at: float
    size: int
    window: float | None = None
    length: float = 0.0  # the longest wait for a reset that was told: about the length of a window
    most: int = 0
    probing: bool = False

    def lacks(self, under_way: int, reserve: float, spare: float) -> bool:
        """Return whether a request that leaves this share of the limit to others, besides the reserve, has to wait."""
        # A share that is cut off to whole requests never takes all of a small limit.
        kept = 0 if self.probing else int(self.size * reserve) + min(int(self.size * spare), max(self.size - 1, 0))
        return self.remaining - kept - under_way < 1

    def start_afresh(self, now: float, under_way: int) -> None:
        """Let one request through; its answer tells how much there is."""
        self.remaining, self.probing = under_way + 1, True
        self.resets_at = now + UNKNOWN_RESET


@dataclass
class Limiter:
    """Makes every thread of one credential wait until the vendor allows another request.

    `reserve` is the share of each limit that is left to the customer's other tools: LaunchDarkly's limits belong to the
    whole account, not to our token. A `ledger` is kept together with other processes.
    """

    reserve: float = RESERVE
    ledger: Ledger | None = None
    _budgets: dict[tuple[str, str], _Budget] = field(default_factory=dict)
    _under_way: Counter[str] = field(default_factory=Counter)  # by route; all of them under the empty name
    _heard: set[str] = field(default_factory=set)  # routes that were answered
    _waiting: list[tuple[float, str]] = field(default_factory=list)  # spare and route of each thread that waits
    _vendor_clock: float | None = None  # seconds from the vendor's clock to ours, at least
    _held_until: float = 0.0
    _refused_until: dict[tuple[float, str], float] = field(default_factory=dict)  # by the ledger, by spare and route
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    def acquire(self, spare: float = 0.0, route: str = "*") -> bool:
        """Wait for a request to be allowed and count it as under way; return whether it is.

        It is not when the limiter was closed meanwhile, or the vendor wants us away for longer than a thread waits.

        `spare` is the share of each limit that this request leaves to others of the same credential: what can wait
        takes only what is left over, and lets those go first that leave nothing. `route` is what the vendor may count
        requests by; the first request of each goes alone, because nobody knows yet how many are allowed.
        """
        me = (spare, route)
        with self._changed:
            waiting = False
            try:
                while not self._closed:
                    now = time.monotonic()
                    wait = max(self._wait_needed(now, spare, route), self._refused_until.get(me, now) - now)
                    if wait <= 0 and self.ledger is not None:
                        wait = self.ledger.take(route, self.reserve, spare, self._counted(route))
                        self._refused_until[me] = now + wait
                        if wait > LONGEST_WAIT:  # a worker elsewhere was refused: no limit takes that long
                            self._held_until = max(self._held_until, now + wait)
                    if wait <= 0:
                        self._under_way[""] += 1
                        self._under_way[route] += 1
                        return True
                    if self._held_until - now > LONGEST_WAIT:
                        return False
                    if not waiting:
                        waiting = True
                        self._waiting.append(me)
                    self._changed.wait(wait)
                return False
            finally:
                if waiting:
                    self._waiting.remove(me)
                    if not spare and any(other for other, _ in self._waiting):
                        self._changed.notify_all()  # they let this one go first

    def release(self, allowances: Iterable[Allowance] = (), route: str = "*") -> None:
        """Count a request as answered, and learn what its answer said about the limits."""
        with self._changed:
            self._under_way[""] -= 1
            self._under_way[route] -= 1
            self._heard.add(route)
            now = time.monotonic()
            told = {(one.name, route if one.by_route else ""): one for one in allowances}
            news = []
            for key, one in told.items():
                self._learn(key, one, now)
                news.append(self._shared(key, one.remaining, now, one.resets_at))
            for key, budget in self._budgets.items():
                if key not in told and key[1] in ("", route):
                    probed = budget.probing
                    self._count_silently(budget)
                    if probed:  # nobody knows the name of the window that has begun
                        news.append(self._shared(key, int(budget.remaining), now, None))
            if self.ledger is not None:
                self.ledger.learn(news, route, self._counted(route))
            self._changed.notify_all()

    def hold(self, seconds: float) -> None:
        """Let no request start for this long: the vendor refused one."""
        with self._changed:
            self._held_until = max(self._held_until, time.monotonic() + seconds)
        if self.ledger is not None and seconds > 0:
            self.ledger.hold(seconds)

    def held(self) -> float:
        """Return for how many seconds no request may start because the vendor refused one."""
        with self._changed:
            return max(0.0, self._held_until - time.monotonic())

    def left(self) -> dict[str, tuple[float, int]]:
        """Return how many requests remain of each limit that is known, and its whole size, by the vendor's name of it.

        Of a limit that is counted by route, the route with the least. One that has started afresh since is whole.
        """
        found: dict[str, tuple[float, int]] = {}
        with self._changed:
            now = time.monotonic()
            for (name, _), budget in self._budgets.items():
                remaining = budget.size if budget.resets_at <= now or budget.probing else max(0.0, budget.remaining)
                if name not in found or remaining < found[name][0]:
                    found[name] = (remaining, budget.size)
        return found

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

    def _learn(self, key: tuple[str, str], told: Allowance, now: float) -> None:
        """Take over what an answer said of one limit, unless it is about a window that is over."""
        old = self._budgets.get(key)
        resets_at = self._reset(told, now)
        same = False
        if old is not None and told.resets_at is not None and old.window is not None:
            if told.resets_at < old.window and not old.probing:
                return  # it was overtaken by an answer of a newer window
            same = told.resets_at == old.window
        elif old is not None and told.resets_in is not None:
            same = abs(resets_at - old.resets_at) < SAME_RESET
        elif old is not None:  # nothing tells one window from another, but that much remains again
            same = told.remaining <= old.remaining + self._under_way[key[1]] + 1
        remaining: float = told.remaining
        if same and old is not None and old.probing and told.resets_in:
            resets_at = max(resets_at, now + EARLY)
        if same and old is not None and not old.probing:
            remaining = min(remaining, old.remaining)  # answers overtake each other: the least is true
        new = _Budget(remaining, resets_at, told.limit or 0, told.resets_at, told.resets_in or 0.0, told.remaining)
        if old is not None:
            new.length = max(new.length, old.length)
            new.most = max(told.remaining, old.most) if same else told.remaining
            new.size = new.size or max(new.most, old.size if same else old.most)
        new.size = new.size or new.most
        self._budgets[key] = new

    def _shared(self, key: tuple[str, str], left: int, now: float, window: float | None) -> Told:
        """Return what an answer said, for others."""
        budget = self._budgets[key]
        return Told(*key, left, budget.size, max(budget.resets_at - now, AT_ONCE), window)

    def _counted(self, route: str) -> UnderWay:
        return UnderWay(self._under_way[""], self._under_way[route])

    def _reset(self, told: Allowance, now: float) -> float:
        """Return when a limit starts afresh by our clock, as exactly as all answers together tell.

        A Date is cut to the second and an answer travels: each makes the reset seem later than it is, never earlier.
        So the earliest of what the answers say of the vendor's clock is the best.
        """
        if told.resets_in is None or told.resets_in <= 0:
            return now + max(UNKNOWN_RESET, SHORTEST_WAIT)
        if told.resets_at is None or told.resets_in > LONGEST_RESET:
            return now + min(max(told.resets_in, SHORTEST_WAIT), LONGEST_RESET)
        seems = now + told.resets_in - told.resets_at
        known = self._vendor_clock
        if known is None or not known < seems < known + SLIP:
            known = seems
        self._vendor_clock = known + (seems - known) * FORGET
        return max(told.resets_at + self._vendor_clock, now + AT_ONCE)

    def _count_silently(self, budget: _Budget) -> None:
        """Count a request whose answer says nothing of a limit that other answers tell of."""
        if budget.probing:
            budget.remaining, budget.probing = budget.size, False
            budget.resets_at = max(budget.resets_at, time.monotonic() + min(budget.length, LONGEST_RESET))
        budget.remaining -= 1

    def _wait_needed(self, now: float, spare: float, route: str) -> float:
        wait = self._held_until - now
        if route not in self._heard and self._under_way[route]:
            wait = max(wait, LONGEST_RESET)  # its answer wakes us
        if any(self._goes_first(other, spare, route) for other in self._waiting):
            wait = max(wait, UNKNOWN_RESET)
        for key, budget in self._budgets.items():
            if key[1] not in ("", route):
                continue
            under_way = self._under_way[key[1]]
            if budget.resets_at <= now:
                budget.start_afresh(now, under_way)
            if budget.lacks(under_way, self.reserve, spare):
                # A little later than told, and not at the same time as another program: clocks differ.
                wait = max(wait, budget.resets_at - now + random.uniform(0.01, 0.05))  # noqa: S311
        return wait

    def _goes_first(self, other: tuple[float, str], spare: float, route: str) -> bool:
        """Return whether a thread that waits leaves nothing to others, and waits for what this one would take."""
        if other[0] or not spare or other[1] not in self._heard:
            return False
        if other[1] == route:
            return True
        own = (budget for key, budget in self._budgets.items() if key[1] == other[1] != "")
        return not any(budget.lacks(self._under_way[other[1]], self.reserve, other[0]) for budget in own)
