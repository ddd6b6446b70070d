"""How much of the past is in the table, and where it is not, why."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from flagtrail.connector import Stream
from flagtrail.event import Event
from flagtrail.rows import Reading
from flagtrail.status import NOT_READ, StreamStatus, status
from flagtrail.store import Store
from flagtrail.window import Window

START = datetime(2026, 3, 1, tzinfo=UTC)
LOG = "audit_log"
Change = Callable[..., Event]


def hour(count: float) -> datetime:
    return START + timedelta(hours=count)


def hours(since: float, until: float) -> Window:
    return Window(hour(since), hour(until))


def register(store: Store, *, wanted: float = 0, settled: float = 10, source: str = "acme", stream: str = LOG) -> None:
    store.register(source, "launchdarkly", Stream(stream), wanted_since=hour(wanted), settled_at=hour(settled))


def cover(store: Store, *windows: Window, source: str = "acme") -> None:
    store.add(source, "launchdarkly", [Reading(LOG, [], window) for window in windows])


def only(store: Store) -> StreamStatus:
    (found,) = status(store)
    return found


def explained(found: StreamStatus) -> list[tuple[Window, str]]:
    return [(gap.window, gap.reason) for gap in found.gaps]


def test_an_empty_store_has_no_streams(store: Store) -> None:
    assert status(store) == []


def test_a_stream_that_is_wholly_covered_is_complete_up_to_where_it_could_be(store: Store) -> None:
    register(store)
    cover(store, hours(0, 10))
    found = only(store)
    assert found.complete_until == hour(10)
    assert found.share == 1.0
    assert found.gaps == []
    assert found.cells(5) == [1.0] * 5


def test_a_stream_that_was_never_read_is_one_gap(store: Store) -> None:
    register(store)
    found = only(store)
    assert found.complete_until == hour(0)
    assert found.share == 0.0
    assert explained(found) == [(hours(0, 10), NOT_READ)]
    assert found.cells(4) == [0.0] * 4


def test_it_is_complete_until_the_first_gap_however_much_is_covered_after_it(store: Store) -> None:
    register(store)
    cover(store, hours(0, 3), hours(4, 10))
    found = only(store)
    assert found.complete_until == hour(3)
    assert found.share == pytest.approx(0.9)
    assert explained(found) == [(hours(3, 4), NOT_READ)]


def test_cells_tell_the_covered_share_of_each_part(store: Store) -> None:
    register(store)
    cover(store, hours(0, 5), hours(6, 7.5))
    assert only(store).cells(5) == pytest.approx([1.0, 1.0, 0.5, 0.75, 0.0])


def test_coverage_from_before_the_wanted_start_counts_for_nothing(store: Store) -> None:
    register(store, wanted=5)
    cover(store, hours(0, 7.5))
    found = only(store)
    assert found.wanted == hours(5, 10)
    assert found.share == pytest.approx(0.5)
    assert found.complete_until == hour(7.5)


def test_what_another_process_covered_since_is_wanted_too(store: Store) -> None:
    register(store)
    cover(store, hours(0, 12))
    found = only(store)
    assert found.wanted == hours(0, 12)
    assert (found.share, found.complete_until) == (1.0, hour(12))


def test_a_stream_without_a_settled_past_wants_nothing_yet(store: Store) -> None:
    register(store, wanted=5, settled=5)
    found = only(store)
    assert (found.wanted, found.complete_until, found.share, found.cells(3), found.gaps) == (None, None, 0.0, [], [])


def test_a_noted_gap_keeps_its_reason_and_its_numbers(store: Store, change: Change) -> None:
    register(store)
    held = [(change(f"e{number}", hour(4)), {"id": number}) for number in range(3)]
    store.add("acme", "launchdarkly", [Reading(LOG, held, None, (hours(4, 5), "burst", 30))])
    cover(store, hours(0, 4), hours(5, 9))
    found = only(store)
    assert explained(found) == [(hours(4, 5), "burst"), (hours(9, 10), NOT_READ)]
    assert (found.gaps[0].expected, found.gaps[0].stored) == (30, 3)
    assert found.share == pytest.approx(0.8)
    assert found.events == 3


def test_a_noted_gap_that_reaches_beyond_what_is_wanted_is_told_whole(store: Store) -> None:
    register(store, wanted=5)
    store.add("acme", "launchdarkly", [Reading(LOG, [], None, (hours(4, 6), "burst", None))])
    cover(store, hours(6, 10))
    assert explained(only(store)) == [(hours(4, 6), "burst")]
    assert only(store).share == pytest.approx(0.8)


def test_a_gap_that_a_backfill_noted_before_the_start_is_told_and_is_no_lag(store: Store) -> None:
    register(store, wanted=5)
    store.add("acme", "launchdarkly", [Reading(LOG, [], None, (hours(1, 2), "burst", None))])
    cover(store, hours(5, 10))
    assert explained(only(store)) == [(hours(1, 2), "burst")]
    assert only(store).share == 1.0
    assert only(store).complete_until == hour(10)


def test_a_gap_says_why_the_last_sync_did_not_fill_it(store: Store) -> None:
    register(store)
    store.note("acme", LOG, failed_at=hour(10), error="the vendor is failing (503)")
    assert explained(only(store)) == [(hours(0, 10), f"{NOT_READ}: the vendor is failing (503)")]


def test_gaps_and_covered_time_add_up_to_what_is_wanted(store: Store) -> None:
    register(store)
    cover(store, hours(1, 3), hours(6, 8))
    for window in (hours(3, 4), hours(5, 6)):
        store.add("acme", "launchdarkly", [Reading(LOG, [], None, (window, "burst", None))])
    found = only(store)
    missing = sum((gap.window.length for gap in found.gaps), timedelta())
    assert missing == timedelta(hours=6)
    assert found.share == pytest.approx(0.4)
    assert [gap.window for gap in found.gaps] == sorted(gap.window for gap in found.gaps)


def test_a_part_of_a_noted_gap_that_is_covered_is_not_missing(store: Store) -> None:
    register(store)
    store.add("acme", "launchdarkly", [Reading(LOG, [], None, (hours(2, 6), "burst", None))])
    cover(store, hours(0, 4), hours(6, 10))
    found = only(store)
    assert found.share == pytest.approx(0.8)
    assert found.complete_until == hour(4)
    assert explained(found) == [(hours(4, 6), "burst")]


def test_two_notes_on_the_same_time_are_not_missing_twice(store: Store) -> None:
    register(store)
    for window in (hours(2, 6), hours(4, 8)):
        store.add("acme", "launchdarkly", [Reading(LOG, [], None, (window, "burst", None))])
    cover(store, hours(0, 2), hours(8, 10))
    assert only(store).share == pytest.approx(0.4)


def test_the_status_of_one_source_leaves_the_others_out(store: Store, change: Change) -> None:
    for name in ("acme", "other"):
        register(store, source=name)
    store.add("other", "launchdarkly", [Reading(LOG, [(change("e1", hour(1)), {"id": 1})])])
    assert [(found.state.source, found.events) for found in status(store)] == [("acme", 0), ("other", 1)]
    assert [found.state.source for found in status(store, "other")] == ["other"]
    assert status(store, "nobody") == []


def test_the_lag_is_that_of_the_newest_covered_time_whatever_gaps_are_older(store: Store) -> None:
    now = datetime.now(UTC)
    assert store.streams() == []
    times = {"wanted_since": now - timedelta(days=9), "settled_at": now - timedelta(minutes=15)}
    store.register("acme", "launchdarkly", Stream(LOG), **times)
    assert only(store).lag is None
    cover(store, Window(now - timedelta(days=9), now - timedelta(days=3)))
    cover(store, Window(now - timedelta(days=2), now - timedelta(minutes=15)))
    lag = only(store).lag
    assert lag is not None
    assert timedelta(minutes=15) <= lag < timedelta(minutes=16)
