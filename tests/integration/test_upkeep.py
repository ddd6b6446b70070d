"""What the daemon does besides reading: it verifies what is due, finds what is late, and asks nothing that it knows."""

import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
from sqlalchemy import select, text

from flagtrail.daemon import Daemon
from flagtrail.holdings import provisional
from flagtrail.schema import EVENT, VERDICT
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Simulator
from flagtrail.upkeep import verify_due
from flagtrail.verdicts import Method, Outcome, verdicts_of
from flagtrail.window import EPOCH
from flagtrail_configcat.simulation.account import TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows, shown, told

DAY_MS = 86_400_000
ALWAYS = 100_000
LOG = "audit_log"
FLAG_EVENTS = "flag_events[web/production]"
KINDS = [LaunchDarklySimulator, ConfigCatSimulator]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WAITING = {"reason": "waiting"}
FINAL = {"reason": "evaluations", "size": "large", "percentage": 50.0}


def source_of(vendor: Simulator, **more: Any) -> Source:
    own = {"flag_events": ["web/production"], "details": "off"} if isinstance(vendor, LaunchDarklySimulator) else {}
    connector = vendor.connector(**vendor.settings(), **own)
    return Source("acme", connector, **({"start": timedelta(days=61)} | more))


class Running:
    """A daemon of one source whose jobs are done when the test says so."""

    def __init__(self, vendor: Simulator, store: Store, **more: Any) -> None:
        self.vendor, self.store = vendor, store
        self.daemon = Daemon([source_of(vendor, **more)], store)
        [self.session] = self.daemon.sessions

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.session.__exit__(*exception)

    def tick(self) -> int:
        """Read, and return how many new events there were."""
        reports = [self.daemon.tick(self.session), self.daemon.catch_up(self.session)]
        assert all(report is not None and report.errors == [] for report in reports)
        return sum(report.new for report in reports if report is not None)

    def upkeep(self) -> int:
        """Do what is due, and return how many requests it took."""
        before = len(self.vendor.requests)
        self.daemon.upkeep(self.session)
        return len(self.vendor.requests) - before

    def later(self, span: timedelta) -> None:
        """Let every verification have been so much earlier."""
        with self.store.engine.begin() as connection:
            for row in connection.execute(VERDICT.select()).all():
                connection.execute(
                    VERDICT.update()
                    .where(*(VERDICT.c[key.name] == row._mapping[key.name] for key in VERDICT.primary_key))
                    .values(checked_at=row.checked_at - span)
                )
            aged = {"counts_at": None}
            connection.execute(text("UPDATE stream SET counts_at = :counts_at"), aged)


def healed(store: Store) -> int:
    return sum(stream.healed for stream in status(store))


def impact(store: Store, id_: str) -> Any:
    [(value,)] = rows(store, f"SELECT impact FROM event WHERE vendor_id = '{id_}'")
    return json.loads(value) if isinstance(value, str) else value


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_upkeep_verifies_everything_and_the_next_asks_nothing(store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(150, 60, seed=1)
        with Running(vendor, store) as running:
            running.tick()
            assert running.upkeep() > 0
            assert all(stream.verified_share == 1.0 for stream in status(store))
            assert running.upkeep() == 0
            running.tick()
            assert running.upkeep() == 0


def test_with_a_retention_the_next_upkeep_asks_nothing_either(store: Store) -> None:
    with ConfigCatSimulator(retention_days=35) as vendor:
        vendor.fill(100, 60, seed=1)
        with Running(vendor, store, retention=timedelta(days=35)) as running:
            running.tick()
            assert running.upkeep() > 0
            assert running.upkeep() == 0


def test_a_restarted_daemon_asks_nothing_that_was_verified(store_url: str) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(60, 60, seed=1)
        with Store(store_url) as store, Running(vendor, store) as running:
            running.tick()
            running.upkeep()
        with Store(store_url) as store, Running(vendor, store) as running:
            assert running.upkeep() == 1  # which organizations there are
            assert verify_due(running.session) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("days", "passed"), [(0.6, HOUR), (3, DAY), (20, DAY), (50, 7 * DAY)])
def test_an_entry_that_appears_late_is_found_when_its_round_is_due_and_not_before(
    store: Store, kind: Any, days: float, passed: timedelta
) -> None:
    with kind() as vendor:
        vendor.fill(100, 60, seed=1)
        with Running(vendor, store) as running:
            running.tick()
            running.upkeep()
            vendor.add(vendor.clock.ms() - int(days * DAY_MS))
            assert running.tick() == 0
            running.upkeep()
            assert healed(store) == 0
            running.later(passed + timedelta(minutes=1))
            running.upkeep()
            assert healed(store) == 1
            assert running.upkeep() == 0
        assert held(store, "acme") == {name: ids for name, ids in shown(vendor).items() if name in held(store, "acme")}
        assert sum(map(len, held(store, "acme").values())) >= 101


def test_an_entry_is_found_that_is_shown_days_after_it_happened(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        now = vendor.clock.ms()
        vendor.fill(60, 20, seed=1)
        late = vendor.add(now - DAY_MS // 4, visible_from_ms=now + 3 * DAY_MS)
        with Running(vendor, store) as running:
            running.tick()
            running.upkeep()
        vendor.clock.advance(2 * 86_400)
        with Running(vendor, store) as running:
            running.tick()
            running.later(2 * DAY)
            running.upkeep()
            assert late not in held(store, "acme")[LOG]
        vendor.clock.advance(86_400 + 60)
        with Running(vendor, store) as running:
            running.tick()
            running.later(DAY)
            running.upkeep()
            assert late in held(store, "acme")[LOG]
            assert healed(store) == 1
            assert running.upkeep() == 0


def test_what_was_found_is_logged_with_numbers(store: Store, logged: list[Any]) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(60, 60, seed=1)
        with Running(vendor, store) as running:
            running.tick()
            running.upkeep()
            first = told(logged, "verified")
            assert {line["found"] for line in first} == {0}
            assert sum(line["requests"] for line in first) > 0
            logged.clear()
            vendor.add(vendor.clock.ms() - DAY_MS // 2)
            running.later(HOUR + timedelta(minutes=1))
            running.upkeep()
        assert sum(line["found"] for line in told(logged, "verified")) == 1
        assert told(logged, "window_healed")[0]["stream"] == f"audit_log[{TRAVEL.id}]"


def test_before_the_start_by_the_vendors_clock_nothing_is_due(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.clock.advance(-7200)
        with Running(vendor, store, start=datetime.now(UTC) - HOUR) as running:
            running.tick()
            assert verify_due(running.session) == []


def test_a_source_that_is_not_to_be_verified_is_not(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 60, seed=1)
        with Running(vendor, store, verify=False) as running:
            running.tick()
            assert running.upkeep() == 0
        assert verdicts_of(store, "acme", LOG) == []


# Entries on which the vendor will still change something.


def waiting_event(vendor: LaunchDarklySimulator, days: float = 2) -> str:
    id_ = vendor.add_flag_event(ms=vendor.clock.ms() - int(days * DAY_MS))
    vendor.edit(id_, impact=WAITING)
    return id_


def test_a_flag_event_whose_impact_is_measured_is_read_again_until_it_is_final(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        id_ = waiting_event(vendor)
        with Running(vendor, store) as running:
            running.tick()
            running.upkeep()
            assert running.upkeep() == 0
            for _ in range(2):
                running.later(HOUR + timedelta(minutes=1))
                assert running.upkeep() > 0
                assert len(provisional(store, "acme", FLAG_EVENTS, EPOCH)) == 1
                assert running.upkeep() == 0
            vendor.edit(id_, impact=FINAL)
            running.later(HOUR + timedelta(minutes=1))
            running.upkeep()
            assert impact(store, id_) == FINAL
            assert provisional(store, "acme", FLAG_EVENTS, EPOCH) == []
        assert rows(store, "SELECT revision, provisional FROM event") in ([(2, False)], [(2, 0)])
        assert len(rows(store, "SELECT * FROM record")) == 2


def test_a_final_flag_event_is_not_read_again(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        id_ = waiting_event(vendor)
        with Running(vendor, store) as running:
            running.tick()
            running.upkeep()
            running.later(HOUR + timedelta(minutes=1))
            waiting = reread(running)
            vendor.edit(id_, impact=FINAL)
            running.later(HOUR + timedelta(minutes=1))
            running.upkeep()
            running.later(HOUR + timedelta(minutes=1))
            assert len(waiting) == 1
            assert reread(running) == []


def reread(running: Running) -> list[tuple[datetime, datetime]]:
    """Do what is due, and return the windows of flag events that were read again."""
    before = {(v.window, v.checked_at) for v in verdicts_of(running.store, "acme", FLAG_EVENTS)}
    running.upkeep()
    found = verdicts_of(running.store, "acme", FLAG_EVENTS)
    newest = max(verdict.checked_at for verdict in found)
    return [
        (v.window.since, v.window.until)
        for v in found
        if v.method is Method.CONTENTS and v.window.length < HOUR and (v.window, v.checked_at) not in before
        and newest - v.checked_at < timedelta(minutes=30)
    ]  # fmt: skip


def test_an_old_flag_event_that_still_waits_is_read_again_alone(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        old, young = waiting_event(vendor, days=6), waiting_event(vendor, days=2)
        with Running(vendor, store) as running:
            running.tick()
            running.upkeep()
            vendor.edit(old, impact=FINAL)
            vendor.requests.clear()
            running.later(HOUR + timedelta(minutes=1))
            running.upkeep()
            assert impact(store, old) == FINAL
            assert impact(store, young) == WAITING
            spans = [
                int(request.query["to"]) - int(request.query["from"])
                for request in vendor.requests
                if request.path.endswith("flag-events")
            ]
            assert sorted(spans)[:2] < [10, 10]  # a few milliseconds each, besides the counts of the last day


def test_a_daemon_that_was_off_meanwhile_reads_at_once_again_what_waited(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        id_ = vendor.add_flag_event(ms=vendor.clock.ms() - 300_000)
        with Running(vendor, store, settle=timedelta(minutes=1)) as running:
            running.tick()
            assert impact(store, id_) == WAITING
            assert any(window.until > at(store, id_) for window in store.coverage("acme", FLAG_EVENTS))
        vendor.clock.advance(7200)
        with Running(vendor, store, settle=timedelta(minutes=1)) as running:
            running.tick()
            assert impact(store, id_)["reason"] == "evaluations"
        assert provisional(store, "acme", FLAG_EVENTS, EPOCH) == []
        assert len(store.coverage("acme", FLAG_EVENTS)) == 1


def at(store: Store, id_: str) -> datetime:
    with store.engine.connect() as connection:
        found = connection.execute(select(EVENT.c.occurred_at).where(EVENT.c.vendor_id == id_)).scalar_one()
    assert isinstance(found, datetime)
    return found


def test_flag_events_that_the_vendor_has_dropped_are_not_waited_for(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        waiting_event(vendor, days=40)
        with Running(vendor, store) as running:
            running.tick()
        assert len(provisional(store, "acme", FLAG_EVENTS, EPOCH)) == 1
        with Running(vendor, store, retention=timedelta(days=30)) as running:
            since = running.session.source.kept_since(running.session.now())
            assert since is not None
            assert provisional(store, "acme", FLAG_EVENTS, since) == []


# When something goes wrong.


def test_a_vendor_that_fails_is_logged_and_verified_at_the_next_upkeep(store: Store, logged: list[Any]) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(60, 60, seed=1)
        with Running(vendor, store) as running:
            running.tick()
            running.session.api.attempts = 1
            vendor.inject(faults.status(503), match="auditlogs", times=ALWAYS)
            running.upkeep()
            assert "503" in told(logged, "verified")[-1]["error"]
            assert verdicts_of(store, "acme", f"audit_log[{TRAVEL.id}]") == []
            vendor.heal()
            running.session.resting.clear()
            running.upkeep()
            assert all(stream.verified_share == 1.0 for stream in status(store))


def test_a_vendor_that_fails_is_not_asked_for_every_round_in_vain(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 60, seed=1)
        with Running(vendor, store) as running:
            running.tick()
            running.session.api.attempts = 1
            vendor.inject(faults.status(503), times=ALWAYS)
            assert running.upkeep() <= 8
            assert verdicts_of(store, "acme", LOG) == []


def test_upkeep_never_raises_whatever_the_database_does(store: Store, logged: list[Any]) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(20, 20, seed=1)
        with Running(vendor, store) as running:
            running.tick()
            with store.engine.begin() as connection:
                connection.execute(text("ALTER TABLE verdict RENAME TO elsewhere"))
            running.upkeep()
            assert told(logged, "upkeep_failed")
            with store.engine.begin() as connection:
                connection.execute(text("ALTER TABLE elsewhere RENAME TO verdict"))
            logged.clear()
            running.upkeep()
            assert told(logged, "upkeep_failed") == []
        assert all(stream.verified_share == 1.0 for stream in status(store))


def test_a_stop_ends_the_rounds_and_leaves_no_false_verdict(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(200, 60, seed=1)
        with Running(vendor, store) as running:
            running.tick()
            vendor.inject(
                lambda request, answer: (running.session.stop(), answer())[1], match="auditlog?", times=1, skip=3
            )
            running.upkeep()
        done = Counter(verdict.outcome for verdict in verdicts_of(store, "acme", LOG))
        assert set(done) <= {Outcome.VERIFIED}
        vendor.add(vendor.clock.ms() - 30 * DAY_MS)
        with Session(source_of(vendor), store) as session:
            verify_due(session)
        before = healed(store)
        assert before in (0, 1)


def test_a_daemon_that_runs_does_upkeep_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagtrail.threads.UPKEEP", 0.2)
    with ConfigCatSimulator() as vendor:
        vendor.fill(20, 20, seed=1)
        daemon = Daemon([source_of(vendor)], store)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        deadline = time.monotonic() + 30
        try:
            while not (streams := status(store)) or any(stream.verified_share < 0.99 for stream in streams):
                assert time.monotonic() < deadline, "nothing was verified"
                time.sleep(0.05)
        finally:
            daemon.stop()
            thread.join(30)
            for session in daemon.sessions:
                session.__exit__()
        assert not thread.is_alive()
