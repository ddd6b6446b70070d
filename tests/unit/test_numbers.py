"""The arithmetic of comparing numbers: quiet moments, what is suspect, and what entries at an edge explain."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flagtrail.connector import Count
from flagtrail.numbers import Times, between_quiet, samples, suspects
from flagtrail.window import Window, merge, subtract

LAST = 60  # the milliseconds in which the random cases happen
moments = st.lists(st.integers(-10, LAST + 10), max_size=15).map(sorted)
edges = st.integers(0, 6)
cuts = st.lists(st.integers(1, LAST - 1), unique=True, max_size=8).map(sorted)


def around(times: Iterable[int], ms: int, edge: int) -> int:
    return sum(ms - edge <= time < ms + edge for time in times)


def counts(bounds: Iterable[int], told: Iterable[int]) -> list[Count]:
    """Return parts that lie next to each other, with the number that the vendor tells of each."""
    return [Count(Window.of_ms(a, b), n) for (a, b), n in zip(pairwise(bounds), told, strict=True)]


def found(parts: list[Count], times: Times, since: int = 0, until: int = LAST) -> list[tuple[int, int]]:
    return [(each.since_ms, each.until_ms) for each in suspects(Window.of_ms(since, until), parts, times)]


@given(moments, st.integers(-10, LAST + 10), st.integers(-10, LAST + 10))
def test_a_count_is_that_of_a_half_open_span(times: list[int], since: int, until: int) -> None:
    assert Times(times, 1).count(since, max(since, until)) == sum(since <= time < until for time in times)


@given(moments, edges, st.integers(-10, LAST + 10))
def test_near_a_cut_is_what_the_vendor_may_count_on_its_other_side(times: list[int], edge: int, cut: int) -> None:
    assert Times(times, edge).near(cut) == around(times, cut, edge)


@given(moments, edges, st.integers(-10, LAST + 10), st.integers(0, LAST), st.integers(0, LAST))
@example([5, 5, 6, 9], 2, 5, 0, 20)
@example([10], 0, 10, 10, 10)
@example([0, 1], 1, 1, 0, 1)
def test_the_quiet_cut_is_the_closest_of_all_that_have_nothing_around_them(
    times: list[int], edge: int, wanted: int, low: int, high: int
) -> None:
    got = Times(times, edge).quiet(wanted, low, high)
    free = [cut for cut in range(low, high + 1) if not around(times, cut, edge)]
    aim = min(max(wanted, low), high)
    if not free:
        assert got is None
    else:
        assert got in free
        assert abs(got - aim) == min(abs(cut - aim) for cut in free)


def test_a_long_crowd_is_left_at_its_nearer_end() -> None:
    times = Times(range(100, 200), 5)
    assert times.quiet(110, 0, 1000) == 95
    assert times.quiet(190, 0, 1000) == 205
    assert times.quiet(110, 96, 1000) == 205
    assert times.quiet(190, 0, 204) == 95
    assert times.quiet(150, 96, 204) is None


@given(moments, cuts, st.randoms(use_true_random=False))
def test_numbers_that_agree_everywhere_are_never_suspect(times: list[int], bounds: list[int], chance: object) -> None:
    whole, held = [0, *bounds, LAST], Times(times, 2)
    parts = counts(whole, [held.count(a, b) for a, b in pairwise(whole)])
    chance.shuffle(parts)  # type: ignore[attr-defined]
    assert found(parts, held) == []
    assert found([part for part in parts if part.records], held) == []  # what is left out holds nothing


@given(moments, cuts, st.integers(0, 8), st.integers(-3, 3).filter(bool))
def test_a_single_part_whose_number_differs_is_suspect_wherever_entries_lie(
    times: list[int], bounds: list[int], place: int, off: int
) -> None:
    whole, held = [0, *bounds, LAST], Times(times, 2)
    told = [held.count(a, b) for a, b in pairwise(whole)]
    place %= len(told)
    told[place] += off
    assert found(counts(whole, told), held) == [(whole[place], whole[place + 1])]


@given(moments, cuts, st.integers(1, 3))
def test_entries_that_the_vendor_counts_on_the_other_side_of_a_cut_are_no_difference(
    times: list[int], bounds: list[int], edge: int
) -> None:
    times = [time for time in times if 0 <= time < LAST]
    bounds = [cut for cut, after in pairwise([*bounds, LAST]) if after - cut > 2 * edge]
    where_the_vendor_cuts = [cut + edge * ((n + 1) % 2) * (-1) ** (n // 2) for n, cut in enumerate(bounds)]
    held = Times(times, edge)
    told = [held.count(a, b) for a, b in pairwise([-20, *where_the_vendor_cuts, LAST + 20])]
    assert found(counts([0, *bounds, LAST], told), held) == []


def test_neighbours_that_differ_by_more_than_lies_at_their_edges_are_suspect_together() -> None:
    held = Times([5, 19, 20, 35], 1)
    assert found(counts([0, 20, 40, 60], [1, 3, 0]), held) == []  # 19 was counted behind the cut
    assert found(counts([0, 20, 40, 60], [5, -1, 0]), held) == [(0, 40)]
    assert found(counts([0, 20, 40, 60], [3, 2, 0]), held) == [(0, 20)]


def test_two_stretches_that_differ_are_told_apart() -> None:
    held = Times([5, 25, 45], 1)
    assert found(counts([0, 20, 40, 60], [2, 1, 0]), held) == [(0, 20), (40, 60)]


def test_stored_entries_where_the_vendor_tells_of_none_are_suspect() -> None:
    held = Times([5, 25, 45], 1)
    assert found([Count(Window.of_ms(20, 40), 1)], held) == [(0, 20), (40, 60)]
    assert found([], held) == [(0, 60)]
    assert found([], Times([], 1)) == []


@given(moments, cuts, st.data())
def test_unless_something_is_suspect_the_totals_agree(times: list[int], bounds: list[int], data: st.DataObject) -> None:
    whole, held = [0, *bounds, LAST], Times(times, 2)
    told = [max(0, held.count(a, b) + data.draw(st.integers(-2, 2))) for a, b in pairwise(whole)]
    parts = counts(whole, told)
    suspect = [Window.of_ms(*span) for span in found(parts, held)]
    assert suspect == merge(suspect)
    assert all(Window.of_ms(0, LAST).clip(span) == span for span in suspect)
    rest = [part for part in parts if not any(span.clip(part.window) for span in suspect)]
    assert sum(p.records for p in rest) == sum(held.count(p.window.since_ms, p.window.until_ms) for p in rest)


@given(moments, edges, st.integers(0, LAST - 1), st.integers(1, LAST))
def test_a_part_is_widened_to_quiet_moments_or_to_the_whole_window(
    times: list[int], edge: int, since: int, length: int
) -> None:
    window, part = Window.of_ms(0, LAST), Window.of_ms(since, min(since + length, LAST))
    wide = between_quiet(part, window, Times(times, edge))
    assert subtract(part, [wide]) == []
    assert subtract(wide, [window]) == []
    below = [cut for cut in range(part.since_ms + 1) if not around(times, cut, edge)]
    above = [cut for cut in range(part.until_ms, LAST + 1) if not around(times, cut, edge)]
    assert (wide.since_ms, wide.until_ms) == (max(below, default=0), min(above, default=LAST))


@given(moments, edges, st.integers(1, 7), st.integers(0, 5))
def test_a_sample_holds_stored_entries_and_ends_at_quiet_moments(
    times: list[int], edge: int, count: int, entries: int
) -> None:
    held = Times(times, edge)
    drawn = list(samples(held, count, entries))
    assert len(drawn) <= count
    assert bool(drawn) is bool(times)
    for sample in drawn:
        assert held.count(sample.since_ms, sample.until_ms) >= min(entries, 1)
        assert held.near(sample.since_ms) == held.near(sample.until_ms) == 0


@pytest.mark.parametrize("count", [1, 3, 7])
def test_samples_lie_all_over_the_window(count: int) -> None:
    drawn = list(samples(Times(range(0, 1_000_000, 1000), 1), count, 10))
    assert len(drawn) == len(set(drawn)) == count
    starts = [sample.since_ms for sample in drawn]
    assert starts == sorted(starts)
    assert all(abs(start - 1_000_000 * (2 * n + 1) / (2 * count)) < 2000 for n, start in enumerate(starts))


def test_without_entries_there_is_nothing_to_sample() -> None:
    assert list(samples(Times([], 1), 7, 10)) == []
