"""What verifications found is kept: the newest of a method counts, older ones end where it begins, findings stay."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from flagtrail.store import Store
from flagtrail.verdicts import Method, Outcome, Verdict, current, distrust, note_verdicts, verdicts_of
from flagtrail.window import Window
from tests.conftest import rows

START = datetime(2026, 3, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
LOG = "audit_log"


def hours(since: float, until: float) -> Window:
    return Window(START + timedelta(hours=since), START + timedelta(hours=until))


def verdict(since: float, until: float, day: int = 0, outcome: Outcome = Outcome.VERIFIED, **more: Any) -> Verdict:
    values: dict[str, Any] = {"method": Method.COUNTS, "checked_at": NOON + timedelta(days=day)} | more
    return Verdict(hours(since, until), outcome, **values)


def note(store: Store, *verdicts: Verdict, source: str = "acme", stream: str = LOG) -> None:
    note_verdicts(store, source, stream, verdicts)


def spans(verdicts: list[Verdict]) -> list[tuple[float, float, int]]:
    """Return verdicts as the hours of their windows and the day of the check, oldest time first."""
    hour = timedelta(hours=1)
    return sorted(
        ((v.window.since - START) / hour, (v.window.until - START) / hour, (v.checked_at - NOON).days) for v in verdicts
    )


def kept(store: Store, stream: str = LOG) -> list[tuple[float, float, int]]:
    return spans(verdicts_of(store, "acme", stream))


def test_a_verdict_comes_back_as_it_was_noted(store: Store) -> None:
    whole = verdict(
        0, 5, 0, Outcome.DIFFERS, expected=9, stored=7, found=1, changed=2, vanished=3, reason="it counts 9"
    )
    fine = verdict(5, 6, method=Method.CONTENTS, expected=0, stored=0)
    note(store, whole, fine)
    assert sorted(verdicts_of(store, "acme", LOG)) == sorted([whole, fine])


def test_the_newest_verdict_comes_first(store: Store) -> None:
    for day in (1, 3, 2):
        note(store, verdict(day, day + 1, day))
    assert [found.checked_at.day for found in verdicts_of(store, "acme", LOG)] == [12, 11, 10]


@pytest.mark.parametrize(
    ("window", "left"),
    [
        ((0, 10), [(0, 10, 1)]),
        ((-2, 12), [(-2, 12, 1)]),
        ((3, 6), [(0, 3, 0), (3, 6, 1), (6, 10, 0)]),
        ((-2, 4), [(-2, 4, 1), (4, 10, 0)]),
        ((8, 12), [(0, 8, 0), (8, 12, 1)]),
        ((10, 12), [(0, 10, 0), (10, 12, 1)]),
        ((-2, 0), [(-2, 0, 1), (0, 10, 0)]),
    ],
)
def test_an_older_verdict_ends_where_a_newer_one_begins(
    store: Store, window: tuple[float, float], left: list[tuple[float, float, int]]
) -> None:
    note(store, verdict(0, 10))
    note(store, verdict(*window, 1))
    assert kept(store) == left


def test_a_new_verdict_takes_the_place_of_many_old_ones(store: Store) -> None:
    note(store, *(verdict(hour, hour + 1) for hour in range(10)))
    note(store, verdict(0.5, 9.5, 1))
    assert kept(store) == [(0, 0.5, 0), (0.5, 9.5, 1), (9.5, 10, 0)]


def test_what_is_left_of_a_verdict_keeps_its_finding_but_not_its_numbers(store: Store) -> None:
    note(store, verdict(0, 10, 0, Outcome.DIFFERS, expected=9, stored=7, changed=2, vanished=1, reason="it counts 9"))
    note(store, verdict(4, 10, 1))
    [rest] = [found for found in verdicts_of(store, "acme", LOG) if found.checked_at == NOON]
    assert (rest.window, rest.outcome, rest.reason) == (hours(0, 4), Outcome.DIFFERS, "it counts 9")
    assert (rest.expected, rest.stored, rest.found, rest.changed, rest.vanished) == (None, None, 0, 0, 0)


def test_the_methods_do_not_touch_each_other(store: Store) -> None:
    note(store, verdict(0, 10))
    note(store, verdict(0, 10, 1, method=Method.CONTENTS))
    assert kept(store) == [(0, 10, 0), (0, 10, 1)]


def test_sources_and_streams_do_not_touch_each_other(store: Store) -> None:
    note(store, verdict(0, 10))
    note(store, verdict(0, 10, 1), source="other")
    note(store, verdict(0, 10, 2), stream="flag_events[web/production]")
    assert kept(store) == [(0, 10, 0)]
    assert kept(store, "flag_events[web/production]") == [(0, 10, 2)]


def test_what_was_healed_stays_on_record_however_often_it_is_verified_again(store: Store) -> None:
    healed = verdict(2, 4, 0, Outcome.HEALED, expected=5, stored=5, found=3)
    note(store, healed)
    for day in range(1, 4):
        note(store, verdict(0, 10, day))
    assert healed in verdicts_of(store, "acme", LOG)
    assert kept(store) == [(0, 10, 3), (2, 4, 0)]


def test_what_was_healed_twice_is_on_record_twice(store: Store) -> None:
    note(store, verdict(2, 4, 0, Outcome.HEALED, found=3))
    note(store, verdict(2, 4, 1, Outcome.HEALED, found=1))
    assert sum(found.found for found in verdicts_of(store, "acme", LOG)) == 4


def test_verdicts_of_one_check_that_are_noted_again_do_not_pile_up(store: Store) -> None:
    for _ in range(2):
        note(store, verdict(0, 2), verdict(2, 4, 0, Outcome.HEALED, found=3), verdict(4, 10))
    assert kept(store) == [(0, 2, 0), (2, 4, 0), (4, 10, 0)]


def test_a_window_with_healed_entries_may_differ_in_the_end(store: Store) -> None:
    note(store, verdict(2, 4, 0, Outcome.HEALED, found=3))
    note(store, verdict(2, 4, 0, Outcome.DIFFERS, found=3, reason="it counts 9"))
    assert [found.outcome for found in verdicts_of(store, "acme", LOG)] == [Outcome.DIFFERS]


def test_doubted_numbers_take_back_what_they_verified_and_nothing_else(store: Store) -> None:
    note(
        store,
        verdict(0, 2),
        verdict(2, 4, 0, Outcome.HEALED, found=3),
        verdict(4, 6, 0, Outcome.DIFFERS),
        verdict(0, 9, method=Method.CONTENTS),
    )
    note(store, verdict(0, 2), source="other")
    note(store, verdict(0, 2), stream="another")
    distrust(store, "acme", LOG)
    assert sorted((found.method, found.outcome) for found in verdicts_of(store, "acme", LOG)) == [
        (Method.CONTENTS, Outcome.VERIFIED),
        (Method.COUNTS, Outcome.HEALED),
    ]
    assert len(rows(store, "SELECT * FROM verdict")) == 4


def test_on_each_moment_the_newest_verdict_counts_whatever_its_method() -> None:
    old, read = verdict(0, 10), verdict(3, 6, 1, method=Method.CONTENTS)
    newest = verdict(5, 7, 2, Outcome.HEALED)
    assert spans(current([old, read, newest])) == [(0, 3, 0), (3, 5, 1), (5, 7, 2), (7, 10, 0)]
    assert spans(current([newest, old, read], Method.COUNTS)) == [(0, 5, 0), (5, 7, 2), (7, 10, 0)]
    assert current([old, read], Method.CONTENTS) == [read]
    assert current([]) == []


def test_what_counts_is_told_by_time_and_never_twice(store: Store) -> None:
    for number in range(40):
        method = Method.COUNTS if number % 3 else Method.CONTENTS
        outcome = Outcome.HEALED if number % 5 == 0 else Outcome.VERIFIED
        note(store, verdict(number * 7 % 20, number * 7 % 20 + number % 6 + 1, number, outcome, method=method))
    found = current(verdicts_of(store, "acme", LOG))
    windows = [each.window for each in found]
    assert windows == sorted(windows)
    assert all(one.until <= other.since for one, other in pairwise(windows))
    for each in found:
        newer = [v for v in verdicts_of(store, "acme", LOG) if v.checked_at > each.checked_at]
        assert not any(v.window.clip(each.window) for v in newer)


def test_windows_of_one_method_never_overlap_in_the_table(store: Store) -> None:
    for number in range(30):
        note(store, verdict(number * 7 % 20, number * 7 % 20 + number % 6 + 1, number))
    windows = sorted(found.window for found in verdicts_of(store, "acme", LOG))
    assert all(one.until <= other.since for one, other in pairwise(windows))
