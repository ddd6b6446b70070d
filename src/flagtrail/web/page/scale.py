"""Places instants on a line from one moment to another, in percent of its length, with ticks that people can read."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from flagtrail.window import Window

MOST = 8  # ticks
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SHORT = [MINUTE * n for n in (1, 2, 5, 10, 15, 30)] + [HOUR * n for n in (1, 2, 3, 6, 12)]
DAYS, MONTHS = (1, 2, 7, 14), (1, 2, 3, 6, 12, 24, 60)
LEAST = 0.35  # percent: what is shorter is drawn so wide, or nobody would see it
EDGE = 4.0  # percent near an end at which the label of a tick would be cut


class Tick(NamedTuple):
    """A mark on a line: where it is, in percent, and what stands there."""

    at: float
    label: str


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
        return round(min(100.0, max(0.0, 100 * share)), 2)

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
        found = [Tick(self.at(at), label) for at, label in self._round() if self.window.since <= at < self.window.until]
        return [tick for tick in found if EDGE <= tick.at <= 100 - EDGE]

    def _round(self) -> Iterator[tuple[datetime, str]]:
        length = self.window.length
        for step in SHORT:
            if length / step <= MOST:
                return self._within_days(step)
        for days in DAYS:
            if length / DAY / days <= MOST:
                return self._days(days)
        return self._months(next((n for n in MONTHS if length / DAY / 30.4 / n <= MOST), 120))

    def _within_days(self, step: timedelta) -> Iterator[tuple[datetime, str]]:
        first = self.window.since.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        at = first.astimezone(UTC)
        while at < self.window.until:
            local = at.astimezone(self.zone)
            yield at, local.strftime("%H:%M" if local.hour or local.minute else "%d %b")
            at += step

    def _days(self, step: int) -> Iterator[tuple[datetime, str]]:
        day = self.window.since.astimezone(self.zone).date()
        day -= timedelta(days=day.toordinal() % step)
        while (at := datetime(day.year, day.month, day.day, tzinfo=self.zone)) < self.window.until:
            yield at.astimezone(UTC), f"{day:%d %b}"
            day += timedelta(days=step)

    def _months(self, step: int) -> Iterator[tuple[datetime, str]]:
        local = self.window.since.astimezone(self.zone)
        month = (local.year * 12 + local.month - 1) // step * step
        while (at := datetime(month // 12, month % 12 + 1, 1, tzinfo=self.zone)) < self.window.until:
            yield at.astimezone(UTC), f"{at:%b %Y}" if step < 12 else f"{at:%Y}"
            month += step
