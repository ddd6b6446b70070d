"""What can wait takes only what the limits leave over: the share that a request leaves to more urgent ones."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from flagtrail.api import Api
from flagtrail.errors import Unavailable
from flagtrail.limit import Allowance, Limiter
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

LATER = 60.0  # seconds until a limit starts afresh: longer than any test takes
SOON = 20.0  # seconds within which a thread that may go on does


def told(remaining: int, limit: int | None = None, *, reserve: float = 0.0, resets_in: float = LATER) -> Limiter:
    """Return a limiter that was told by one answer how much there is."""
    limiter = Limiter(reserve=reserve)
    assert limiter.acquire()
    limiter.release([Allowance("all", remaining, limit, resets_in)])
    return limiter


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def waiting(limiter: Limiter) -> int:
    return len(limiter._changed._waiters)  # type: ignore[attr-defined]


def passed(limiter: Limiter, spare: float, threads: int = 16) -> int:
    """Return how many of so many threads start a request; those that wait go on waiting."""
    started: list[bool] = []
    before = waiting(limiter)
    workers = [
        threading.Thread(target=lambda: started.append(limiter.acquire(spare)), daemon=True) for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    until(lambda: waiting(limiter) - before + len(started) == threads)
    return len(started)


@pytest.fixture
def limiters() -> Iterator[list[Limiter]]:
    """Limiters whose waiting threads are let go in the end."""
    found: list[Limiter] = []
    yield found
    for limiter in found:
        limiter.close()


@pytest.mark.parametrize(("spare", "count"), [(0.0, 10), (0.3, 7), (0.5, 5), (0.9, 1)])
def test_a_share_of_the_limit_is_left_to_others(limiters: list[Limiter], spare: float, count: int) -> None:
    limiters.append(limiter := told(10, 10))
    assert passed(limiter, spare) == count


def test_what_is_left_over_is_there_for_those_who_leave_nothing(limiters: list[Limiter]) -> None:
    limiters.append(limiter := told(10, 10))
    assert passed(limiter, 0.5) == 5
    assert passed(limiter, 0.0) == 5


def test_of_two_who_can_wait_the_more_modest_stops_first(limiters: list[Limiter]) -> None:
    limiters.append(limiter := told(10, 10))
    assert passed(limiter, 0.5) == 5
    assert passed(limiter, 0.3) == 2
    assert passed(limiter, 0.5) == 0


def test_the_share_comes_on_top_of_the_reserve_for_the_customers_other_tools(limiters: list[Limiter]) -> None:
    limiters.append(limiter := told(20, 20, reserve=0.2))
    assert passed(limiter, 0.5) == 6
    assert passed(limiter, 0.0) == 10


def test_nothing_is_left_over_once_others_have_spent_the_rest(limiters: list[Limiter]) -> None:
    limiters.append(limiter := told(4, 10))
    assert passed(limiter, 0.5) == 0
    assert passed(limiter, 0.0) == 4


def test_where_no_limit_is_told_nobody_waits() -> None:
    limiter = Limiter()
    assert limiter.acquire()
    limiter.release()
    assert passed(limiter, 0.9) == 16


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("spare", [0.5, 1.0])
def test_a_limit_of_one_or_of_unknown_size_still_lets_one_through(
    limiters: list[Limiter], limit: int | None, spare: float
) -> None:
    limiters.append(limiter := told(1, limit))
    assert passed(limiter, spare) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("reserve", [0.0, 0.2, 0.9])
def test_even_who_leaves_everything_gets_one_request_of_a_fresh_limit(limit: int, reserve: float) -> None:
    limiter = told(0, limit, reserve=reserve, resets_in=0.1)
    started = time.monotonic()
    assert limiter.acquire(1.0)
    assert time.monotonic() - started < SOON


def test_the_tightest_of_several_limits_counts(limiters: list[Limiter]) -> None:
    limiters.append(limiter := Limiter(reserve=0.0))
    assert limiter.acquire()
    limiter.release([Allowance("global", 100, 100, LATER), Allowance("route", 6, 6, LATER)])
    assert passed(limiter, 0.5) == 3


def test_after_the_reset_the_share_counts_anew(limiters: list[Limiter]) -> None:
    limiters.append(limiter := told(4, 10, resets_in=0.2))
    assert limiter.acquire(0.5)  # once the limit started afresh
    limiter.release([Allowance("all", 9, 10, LATER)])
    assert passed(limiter, 0.5) == 4


def test_who_waits_is_woken_when_an_answer_tells_of_more(limiters: list[Limiter]) -> None:
    limiters.append(limiter := told(5, 10))
    assert limiter.acquire()
    done = threading.Event()
    worker = threading.Thread(target=lambda: done.set() if limiter.acquire(0.5) else None, daemon=True)
    worker.start()
    until(lambda: waiting(limiter))
    assert not done.is_set()
    limiter.release([Allowance("all", 10, 10, LATER / 2)])
    assert done.wait(SOON)


def test_closing_ends_the_wait_of_who_can_wait() -> None:
    limiter = told(5, 10)
    answers: list[bool] = []
    worker = threading.Thread(target=lambda: answers.append(limiter.acquire(0.5)))
    worker.start()
    until(lambda: waiting(limiter))
    limiter.close()
    worker.join(SOON)
    assert answers == [False]


# The same through the API of a vendor.


@pytest.fixture
def vendor() -> Iterator[Simulator]:
    with LaunchDarklySimulator() as simulator:
        yield simulator


@pytest.fixture
def api(vendor: Simulator) -> Iterator[Api]:
    with vendor.connect().connect() as found:
        yield found


def limited(remaining: int, limit: int) -> Callable[[Request, Callable[[], Reply]], Reply]:
    """Tell of a limit that starts afresh in a minute."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        resets = str(int((time.time() + LATER) * 1000))
        headers = {"X-Ratelimit-Global-Remaining": str(remaining), "X-Ratelimit-Global-Limit": str(limit)}
        return Reply(200, {}, headers | {"X-Ratelimit-Reset": resets})

    return play


def test_a_sparing_api_waits_while_the_api_itself_goes_on(vendor: Simulator, api: Api) -> None:
    vendor.inject(limited(40, 100), times=1000)
    api.get("/api/v2/caller-identity")
    sparing = api.sparing(0.5)
    raised: list[str] = []

    def ask() -> None:
        try:
            sparing.get("/api/v2/projects")
        except Unavailable as error:
            raised.append(str(error))

    worker = threading.Thread(target=ask)
    worker.start()
    until(lambda: waiting(api._limiter))
    for _ in range(3):
        api.get("/api/v2/caller-identity")
    assert "/api/v2/projects" not in {request.path for request in vendor.requests}
    api.close()  # whoever closes the one closes the other
    worker.join(SOON)
    assert len(raised) == 1


def test_a_sparing_api_asks_while_enough_is_left(vendor: Simulator, api: Api) -> None:
    vendor.inject(limited(90, 100), times=1000)
    sparing = api.sparing(0.5)
    for _ in range(5):
        sparing.get("/api/v2/projects")
    assert len(vendor.requests) == 5


def test_a_sparing_api_shares_the_count_the_clock_and_the_connections(vendor: Simulator, api: Api) -> None:
    sparing = api.sparing(0.3)
    assert sparing.now() is None
    sparing.get("/api/v2/caller-identity")
    api.get("/api/v2/caller-identity")
    assert api.requests == sparing.requests == 2
    assert api.now() is not None
    assert sparing.now() is not None
    assert len(api._lines.idle) == 1
    assert sparing._lines is api._lines


def test_sparing_leaves_the_api_itself_as_it_was(vendor: Simulator, api: Api) -> None:
    vendor.inject(limited(40, 100), times=1000)
    api.sparing(0.9)
    for _ in range(3):
        api.sparing(0.9).sparing(0.0).get("/api/v2/projects")
        api.get("/api/v2/projects")
    assert len(vendor.requests) == 6
