"""A sync, through the real connectors, from simulated vendors over real HTTP, into both kinds of database."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flagtrail.errors import StoreError
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail.window import Window, from_ms
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows, shown

ALWAYS = 10_000
DAYS = 90.0
PATHS = {"launchdarkly": "/api/v2/auditlog?", "configcat": "auditlogs?"}


@pytest.fixture(params=[LaunchDarklySimulator, ConfigCatSimulator])
def vendor(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with request.param() as simulator:
        simulator.fill(900, DAYS, seed=3)
        yield simulator


def source_of(simulator: Simulator, **more: Any) -> Source:
    values: dict[str, Any] = {"start": timedelta(days=DAYS + 1)}
    return Source("acme", simulator.connect(), **(values | more))


def test_a_first_sync_stores_everything_once_and_a_second_asks_almost_nothing(vendor: Simulator, store: Store) -> None:
    with Session(source_of(vendor), store) as session:
        first = session.fill()
    assert first.errors == []
    assert held(store, "acme") == shown(vendor)
    with Session(source_of(vendor), store) as session:
        second = session.fill()
    assert (second.new, second.errors) == (0, [])
    assert second.requests <= len(second.streams) + 3
    assert held(store, "acme") == shown(vendor)


def test_status_is_whole_afterwards_and_ends_at_the_settling_time(vendor: Simulator, store: Store) -> None:
    with Session(source_of(vendor), store) as session:
        session.fill()
    now = from_ms(vendor.clock.ms())
    for stream in status(store):
        assert stream.gaps == []
        assert stream.share == 1.0
        assert stream.complete_until is not None
        assert timedelta(minutes=15) <= now - stream.complete_until < timedelta(minutes=15, seconds=30)
        assert stream.state.error is None


def test_the_tail_is_read_but_not_claimed_until_it_has_settled(vendor: Simulator, store: Store) -> None:
    with Session(source_of(vendor), store) as session:
        session.fill()
        vendor.happen()
        assert session.fill().new >= 1
        late = vendor.clock.ms() - 10 * 60_000
        vendor.add(late, visible_from_ms=vendor.clock.ms() + 60_000)  # type: ignore[attr-defined]
        assert session.fill().new == 0
        vendor.clock.advance(120)
        assert session.fill().new == 1
    assert held(store, "acme") == shown(vendor)
    ends = [window.until for stream in status(store) for window in stream.covered]
    assert max(ends) <= from_ms(vendor.clock.ms()) - timedelta(minutes=15)


def test_our_own_clock_decides_nothing(vendor: Simulator, store: Store) -> None:
    vendor.clock.advance(-40 * 86_400)
    with Session(source_of(vendor, start=timedelta(days=60)), store) as session:
        session.fill()
    for stream in status(store):
        assert all(window.until <= from_ms(vendor.clock.ms()) for window in stream.covered)


def test_without_a_date_header_events_are_stored_and_nothing_is_claimed(vendor: Simulator, store: Store) -> None:
    vendor.inject(faults.without_date(), times=ALWAYS)
    with Session(source_of(vendor), store) as session:
        assert all("no Date that can be trusted" in error for error in session.fill().errors)
    assert held(store, "acme") == shown(vendor)
    assert [stream for stream in status(store) if not stream.state.error] == []
    assert [window for stream in status(store) for window in stream.covered] == []


@pytest.mark.parametrize(
    "fault",
    [faults.html(), faults.body({}), faults.body({"items": [], "data": []}), faults.redirect("http://127.0.0.1:1/")],
    ids=["html", "empty object", "half an answer", "redirect"],
)
def test_an_answer_that_is_not_understood_leaves_a_gap_that_the_next_run_fills(
    vendor: Simulator, store: Store, fault: faults.Fault
) -> None:
    match = PATHS[vendor.connector.vendor]
    vendor.inject(fault, match=match, skip=6, times=1)
    with Session(source_of(vendor), store) as session:
        report = session.fill()
        missing = [gap for stream in status(store) for gap in stream.gaps]
        if held(store, "acme") != shown(vendor):
            assert report.errors
            assert missing
        assert session.fill().errors == []
    assert held(store, "acme") == shown(vendor)
    assert [gap for stream in status(store) for gap in stream.gaps] == []


@pytest.mark.parametrize("status_code", [401, 403, 404])
def test_a_refused_stream_does_not_stop_the_others(store: Store, status_code: int) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, DAYS, seed=3)
        vendor.inject(faults.status(status_code), match="flag-events", times=ALWAYS)
        with Session(source_of(vendor), store) as session:
            report = session.fill()
            assert report.streams["audit_log"].error is None
            refused = [s for name, s in report.streams.items() if name.startswith("flag_events")]
            assert refused
            assert all("flag_events = false" in (stream.error or "") for stream in refused)
            before = len(vendor.requests)
            session.fill()
            assert len(vendor.requests) - before <= 1, "a refused stream is left alone for a while"
    assert held(store, "acme") == {"audit_log": set(vendor.truth()["audit_log"])}


def test_a_refused_credential_is_told_in_one_line_and_not_tried_again_at_once(vendor: Simulator, store: Store) -> None:
    vendor.inject(faults.status(401), times=ALWAYS)
    with Session(source_of(vendor), store) as session:
        [error] = session.fill().errors
        assert "401" in error
        assert "\n" not in error
        asked = len(vendor.requests)
        assert session.fill().errors == [error]
        assert len(vendor.requests) == asked == 1


def test_a_credential_that_is_revoked_in_the_middle_stops_the_run(vendor: Simulator, store: Store) -> None:
    vendor.inject(faults.status(401), skip=12, times=ALWAYS)
    with Session(replace(source_of(vendor), parallel=4), store) as session:
        assert session.fill().errors
    refusals = [request for request in vendor.requests if request.status == 401]
    # At LaunchDarkly a refusal of flag events may be about that stream alone, so a reader may ask for another one
    # before the audit log is refused too.
    assert len(refusals) <= 8, "one or two for each reader under way at the most"
    vendor.heal()
    with Session(source_of(vendor), store) as session:
        assert session.fill().errors == []
    assert held(store, "acme") == shown(vendor)


def test_several_syncs_at_once_cost_requests_and_nothing_else(vendor: Simulator, store_url: str) -> None:
    def run() -> None:
        with Store(store_url) as own, Session(source_of(vendor), own) as session:
            reports.append(session.fill())

    reports: list[Any] = []
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.errors for report in reports] == [[], [], []]
    with Store(store_url) as store:
        assert held(store, "acme") == shown(vendor)
        assert [gap for stream in status(store) for gap in stream.gaps] == []


def test_a_run_that_is_stopped_is_resumed_by_the_next(vendor: Simulator, store: Store) -> None:
    for asked in (1, 5, 9):
        with Session(source_of(vendor), store) as session:

            def stop(request: Request, answer: Callable[[], Reply], session: Session = session) -> Reply:
                session.stop()
                return answer()

            vendor.inject(stop, skip=asked)
            report = session.fill()
        assert report.stopped
        assert report.errors == [] or "stopped" in report.errors[0]
    with Session(source_of(vendor), store) as session:
        assert session.fill().errors == []
    assert held(store, "acme") == shown(vendor)


def test_a_database_that_fails_stops_the_run_and_loses_nothing(
    vendor: Simulator, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = store.write, iter(range(ALWAYS))

    def failing(*args: Any) -> Any:
        if next(calls) == 0:
            raise StoreError("the disk is full")
        return write(*args)

    monkeypatch.setattr(store, "write", failing)
    with Session(source_of(vendor), store) as session:
        with pytest.raises(StoreError):
            session.fill()
        assert session.fill().errors == []
    assert held(store, "acme") == shown(vendor)


def test_a_backfill_fills_only_the_asked_window(vendor: Simulator, store: Store) -> None:
    now = datetime.now(UTC)
    asked = Window(now - timedelta(days=40), now - timedelta(days=20))
    with Session(source_of(vendor, start=timedelta(days=1)), store) as session:
        assert session.fill(asked).errors == []
        before = len(vendor.requests)
        assert session.fill(asked).new == 0
        assert len(vendor.requests) == before, "a backfill that is done asks nothing"
    for stream, ids in vendor.truth().items():
        inside = {id for id, ms in ids.items() if asked.since_ms <= ms < asked.until_ms}
        assert inside <= held(store, "acme").get(stream, set())
        assert store.coverage("acme", stream) == [asked]


@pytest.mark.parametrize("kind", [LaunchDarklySimulator, ConfigCatSimulator])
def test_what_an_estimate_expects_is_near_what_a_run_needs(store: Store, kind: type[Simulator]) -> None:
    with kind() as vendor:
        vendor.fill(500, DAYS, seed=3)
        now = datetime.now(UTC)
        asked = Window(now - timedelta(days=DAYS), now)
        with Session(source_of(vendor), store) as session:
            expected = sum(job.requests for job in session.estimate(asked))
            assert rows(store, "SELECT count(*) FROM event") == [(0,)]
            needed = session.fill(asked).requests
        assert expected / 2 <= needed <= expected * 3


def test_a_new_environment_is_found_while_running(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(200, DAYS, seed=3)
        with Session(source_of(vendor), store) as session:
            known = set(session.fill().streams)
            vendor.add_project("reviews", environments=("production",))
            vendor.add(
                vendor.clock.ms(), resources=["proj/reviews:env/production"], actions=["createEnvironment"],
                kind="environment", name="Production",
            )  # fmt: skip
            session.fill()
            assert set(session.fill().streams) - known == {"flag_events[reviews/production]"}


@pytest.mark.parametrize("count", [21, 45, 200, 2000])
@pytest.mark.parametrize("bounds", ["()", "[]"])
def test_more_than_a_page_in_one_millisecond_is_captured_whole(store: Store, count: int, bounds: str) -> None:
    with LaunchDarklySimulator(bounds=bounds) as vendor:
        vendor.fill(150, DAYS, seed=3)
        moment = vendor.clock.ms() - 5 * 86_400_000
        vendor.burst(moment, count, resources=min(count // 3, 100), actions=5)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        assert held(store, "acme") == shown(vendor)
        assert [gap for stream in status(store) for gap in stream.gaps] == []


def test_a_burst_that_cannot_be_divided_is_a_gap_with_a_reason(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(150, DAYS, seed=3)
        moment = vendor.clock.ms() - 5 * 86_400_000
        vendor.burst(moment, 60, resources=1, actions=1)
        with Session(source_of(vendor), store) as session:
            report = session.fill()
            assert report.streams["audit_log"].gaps == 1
            before = len(vendor.requests)
            session.fill()
            assert len(vendor.requests) - before <= len(report.streams) + 4, "a known gap is not read at every tick"
        [gap] = [gap for stream in status(store) for gap in stream.gaps]
        assert gap.window == Window.of_ms(moment, moment + 1)
        assert "share millisecond, resource and action" in gap.reason
        missing = shown(vendor)["audit_log"] - held(store, "acme")["audit_log"]
        assert {vendor.truth()["audit_log"][id] for id in missing} == {moment}, "nothing else is missing"


def test_limits_are_obeyed_and_a_storm_of_429_passes(vendor: Simulator, store: Store) -> None:
    vendor.inject(faults.status(429, None, {"retry-after": "1"}), skip=3, times=2)
    started = time.monotonic()
    with Session(source_of(vendor), store) as session:
        assert session.fill().errors == []
    assert time.monotonic() - started >= 1.0
    assert held(store, "acme") == shown(vendor)


@pytest.mark.parametrize("mode", ["array", "redirect", "v2_object"])
def test_configcat_v1_is_read_whole_in_whatever_form_it_answers(store: Store, mode: str) -> None:
    with ConfigCatSimulator(v1=mode) as vendor:
        vendor.fill(900, DAYS, seed=3)
        connector = vendor.connect().model_copy(update={"api": "v1"})
        source = Source("acme", connector, start=timedelta(days=DAYS + 1))
        with Session(source, store) as session:
            assert session.fill().errors == []
        assert held(store, "acme") == shown(vendor)
