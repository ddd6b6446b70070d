"""Verification: what is late, changed or deleted behind our back is found, and nothing else."""

import random
from datetime import timedelta
from typing import Any

import pytest

from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.testing import faults
from flagtrail.verdicts import Method, Outcome, current, verdicts_of
from flagtrail.verify import verify
from flagtrail.window import Window, subtract
from flagtrail_configcat.simulation.account import LABS, TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows
from tests.integration.verifying import (
    ALWAYS,
    COUNTS,
    DAY_MS,
    KINDS,
    LOG,
    assert_whole,
    delete,
    found,
    loaded,
    outcomes,
    streams_of,
    vanished,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", list(Method))
def test_a_whole_table_is_verified_to_the_last_millisecond(store: Store, kind: Any, method: Method) -> None:
    with kind() as vendor:
        vendor.fill(400, 60, seed=1)
        with loaded(vendor, store) as session:
            before = rows(store, "SELECT id, revision FROM event ORDER BY id")
            report = verify(session, method=method)
        assert report.errors == []
        assert outcomes(report) == {Outcome.VERIFIED}
        for stream in streams_of(vendor):
            verified = [verdict.window for verdict in current(verdicts_of(store, "acme", stream), method)]
            assert [hole for window in store.coverage("acme", stream) for hole in subtract(window, verified)] == []
        assert all(stream.verified_share == 1.0 for stream in status(store))
        assert rows(store, "SELECT id, revision FROM event ORDER BY id") == before


@pytest.mark.parametrize("switches", [
    {"bounds": "[)"}, {"bounds": "(]"}, {"bounds": "[]"}, {"counts_aligned": True}, {"counts_empty_buckets": False},
    {"counts_aligned": True, "counts_empty_buckets": False, "bounds": "[]"}, {"ties": "unstable"},
], ids=str)  # fmt: skip
def test_numbers_are_understood_whatever_the_vendor_leaves_open(store: Store, switches: dict[str, Any]) -> None:
    with LaunchDarklySimulator(**switches) as vendor:
        vendor.fill(400, 60, seed=1)
        vendor.burst(vendor.clock.ms() - 3 * DAY_MS, 45)
        with loaded(vendor, store) as session:
            assert outcomes(verify(session)) == {Outcome.VERIFIED}
            vendor.add(vendor.clock.ms() - 5 * DAY_MS)
            report = verify(session)
            assert found(report) == 1
            assert outcomes(report) == {Outcome.VERIFIED, Outcome.HEALED}
        assert_whole(store, vendor)


@pytest.mark.parametrize("kind", KINDS)
def test_entries_that_appear_days_late_are_found_and_stored(store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            now = vendor.clock.ms()
            for days in (1, 1, 3, 30, 59):
                vendor.add(now - days * DAY_MS)
            assert session.fill().new == 0
            report = verify(session)
            assert found(report) == 5
            assert verify(session).differing == 0
        assert_whole(store, vendor)
        assert sum(stream.healed for stream in status(store)) == 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tables", [("event",), ("event", "record")], ids=str)
def test_rows_deleted_behind_our_back_are_found_and_exactly_those(
    store: Store, kind: Any, tables: tuple[str, ...]
) -> None:
    with kind() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            ids = [str(id) for (id,) in rows(store, "SELECT id FROM event ORDER BY id")]
            gone = random.Random(1).sample(ids, 12)
            bodies = rows(store, "SELECT id, summary FROM event ORDER BY id")
            delete(store, gone, tables)
            report = verify(session)
            assert found(report) == 12
            assert vanished(report) == {}
            again = verify(session, method=Method.CONTENTS)
            assert (found(again), outcomes(again)) == (0, {Outcome.VERIFIED})
        assert rows(store, "SELECT id, summary FROM event ORDER BY id") == bodies
        assert_whole(store, vendor)


def test_a_table_that_was_emptied_is_filled_again(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            delete(store, [str(id) for (id,) in rows(store, "SELECT id FROM event")], ("event", "record"))
            assert found(verify(session)) == 300
        assert_whole(store, vendor)


def test_numbers_that_agree_by_chance_are_seen_through_by_reading_everything(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        moment = vendor.clock.ms() - 2 * DAY_MS
        dropped = vendor.add(moment)
        with loaded(vendor, store) as session:
            vendor.remove(dropped)
            late = vendor.add(moment)
            assert found(verify(session)) == 0
            report = verify(session, method=Method.CONTENTS)
            assert found(report) == 1
            assert vanished(report) == {dropped: "unexplained"}
        assert late in held(store, "acme")[LOG]
        assert dropped in held(store, "acme")[LOG]


@pytest.mark.parametrize("kind", KINDS)
def test_other_content_is_a_new_revision_and_the_old_one_is_kept(store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            stream = max(streams_of(vendor), key=lambda name: len(vendor.truth()[name]))
            changed = sorted(vendor.truth()[stream])[40]
            if isinstance(vendor, ConfigCatSimulator):
                vendor.edit(changed, organization=stream[10:-1], why="said later")
            else:
                vendor.edit(changed, comment="said later")
            report = verify(session, method=Method.CONTENTS)
            assert report.streams[stream].changed == 1
        kept = rows(store, "SELECT revision, comment FROM event WHERE comment = 'said later'")
        assert kept == [(2, "said later")]
        assert len(rows(store, "SELECT * FROM record WHERE revision = 2")) == 1
        assert len(rows(store, "SELECT * FROM record WHERE revision = 1")) == 100


def test_a_vendor_that_is_down_leaves_the_older_verdicts_and_says_so(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            verify(session)
            before = verdicts_of(store, "acme", LOG)
            session.api.attempts = 1
            vendor.inject(faults.status(503), match="auditlog", times=ALWAYS)
            report = verify(session)
            assert report.errors
            assert verdicts_of(store, "acme", LOG) == before
            vendor.heal()
            assert verify(session).errors == []


def test_a_verification_of_a_window_leaves_the_rest_alone(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            asked = Window.of_ms(vendor.clock.ms() - 20 * DAY_MS, vendor.clock.ms() - 10 * DAY_MS)
            verify(session, asked)
            verified = [verdict.window for verdict in current(verdicts_of(store, "acme", LOG))]
            assert subtract(asked, verified) == []
            assert sum((window.length for window in verified), timedelta()) == asked.length


def test_an_unknown_stop_in_the_middle_is_no_verdict(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            vendor.inject(lambda request, answer: (session.stop(), answer())[1], match=COUNTS, times=1, skip=2)
            report = verify(session)
            assert report.stopped
        assert all(verdict.outcome is Outcome.VERIFIED for verdict in verdicts_of(store, "acme", LOG))


def test_another_credential_has_to_verify_everything_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(60, 20, seed=1)
        with loaded(vendor, store) as session:
            verify(session)
            assert all(stream.verified_share == 1.0 for stream in status(store))
        monkeypatch.setattr(vendor.connector, "_fingerprint", lambda self: "another")
        with loaded(vendor, store):
            assert all(stream.verified_share == 0.0 for stream in status(store))
        assert all(state.credential_at is not None for state in store.streams())
        assert {LABS.id, TRAVEL.id} == {state.account for state in store.streams()}
