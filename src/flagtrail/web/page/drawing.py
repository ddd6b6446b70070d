"""Works out where things stand in a drawing over time: in percent of its width, so that text in it keeps its form."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from flagtrail.lanes import Served
from flagtrail.sentence import sentence, tidy
from flagtrail.web.page.life import Lane, Row
from flagtrail.web.page.shell import Reader
from flagtrail.when import spoken
from flagtrail.window import Window

HEIGHT = 36  # of a lane, in pixels
GROUND = 30  # where the line of a lane lies
TALLEST = 24  # of what is served to all
WIDE = 6.0  # percent of the width that a label needs
NEAR = 0.45  # percent of the width in which marks are drawn as one


class Bar(NamedTuple):
    """A span in a lane: where, how high, how it looks, and what it says."""

    x: str
    width: str
    y: float
    height: float
    style: str
    label: str
    title: str


class Mark(NamedTuple):
    """A change, or several so near that they are one mark: where, of which id (of the last), and what it says."""

    x: str
    id: str
    changes: int
    title: str


class Drawn(NamedTuple):
    """One lane as it is drawn, and the same as lines of a table: from, until, what."""

    name: str
    bars: Sequence[Bar]
    marks: Sequence[Mark]
    told: Sequence[tuple[datetime, datetime, str]]


def drawn(lane: Lane, window: Window, reader: Reader) -> Drawn:
    """Return a lane as it is drawn over a window."""
    bars = [_bar(part, window, reader) for part in lane.served if part.kind != "absent"]
    told = [(part.since, part.until, in_words(part)) for part in lane.served]
    return Drawn(lane.name, bars, _marks(lane.rows, window, reader), told)


def holes(windows: Iterable[Window], window: Window) -> list[tuple[str, str]]:
    """Return where the times lie that were not read: from, and how wide, in percent."""
    return [(place(hole.since, window), _wide(hole, window)) for hole in windows]


def in_words(part: Served) -> str:
    """Return what was served, in words."""
    if part.kind == "on":
        if part.share is None:
            return "on; what it served is not known"
        return "on for all" if part.share == 100 else f"on; true for {part.share:g} %"
    said = {"off": "off", "absent": "not there", "unknown": "not known"}
    return said.get(part.kind) or f"serves {tidy(part.label)}"


def _bar(part: Served, window: Window, reader: Reader) -> Bar:
    span = Window(part.since, part.until)
    height, style = float(TALLEST), part.kind
    if part.kind == "off":
        height = 3.0
    elif part.kind == "on" and part.share is not None:
        height = 4 + (TALLEST - 4) * min(part.share, 100) / 100
    elif part.kind == "on":
        style = "vague"
    label = f"{part.share:g} %" if part.share not in (None, 100.0) else tidy(part.label, 18)
    fits = float(span.length / window.length) * 100 >= WIDE
    title = f"{in_words(part)}, {_clock(part.since, reader)} to {_clock(part.until, reader)} ({spoken(span.length)})"
    return Bar(
        place(part.since, window), _wide(span, window), GROUND - height, height, style, label if fits else "", title
    )


def _marks(rows: Sequence[Row], window: Window, reader: Reader) -> list[Mark]:
    groups: list[list[Row]] = []
    for row in rows:
        first = groups[-1][0] if groups else None
        near = window.length * NEAR / 100
        if first is not None and row["occurred_at"] - first["occurred_at"] < near:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [_mark(group, window, reader) for group in groups]


def _mark(rows: Sequence[Row], window: Window, reader: Reader) -> Mark:
    last = rows[-1]
    said = f"{_clock(last['occurred_at'], reader)}: {sentence(last)}"
    more = f" (and {len(rows) - 1} more just before)" if len(rows) > 1 else ""
    return Mark(place(last["occurred_at"], window), last["id"], len(rows), said + more)


def _clock(instant: datetime, reader: Reader) -> str:
    return reader.local(instant).strftime("%d %b %Y %H:%M")


def place(instant: datetime, window: Window) -> str:
    """Return where an instant lies in a window, in percent of its width."""
    return f"{100 * ((instant - window.since) / window.length):.3f}%"


def _wide(span: Window, window: Window) -> str:
    return f"{max(0.08, 100 * (span.length / window.length)):.3f}%"
