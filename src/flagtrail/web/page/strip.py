"""Draws the time around a moment: a lane for each vendor, a dot for each change, suspects with their numbers."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from flagtrail.around import Around
from flagtrail.web.page.scale import Part, Scale, Tick
from flagtrail.web.page.suspects import SuspectView
from flagtrail.window import Window

FINE = 0.25  # percent: dots that are nearer to each other are drawn as one


class Dot(NamedTuple):
    """One change, or a few at about the same time: where, in percent, and the rank of the suspect that it is."""

    at: float
    rank: int | None
    told: str


class Lane(NamedTuple):
    """A vendor's changes, and the parts of the time that were not read there."""

    vendor: str
    dots: Sequence[Dot]
    unread: Sequence[Part]


class Strip(NamedTuple):
    """The time around a moment: where the moment is, in percent, marks of time, and lanes."""

    moment: float
    ticks: Sequence[Tick]
    lanes: Sequence[Lane]


def strip(
    found: Around, vendors: Mapping[str, str], shown: Sequence[SuspectView], zone: tzinfo, now: datetime
) -> Strip:
    """Return the picture; `vendors` tells whose a source is, and what was never read by anybody is unread in all."""
    scale = Scale(Window(found.since, found.until), zone)
    rows = [row for suspect in found.suspects for row in (suspect.row, *suspect.saved_with)]
    names = sorted({*vendors.values(), *(row["vendor"] for row in rows)})
    lanes = []
    for name in names:
        numbered = [Dot(scale.at(one.row["occurred_at"]), one.rank, f"{one.rank}: {one.distance}")
                    for one in shown if one.row["vendor"] == name]  # fmt: skip
        plain: dict[int, int] = {}
        for row in rows:
            if row["vendor"] == name:
                place = round(scale.at(row["occurred_at"]) / FINE)
                plain[place] = plain.get(place, 0) + 1
        dots = [Dot(place * FINE, None, f"{count} change{'' if count == 1 else 's'}") for place, count in plain.items()]
        unread = [Window(one.since, one.until) for one in found.unread if vendors.get(one.source, name) == name]
        lanes.append(Lane(name, [*dots, *sorted(numbered, key=lambda dot: -(dot.rank or 0))], scale.parts(unread)))
    return Strip(scale.at(found.moment), scale.ticks(), lanes)
