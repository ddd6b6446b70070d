"""What the lists of the vendors hold, and in which order: reliability rows A1 to A8."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request
from flagtrail.window import Window, from_ms
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows
from tests.faults.conftest import Oracle
from tests.faults.scene import (
    ALWAYS,
    AUDIT_LOG,
    DAY_MS,
    audit_log_only,
    before_answer,
    covered,
    gaps,
    source_of,
    sync,
)


@pytest.mark.fault("A1", "more entries in one millisecond than a page holds")
@pytest.mark.parametrize("count", [2, 21, 45, 200])
def test_a1_ties_and_bursts(oracle: Oracle, store: Store, count: int) -> None:
    with LaunchDarklySimulator(ties="unstable") as vendor:
        vendor.fill(60, 5, seed=count)
        vendor.burst(vendor.clock.ms() - DAY_MS, count, actions=3)
        with Session(Source("acme", vendor.connect(), start=timedelta(days=6)), store) as session:
            assert session.fill().errors == []
        oracle.whole(store, vendor)
        oracle.holds(gaps(store) == [], "what can be told apart is no gap")


@pytest.mark.fault("A1", "entries of one millisecond that cannot be told apart")
@pytest.mark.parametrize(("count", "gap"), [(19, False), (20, True), (21, True), (60, True)])
def test_a1_a_tie_without_difference_is_a_gap_of_one_millisecond(
    oracle: Oracle, lite: Store, count: int, gap: bool
) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(40, 5, seed=count)
        moment = vendor.clock.ms() - DAY_MS
        vendor.burst(moment, count, resources=1)
        sync(vendor, lite)
        oracle.whole(lite, vendor)
        told = [one.window for one in gaps(lite) if one.expected == count]
        oracle.holds(told == [Window.of_ms(moment, moment + 1)] * gap, "only that millisecond is a gap")


@pytest.mark.fault("A2", "the walk is interrupted after so many answers")
@pytest.mark.parametrize("answered", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("fault", [faults.reset(), faults.status(429, None, {"retry-after": "90"})], ids=["cut", "429"])
def test_a2_an_interrupted_walk_is_resumed_below_what_is_covered(
    oracle: Oracle, lite: Store, answered: int, fault: faults.Fault
) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(150, 5, seed=2, flag_events=0)
        connector = audit_log_only(vendor)
        vendor.inject(fault, match=AUDIT_LOG, skip=answered, times=ALWAYS)
        oracle.holds(sync(vendor, lite, connector=connector, attempts=1, parallel=1).errors, "it is told of")
        oracle.check(lite, vendor)
        [(had,)] = rows(lite, "SELECT count(*) FROM event")
        oracle.holds(len(covered(lite)) == (1 if answered else 0), "each page counted at once")
        vendor.heal()
        report = sync(vendor, lite, connector=connector, parallel=1)
        assert report.errors == []
        oracle.whole(lite, vendor)
        missing = 150 - int(str(had))
        oracle.holds(report.requests <= missing / 19 + 5, "nothing is read again but the tail")


@pytest.mark.fault("A2", "a deploy ends the walk, again and again")
def test_a2_a_walk_that_is_stopped_each_time_gets_to_the_end(oracle: Oracle, store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(150, 5, seed=2, flag_events=0)
        for _ in range(40):
            with Session(source_of(vendor, audit_log_only(vendor), parallel=1), store) as session:
                vendor.heal()
                vendor.inject(before_answer(session.stop), match=AUDIT_LOG, skip=1)
                stopped = session.fill().stopped
            oracle.check(store, vendor)
            if not stopped:
                break
        assert not stopped
        [(stored,)] = rows(store, "SELECT count(*) FROM event")
        oracle.holds(stored == 150, "each start gets further")


@pytest.mark.fault("A3", "an entry appears late, inside the settling time")
@pytest.mark.parametrize("late", [1, 60, 899])
def test_a3_an_entry_that_appears_late_is_found_in_the_tail(
    oracle: Oracle, lite: Store, vendor: Any, late: int
) -> None:
    sync(vendor, lite)
    now = vendor.clock.ms()
    vendor.add(now - 1, visible_from_ms=now - 1 + late * 1000)
    sync(vendor, lite)
    vendor.clock.advance(late)
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)
    vendor.clock.advance(3600)
    sync(vendor, lite)
    oracle.whole(lite, vendor)
    oracle.holds(covered(lite)[0].until > from_ms(now), "its time is covered in the end")


@pytest.mark.fault("A4", "entries dated ahead of the vendor's clock")
@pytest.mark.parametrize("ahead", [1, 3_600_000, DAY_MS - 60_000, 2 * DAY_MS, 365 * DAY_MS])
def test_a4_an_entry_dated_ahead_moves_no_claim_and_is_stored_in_time(oracle: Oracle, lite: Store, ahead: int) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=3, flag_events=0)
        entry = vendor.add(vendor.clock.ms() + ahead)
        with Session(source_of(vendor, audit_log_only(vendor)), lite) as session:
            assert session.fill().errors == []
            oracle.check(lite, vendor)
            oracle.holds(len(rows(lite, "SELECT id FROM event")) == 60 + (ahead < DAY_MS), "seen a day ahead")
            limit = from_ms(vendor.clock.ms()) - timedelta(minutes=15)
            oracle.holds(all(window.until <= limit for window in covered(lite)), "the tail is not claimed")
            vendor.clock.advance(ahead / 1000 + 3600)
            for _ in range(3):
                session.fill()  # the vendor's clock jumped: one answer alone is not believed
        found = rows(lite, f"SELECT vendor_id FROM event WHERE vendor_id = '{entry}'")
        oracle.holds(found == [(entry,)], "it is stored when its time has come")
        oracle.whole(lite, vendor)


@pytest.mark.fault("A4", "the vendor's clock and ours are days apart")
@pytest.mark.parametrize("days", [-2, 2])
def test_a4_clocks_that_are_days_apart_change_nothing(oracle: Oracle, lite: Store, vendor: Any, days: int) -> None:
    vendor.clock.advance(days * 86_400)
    if days > 0:
        vendor.add(vendor.clock.ms() - 1000)
    sync(vendor, lite, start=timedelta(days=9))
    limit = from_ms(vendor.clock.ms()) - timedelta(minutes=15)
    oracle.holds(all(window.until <= limit for window in covered(lite)), "the vendor's clock limits the claims")
    oracle.check(lite, vendor)
    vendor.clock.advance(-days * 86_400)
    sync(vendor, lite, start=timedelta(days=9))
    oracle.whole(lite, vendor)


@pytest.mark.fault("A6", "entries are listed in another order")
@pytest.mark.parametrize("order", ["two swapped", "shuffled", "oldest first"])
def test_a6_another_order_than_newest_first_claims_nothing(oracle: Oracle, lite: Store, order: str) -> None:
    def disorder(body: Any) -> Any:
        items = list(body["items"])
        if order == "two swapped":
            items[3], items[9] = items[9], items[3]
        elif order == "shuffled":
            random.Random(4).shuffle(items)
        else:
            items.reverse()
        return body | {"items": items}

    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 5, seed=4)
        vendor.inject(faults.edited(disorder), match=AUDIT_LOG, times=ALWAYS)
        report = sync(vendor, lite)
        oracle.holds("newest first" in str(report.streams["audit_log"].error), "it is called by its name")
        oracle.holds(covered(lite, "audit_log") == [], "nothing is claimed")
        oracle.check(lite, vendor)
        vendor.heal()
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("A6", "a list that promises no order")
@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_a6_configcat_is_whole_in_any_order(oracle: Oracle, lite: Store, order: Any) -> None:
    with ConfigCatSimulator(order=order) as vendor:
        vendor.fill(620, 5, seed=4)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(gaps(lite) == [], "order is not needed")


@pytest.mark.fault("A7", "bounds inclusive or not, and changed on the way")
@pytest.mark.parametrize("bounds", ["()", "[)", "(]", "[]"])
@pytest.mark.parametrize("later", ["()", "[]"])
def test_a7_bounds_of_any_kind_lose_nothing(oracle: Oracle, lite: Store, bounds: Any, later: Any) -> None:
    with LaunchDarklySimulator(bounds=bounds, insights_bounds=bounds) as vendor:
        vendor.fill(120, 5, seed=5)
        for hours in range(1, 40):
            vendor.burst(vendor.clock.ms() - hours * 3_600_000, 2)
        connector = audit_log_only(vendor)
        with Session(source_of(vendor, connector), lite) as session:
            session.streams()
            vendor.inject(faults.status(500), match=AUDIT_LOG, skip=3, times=ALWAYS)
            session.api.attempts = 1
            session.fill()
            oracle.check(lite, vendor)
            vendor.heal()
            vendor.switches.bounds = later
            vendor.switches.insights_bounds = later
            assert session.fill().errors == []
        requests = [tuple(sorted(r.query.items())) for r in vendor.requests if r.path.endswith("/auditlog")]
        oracle.holds(max(map(requests.count, requests)) <= 3, "no request is repeated for ever")
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(gaps(lite) == [], "nothing is left open")


@pytest.mark.fault("A7", "configcat: bounds inclusive or not, fractions dropped")
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("fractions", [False, True])
def test_a7_configcat_bounds_lose_nothing(oracle: Oracle, lite: Store, inclusive: bool, fractions: bool) -> None:
    with ConfigCatSimulator(from_inclusive=inclusive, to_inclusive=inclusive, fractions=fractions) as vendor:
        vendor.fill(620, 5, seed=5)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(gaps(lite) == [], "nothing is left open")


class Filtering(LaunchDarklySimulator):
    """Hides some entries after it has counted a page: short pages in the middle, and totals that are too high."""

    def __init__(self, hidden: Callable[[int], bool]) -> None:
        super().__init__()
        self.hidden = hidden

    def reply(self, request: Request) -> Reply:
        """Answer with what is not hidden."""
        reply = super().reply(request)
        if request.path.endswith("/auditlog") and reply.status == 200:
            reply.body = reply.body | {"items": [one for one in reply.body["items"] if not self.hidden(one["date"])]}
        return reply

    def truth(self) -> dict[str, dict[str, int]]:
        """Return what is not hidden."""
        found = super().truth()
        found["audit_log"] = {id: ms for id, ms in found["audit_log"].items() if not self.hidden(ms)}
        return found


@pytest.mark.fault("A8", "entries are left out of a page after it was made")
def test_a8_a_short_page_in_the_middle_is_not_taken_for_the_last(oracle: Oracle, store: Store) -> None:
    with Filtering(lambda ms: ms % 3 == 0) as vendor:
        vendor.fill(200, 5, seed=6)
        assert sync(vendor, store).errors == []
        oracle.whole(store, vendor)
        oracle.holds(gaps(store) == [], "everything that is shown at all is there")


@pytest.mark.fault("A8", "a page in the middle of which nothing is left")
def test_a8_an_empty_page_that_links_on_is_not_taken_for_the_last(oracle: Oracle, lite: Store) -> None:
    with Filtering(lambda ms: ms > cut) as vendor:
        cut = vendor.clock.ms() - 2 * DAY_MS
        vendor.fill(600, 5, seed=6)  # at any time of day the newest two days are more than a page
        report = sync(vendor, lite)
        oracle.holds("next page from an empty one" in str(report.streams["audit_log"].error), "it is refused by name")
        oracle.check(lite, vendor)
        oracle.holds(gaps(lite), "what lies below is a gap")
