"""Storms of 429 and what their headers say, and the limits of the whole account: reliability rows C3 and C4."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from flagtrail import limit, retries
from flagtrail.api import Api
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Fault, Quota, Reply, Request, Simulator, http_date
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulation.account import TOKEN
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.faults.conftest import Oracle
from tests.faults.scene import ALWAYS, audit_log_only, gaps, source_of, sync

STORM = 3  # refusals in a row
FORMS: dict[str, tuple[Callable[[int], dict[str, str]], float]] = {
    "no header": (lambda now: {}, 0.1),
    "seconds": (lambda now: {"retry-after": "7"}, 7),
    "zero": (lambda now: {"retry-after": "0"}, 0.1),
    "negative": (lambda now: {"retry-after": "-30"}, 0.1),
    "a fraction": (lambda now: {"retry-after": "1.5"}, 0.1),
    "garbage": (lambda now: {"retry-after": "soon, please"}, 0.1),
    "blank": (lambda now: {"retry-after": " "}, 0.1),
    "a date": (lambda now: {"retry-after": http_date(now + 20_000)}, 18),
    "a date in the past": (lambda now: {"retry-after": http_date(now - 86_400_000)}, 0.1),
    "no such date": (lambda now: {"retry-after": "Sun, 99 Mar 2026 12:00:30 GMT"}, 0.1),
    "repeated": (lambda now: {"retry-after": "3", "Retry-After": "9"}, 9),
    "repeated with garbage": (lambda now: {"retry-after": "soon", "Retry-After": "4"}, 4),
    "other digits": (lambda now: {"retry-after": "\u0665".encode().decode("latin-1")}, 0.1),
    "reset in the past": (lambda now: reset_at(now - 60_000), 0.1),
    "reset in seconds": (lambda now: reset_at(now // 1000 + 5), 0.1),
    "reset at nought": (lambda now: reset_at(0), 0.1),
    "reset negative": (lambda now: reset_at(-1), 0.1),
    "reset absurd": (lambda now: reset_at(10**14), 0.1),
    "reset beyond numbers": (lambda now: reset_at(10**30), 0.1),
    "reset in words": (lambda now: {"x-ratelimit-reset": "later", "x-ratelimit-global-remaining": "none"}, 0.1),
    "reset as configcat says it": (
        lambda now: {"x-rate-limit-remaining": "0", "x-rate-limit-reset": "2026-03-01T12:00:00Z"},
        0.1,
    ),
}


def reset_at(ms: int) -> dict[str, str]:
    """Return the headers of an exhausted limit that starts afresh then."""
    return {
        "x-ratelimit-global-remaining": "0",
        "x-ratelimit-global-limit": "100",
        "x-ratelimit-reset": str(ms),
        "x-rate-limit-remaining": "0",
        "x-rate-limit-reset": str(ms),
    }


def refused(vendor: Simulator, form: Callable[[int], dict[str, str]]) -> Fault:
    """Answer 429 with headers made at the vendor's time."""
    return lambda request, answer: Reply(429, None, form(vendor.clock.ms()))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return how long a thread wanted to wait before each next try; none of it is really waited for."""
    found: list[float] = []
    monkeypatch.setattr(Api, "_sleep", lambda self, seconds: found.append(seconds))
    monkeypatch.setattr(limit.Limiter, "hold", lambda self, seconds: None)
    monkeypatch.setattr(limit, "LONGEST_RESET", 0.2)
    monkeypatch.setattr(limit, "UNKNOWN_RESET", 0.2)
    return found


@pytest.mark.fault("C3", "429 storms, with headers in every form")
@pytest.mark.parametrize("form", FORMS)
def test_c3_a_storm_of_any_form_is_waited_for_and_passes(
    oracle: Oracle, lite: Store, vendor: Simulator, form: str, waits: list[float]
) -> None:
    headers, least = FORMS[form]
    vendor.inject(refused(vendor, headers), skip=3, times=STORM)
    assert sync(vendor, lite, parallel=1).errors == []
    oracle.whole(lite, vendor)
    oracle.holds(len(waits) == STORM, "each refusal is followed by one wait")
    oracle.holds(min(waits) >= least, "the vendor's wish is the least, and there is no busy loop")
    oracle.holds(max(waits) <= max(least + 3, limit.LONGEST_WAIT), "no wait is endless")


@pytest.mark.fault("C3", "the vendor wants us away for long")
@pytest.mark.parametrize("wish", ["61", "3600", "31536000", "9" * 400, "a date in a year"])
def test_c3_a_long_wish_ends_the_look_and_the_next_one_asks_nothing(
    oracle: Oracle, lite: Store, vendor: Simulator, wish: str
) -> None:
    def form(now: int) -> dict[str, str]:
        return {"retry-after": http_date(now + 365 * 86_400_000) if wish == "a date in a year" else wish}

    with Session(source_of(vendor, parallel=1), lite) as session:
        session.streams()
        vendor.inject(refused(vendor, form), times=ALWAYS)
        started = time.monotonic()
        oracle.holds(session.fill().errors, "it is told of")
        asked = len(vendor.requests)
        oracle.holds(session.fill().errors, "and told of again")
        oracle.holds(len(vendor.requests) == asked, "nothing is asked before that time")
        oracle.holds(time.monotonic() - started < 10, "no thread waits for it")
        oracle.holds(
            session.api._limiter.held() <= retries.LONGEST_RETRY_AFTER, "nor does a broken header stop us for ever"
        )
        oracle.check(lite, vendor)
    vendor.heal()
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


@pytest.mark.fault("C3", "refusals while several readers ask")
def test_c3_no_reader_asks_before_the_time_is_over(oracle: Oracle, store: Store, vendor: Simulator) -> None:
    at: list[tuple[float, int]] = []

    def watched(request: Request, answer: Callable[[], Reply]) -> Reply:
        refusing = len(at) == 4
        at.append((time.monotonic(), 429 if refusing else 200))
        return Reply(429, None, {"retry-after": "1"}) if refusing else answer()

    vendor.inject(watched, times=ALWAYS)
    assert sync(vendor, store, parallel=4).errors == []
    oracle.whole(store, vendor)
    refusal = next(moment for moment, status in at if status == 429)
    early = [moment for moment, _ in at if refusal + 0.3 < moment < refusal + 0.95]
    oracle.holds(early == [], "those under way may end, and no other begins")


@pytest.mark.fault("C3", "a storm that does not end, and then does")
@pytest.mark.usefixtures("impatient")
def test_c3_a_storm_without_end_is_given_up_and_the_next_look_recovers(
    oracle: Oracle, store: Store, vendor: Simulator
) -> None:
    vendor.inject(faults.status(429), skip=4, times=ALWAYS)
    for _ in range(3):
        asked = len(vendor.requests)
        oracle.holds(sync(vendor, store).errors, "it is told of")
        oracle.holds(len(vendor.requests) - asked <= 10 * retries.ATTEMPTS, "it is given up")
        oracle.check(store, vendor)
    vendor.heal()
    assert sync(vendor, store).errors == []
    oracle.whole(store, vendor)


@pytest.mark.fault("C4", "the customer's own tools ask at the same time")
def test_c4_the_customer_is_never_refused_because_of_us(oracle: Oracle, lite: Store) -> None:
    with LaunchDarklySimulator(quotas={"global": (100, 2000)}) as vendor:
        vendor.fill(2600, 5, seed=41, flag_events=0)
        seen: list[int] = []
        over = threading.Event()

        def customer() -> None:
            with httpx.Client(headers={"authorization": TOKEN}, trust_env=False) as client:
                while not over.wait(0.2):
                    seen.append(client.get(f"{vendor.url}/api/v2/projects").status_code)

        thread = threading.Thread(target=customer)
        thread.start()
        try:
            errors = sync(vendor, lite, connector=audit_log_only(vendor), parallel=8).errors
        finally:
            over.set()
            thread.join()
        assert errors == []
        stored = {id for (id,) in _ids(lite)}
        oracle.holds(stored == set(vendor.truth()["audit_log"]), "everything is stored")
        oracle.holds(len(seen) > 5 and set(seen) == {200}, "the customer is always answered")


def _ids(store: Store) -> list[tuple[object, ...]]:
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT vendor_id FROM event")]


@pytest.mark.fault("C4", "configcat: a limit that is told by what remains")
@pytest.mark.parametrize("reset", ["iso", "number"])
def test_c4_configcat_is_asked_no_more_than_remains(
    oracle: Oracle, lite: Store, reset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit, "UNKNOWN_RESET", 0.3)
    with ConfigCatSimulator(quota=Quota(20, 1000), reset=reset) as vendor:  # type: ignore[arg-type]
        vendor.fill(620, 5, seed=42)
        with Session(source_of(vendor, start=timedelta(days=6)), lite) as session:
            assert session.fill().errors == []
        oracle.whole(lite, vendor)
        oracle.holds(gaps(lite) == [], "nothing is left open")
        refusals = [request for request in vendor.requests if request.status == 429]
        oracle.holds(len(refusals) <= len(vendor.requests) / 4, "we ask again only now and then")
