"""Places instants on a line from one moment to another, in percent of its length, with ticks that people can read."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from flagtrail.window import Window

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=each) for each in (1, 60, 3600, 86400))
TICKS = 8
ROUND = (
    *(SECOND * each for each in (1, 5, 10, 30)),
    *(MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(HOUR * each for each in (1, 2, 3, 6, 12)),
    *(DAY * each for each in (1, 2, 7, 14)),
)
MONTHS = (1, 2, 3, 6, 12, 24, 60)
LEAST = 0.35  # percent: what is shorter is drawn so wide, or nobody would see it
EDGE = 3.0  # percent near an end at which the label of a tick would be cut if its middle stood there


class Tick(NamedTuple):
    """A round moment on a line: where it is, in percent, and what stands there."""

    at: float
    label: str

    @property
    def anchor(self) -> str:
        """Which side of the label stands there, as SVG names it."""
        return "start" if self.at < EDGE else "end" if self.at > 100 - EDGE else "middle"


class Part(NamedTuple):
    """A part of a line, in percent, and the windows that are drawn there, oldest first."""

    start: float
    width: float
    windows: tuple[Window, ...]


class Scale(NamedTuple):
    """A line from one moment to another."""

    window: Window
    zone: tzinfo

    def at(self, instant: datetime) -> float:
        """Return the place of an instant, from 0 to 100; what lies outside is at the nearer end."""
        share = (instant - self.window.since) / self.window.length
        return round(min(100.0, max(0.0, 100 * share)), 3)

    def parts(self, windows: Iterable[Window], least: float = LEAST) -> list[Part]:
        """Return where windows are drawn: none is too narrow to be seen, and what would touch is drawn as one.

        However many windows there are, there are no more than a few hundred parts.
        """
        found: list[Part] = []
        for window in sorted(windows):
            inside = window.clip(self.window)
            if inside is None:
                continue
            start, end = self.at(inside.since), self.at(inside.until)
            start = min(start, 100.0 - least)
            end = max(end, start + least)
            if found and start <= found[-1].start + found[-1].width:
                last = found[-1]
                end = max(end, last.start + last.width)
                found[-1] = Part(last.start, round(end - last.start, 2), (*last.windows, window))
            else:
                found.append(Part(start, round(end - start, 2), (window,)))
        return found

    def ticks(self) -> list[Tick]:
        """Return marks at round moments of the zone, few enough to be read."""
        width = next((each for each in ROUND if self.window.length / each <= TICKS), None)
        named = self._months() if width is None else self._named(width)
        return [Tick(self.at(at), label) for at, label in named if self.window.since <= at < self.window.until]

    def even(self, width: timedelta) -> Iterator[datetime]:
        """Yield the instants at which spans of a width begin that are even in the zone, rising, and a few around."""
        local = self.window.since.astimezone(self.zone)
        if width < HOUR * 2:  # clocks are set by multiples of these
            at = self.window.since - (local.replace(tzinfo=None) - datetime.min) % width  # noqa: DTZ901 - a remainder
            while at < self.window.until:
                yield at
                at += width
            return
        days = max(1, width // DAY)
        first, last = local.date().toordinal(), self.window.until.astimezone(self.zone).date().toordinal()
        for day in range(first - (first - 1) % days, last + 1, days):
            for part in range(1 if width >= DAY else DAY // width):
                yield self._midnight(date.fromordinal(day), part * width)

    def _midnight(self, day: date, later: timedelta = timedelta()) -> datetime:
        wall = datetime(day.year, day.month, day.day) + later  # noqa: DTZ001 - it gets its zone here
        return wall.replace(tzinfo=self.zone).astimezone(UTC)

    def _named(self, width: timedelta) -> Iterator[tuple[datetime, str]]:
        for at in self.even(width):
            local = at.astimezone(self.zone)
            if width >= DAY or (local.hour, local.minute, local.second) == (0, 0, 0):
                yield at, f"{local.day} {local:%b}"
            else:
                yield at, f"{local:%H:%M}" if width >= MINUTE else f"{local:%H:%M:%S}"

    def _months(self) -> Iterator[tuple[datetime, str]]:
        """Yield months with their names; the first that is seen tells its year, and each January does."""
        window = self.window
        first, last = (at.astimezone(self.zone).date() for at in (window.since, window.until))
        months = (last.year - first.year) * 12 + last.month - first.month
        step = next((each for each in MONTHS if months / each <= TICKS), 120)
        number = first.year * 12 + first.month - 1
        is_first = True
        for month in range(number - number % step, last.year * 12 + last.month, step):
            day = date(max(month // 12, 1), month % 12 + 1, 1)
            at = self._midnight(day)
            if at >= window.since:
                yield at, f"{day:%Y}" if day.month == 1 else f"{day:%b %Y}" if is_first else f"{day:%b}"
                is_first = False
