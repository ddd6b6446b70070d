"""Which streams and windows are read, and in what sizes: reliability rows A13 to A16."""

import random
import threading
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.window import Window
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows
from tests.faults.conftest import Oracle
from tests.faults.scene import (
    DAY_MS,
    audit_log_only,
    covered,
    source_of,
    sync,
)


@pytest.mark.fault("A13", "projects and environments that come while running")
def test_a13_a_new_environment_is_read_from_its_beginning(oracle: Oracle, store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=11)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
            vendor.add_project("reviews", environments=("production",))
            for hours in range(5):
                vendor.add_flag_event(ms=vendor.clock.ms() - hours * 3_600_000, project="reviews", flag="stars")
            vendor.add(resources="proj/reviews", actions="createProject", verb="created the project")
            oracle.holds(session.fill().errors == [], "it is seen in the audit log")
            oracle.holds("flag_events[reviews/production]" in session.fill().streams, "it is looked for at once")
        oracle.whole(store, vendor)


@pytest.mark.fault("A13", "an environment that is deleted while running")
def test_a13_a_deleted_environment_keeps_what_it_had_and_stops_nobody(oracle: Oracle, lite: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(200, 5, seed=11)
        with Session(source_of(vendor), lite) as session:
            assert session.fill().errors == []
            oracle.see(vendor)
            before = rows(lite, "SELECT count(*) FROM event")
            del vendor.trail.projects[-1]
            vendor.happen()
            report = session.fill()
            oracle.holds(report.streams["audit_log"].error is None, "the audit log goes on")
            oracle.holds([one for one in report.errors if "404" in one], "what is gone is named")
        oracle.whole(lite, vendor)
        oracle.holds(rows(lite, "SELECT count(*) FROM event") > before, "nothing is deleted")


def everything(store: Store) -> list[Any]:
    """Return every event's id with its records: all that must not depend on who read it, or when."""
    found: list[Any] = rows(store, "SELECT id, digest, body FROM record JOIN event USING (number)")
    return sorted((id, bytes(digest), body) for id, digest, body in found)


@pytest.mark.fault("A14", "eight readers at once")
def test_a14_eight_readers_store_what_one_does(oracle: Oracle, store: Store, vendor: Any, tmp_path: Any) -> None:
    vendor.burst(vendor.clock.ms() - DAY_MS, 45)
    with Store(f"sqlite:///{tmp_path / 'single.db'}") as alone:
        assert sync(vendor, alone, parallel=1).errors == []
        oracle.whole(alone, vendor)
        expected = everything(alone)
    assert sync(vendor, store, parallel=8).errors == []
    oracle.whole(store, vendor)
    oracle.holds(everything(store) == expected, "the same entries, byte for byte")


@pytest.mark.fault("A14", "backfills of random parts, at the same time")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a14_random_parts_at_once_add_up_to_the_whole(oracle: Oracle, store: Store, vendor: Any, seed: int) -> None:
    rng = random.Random(seed)
    until = vendor.clock.ms() - 3_600_000
    known = [ms for ids in vendor.truth().values() for ms in ids.values() if ms < until]
    # The edges lie on entries, one beside, or anywhere.
    cuts = {rng.choice(known) + rng.choice([0, 0, 1, -1]) for _ in range(5)} | {rng.randint(min(known), until)}
    edges = [until - 6 * DAY_MS, *sorted(cuts), until]
    windows = [Window.of_ms(a, b) for a, b in pairwise(edges)]
    rng.shuffle(windows)
    errors: list[str] = []
    with Session(source_of(vendor, parallel=2), store) as session:
        session.streams()
        threads = [threading.Thread(target=lambda w=w: errors.extend(session.fill(w).errors)) for w in windows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    oracle.check(store, vendor)
    whole = Window.of_ms(edges[0], until)
    oracle.holds(set(covered(store)) == {whole}, "the parts touch, and nothing lies between")


@pytest.mark.fault("A15", "the vendor gives fewer or more to a page than was asked for")
@pytest.mark.parametrize("cap", [1, 2, 10, 19, 21, 100])
def test_a15_another_size_of_page_loses_nothing(oracle: Oracle, lite: Store, cap: int) -> None:
    with LaunchDarklySimulator(page_cap=cap) as vendor:
        vendor.fill(80, 5, seed=12, flag_events=130)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("A15", "smaller pages than asked for, without links")
def test_a15_a_short_page_without_a_link_is_confirmed(oracle: Oracle, lite: Store) -> None:
    with LaunchDarklySimulator(page_cap=10, next_link="never") as vendor:
        vendor.fill(80, 5, seed=12, flag_events=0)
        sync(vendor, lite, connector=audit_log_only(vendor))
        oracle.check(lite, vendor)


@pytest.mark.fault("A16", "a filter that would hide entries")
@pytest.mark.parametrize("name", ["spec", "q", "query", "resources"])
def test_a16_no_request_and_no_setting_filters_the_audit_log(oracle: Oracle, lite: Store, name: str) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=13)
        with pytest.raises(ValidationError, match=name):
            LaunchDarkly(**vendor.settings(), **{name: "proj/web"})
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        asked = [set(r.query) for r in vendor.requests if r.method == "GET" and r.path.endswith("/auditlog")]
        oracle.holds(all(names == {"after", "before", "limit"} for names in asked), "every list is unfiltered")
