"""The streams of a source: a list that lacks what there was is asked for again, and what was known is read on."""

from typing import Any

import pytest

from flagtrail import discovery
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, shown
from tests.faults.running import ALWAYS, source_of


class Time:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1e6

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(discovery, "time", made)
    return made


def asked(vendor: Simulator) -> int:
    return sum(request.path == "/v1/organizations" for request in vendor.requests)


@pytest.mark.parametrize("kept", [0, 1])
def test_organizations_that_are_missing_from_one_list_are_read_on(store: Store, clock: Time, kept: int) -> None:
    with ConfigCatSimulator() as vendor, Session(source_of(vendor), store) as session:
        vendor.fill(100, 20, seed=1)
        session.fill()
        session.discovery._due = 0.0
        vendor.inject(faults.edited(lambda body: body[:kept]), match="/v1/organizations", times=1)
        for _ in range(8):
            vendor.happen()
        session.look()
        assert held(store, "acme") == shown(vendor)
        vendor.heal()
        clock.now += 2.0
        assert session.look().errors == []
        assert asked(vendor) == 3, "it is asked again at once"
        session.look()
        assert asked(vendor) == 3


@pytest.mark.parametrize("kept", [0, 1])
def test_a_daemon_that_starts_with_a_list_which_lacks_something_asks_again_soon(
    store: Store, clock: Time, kept: int
) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(100, 20, seed=1)
        with Session(source_of(vendor), store) as session:
            session.fill()
        for _ in range(8):
            vendor.happen()
        vendor.inject(faults.edited(lambda body: body[:kept]), match="/v1/organizations", times=1)
        with Session(source_of(vendor), store) as session:
            report = session.look()
            assert bool(report.errors) == (kept == 0)
            clock.now += 2.0
            assert session.look().errors == []
            assert held(store, "acme") == shown(vendor)


def test_what_stays_missing_is_believed_after_a_while_and_not_asked_for_at_every_look(
    store: Store, clock: Time, logged: list[Any]
) -> None:
    with ConfigCatSimulator() as vendor, Session(source_of(vendor), store) as session:
        vendor.fill(100, 20, seed=1)
        session.fill()
        session.discovery._due = 0.0
        vendor.inject(faults.edited(lambda body: body[:1]), match="/v1/organizations", times=ALWAYS)
        for _ in range(40):
            clock.now += 60.0
            session.look()
        assert len(session.streams()) == 1
        told = [line for line in logged if line["event"] == "streams_missing"]
        assert 8 <= len(told) <= 12
        assert asked(vendor) < 20
        vendor.heal()
        clock.now += discovery.DISCOVER_EVERY + 1
        session.look()
        assert len(session.streams()) == 2, "it is there again, and read again"


def test_what_the_log_tells_to_be_gone_is_believed_at_once(store: Store, clock: Time) -> None:
    with LaunchDarklySimulator() as vendor, Session(source_of(vendor), store) as session:
        vendor.fill(60, 10, seed=1)
        session.look()
        known = len(session.streams())
        session.discovery.look_again()
        edit = faults.edited(lambda body: {**body, "items": body["items"][:1], "totalCount": 1})
        vendor.inject(edit, match="/api/v2/projects", times=1)
        session.streams()
        assert len(session.streams()) < known
