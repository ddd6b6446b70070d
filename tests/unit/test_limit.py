"""The request limits: what is let through, what waits, and what wakes it."""

import threading
import time
from collections.abc import Callable

import pytest

from flagtrail import limit
from flagtrail.ledger import Told, UnderWay
from flagtrail.limit import Allowance, Limiter

LATER = 60.0  # seconds until a limit starts afresh: longer than any test takes
SOON = 20.0  # seconds within which a thread that may go on does


def spent(limiter: Limiter, *allowances: Allowance) -> Limiter:
    """Let one request through and tell the limiter what its answer said."""
    assert limiter.acquire()
    limiter.release(allowances)
    return limiter


def settle(limiter: Limiter, threads: list[threading.Thread]) -> None:
    """Wait until every thread has either come to its end or waits for the limiter."""
    deadline = time.monotonic() + SOON
    while len(limiter._changed._waiters) < sum(thread.is_alive() for thread in threads):  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, "the threads neither end nor wait"
        time.sleep(0.005)


def let_through(limiter: Limiter, threads: int) -> int:
    """Return how many of so many threads start a request before the limiter is closed; none of them is answered."""
    passed: list[bool] = []
    workers = [threading.Thread(target=lambda: passed.append(limiter.acquire())) for _ in range(threads)]
    for worker in workers:
        worker.start()
    settle(limiter, workers)
    limiter.close()
    for worker in workers:
        worker.join(SOON)
    assert len(passed) == threads, "a thread was not woken"
    return sum(passed)


def seconds_of(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def test_the_first_request_goes_alone_and_after_its_answer_nobody_waits() -> None:
    assert let_through(Limiter(), 8) == 1
    assert let_through(spent(Limiter()), 8) == 8


def test_the_first_request_of_each_route_goes_alone() -> None:
    limiter = spent(Limiter())
    assert limiter.acquire(route="GET /list")
    limiter.release(route="GET /list")
    assert limiter.acquire(route="GET /one")
    passed = threading.Event()
    second = threading.Thread(target=lambda: passed.set() if limiter.acquire(route="GET /one") else None)
    second.start()
    assert not passed.wait(0.05)
    assert limiter.acquire(route="GET /list")
    limiter.release(route="GET /one")
    assert passed.wait(SOON)
    second.join(SOON)


def test_as_many_requests_start_as_remain() -> None:
    limiter = spent(Limiter(), Allowance("all", remaining=3, resets_in=LATER))
    assert let_through(limiter, 8) == 3


def test_a_share_of_a_known_limit_is_left_to_others() -> None:
    limiter = spent(Limiter(reserve=0.2), Allowance("all", remaining=5, limit=10, resets_in=LATER))
    assert let_through(limiter, 8) == 3


def test_without_a_reserve_everything_may_be_spent() -> None:
    limiter = spent(Limiter(reserve=0.0), Allowance("all", remaining=5, limit=10, resets_in=LATER))
    assert let_through(limiter, 8) == 5


def test_what_others_spent_of_the_reserve_leaves_nothing_for_us() -> None:
    limiter = spent(Limiter(reserve=0.5), Allowance("all", remaining=2, limit=10, resets_in=LATER))
    assert let_through(limiter, 4) == 0


def test_the_tightest_of_several_limits_counts() -> None:
    limiter = spent(
        Limiter(),
        Allowance("global", remaining=100, resets_in=LATER),
        Allowance("route", remaining=2, resets_in=LATER),
        Allowance("token", remaining=50, resets_in=LATER),
    )
    assert let_through(limiter, 8) == 2


def test_a_limit_that_an_answer_does_not_mention_still_counts() -> None:
    limiter = spent(Limiter(), Allowance("route", remaining=3, resets_in=LATER))
    spent(limiter, Allowance("global", remaining=100, resets_in=LATER))
    assert let_through(limiter, 8) == 2


def test_requests_under_way_are_taken_off_what_an_answer_says_remains() -> None:
    limiter = spent(Limiter())
    for _ in range(3):
        assert limiter.acquire()
    limiter.release([Allowance("all", remaining=4, resets_in=LATER)])
    assert let_through(limiter, 8) == 2


def test_an_answer_that_was_overtaken_does_not_raise_the_allowance_again() -> None:
    limiter = spent(Limiter(reserve=0.0))
    assert limiter.acquire()
    assert limiter.acquire()
    limiter.release([Allowance("all", remaining=2, limit=4, resets_in=LATER)])  # the vendor's second answer
    limiter.release([Allowance("all", remaining=3, limit=4, resets_in=LATER)])  # and its first, which took longer
    assert let_through(limiter, 8) <= 2


def ask_twice(told: Allowance) -> None:
    spent(limiter := Limiter(), told)
    assert limiter.acquire()


def test_a_reset_in_the_past_still_makes_a_pause() -> None:
    told = Allowance("all", remaining=0, resets_in=-3600.0)
    assert limit.SHORTEST_WAIT <= seconds_of(lambda: ask_twice(told)) < SOON


def test_an_unknown_reset_is_probed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "UNKNOWN_RESET", 0.25)
    assert 0.25 <= seconds_of(lambda: ask_twice(Allowance("all", remaining=0))) < SOON


def test_a_reset_in_a_thousand_years_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "LONGEST_RESET", 0.2)
    assert 0.2 <= seconds_of(lambda: ask_twice(Allowance("all", remaining=0, resets_in=3e10))) < SOON


def test_after_the_reset_requests_start_again() -> None:
    assert 0.2 <= seconds_of(lambda: ask_twice(Allowance("all", remaining=0, resets_in=0.2))) < SOON


def test_news_of_a_fresh_limit_wakes_those_who_wait() -> None:
    limiter = spent(Limiter())
    assert limiter.acquire()
    spent(limiter, Allowance("all", remaining=0, resets_in=LATER))
    passed = threading.Event()
    waiting = threading.Thread(target=lambda: passed.set() if limiter.acquire() else None)
    waiting.start()
    assert not passed.wait(0.05)
    limiter.release([Allowance("all", remaining=9, resets_in=LATER / 2)])
    assert passed.wait(SOON)
    waiting.join(SOON)


def test_many_threads_never_spend_more_than_one_allowance() -> None:
    limiter, lock, vendor = Limiter(reserve=0.0), threading.Lock(), {"remaining": 60, "refused": 0}
    spent(limiter, Allowance("all", remaining=60, limit=60, resets_in=LATER))

    def work() -> None:
        while limiter.acquire():
            with lock:
                vendor["refused"] += vendor["remaining"] == 0
                vendor["remaining"] = max(0, vendor["remaining"] - 1)
                told = Allowance("all", vendor["remaining"], 60, LATER)
            limiter.release([told])

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    settle(limiter, threads)
    limiter.close()
    for thread in threads:
        thread.join(SOON)
    assert vendor["refused"] == 0
    assert vendor["remaining"] < len(threads), "much of the allowance was left unused"


def test_a_hold_lets_nobody_start_for_so_long() -> None:
    limiter = Limiter()
    started = time.monotonic()
    limiter.hold(0.2)
    assert limiter.acquire()
    assert 0.2 <= time.monotonic() - started < SOON


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    limiter = Limiter()
    limiter.hold(LATER)
    limiter.hold(0.01)
    assert let_through(limiter, 3) == 0


def test_nobody_waits_for_a_hold_that_takes_long() -> None:
    limiter = spent(Limiter(), Allowance("all", remaining=0, resets_in=0.5))
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(limiter.acquire()))
    waiting.start()
    settle(limiter, [waiting])
    limiter.hold(10 * LATER)
    waiting.join(SOON)
    assert answers == [False], "not even who waits already for something else"
    assert not limiter.acquire()
    assert not limiter.closed


class Book:
    """A ledger that lets all through, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.holds: list[float] = []
        self.counts: list[tuple[str, UnderWay]] = []

    def take(self, route: str, reserve: float, spare: float, under_way: UnderWay) -> float:
        self.counts.append((route, under_way))
        return 0.0

    def learn(self, told: list[Told], route: str, under_way: UnderWay) -> None:
        self.told += told
        self.counts.append((route, under_way))

    def hold(self, seconds: float) -> None:
        self.holds.append(seconds)


def test_others_hear_what_is_under_way_and_of_each_answer_what_the_vendor_said() -> None:
    limiter = Limiter(ledger=(book := Book()))
    for route in ("GET /list", "GET /one"):
        assert limiter.acquire(route=route)
    limiter.release([Allowance("all", 9, 10, LATER)], route="GET /list")
    limiter.release(route="GET /one")
    assert book.counts == [
        ("GET /list", UnderWay(0, 0)), ("GET /one", UnderWay(1, 0)), ("GET /list", UnderWay(1, 0)),
        ("GET /one", UnderWay(0, 0)),
    ]  # fmt: skip
    assert [one.remaining for one in book.told] == [9], "less nothing: what is under way is told beside it"


def test_others_hear_of_which_window_an_answer_is_and_all_of_a_refusal() -> None:
    book = Book()
    limiter = spent(Limiter(ledger=book), Allowance("all", 9, 10, 20.0, resets_at=2000.0))
    spent(limiter, Allowance("all", 0, 10, 10.0, resets_at=1990.0))
    assert [(one.remaining, one.window) for one in book.told] == [(9, 2000.0), (0, 1990.0)]
    spent(limiter := Limiter(ledger=book), Allowance("all", 0, 10, 0.05, resets_at=1000.0))
    spent(limiter)
    assert (book.told[-1].remaining, book.told[-1].window) == (9, None), (
        "an answer that says nothing ended the finding out"
    )
    limiter.hold(0.0)
    limiter.hold(3.0)
    assert book.holds == [3.0]


def test_a_pause_lasts_as_long_as_asked() -> None:
    limiter = Limiter()
    assert 0.1 <= seconds_of(lambda: limiter.pause(0.1)) < SOON
    assert limiter.pause(0.0) is True


def test_closing_ends_every_pause_and_every_wait_at_once() -> None:
    limiter = spent(Limiter(), Allowance("all", remaining=0, resets_in=LATER))
    limiter.hold(LATER)
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(limiter.pause(LATER))) for _ in range(5)]
    threads += [threading.Thread(target=lambda: results.append(limiter.acquire())) for _ in range(5)]
    for thread in threads:
        thread.start()
    settle(limiter, threads)
    assert results == []
    limiter.close()
    for thread in threads:
        thread.join(SOON)
    assert results == [False] * 10


def test_a_closed_limiter_lets_nobody_through() -> None:
    limiter = Limiter()
    limiter.close()
    assert limiter.acquire() is False
    assert seconds_of(lambda: limiter.pause(LATER)) < SOON


class Vendor:
    """A limit of so many requests in each span, told as LaunchDarkly does: its Date is cut to the second."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds, self.lock = limit, seconds, threading.Lock()
        self.used: dict[int, int] = {}
        self.refused = 0

    def answer(self) -> Allowance:
        with self.lock:
            now = time.time()
            window = int(now / self.seconds)
            self.used[window] = used = self.used.get(window, 0) + 1
            self.refused += used > self.limit
            end = (window + 1) * self.seconds
            return Allowance("all", max(0, self.limit - used), self.limit, end - int(now), end, by_route=True)


def test_a_limit_is_used_up_but_for_the_reserve_and_nobody_is_refused() -> None:
    vendor, limiter = Vendor(30, 0.5), Limiter(reserve=0.2)

    def work() -> None:
        while limiter.acquire():
            time.sleep(0.005)
            limiter.release([vendor.answer()])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + SOON
    while len(vendor.used) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    limiter.close()
    for thread in threads:
        thread.join(SOON)
    assert vendor.refused == 0
    whole = sorted(vendor.used)[1:-1]
    assert max(vendor.used[window] for window in whole) == 24, "all that is left to us, and nothing of the reserve"


def test_each_route_has_its_own_limit() -> None:
    limiter = Limiter(reserve=0.0)
    for route, remaining in (("GET /list", 2), ("GET /one", 5)):
        assert limiter.acquire(route=route)
        limiter.release([Allowance("route", remaining, 10, LATER, by_route=True)], route)
    for _ in range(5):
        assert limiter.acquire(route="GET /one")
    assert limiter._wait_needed(time.monotonic(), 0.0, "GET /one") > 0
    assert limiter._wait_needed(time.monotonic(), 0.0, "GET /list") <= 0


def test_an_answer_of_a_window_that_is_over_says_nothing_of_the_next() -> None:
    limiter = spent(Limiter(reserve=0.0), Allowance("all", 9, 10, 20.0, resets_at=2000.0))
    spent(limiter, Allowance("all", 0, 10, 10.0, resets_at=1990.0))
    assert let_through(limiter, 12) == 9


def test_after_a_reset_one_request_finds_out_how_much_there_is() -> None:
    limiter = spent(Limiter(reserve=0.0), Allowance("all", 0, 10, 0.05, resets_at=1000.0))
    assert limiter.acquire()
    assert limiter._wait_needed(time.monotonic(), 0.0, "*") > 0
    limiter.release([Allowance("all", 3, 10, 10.0, resets_at=1010.0)])
    assert let_through(limiter, 8) == 3


def test_who_leaves_nothing_to_others_goes_first() -> None:
    limiter = spent(Limiter(reserve=0.0), Allowance("all", 0, 100, LATER, resets_at=1000.0))
    order: list[float] = []

    def ask(spare: float) -> None:
        if limiter.acquire(spare):
            order.append(spare)

    threads = [threading.Thread(target=ask, args=(spare,)) for spare in (0.01, 0.01, 0.01, 0.0)]
    for thread in threads:
        thread.start()
    settle(limiter, threads)
    limiter._under_way.update({"": 1, "*": 1})
    limiter.release([Allowance("all", 2, 100, LATER, resets_at=2000.0)])
    deadline = time.monotonic() + SOON
    while not order:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert order == [0.0], "the others leave one request of a hundred to such as this"
    limiter.close()
    for thread in threads:
        thread.join(SOON)
