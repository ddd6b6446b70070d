"""Divides a time into spans that people count in, in the reader's own zone: what a chart is drawn over."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from flagtrail.window import EPOCH, Window

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=each) for each in (1, 60, 3600, 86400))
MOST = 125  # spans of a chart
LONGEST = 28  # days of a span; longer times double it
WIDTHS = (
    *(SECOND * each for each in (1, 2, 5, 10, 15, 30)),
    *(MINUTE * each for each in (1, 2, 3, 5, 10, 15, 30)),
    *(HOUR * each for each in (1, 2, 3, 4, 6, 8, 12)),
    *(DAY * each for each in (1, 2, 3, 7, 14, LONGEST)),
)
TICKS = 8
TICK_WIDTHS = (
    *(SECOND * each for each in (1, 5, 10, 30)),
    *(MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(HOUR * each for each in (1, 2, 3, 6, 12)),
    *(DAY * each for each in (1, 2, 7, 14)),
)
# Of which the edges of the spans are multiples, in every zone of the world: events are counted by these.
FINE = (HOUR, MINUTE * 15, MINUTE * 5, MINUTE * 3, MINUTE * 2, MINUTE, *(SECOND * each for each in (30, 15, 10, 5, 2)))


class Tick(NamedTuple):
    """A moment that is named below a chart, and how far it is along it, in percent."""

    at: datetime
    place: float
    label: str


class Axis(NamedTuple):
    """A time, and the edges of the spans in it: one more than there are spans, in UTC."""

    window: Window
    edges: Sequence[datetime]
    ticks: Sequence[Tick]

    def place(self, at: datetime) -> float:
        """Return how far an instant is along the axis, in percent; what lies beyond an end is at it."""
        share = (at - self.window.since) / self.window.length
        return round(100 * min(max(share, 0.0), 1.0), 3)

    def span_of(self, at: datetime) -> int:
        """Return the number of the span that an instant lies in; of the nearest one, if in none."""
        return min(max(bisect_right(self.edges, at) - 1, 0), len(self.edges) - 2)

    @property
    def fine(self) -> timedelta:
        """The longest span of which all edges between the ends are multiples."""
        for width in FINE:
            if not any((edge - EPOCH) % width for edge in self.edges[1:-1]):
                return width
        return SECOND


def axis(window: Window, zone: tzinfo) -> Axis:
    """Return a time divided into 60 to 125 spans that begin at even times of a zone; fewer if it is a few seconds."""
    width = next((each for each in WIDTHS if window.length / each <= MOST), WIDTHS[-1])
    while window.length / width > MOST:
        width *= 2
    inner = [at for at in _even(window, width, zone) if window.since < at < window.until]
    ticks = [
        Tick(at, round(100 * ((at - window.since) / window.length), 2), label)
        for at, label in _named(window, zone)
        if window.since <= at < window.until
    ]
    return Axis(window, [window.since, *inner, window.until], ticks)


def _even(window: Window, width: timedelta, zone: tzinfo) -> Iterator[datetime]:
    """Yield the instants of a time at which spans begin that are even in a zone, rising, and a few around it."""
    local = window.since.astimezone(zone)
    if width < HOUR * 2:  # clocks are set by multiples of these
        at = window.since - (local.replace(tzinfo=None) - datetime.min) % width  # noqa: DTZ901 - only a remainder
        while at < window.until:
            yield at
            at += width
        return
    days = max(1, width // DAY)
    first = local.date().toordinal()
    for day in range(first - (first - 1) % days, window.until.astimezone(zone).date().toordinal() + 1, days):
        for part in range(1 if width >= DAY else DAY // width):
            yield _midnight(date.fromordinal(day), zone, part * width)


def _midnight(day: date, zone: tzinfo, later: timedelta = timedelta()) -> datetime:
    wall = datetime(day.year, day.month, day.day) + later  # noqa: DTZ001 - it gets its zone here
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _named(window: Window, zone: tzinfo) -> Iterator[tuple[datetime, str]]:
    """Yield the moments to be named, at most about `TICKS`, with their names."""
    width = next((each for each in TICK_WIDTHS if window.length / each <= TICKS), None)
    if width is None:
        yield from _months(window, zone)
        return
    for at in _even(window, width, zone):
        local = at.astimezone(zone)
        if width >= DAY or (local.hour, local.minute, local.second) == (0, 0, 0):
            yield at, f"{local.day} {local:%b}"
        else:
            yield at, f"{local:%H:%M}" if width >= MINUTE else f"{local:%H:%M:%S}"


def _months(window: Window, zone: tzinfo) -> Iterator[tuple[datetime, str]]:
    first, last = (at.astimezone(zone).date() for at in (window.since, window.until))
    months = (last.year - first.year) * 12 + last.month - first.month
    step = next((each for each in (1, 2, 3, 6, 12, 24, 60) if months / each <= TICKS), 120)
    number = first.year * 12 + first.month - 1
    for month in range(number - number % step, last.year * 12 + last.month, step):
        day = date(max(month // 12, 1), month % 12 + 1, 1)
        yield _midnight(day, zone), f"{day:%Y}" if day.month == 1 else f"{day:%b}"
