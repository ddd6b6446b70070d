"""Divides a time into spans that people count in, in the reader's own zone: what a chart is drawn over."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from flagtrail.web.page.scale import DAY, HOUR, MINUTE, SECOND, Scale
from flagtrail.window import EPOCH, Window

MOST = 125  # spans of a chart
LONGEST = 28  # days of a span; longer times double it
WIDTHS = (
    *(SECOND * each for each in (1, 2, 5, 10, 15, 30)),
    *(MINUTE * each for each in (1, 2, 3, 5, 10, 15, 30)),
    *(HOUR * each for each in (1, 2, 3, 4, 6, 8, 12)),
    *(DAY * each for each in (1, 2, 3, 7, 14, LONGEST)),
)
# Of which the edges of the spans are multiples, in every zone of the world: events are counted by these.
FINE = (HOUR, MINUTE * 15, MINUTE * 5, MINUTE * 3, MINUTE * 2, MINUTE, *(SECOND * each for each in (30, 15, 10, 5, 2)))


class Axis(NamedTuple):
    """A time, and the edges of the spans in it: one more than there are spans, in UTC."""

    scale: Scale
    edges: Sequence[datetime]

    @property
    def window(self) -> Window:
        """The time that is divided."""
        return self.scale.window

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
    scale = Scale(window, zone)
    inner = [at for at in scale.even(width) if window.since < at < window.until]
    return Axis(scale, [window.since, *inner, window.until])
