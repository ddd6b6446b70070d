"""The arithmetic of coverage, checked against plain sets of milliseconds."""

import random
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagtrail.window import EPOCH, MILLISECOND, Window, from_ms, iso, merge, subtract, to_ms

SPAN = 40  # milliseconds: short, so that windows overlap, touch and repeat often
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def short_windows() -> st.SearchStrategy[Window]:
    edges = st.tuples(st.integers(0, SPAN), st.integers(0, SPAN)).filter(lambda pair: pair[0] != pair[1])
    return edges.map(lambda pair: Window.of_ms(min(pair), max(pair)))


def some_windows() -> st.SearchStrategy[list[Window]]:
    return st.lists(short_windows(), max_size=8)


def held(windows: list[Window]) -> set[int]:
    """Return every millisecond that the windows hold."""
    return {ms for window in windows for ms in range(window.since_ms, window.until_ms)}


def is_consecutive(parts: list[Window], whole: Window) -> bool:
    edges = all(older.until == newer.since for older, newer in pairwise(parts))
    return edges and parts[0].since == whole.since and parts[-1].until == whole.until


@given(some_windows())
def test_merging_keeps_every_millisecond_and_adds_none(windows: list[Window]) -> None:
    assert held(merge(windows)) == held(windows)


@given(some_windows())
def test_merged_windows_are_in_order_and_neither_overlap_nor_touch(windows: list[Window]) -> None:
    assert all(older.until < newer.since for older, newer in pairwise(merge(windows)))


@given(some_windows())
def test_merging_twice_changes_nothing(windows: list[Window]) -> None:
    once = merge(windows)
    assert merge(once) == once
    assert merge([*windows, *windows]) == once


@given(some_windows(), st.randoms(use_true_random=False))
def test_the_order_of_merging_does_not_matter(windows: list[Window], rng: random.Random) -> None:
    shuffled = rng.sample(windows, len(windows))
    assert merge(shuffled) == merge(windows)


@given(some_windows(), some_windows())
def test_merging_in_two_steps_is_merging_at_once(some: list[Window], others: list[Window]) -> None:
    assert merge([*merge(some), *others]) == merge([*some, *others])


@given(short_windows(), some_windows())
def test_gaps_are_exactly_what_is_wanted_and_not_covered(wanted: Window, covered: list[Window]) -> None:
    assert held(subtract(wanted, covered)) == held([wanted]) - held(covered)


@given(short_windows(), some_windows())
def test_gaps_and_coverage_together_are_what_is_wanted(wanted: Window, covered: list[Window]) -> None:
    clipped = [part for window in covered if (part := window.clip(wanted))]
    assert merge([*subtract(wanted, covered), *clipped]) == [wanted]


@given(short_windows(), some_windows())
def test_gaps_come_oldest_first_and_never_touch(wanted: Window, covered: list[Window]) -> None:
    assert all(older.until < newer.since for older, newer in pairwise(subtract(wanted, covered)))


@given(short_windows(), some_windows())
def test_a_gap_that_is_covered_is_gone(wanted: Window, covered: list[Window]) -> None:
    assert subtract(wanted, [*covered, *subtract(wanted, covered)]) == []


@given(short_windows(), st.integers(0, 50))
def test_pieces_add_up_and_none_is_too_long(window: Window, longest: int) -> None:
    pieces = window.pieces(timedelta(milliseconds=longest))
    assert is_consecutive(pieces, window)
    assert all(piece.length <= max(timedelta(milliseconds=longest), MILLISECOND) for piece in pieces)
    assert len(pieces) == -(-(window.until_ms - window.since_ms) // max(longest, 1)), "more pieces than needed"


@given(short_windows(), st.integers(1000, 50_000))
def test_pieces_of_a_length_finer_than_a_millisecond_are_none_too_long(window: Window, longest: int) -> None:
    pieces = window.pieces(timedelta(microseconds=longest))
    assert is_consecutive(pieces, window)
    assert all(piece.length <= timedelta(microseconds=longest) for piece in pieces)


@given(short_windows(), st.integers(-2, 60))
def test_a_split_adds_up_in_parts_of_nearly_the_same_length(window: Window, parts: int) -> None:
    split = window.split(parts)
    assert is_consecutive(split, window)
    assert len(split) == max(1, min(parts, window.length // MILLISECOND))
    lengths = [part.length for part in split]
    assert max(lengths) - min(lengths) <= MILLISECOND


@given(short_windows(), short_windows())
def test_a_clip_is_what_both_windows_hold(one: Window, other: Window) -> None:
    shared = one.clip(other)
    assert shared == other.clip(one)
    assert held([shared] if shared else []) == held([one]) & held([other])


@given(short_windows(), st.integers(-5, SPAN + 5))
def test_before_an_instant_is_everything_older_than_it(window: Window, ms: int) -> None:
    part = window.before(from_ms(ms))
    assert held([part] if part else []) == {held_ms for held_ms in held([window]) if held_ms < ms}


def test_before_an_instant_within_the_first_millisecond_is_nothing() -> None:
    assert Window(NOON, NOON + MILLISECOND).before(NOON + timedelta(microseconds=999)) is None


@given(st.integers(-(10**13), 10**14))
def test_milliseconds_survive_the_way_there_and_back(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_cut_to_its_millisecond_also_before_1970(instant: datetime) -> None:
    cut = from_ms(to_ms(instant))
    assert cut == instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def test_the_ends_of_a_window_are_cut_to_the_millisecond() -> None:
    window = Window(NOON + timedelta(microseconds=1999), NOON + timedelta(microseconds=5001))
    assert (window.since, window.until) == (NOON + MILLISECOND, NOON + 5 * MILLISECOND)


def test_a_window_is_in_utc_whatever_zone_its_ends_came_in() -> None:
    berlin = timezone(timedelta(hours=1))
    window = Window(NOON.astimezone(berlin), NOON.astimezone(berlin) + timedelta(hours=1))
    assert window == Window(NOON, NOON + timedelta(hours=1))
    assert window.since.tzinfo is UTC
    assert str(window) == "[2026-03-01T12:00:00.000Z, 2026-03-01T13:00:00.000Z)"


@pytest.mark.parametrize("naive", ["since", "until"])
def test_an_end_without_a_time_zone_is_refused(naive: str) -> None:
    ends = {"since": NOON, "until": NOON + timedelta(hours=1)}
    ends[naive] = ends[naive].replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        Window(**ends)


@pytest.mark.parametrize("length", [timedelta(0), timedelta(microseconds=999), timedelta(hours=-1)])
def test_a_window_without_a_millisecond_in_it_is_refused(length: timedelta) -> None:
    with pytest.raises(ValueError, match="end after it starts"):
        Window(NOON, NOON + length)


def test_instants_are_written_in_utc_with_milliseconds_and_a_z() -> None:
    eastern = timezone(timedelta(hours=-5))
    assert iso(datetime(2026, 3, 1, 7, 0, 0, 7999, tzinfo=eastern)) == "2026-03-01T12:00:00.007Z"
    assert iso(EPOCH) == "1970-01-01T00:00:00.000Z"
