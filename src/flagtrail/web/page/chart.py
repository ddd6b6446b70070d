"""Draws how many changes there were over time: lanes of bars, and where something was not read or not counted."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from flagtrail.fields import KINDS
from flagtrail.sentence import vendor_of
from flagtrail.web.access import Trail
from flagtrail.web.page.answer import Answer
from flagtrail.web.page.axis import Axis, axis
from flagtrail.web.page.counting import Counts, counted, value_of
from flagtrail.web.page.shell import Reader
from flagtrail.web.page.uncovered import Hole, holes
from flagtrail.web.page.view import View, has_value

TOP = 6  # lanes besides that of all others
HEIGHTS = (56, 56, 56, 44, 44)  # pixels of a lane, by the number of lanes; of more lanes the last
LOWEST = 36
USUAL, HIGH = 0.96, 5  # a share of the bars; how many times as high as those one is that is cut
ROOM = 6  # pixels above the highest bar
NAMED = 3  # lanes that are told of one span
WIDTH = 1000  # of a lane, in the units of its bars


class Lane(NamedTuple):
    """The changes of one vendor, project, environment, actor or action; `value` None: of none, or of all others."""

    label: str
    value: str | None
    style: str
    total: int
    bars: str
    holes: Sequence[Hole]
    address: str | None = None
    """The view of these changes alone; None when no question means just them, or when it is asked already."""


class Column(NamedTuple):
    """One span of the chart, and how many changes there were in it, in words."""

    since: datetime
    until: datetime
    place: float
    width: float
    number: int
    text: str


class Chart(NamedTuple):
    """What is drawn. `counted_since` is where counting ended for want of time; None: all is counted.

    Bars that stand for more than `cut` are cut, or one great change would make all others invisible; None: none is.
    """

    axis: Axis
    lanes: Sequence[Lane]
    columns: Sequence[Column]
    total: int
    cut: int | None
    counted_since: datetime | None
    counts: Mapping[str, int]
    """How many changes there are of each value of the lanes, if all are counted."""
    seconds: float = 0.0
    """Of CPU that counting took."""

    @property
    def lane_height(self) -> int:
        """How high a lane is, in pixels."""
        return _height(len(self.lanes))

    @property
    def is_read(self) -> bool:
        """Whether all that had settled was read."""
        return all(hole.is_young for lane in self.lanes for hole in lane.holes)

    @property
    def has_young(self) -> bool:
        """Whether a part of it has not settled yet."""
        return any(hole.is_young for lane in self.lanes for hole in lane.holes)

    @property
    def uncounted(self) -> float:
        """How much of it was not counted, in percent, from its beginning on."""
        return 0.0 if self.counted_since is None else self.axis.scale.at(self.counted_since)

    @property
    def busiest(self) -> Column | None:
        """The span with the most changes."""
        return max(self.columns, key=lambda column: column.number, default=None)


def chart(view: View, found: Answer, trail: Trail) -> Chart:
    """Return the chart of an answer."""
    over = axis(found.window, view.reader.zone)
    begun = time.thread_time()
    counts, counted_since = counted(view, found, trail, over)
    seconds = time.thread_time() - begun
    names, ranked = _lanes(counts)
    top = ranked[:TOP] if len(ranked) > TOP + 1 else ranked
    others = len(ranked) > len(top)
    lane_of = {name: min(place, len(top)) for place, name in enumerate(ranked)}
    heights: Counter[tuple[int, int]] = Counter()
    for (span, value), number in counts.items():
        heights[lane_of[_folded(value)], span] += number
    cut = _cut(heights.values())
    scale = cut or max(heights.values(), default=0)
    missing = holes(found.told, over, by_vendor=view.by == "vendor")
    called = {value_of(row, "actor"): row["actor_name"] for row in found.sample.rows if view.by == "actor"}
    lanes = []
    for place in range(len(top) + others):
        value = names[top[place]] if place < len(top) else None
        mine = {span: number for (lane, span), number in heights.items() if lane == place}
        label = _label(view.by, value, called) if place < len(top) else f"{len(ranked) - len(top)} others"
        style = vendor_of(value).style if view.by == "vendor" and value else "lane-plain" if value else "lane-others"
        lost = missing.get(value, missing[None]) if view.by == "vendor" else missing[None]
        lanes.append(
            Lane(
                label,
                value,
                style,
                sum(mine.values()),
                _bars(over, mine, scale, _height(len(top) + others) - ROOM),
                lost,
                _address(view, value),
            )
        )
    if not lanes:
        lanes = [Lane("No changes", None, "lane-others", 0, "", missing[None])]
    elif view.by == "vendor":
        known = {lane.value for lane in lanes}
        lanes += [
            Lane(vendor_of(vendor).name, vendor, vendor_of(vendor).style, 0, "", lost)
            for vendor, lost in missing.items()
            if vendor and lost and vendor not in known
        ]
    columns = _columns(over, heights, [lane.label for lane in lanes], view.reader)
    totals = {lane.value: lane.total for lane in lanes if lane.value} if counted_since is None else {}
    return Chart(over, lanes, columns, sum(heights.values()), cut, counted_since, totals, seconds)


def _folded(value: str | None) -> str:
    return (value or "").lower()


def _lanes(counts: Counts) -> tuple[Mapping[str, str | None], list[str]]:
    """Return the values of the lanes, by the same without case, in their most frequent spelling; and their order."""
    spelled: Counter[str | None] = Counter()
    totals: Counter[str] = Counter()
    for (_, value), number in counts.items():
        spelled[value] += number
        totals[_folded(value)] += number
    names: dict[str, str | None] = {}
    for value, _ in spelled.most_common():
        names.setdefault(_folded(value), value or None)
    return names, sorted(totals, key=lambda name: (-totals[name], name))


def _address(view: View, value: str | None) -> str | None:
    nobody = view.by == "actor" and value in KINDS
    asked = value is None or nobody or "*" in value or has_value(view.query, view.by, value)
    return None if asked or value is None else view.toggled(view.by, value)


def _label(by: str, value: str | None, called: Mapping[str | None, str | None]) -> str:
    if value is None:
        return "none"
    if by == "vendor":
        return vendor_of(value).name
    return value.replace("_", " ") if by == "action" else called.get(value) or value


def _cut(heights: Iterable[int]) -> int | None:
    """Return up to where bars are drawn, if a few are so high that most could not be told apart."""
    ranked = sorted(heights)
    if not ranked:
        return None
    usual = ranked[max(0, min(int(len(ranked) * USUAL), len(ranked) - 2))]  # of a few bars, the highest is not usual
    return 2 * usual if ranked[-1] > HIGH * usual else None


def _height(lanes: int) -> int:
    return HEIGHTS[lanes] if lanes < len(HEIGHTS) else LOWEST


def _bars(over: Axis, mine: Mapping[int, int], scale: int, highest: int) -> str:
    """Return the bars of a lane as the path of an SVG; those above the scale have a gap near their top."""
    path = []
    for span, number in sorted(mine.items()):
        first, last = (over.scale.at(over.edges[span + side]) * WIDTH / 100 for side in (0, 1))
        gap = min(1.0, (last - first) / 8)
        height = max(2.5, highest * min(number / scale, 1))
        if number > scale:
            path.append(f"M{first + gap:.1f} 5v-5h{last - first - 2 * gap:.1f}v5z")
            height -= 8
        path.append(f"M{first + gap:.1f} {highest}v-{height:.1f}h{last - first - 2 * gap:.1f}v{height:.1f}z")
    return "".join(path)


def _columns(over: Axis, heights: Mapping[tuple[int, int], int], labels: Sequence[str], reader: Reader) -> list[Column]:
    """Return the spans that have changes."""
    totals: Counter[int] = Counter()
    parts: dict[int, list[str]] = {}
    for (lane, span), number in sorted(heights.items(), key=lambda each: -each[1]):
        totals[span] += number
        parts.setdefault(span, []).append(f"{labels[lane]} {number:,}")
    found = []
    yearly = over.window.length > timedelta(days=300)
    for span, number in sorted(totals.items()):
        since, until = over.edges[span], over.edges[span + 1]
        place = over.scale.at(since)
        told = f"{number:,} {'change' if number == 1 else 'changes'}, {said(since, until, reader, year=yearly)}"
        named = [*parts[span][:NAMED], *(["…"] if len(parts[span]) > NAMED else [])]
        inside = f": {', '.join(named)}" if len(labels) > 1 else ""
        found.append(Column(since, until, place, round(over.scale.at(until) - place, 3), number, told + inside))
    return found


def said(since: datetime, until: datetime, reader: Reader, *, year: bool = True) -> str:
    """Return a time in words, in the reader's zone."""
    first, last = reader.local(since), reader.local(until)
    clock = "%H:%M:%S" if until - since < timedelta(minutes=10) else "%H:%M"
    day = "%b %Y" if year else "%b"
    if first.date() == last.date():
        return f"{first.day} {first:{day}} {first:{clock}}–{last:{clock}}"  # noqa: RUF001 - a dash between times
    return f"{first.day} {first:{day}} {first:{clock}} – {last.day} {last:{day}} {last:{clock}}"  # noqa: RUF001
