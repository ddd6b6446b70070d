"""Says how far into the past a run reads: so that what is new never waits for what is old."""

from datetime import datetime, timedelta
from enum import Enum

from flagtrail.errors import UnexpectedResponse
from flagtrail.source import AHEAD, Source
from flagtrail.window import Window, iso

NEWEST = timedelta(hours=1)  # how far back from the settling time a look goes: further than any quiet stream ends


class Reach(Enum):
    """What of the wanted time one run reads: all, what is newer or older than `NEWEST`, or what a person asked for."""

    WHOLE, NEW, OLD, ASKED = "whole", "new", "old", "asked"

    @property
    def tells_of_now(self) -> bool:
        """Whether such a run tells how it stands with everything up to now."""
        return self in (Reach.WHOLE, Reach.NEW)

    @property
    def tells_of_gaps(self) -> bool:
        """Whether such a run tells how it stands with older gaps."""
        return self in (Reach.WHOLE, Reach.OLD)


def wanted(source: Source, reach: Reach, asked: Window | None, now: datetime) -> Window | None:
    """Return what a run is to read of each stream, by the vendor's present; None when that is nothing.

    Raises UnexpectedResponse when the present lies before the configured start.
    """
    since = source.wanted_since(now)
    if since >= now + AHEAD and asked is None:
        raise UnexpectedResponse(f"by the vendor's clock it is {iso(now)}, which is before the configured start")
    window = asked.before(now + AHEAD) if asked else Window(since, now + AHEAD)
    if window and (kept_here := source.kept_here_since(now)):
        window = window.after(kept_here)
    edge = now - source.settle - NEWEST
    if window and reach is Reach.NEW:
        return window.after(edge)
    return window.before(edge) if window and reach is Reach.OLD else window
