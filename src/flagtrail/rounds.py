"""Decides what the daemon verifies next: young time often, old time seldom, so that a year costs few requests.

Nothing is remembered besides the verdicts themselves: a round is due when its first covered moment has no verdict, or
one that is older than the round's interval. So a missed round, another process or a restart changes nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from flagtrail.verdicts import Method, Verdict, current
from flagtrail.window import EPOCH, MILLISECOND, Window, merge, subtract

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COUNTED = ((None, 7 * DAY), (30 * DAY, DAY), (DAY, HOUR))  # how far back, and how often: the widest that is due is done
READ_AGAIN = (7 * DAY, DAY)
ARCHIVE = 30  # days in which the contents of all time are read again, a part each day
PROVISIONAL = HOUR  # how often entries are read again that the vendor will still change
SMALLEST = HOUR * 2  # a shorter check is no part of the archive's turn
TOGETHER = HOUR  # provisional entries that lie so close are read in one window


class Round(NamedTuple):
    """A window to verify, and how."""

    method: Method
    window: Window


def due(
    covered: Sequence[Window], verdicts: Iterable[Verdict], provisional: Iterable[Window], now: datetime
) -> list[Round]:
    """Return the rounds that are due for a stream; `now` is our time, as the verdicts have it."""
    if not covered:
        return []
    whole = Window(covered[0].since, covered[-1].until)
    verdicts = list(verdicts)
    rounds: list[Round] = []
    counted, read = (current(verdicts, method) for method in (Method.COUNTS, Method.CONTENTS))
    for back, interval in COUNTED:
        window = _newest(whole, back)
        if _checked_before(counted, covered, window, now - interval):
            rounds.append(Round(Method.COUNTS, window))
            break
    back, interval = READ_AGAIN
    recent = _newest(whole, back)
    if _checked_before(read, covered, recent, now - interval):
        rounds.append(Round(Method.CONTENTS, recent))
    again = _archive_part(whole, recent, covered, read, now)
    again += [near for near in _together(provisional) if _checked_before(read, covered, near, now - PROVISIONAL)]
    return rounds + [Round(Method.CONTENTS, window) for window in again]


def _newest(whole: Window, back: timedelta | None) -> Window:
    """Return the newest part of a window, of a length; all of it without one."""
    return whole if back is None else Window(max(whole.since, whole.until - back), whole.until)


def _checked_before(verdicts: list[Verdict], covered: Sequence[Window], window: Window, instant: datetime) -> bool:
    """Return whether the first covered moment of a window was not checked since an instant."""
    first = next((part.since for each in covered if (part := each.clip(window))), None)
    if first is None:
        return False
    checked = [v.checked_at for v in verdicts if v.window.since <= first < v.window.until]
    return not checked or checked[0] <= instant


def _archive_part(
    whole: Window, recent: Window, covered: Sequence[Window], read: list[Verdict], now: datetime
) -> list[Window]:
    """Return the parts of the old time whose contents were compared the longest ago; a thirtieth of it each day."""
    old = whole.before(recent.since)
    if old is None:
        return []
    checks = [v for v in read if v.window.length >= SMALLEST and v.window.clip(old)]
    if any(check.checked_at > now - DAY and check.window.until <= old.until for check in checks):
        return []
    inside = [part for window in covered if (part := window.clip(old))]
    never = [(EPOCH, hole) for part in inside for hole in subtract(part, [check.window for check in checks])]
    stale = [
        (check.checked_at, part)
        for check in checks
        if check.checked_at <= now - ARCHIVE * DAY
        for window in inside
        if (part := window.clip(check.window))
    ]
    left, parts = max(old.length / ARCHIVE, DAY), []
    for _, part in sorted(never + stale, key=lambda each: (each[0], -each[1].until.timestamp())):
        parts.append(Window(max(part.since, part.until - left), part.until))
        left -= parts[-1].length
        if left < MILLISECOND:
            break
    return parts


def _together(windows: Iterable[Window]) -> list[Window]:
    """Return windows with those joined that lie close to each other."""
    return [
        Window(joined.since, joined.until - TOGETHER)
        for joined in merge(Window(window.since, window.until + TOGETHER) for window in windows)
    ]
