"""What the vendor no longer shows: it is marked and stays, with the reason as far as it can be told."""

from datetime import timedelta
from typing import Any

import pytest

from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.verdicts import Outcome
from flagtrail.verify import verify
from flagtrail_configcat.simulation.account import TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows
from tests.integration.verifying import (
    DAY_MS,
    KINDS,
    LOG,
    found,
    loaded,
    outcomes,
    source_of,
    streams_of,
    vanished,
)


def vanish_some(vendor: Any, stream: str, ids: list[str]) -> None:
    for id in ids:
        vendor.remove(id, **({"organization": stream[10:-1]} if isinstance(vendor, ConfigCatSimulator) else {}))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_vendor_no_longer_shows_stays_and_is_marked(store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            stream = max(streams_of(vendor), key=lambda name: len(vendor.truth()[name]))
            entries = sorted(vendor.truth()[stream], key=lambda id: vendor.truth()[stream][id])
            gone = entries[100:103]
            bodies = rows(store, "SELECT number, body FROM record ORDER BY number")
            vanish_some(vendor, stream, gone)
            report = verify(session)
            assert set(vanished(report)) == set(gone)
            assert outcomes(report) == {Outcome.VERIFIED}
            assert vanished(verify(session)) == {}
        marked = rows(store, "SELECT vendor_id FROM event WHERE vanished_at IS NOT NULL")
        assert {id for (id,) in marked} == set(gone)
        assert rows(store, "SELECT number, body FROM record ORDER BY number") == bodies
        assert sum(sum(stream.vanished.values()) for stream in status(store)) == 3


def test_what_was_hidden_for_a_while_is_no_longer_marked_when_it_is_shown_again(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            vendor.switches.history_days = 30
            assert len(vanished(verify(session))) > 50
            vendor.switches.history_days = None
            assert found(verify(session)) == 0
        assert rows(store, "SELECT id FROM event WHERE vanished_at IS NOT NULL OR vanished_reason IS NOT NULL") == []
        assert rows(store, "SELECT id FROM event WHERE revision > 1") == []


def test_a_credential_that_sees_less_than_before_is_told_apart(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        secret = "proj/secret:env/production:flag/plan"
        now = vendor.clock.ms()
        hidden = [vendor.add(now - day * DAY_MS, resources=secret) for day in range(2, 50, 4)]
        with loaded(vendor, store) as session:
            vanish_some(vendor, LOG, hidden[:-1])
            first = vanished(verify(session))
            assert set(first.values()) == {"unexplained"}  # one entry of that project is still shown
            vanish_some(vendor, LOG, hidden[-1:])
            mobile = [id for id in vendor.truth()[LOG] if resource(vendor, id).startswith("proj/mobile")]
            vanish_some(vendor, LOG, mobile)
            report = vanished(verify(session))
        assert {report[id] for id in mobile if report[id] != "retention"} == {"hidden"}


def resource(vendor: Any, id: str) -> str:
    return str(vendor.trail.audit_log.entries[id].change.resources[0])


def test_a_deleted_environment_takes_its_log_along_and_the_trail_keeps_it(store: Store) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(400, 60, seed=1)
        with loaded(vendor, store) as session:
            before = held(store, "acme")
            place = vendor._logs[TRAVEL.id]
            environment = next(
                entry.item.place for entry in (place[int(id)] for id in before[f"audit_log[{TRAVEL.id}]"])
                if entry.item.place.ids.get("environmentId")
            )  # fmt: skip
            name = environment.where.split(" / ")[-1]
            vendor.add(place=environment, auditLogTypeEnum="environmentDeleted", actionTarget=name)
            count = vendor.cleanup_environment(environment.ids["environmentId"])
            session.fill()
            report = verify(session)
            assert count > 5
            assert len(vanished(report)) == count
            assert set(vanished(report).values()) == {"environment deleted"}
        assert all(before[stream] <= ids for stream, ids in held(store, "acme").items())


@pytest.mark.parametrize("known", [True, False], ids=["setting", "guessed"])
def test_what_the_vendors_retention_has_dropped_is_told_apart(store: Store, known: bool) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store):
            vendor.switches.history_days = 30
        retention = {"retention": timedelta(days=30)} if known else {}
        with Session(source_of(vendor, **retention), store) as session:
            report = verify(session)
        old = [id for id, ms in entries_of(vendor).items() if ms < vendor.clock.ms() - 30 * DAY_MS]
        assert set(vanished(report)) == set(old)
        assert set(vanished(report).values()) == {"retention"}
        assert len(held(store, "acme")[LOG]) == 300


def entries_of(vendor: Any) -> dict[str, int]:
    return {id: entry.ms for id, entry in vendor.trail.audit_log.entries.items()}
