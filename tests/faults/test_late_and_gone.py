"""Faults that only verification finds: what is late, gone, cut short, hidden, or was restored from an old copy."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flagtrail.source import Source
from flagtrail.status import StreamStatus, status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Simulator
from flagtrail.upkeep import fetch_details
from flagtrail.verdicts import Method, Outcome
from flagtrail.verify import verify
from flagtrail.window import from_ms
from flagtrail_configcat.simulation.account import TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows
from tests.faults.conftest import Oracle

DAY_MS = 86_400_000
KINDS = [LaunchDarklySimulator, ConfigCatSimulator]


def session_of(vendor: Simulator, store: Store, **more: Any) -> Session:
    own = {name: more.pop(name) for name in ("details",) if name in more}
    connector = vendor.connector(**vendor.settings(), **own)
    return Session(Source("acme", connector, **({"start": timedelta(days=61)} | more)), store)


def travel(store: Store) -> StreamStatus:
    """Return the status of ConfigCat's larger organization."""
    [found] = [stream for stream in status(store) if stream.state.account == TRAVEL.id]
    return found


@pytest.mark.fault("A3", "entries that appear days late")
@pytest.mark.parametrize("kind", KINDS)
def test_a3_days_late(oracle: Oracle, store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(200, 60, seed=3)
        with session_of(vendor, store) as session:
            session.fill()
            for days in (1, 2, 9, 33):
                vendor.add(vendor.clock.ms() - days * DAY_MS)
            found = sum(stream.found for stream in verify(session).streams.values())
        oracle.holds(found == 4, "verification finds each of them")
        oracle.whole(store, vendor)


@pytest.mark.fault("A5", "numbers that agree although one entry went and another came")
@pytest.mark.parametrize("kind", KINDS)
def test_a5_numbers_agree_by_chance(oracle: Oracle, store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(200, 60, seed=3)
        moment = vendor.clock.ms() - 2 * DAY_MS
        dropped = vendor.add(moment)
        with session_of(vendor, store) as session:
            session.fill()
            oracle.see(vendor)
            vendor.remove(dropped)
            vendor.add(moment)
            first = verify(session)
            told = [verdict for stream in status(store) for verdict in stream.verdicts]
            oracle.holds(
                told and not any(verdict.method is Method.CONTENTS for verdict in told),
                "equal numbers are not said to be equal contents",
            )
            reports = (first, verify(session, method=Method.CONTENTS))
        oracle.holds(
            sum(len(stream.vanished) for report in reports for stream in report.streams.values()) == 1,
            "the one that went is told too",
        )
        oracle.whole(store, vendor)


@pytest.mark.fault("B1", "the daemon was off for longer than the vendor keeps entries")
def test_b1_off_for_longer_than_the_retention(oracle: Oracle, store: Store) -> None:
    with ConfigCatSimulator(retention_days=35) as vendor:
        vendor.fill(100, 20, seed=3)
        with session_of(
            vendor, store, start=from_ms(vendor.clock.ms() - 20 * DAY_MS), retention=timedelta(days=35)
        ) as s:
            s.fill()
        before = travel(store)
        missed = vendor.add(vendor.clock.ms() + 1000)
        vendor.clock.advance(40 * 86_400)
        vendor.fill(50, 30, seed=4)
        with session_of(vendor, store, start=before.state.wanted_since, retention=timedelta(days=35)) as session:
            session.fill()
        after = travel(store)
        [gap] = [gap for gap in after.gaps if gap.permanent]
        oracle.holds(gap.window.since == before.covered[-1].until, "the hole begins where coverage ended")
        oracle.holds(
            abs(gap.window.until - from_ms(vendor.clock.ms() - 35 * DAY_MS)) < timedelta(minutes=1),
            "and ends where the vendor's memory begins",
        )
        oracle.holds(str(missed) not in held(store, "acme")[after.state.stream], "what aged out is not made up")
        oracle.see(vendor)
        oracle.holds(
            held(store, "acme")[after.state.stream] >= set(vendor.truth()[after.state.stream]), "the rest is here"
        )


@pytest.mark.fault("B2", "an environment is deleted together with its log")
def test_b2_a_deleted_environment(oracle: Oracle, store: Store) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(300, 60, seed=3)
        with session_of(vendor, store) as session:
            session.fill()
            oracle.see(vendor)
            log = vendor._logs[TRAVEL.id]
            entries = [log[int(id)] for id in held(store, "acme")[f"audit_log[{TRAVEL.id}]"]]
            place = next(entry.item.place for entry in entries if entry.item.place.ids.get("environmentId"))
            name = place.where.split(" / ")[-1]
            vendor.add(place=place, auditLogTypeEnum="environmentDeleted", actionTarget=name)
            count = vendor.cleanup_environment(place.ids["environmentId"])
            session.fill()
            verify(session)
        marked = rows(store, "SELECT vanished_reason, count(*) FROM event WHERE vanished_at IS NOT NULL GROUP BY 1")
        oracle.holds(marked == [("environment deleted", count)], "exactly those are marked, with the reason")
        oracle.whole(store, vendor)


@pytest.mark.fault("B3", "entries change after they were seen")
@pytest.mark.parametrize("kind", KINDS)
def test_b3_changed_entries(oracle: Oracle, store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(200, 60, seed=3)
        with session_of(vendor, store) as session:
            session.fill()
            stream = max(held(store, "acme"), key=lambda name: len(held(store, "acme")[name]))
            for number, id in enumerate(sorted(held(store, "acme")[stream])[::20]):
                where = {"organization": TRAVEL.id} if kind is ConfigCatSimulator else {}
                vendor.edit(id, **where, **{"why" if where else "comment": f"said later, {number}"})
            verify(session, method=Method.CONTENTS)
            verify(session, method=Method.CONTENTS)
        edited = len(sorted(held(store, "acme")[stream])[::20])
        newest = rows(store, "SELECT revision, count(*) FROM event WHERE comment LIKE 'said later%' GROUP BY revision")
        oracle.holds(newest == [(2, edited)], "each has one new revision")
        kept = rows(store, "SELECT revision, count(*) FROM record GROUP BY revision ORDER BY revision")
        oracle.holds(
            kept[1] == (2, edited) and kept[0][1] == len(rows(store, "SELECT id FROM event")), "the old ones are kept"
        )
        oracle.whole(store, vendor)


@pytest.mark.fault("B4", "details that are gone, or of another entry")
def test_b4_details_that_cannot_be_had(oracle: Oracle, store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 20, seed=3)
        with session_of(vendor, store, start=timedelta(days=21), details="all") as session:
            session.fill()
            vendor.inject(faults.status(404), match="/auditlog/", times=1)
            vendor.inject(faults.body({"_id": "another"}), match="/auditlog/", times=1)
            fetched = fetch_details(session, 60.0, spare=0.0)
            states = dict(rows(store, "SELECT state, count(*) FROM detail GROUP BY state"))
            oracle.holds(
                states == {"done": 58, "gone": 1, "open": 1} and fetched.error is None,
                "each is told apart, and the listing is whole all the same",
            )
        oracle.whole(store, vendor)


@pytest.mark.fault("E1", "a credential that suddenly sees less: 200, with fewer entries")
def test_e1_a_narrowed_credential(oracle: Oracle, store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(200, 60, seed=3)
        with session_of(vendor, store) as session:
            session.fill()
            oracle.see(vendor)
            everything = held(store, "acme")
            entries = vendor.trail.audit_log.entries
            hidden = [
                id for id in vendor.truth()["audit_log"] if str(entries[id].change.resources).count("proj/mobile")
            ]
            for id in hidden:
                vendor.remove(id)
            report = verify(session)
        oracle.holds(held(store, "acme") == everything, "nothing is taken away")
        told = set(report.streams["audit_log"].vanished.values())
        oracle.holds("hidden" in told and "unexplained" not in told, "it is said that the credential sees less")
        oracle.holds(Outcome.DIFFERS not in {v.outcome for v in status(store)[0].verdicts}, "and it is no false alarm")
        oracle.whole(store, vendor)


@pytest.mark.fault("D6", "a database restored from an old copy")
def test_d6_an_old_copy(oracle: Oracle, tmp_path: Path) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 20, seed=3)
        path, copy = tmp_path / "trail.db", tmp_path / "copy.db"
        with Store(f"sqlite:///{path}") as store, session_of(vendor, store) as session:
            session.fill()
        shutil.copy(path, copy)
        vendor.clock.advance(3 * 86_400)
        for hours in range(1, 60, 7):
            vendor.add(vendor.clock.ms() - hours * 3_600_000)
        with Store(f"sqlite:///{path}") as store, session_of(vendor, store) as session:
            session.fill()
            oracle.whole(store, vendor)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copy(copy, path)
        with Store(f"sqlite:///{path}") as store, session_of(vendor, store) as session:
            oracle.check(store, vendor)
            session.fill()
            verify(session)
            oracle.whole(store, vendor)
