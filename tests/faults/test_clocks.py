"""Faults of clocks: ours, the vendor's, and the two nights a year on which a local one is turned."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from flagtrail.daemon import Daemon
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail.window import from_ms, to_ms
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.conftest import environment
from tests.conftest import rows
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, at, is_whole, source_of, wait_until

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86_400
SETTLE = timedelta(minutes=15)
VENDORS = pytest.mark.parametrize("kind", [LaunchDarklySimulator, ConfigCatSimulator])


@contextmanager
def our_clock_off(days: float, *vendors: Simulator) -> Iterator[time_machine.Traveller]:
    """Set our clock wrong, and leave those of the vendors in this process right."""
    for vendor in vendors:
        vendor.clock.advance(-days * DAY)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=days)) as traveller:
        yield traveller
    for vendor in vendors:
        vendor.clock.advance(days * DAY)


def newest_claim(store: Store) -> datetime:
    return max(window.until for stream in status(store) for window in stream.covered)


# Ours.


@pytest.mark.fault("D11", "our clock is days ahead or behind, and is put right again")
@pytest.mark.parametrize("days", [-2.0, 2.0, 400.0])
@VENDORS
def test_d11_a_wrong_clock_of_ours_changes_nothing(
    oracle: Oracle, store: Store, kind: type[Simulator], days: float
) -> None:
    with kind() as vendor:
        vendor.fill(200, 30, seed=6)
        with our_clock_off(days, vendor), Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
            oracle.whole(store, vendor)
            assert is_whole(store, vendor)
            present = from_ms(vendor.clock.ms())
            oracle.holds(present - timedelta(minutes=16) < newest_claim(store) <= present - SETTLE, "by their clock")
            vendor.happen()
            assert session.fill().errors == []
            oracle.whole(store, vendor)
        vendor.clock.advance(3600)
        vendor.happen()
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


@pytest.mark.fault("D11", "our clock jumps in the middle of a sync")
@pytest.mark.parametrize("days", [-2.0, 2.0])
def test_d11_a_jump_of_our_clock_in_the_middle_of_a_sync_changes_nothing(
    oracle: Oracle, store: Store, days: float
) -> None:
    with LaunchDarklySimulator() as vendor, our_clock_off(0, vendor) as traveller:
        vendor.fill(300, 30, seed=6)

        def jump() -> None:
            traveller.shift(timedelta(days=days))
            vendor.clock.advance(-days * DAY)

        vendor.inject(at(6, jump), times=ALWAYS)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
            oracle.whole(store, vendor)
            assert newest_claim(store) <= from_ms(vendor.clock.ms()) - SETTLE
            vendor.happen()
            assert session.fill().errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


@pytest.mark.fault("D11", "the clock of the machine is wrong: a process of its own")
def test_d11_processes_with_wrong_clocks_fill_one_trail(oracle: Oracle, store_url: str, tmp_path: Path) -> None:
    wrong = (
        "import sys, time_machine, datetime as d; from flagtrail.cli import main;"
        " days = float(sys.argv.pop(1)); now = d.datetime.now(d.UTC);"
        " time_machine.travel(now + d.timedelta(days=days)).start(); main()"
    )
    with LaunchDarklySimulator() as vendor, Store(store_url) as store:
        vendor.fill(200, 30, seed=6)
        config = str(write_config(tmp_path, {"acme": vendor}, store_url, start="31d"))
        for days in ("2", "-2", "0"):
            words = [sys.executable, "-c", wrong, days, "sync", "--quiet", "--config", config]
            told = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60, check=False)
            assert told.returncode == 0, told.stderr
            oracle.whole(store, vendor)
            assert newest_claim(store) <= from_ms(vendor.clock.ms()) - SETTLE
            vendor.clock.advance(1800)
            vendor.happen()
        assert len(rows(store, "SELECT DISTINCT first_seen_at FROM event")) >= 2


@pytest.mark.fault("D11", "our clock is set back while the daemon runs")
@pytest.mark.parametrize(
    "days",
    [
        pytest.param(2.0, id="ahead"),
        pytest.param(-2.0, id="back"),
    ],
)
def test_d11_the_daemon_looks_again_after_our_clock_was_set(oracle: Oracle, tmp_path: Path, days: float) -> None:
    with (
        LaunchDarklySimulator() as vendor,
        Store(f"sqlite:///{tmp_path / 'trail.db'}") as store,
        our_clock_off(0, vendor) as traveller,
    ):
        vendor.fill(60, 30, seed=6)
        looks: list[Any] = []
        daemon = Daemon([source_of(vendor, every=timedelta(seconds=1))], store, after=looks.append)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        try:
            wait_until(lambda: looks, "a first look is over")
            traveller.shift(timedelta(days=days))
            vendor.clock.advance(-days * DAY)
            vendor.happen()
            wait_until(lambda: is_whole(store, vendor), "it looks again", seconds=6)
        finally:
            daemon.stop()
            thread.join(30)
            for session in daemon.sessions:
                session.__exit__(None, None, None)
        oracle.whole(store, vendor)


@pytest.mark.fault("D11", "a gap was noted while our clock was ahead")
@pytest.mark.parametrize(
    "days",
    [
        0.0,
        2.0,
    ],
)
def test_d11_a_gap_that_was_noted_in_the_future_is_tried_again(oracle: Oracle, store: Store, days: float) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 30, seed=6)
        moment = vendor.clock.ms() - 5 * DAY * 1000
        ids = vendor.burst(moment, 60, resources=1, actions=1)
        with our_clock_off(days, vendor), Session(source_of(vendor), store) as session:
            session.fill()
            oracle.whole(store, vendor)
        for id_ in ids[10:]:
            vendor.remove(id_)  # few enough to be read now
        with (
            our_clock_off(0.1, vendor),  # more than the hour after which a gap is tried again
            Session(source_of(vendor), store) as session,
        ):
            session.fill()
        oracle.holds([gap for stream in status(store) for gap in stream.gaps] == [], "the gap was read")


# Nights on which the clock is turned.


@pytest.mark.fault("D11", "the nights on which Berlin turns its clocks")
@pytest.mark.parametrize(
    "turn", [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)], ids=["spring", "autumn"]
)
def test_d11_a_night_on_which_the_clock_is_turned_is_read_whole(oracle: Oracle, store: Store, turn: datetime) -> None:
    begin = turn - timedelta(hours=3)
    # A moment in Berlin sets the zone of this process too.
    with time_machine.travel(begin.astimezone(BERLIN), tick=True) as traveller:
        assert time.tzname[0] in ("CET", "CEST")
        zones = set()
        with LaunchDarklySimulator() as launchdarkly, ConfigCatSimulator(dates="naive") as configcat:
            both: dict[str, LaunchDarklySimulator | ConfigCatSimulator] = {"ld": launchdarkly, "cc": configcat}
            for step in range(8):
                traveller.move_to((begin + step * timedelta(minutes=45)).astimezone(BERLIN), tick=True)
                zones.add(time.localtime().tm_isdst)
                for name, vendor in both.items():
                    for seconds in (1, 900, 2400):
                        vendor.add(vendor.clock.ms() - seconds * 1000)
                    source = Source(name, vendor.connect(), start=timedelta(hours=9))
                    with Session(source, store) as session:
                        assert session.fill().errors == []
                    oracle.check(store, vendor, name)
            assert zones == {0, 1}, "the clock was turned meanwhile"
            for name, vendor in both.items():
                oracle.whole(store, vendor, name)
                assert is_whole(store, vendor, source=name)
                for stream, ids in vendor.truth().items():
                    query = f"SELECT vendor_id, occurred_at FROM event WHERE source = '{name}' AND stream = '{stream}'"
                    for id_, moment in rows(store, query):
                        assert to_ms(instant(moment)) == ids[str(id_)], "not an hour off"
                [*gaps] = [gap for each in status(store, name) for gap in each.gaps]
                oracle.holds(gaps == [], "no hour is missing")


def instant(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


# The vendor's.


def dated(shift: timedelta, vendor: Simulator) -> faults.Fault:
    """Answer with a Date that is wrong by so much."""

    def play(request: Request, answer: Any) -> Reply:
        reply: Reply = answer()
        moment = (from_ms(vendor.clock.ms()) + shift).replace(microsecond=0)
        reply.headers["date"] = format_datetime(moment.astimezone(UTC), usegmt=True)
        return reply

    return play


@pytest.mark.fault("D11", "the vendor's Date jumps for one answer")
@pytest.mark.parametrize("shift", [timedelta(days=2), timedelta(hours=1), timedelta(hours=-1), timedelta(days=-2)])
@pytest.mark.parametrize("skip", [0, 1, 2, 4, 6])
def test_d11_a_date_of_the_vendor_that_jumps_claims_nothing_unsettled(
    oracle: Oracle, tmp_path: Path, shift: timedelta, skip: int
) -> None:
    with LaunchDarklySimulator() as vendor, Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        vendor.fill(120, 30, seed=6, flag_events=0)
        connector = vendor.connect().model_copy(update={"flag_events": False})
        with Session(Source("acme", connector, start=timedelta(days=31), parallel=1), store) as session:
            vendor.inject(dated(shift, vendor), skip=skip)
            session.fill()
            hidden = vendor.add(vendor.clock.ms() - 60_000, visible_from_ms=vendor.clock.ms() + 60_000)
            vendor.clock.advance(120)
            oracle.check(store, vendor)
            vendor.heal()
            for _ in range(3):
                session.fill()
            oracle.whole(store, vendor)
            assert is_whole(store, vendor), hidden
        assert [gap for stream in status(store) for gap in stream.gaps] == []
        assert newest_claim(store) <= from_ms(vendor.clock.ms()) - SETTLE
