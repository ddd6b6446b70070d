"""What the daemon verifies when: young time often, old time seldom, everything in the end, and nothing twice."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from flagtrail.rounds import ARCHIVE, Round, due
from flagtrail.verdicts import Method, Outcome, Verdict
from flagtrail.window import MILLISECOND, Window, subtract

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SETTLE = timedelta(minutes=15)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR = 365 * DAY


@dataclass
class Log:
    """A stream whose covered time grows with the clock, and whose rounds are all done at once, and well."""

    start: datetime = NOW - YEAR
    holes: tuple[Window, ...] = ()
    verdicts: list[Verdict] = field(default_factory=list)

    def covered(self, now: datetime) -> list[Window]:
        return subtract(Window(self.start, now - SETTLE), self.holes)

    def due(self, now: datetime, provisional: Iterable[Window] = ()) -> list[Round]:
        return due(self.covered(now), self.verdicts, provisional, now)

    def do(self, now: datetime, provisional: Iterable[Window] = ()) -> list[Round]:
        """Return the rounds that are due, having done them: newer verdicts take the place of older ones."""
        rounds = self.due(now, provisional)
        for method, window in rounds:
            parts = [part for each in self.covered(now) if (part := each.clip(window))]
            self.verdicts = [
                old._replace(window=rest)
                for old in self.verdicts
                for rest in (subtract(old.window, parts) if old.method is method else [old.window])
            ]
            self.verdicts += [Verdict(part, Outcome.VERIFIED, now, method) for part in parts]
        return rounds

    def read_at(self, window: Window) -> list[datetime]:
        """Return when the contents of a window were read last, once for each of its parts; never is the epoch."""
        read = [v for v in self.verdicts if v.method is Method.CONTENTS and v.window.clip(window)]
        never = subtract(window, [verdict.window for verdict in read])
        return [verdict.checked_at for verdict in read] + [datetime(1970, 1, 1, tzinfo=UTC)] * len(never)


def moment(at: datetime) -> Window:
    return Window(at, at + MILLISECOND)


def told(rounds: list[Round], now: datetime) -> list[tuple[str, float, float]]:
    """Return rounds as a person would tell them: the method, and how many days ago the window begins and ends."""
    end = now - SETTLE
    return [
        (str(method), round((end - window.since) / DAY, 6), round((end - window.until) / DAY, 6))
        for method, window in rounds
    ]


@pytest.fixture
def log() -> Log:
    """A log that was loaded, and whose first rounds are done."""
    found = Log()
    found.do(NOW)
    return found


def test_nothing_is_due_where_nothing_is_covered() -> None:
    assert due([], [], [moment(NOW)], NOW) == []


def test_after_the_first_load_everything_is_counted_and_the_last_week_is_read_again() -> None:
    assert told(Log().due(NOW), NOW) == [
        ("counts", pytest.approx(365 - 1 / 96), 0.0),
        ("contents", 7.0, 0.0),
        ("contents", pytest.approx(7 + (365 - 7) / ARCHIVE, abs=0.1), 7.0),
    ]


def test_nothing_is_due_twice(log: Log) -> None:
    assert log.due(NOW) == []
    assert log.due(NOW + timedelta(minutes=1)) == []
    assert log.due(NOW + timedelta(minutes=59)) == []


def test_an_hour_later_the_last_day_is_counted(log: Log) -> None:
    assert told(log.do(NOW + HOUR), NOW + HOUR) == [("counts", 1.0, 0.0)]
    assert log.due(NOW + HOUR) == []
    assert told(log.due(NOW + 2 * HOUR), NOW + 2 * HOUR) == [("counts", 1.0, 0.0)]


def test_a_day_later_a_month_is_counted_a_week_is_read_again_and_the_next_part_of_the_rest(log: Log) -> None:
    later = NOW + DAY
    rounds = told(log.do(later), later)
    assert rounds[:2] == [("counts", 30.0, 0.0), ("contents", 7.0, 0.0)]
    [(method, since, until)] = rounds[2:]
    assert (method, until) == ("contents", pytest.approx(8 + 358 / ARCHIVE, abs=0.1))
    assert since == pytest.approx(until + 358 / ARCHIVE, abs=0.1)
    assert log.due(later) == []


def test_a_week_later_everything_is_counted_once_and_nothing_narrower(log: Log) -> None:
    later = NOW + 7 * DAY
    counted = [window for method, window in log.do(later) if method is Method.COUNTS]
    assert counted == [Window(log.start, later - SETTLE)]
    assert log.due(later) == []


@pytest.mark.parametrize("days", [30, 400])
def test_a_daemon_that_was_off_does_each_round_once(log: Log, days: int) -> None:
    later = NOW + days * DAY
    rounds = log.do(later)
    assert [each.method for each in rounds].count(Method.COUNTS) == 1
    assert rounds[0].window == Window(log.start, later - SETTLE)
    assert Round(Method.CONTENTS, Window(later - SETTLE - 7 * DAY, later - SETTLE)) in rounds
    assert len(rounds) == 3
    assert log.due(later) == []


def test_a_restart_changes_nothing_because_only_verdicts_are_remembered(log: Log) -> None:
    for hours in (0.5, 1, 23, 24, 24 * 7, 24 * 30):
        later = NOW + hours * HOUR
        again = Log(log.start, log.holes, sorted(log.verdicts, key=lambda verdict: verdict.window, reverse=True))
        assert again.due(later) == log.due(later)


def test_a_part_of_a_round_that_was_never_done_is_due() -> None:
    log = Log()
    [counts, *_] = log.do(NOW)
    first = counts.window.pieces(31 * DAY)[0]
    log.verdicts = [v for v in log.verdicts if v.method is Method.CONTENTS]
    rest = Window(first.until, counts.window.until)
    log.verdicts.append(Verdict(rest, Outcome.VERIFIED, NOW, Method.COUNTS))
    assert log.due(NOW + timedelta(minutes=1)) == [
        Round(Method.COUNTS, Window(log.start, NOW + timedelta(minutes=-14)))
    ]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_round_is_done_however_it_came_out(log: Log, outcome: Outcome) -> None:
    log.verdicts = [verdict._replace(outcome=outcome) for verdict in log.verdicts]
    assert log.due(NOW + timedelta(minutes=1)) == []


def test_counting_is_no_reading(log: Log) -> None:
    log.verdicts = [verdict for verdict in log.verdicts if verdict.method is Method.COUNTS]
    assert {each.method for each in log.due(NOW)} == {Method.CONTENTS}


def test_a_young_log_has_no_archive() -> None:
    log = Log(NOW - 3 * DAY)
    assert log.do(NOW) == [
        Round(Method.COUNTS, Window(NOW - 3 * DAY, NOW - SETTLE)),
        Round(Method.CONTENTS, Window(NOW - 3 * DAY, NOW - SETTLE)),
    ]
    assert log.due(NOW) == []
    assert told(log.due(NOW + HOUR), NOW + HOUR) == [("counts", 1.0, 0.0)]


def test_a_gap_at_the_start_of_a_round_does_not_make_it_due_for_ever() -> None:
    log = Log(holes=(Window(NOW - 8 * DAY, NOW - 5 * DAY), Window(NOW - 31 * DAY, NOW - 29 * DAY)))
    assert len(log.do(NOW)) == 3
    assert log.due(NOW + timedelta(minutes=1)) == []


def test_what_a_backfill_adds_before_the_start_is_counted_at_once(log: Log) -> None:
    log.start -= 10 * DAY
    assert log.do(NOW + timedelta(minutes=1))[0].window.since == log.start
    assert log.due(NOW + timedelta(minutes=1)) == []


def test_entries_that_will_still_change_are_read_again_hourly_and_only_then(log: Log) -> None:
    waiting = moment(NOW - 2 * HOUR)
    assert log.do(NOW, [waiting]) == []  # the last week was read a moment ago
    for hours in (1, 2, 3):
        later = NOW + hours * HOUR
        assert Round(Method.CONTENTS, waiting) in log.do(later, [waiting])
        assert log.due(later + timedelta(minutes=59), [waiting]) == []
    assert all(each.method is Method.COUNTS for each in log.due(NOW + 4 * HOUR))


def test_entries_that_will_still_change_and_lie_close_are_read_together(log: Log) -> None:
    first = NOW - 20 * DAY
    near = [moment(first + timedelta(minutes=minutes)) for minutes in (0, 50, 100)]
    far = moment(first + timedelta(hours=5))
    later = NOW + HOUR
    windows = [each.window for each in log.due(later, [*near, far]) if each.method is Method.CONTENTS]
    assert windows == [Window(near[0].since, near[2].until), far]


def test_entries_that_will_still_change_and_are_not_covered_are_left_to_the_reading(log: Log) -> None:
    assert log.due(NOW, [moment(NOW - timedelta(minutes=5)), moment(log.start - HOUR)]) == []


def test_everything_is_read_again_within_thirty_days_of_the_first_load() -> None:
    log, first = Log(), Window(NOW - YEAR, NOW - SETTLE)
    for day in range(31):
        log.do(NOW + day * DAY)
    assert min(log.read_at(first)) >= NOW


def test_no_covered_moment_is_ever_left_unread_for_much_longer_than_thirty_days() -> None:
    log = Log()
    longest = timedelta()
    for day in range(100):
        now = NOW + day * DAY
        log.do(now)
        if day > ARCHIVE:
            longest = max(longest, now - min(log.read_at(Window(log.start, now - SETTLE))))
    assert longest <= 35 * DAY


def test_gaps_in_the_covered_time_do_not_keep_the_rest_of_it_unread() -> None:
    holes = tuple(Window(NOW - days * DAY, NOW - days * DAY + HOUR) for days in range(9, 360, 5))
    log = Log(holes=holes)
    first = log.covered(NOW)
    for day in range(36):
        log.do(NOW + day * DAY)
    assert all(min(log.read_at(window)) >= NOW for window in first)


def test_a_part_of_the_archive_is_read_once_a_day_whatever_the_hour(log: Log) -> None:
    read = [
        each.window
        for minutes in range(1, 25 * 60, 20)
        for each in log.do(NOW + timedelta(minutes=minutes))
        if each.method is Method.CONTENTS and each.window.until <= NOW - 7 * DAY + HOUR * 25
    ]
    assert len(read) == 1


def test_a_year_costs_few_rounds_a_day(log: Log) -> None:
    rounds = [each for hour in range(1, 25) for each in log.do(NOW + hour * HOUR)]
    assert [each.method for each in rounds].count(Method.COUNTS) == 24
    assert [each.method for each in rounds].count(Method.CONTENTS) == 2
    assert sum((each.window.length for each in rounds), timedelta()) < 100 * DAY
