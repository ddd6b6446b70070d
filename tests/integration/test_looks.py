"""What the daemon asks for while little happens, and what it sees at once although much is still to be read."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from flagtrail.quiet import LONGEST
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, shown

MANY, SOME = 40, 9  # environments
TICK = 180.0  # seconds between two looks
HOUR = int(3600 / TICK)  # looks
PLACE = "proj/shop:env/team-07"
STREAM = "flag_events[shop/team-07]"


@pytest.fixture
def lite(tmp_path: Any) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _clocks_may_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagtrail.clock.STEP", timedelta(hours=1))


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> Iterator[LaunchDarklySimulator]:
    with LaunchDarklySimulator() as simulator:
        simulator.trail.projects.clear()
        count = getattr(request, "param", SOME)
        simulator.add_project("shop", environments=[f"team-{number:02d}" for number in range(count)])
        simulator.add(simulator.clock.ms() - 86_400_000, resources=f"{PLACE}:flag/checkout")
        yield simulator


@pytest.fixture
def session(vendor: LaunchDarklySimulator, lite: Store) -> Iterator[Session]:
    """A session whose first reading is done."""
    source = Source("acme", vendor.connect(), start=timedelta(days=2), every=timedelta(seconds=TICK))
    with Session(source, lite) as opened:
        for report in (opened.look(), opened.catch_up()):
            assert report.errors == []
        yield opened


def asked(vendor: LaunchDarklySimulator) -> dict[str, int]:
    """Return how often the flag events of each environment were asked for since that was counted last."""
    found = Counter(request.query.get("environmentKey") for request in vendor.requests)
    vendor.requests.clear()
    return {place.key: found[place.key] for place in vendor.trail.projects[0].environments}


def ticks(session: Session, vendor: LaunchDarklySimulator, count: int) -> None:
    for _ in range(count):
        vendor.clock.advance(TICK)
        assert session.look().errors == []


@pytest.mark.parametrize("vendor", [MANY], indirect=True)
def test_an_idle_hour_of_forty_environments_asks_for_each_only_now_and_then(
    session: Session, vendor: LaunchDarklySimulator
) -> None:
    asked(vendor)
    ticks(session, vendor, HOUR)
    assert max(asked(vendor).values()) <= 6, "each pause is twice as long as the one before"
    ticks(session, vendor, HOUR)
    assert set(asked(vendor).values()) <= {3, 4, 5}, "every quarter of an hour"
    assert session.catch_up().requests == 0, "a quiet stream leaves no older gap behind"


def test_a_change_wakes_the_stream_of_its_environment_and_no_other(
    session: Session, vendor: LaunchDarklySimulator, lite: Store
) -> None:
    ticks(session, vendor, HOUR // 2)
    asked(vendor)
    vendor.add_flag_event(
        vendor.add(resources=f"{PLACE}:flag/checkout"), project="shop", environment="team-07", flag="checkout"
    )
    ticks(session, vendor, 2)
    assert held(lite, "acme") == shown(vendor), "it is there a tick after its audit entry"
    ticks(session, vendor, 4)
    found = asked(vendor)
    assert found.pop("team-07") >= 5, "it stays awake for as long as something may appear late"
    assert max(found.values()) <= 2, "the others go on being quiet"


@pytest.mark.parametrize(("resource", "woken"), [("proj/shop", SOME), ("member/56f0c2", SOME), ("proj/other:env/x", 0)])
def test_a_wider_change_wakes_all_that_it_may_be_about(
    session: Session, vendor: LaunchDarklySimulator, resource: str, woken: int
) -> None:
    ticks(session, vendor, HOUR // 2)
    asked(vendor)
    while not all(asked(vendor).values()):  # until just after they were all looked at
        ticks(session, vendor, 1)
    vendor.add(resources=resource, actions="updateTags")
    ticks(session, vendor, 2)
    assert sum(asked(vendor).values()) == woken


def test_what_the_audit_log_does_not_tell_of_is_found_all_the_same(
    session: Session, vendor: LaunchDarklySimulator, lite: Store
) -> None:
    ticks(session, vendor, HOUR // 2)
    vendor.add_flag_event(project="shop", environment="team-07", flag="checkout")
    ticks(session, vendor, int(LONGEST.total_seconds() / TICK) + 1)
    assert held(lite, "acme") == shown(vendor)


def test_no_stream_is_left_alone_while_the_log_that_wakes_it_cannot_be_read(
    session: Session, vendor: LaunchDarklySimulator
) -> None:
    ticks(session, vendor, HOUR // 2)
    vendor.inject(faults.html(), match="/auditlog?", times=10_000)
    vendor.clock.advance(TICK)
    session.look()
    asked(vendor)
    for _ in range(3):
        vendor.clock.advance(TICK)
        session.look()
    assert set(asked(vendor).values()) == {3}


def test_a_one_off_sync_reads_every_stream(session: Session, vendor: LaunchDarklySimulator) -> None:
    ticks(session, vendor, HOUR // 2)
    asked(vendor)
    assert session.fill().errors == []
    assert set(asked(vendor).values()) == {1}


def test_a_quiet_stream_is_neither_behind_nor_failing(
    session: Session, vendor: LaunchDarklySimulator, lite: Store
) -> None:
    ticks(session, vendor, HOUR // 2)
    for stream in status(lite):
        assert stream.gaps == []
        assert stream.share == 1.0
        assert stream.state.error is None


def test_what_happens_during_a_long_first_load_is_there_at_the_next_look(lite: Store) -> None:
    under_way, go_on = threading.Event(), threading.Event()

    def slow(request: Request, answer: Callable[[], Reply]) -> Reply:
        under_way.set()
        assert go_on.wait(30)
        return answer()

    with LaunchDarklySimulator() as vendor:
        vendor.fill(400, 60, seed=1)
        source = Source("acme", vendor.connect(), start=timedelta(days=61))
        with Session(source, lite) as session:
            assert session.look().errors == []
            vendor.inject(slow, match="/auditlog?", times=1, skip=3)
            loading = threading.Thread(target=session.catch_up)
            loading.start()
            try:
                assert under_way.wait(30)
                new = vendor.add()
                assert session.look().errors == []
                assert new in held(lite, "acme")["audit_log"]
                assert loading.is_alive()
            finally:
                go_on.set()
                loading.join(60)
            assert held(lite, "acme") == shown(vendor)
            assert [gap for stream in status(lite) for gap in stream.gaps] == []


def test_what_is_urgent_goes_before_the_older_gaps_that_use_up_the_limit(lite: Store) -> None:
    with LaunchDarklySimulator(quotas={"route": (10, 1000)}) as vendor:
        vendor.fill(1200, 60, seed=1, flag_events=0)
        connector = vendor.connect().model_copy(update={"flag_events": False})
        with Session(Source("acme", connector, start=timedelta(days=61)), lite) as session:
            assert session.look().errors == []
            loading = threading.Thread(target=session.catch_up)
            loading.start()
            try:
                for _ in range(3):
                    new = vendor.add()
                    started = time.monotonic()
                    assert session.look().errors == []
                    assert time.monotonic() - started < 5.0  # a second at the most, on a machine that is not busy
                    assert new in held(lite, "acme")["audit_log"]
                    assert loading.is_alive()
            finally:
                session.stop()
                loading.join(60)
            assert [request for request in vendor.requests if request.status == 429] == []


def test_an_old_window_that_fails_keeps_no_other_stream_from_being_read(
    vendor: LaunchDarklySimulator, lite: Store
) -> None:
    source = Source("acme", vendor.connect(), start=timedelta(days=30), parallel=1)
    with Session(source, lite) as session:
        session.api.attempts = 1
        assert session.look().errors == []
        vendor.inject(faults.status(503), match="/auditlog", times=1_000_000)
        assert session.catch_up().errors
    unread = {stream.state.stream for stream in status(lite) if stream.gaps}
    assert unread == {"audit_log"}
