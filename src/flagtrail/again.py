"""Reads covered windows again, and stores what they show by now: late entries, and other content."""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flagtrail.api import Api
from flagtrail.connector import Hole, Stream
from flagtrail.rows import Reading
from flagtrail.source import Source
from flagtrail.store import Store, StreamState
from flagtrail.window import Window

LONGEST = timedelta(days=31)  # compared at once: a month's times fit into memory
BATCH = 10  # pages stored in one transaction


class Stopped(Exception):
    """The verification is to end: what is not compared yet keeps its older verdict."""


@dataclass(slots=True)
class Again:
    """What reading a window again has shown: the vendor's ids in it, and what that changed in the table."""

    shown: set[str] = field(default_factory=set)
    found: int = 0
    changed: int = 0
    holes: list[Hole] = field(default_factory=list)

    def and_then(self, other: "Again") -> "Again":
        """Return what two readings have shown together."""
        return Again(
            self.shown | other.shown,
            self.found + other.found,
            self.changed + other.changed,
            [*self.holes, *other.holes],
        )


@dataclass(frozen=True, slots=True)
class Rereader:
    """Reads one stream again; safe to use from many threads."""

    source: Source
    store: Store
    api: Api
    stream: Stream
    stop: threading.Event

    def state(self) -> StreamState:
        """Return what the table knows of the stream."""
        name = (self.source.name, self.stream.name)
        return next(state for state in self.store.streams() if (state.source, state.stream) == name)

    def read(self, window: Window) -> Again:
        """Read a window again, and a little around it, and store what it shows; it claims nothing new."""
        again = Again()
        edge = self.stream.edge
        pieces = Window(window.since - edge, window.until + edge).pieces(self.stream.span or LONGEST)
        readings: list[Reading] = []
        for piece in pieces:
            for page in self.source.connector.pages(self.api, self.stream, piece):
                self.check_stop()
                if isinstance(page, Hole) and page.window.clip(window):
                    again.holes.append(page)
                readings.append(self.source.reading(self.stream, page.records, thorough=True))
                if len(readings) >= BATCH:
                    self._store(readings, window, again)
        self._store(readings, window, again)
        return again

    def shows_anything(self, window: Window) -> bool:
        """Return whether the vendor shows any entry in a window."""
        for piece in window.pieces(self.stream.span or LONGEST):
            for page in self.source.connector.pages(self.api, self.stream, piece):
                self.check_stop()
                events = self.source.reading(self.stream, page.records).events
                if any(window.since <= event.occurred_at < window.until for event, _ in events):
                    return True
        return False

    def _store(self, readings: list[Reading], window: Window, again: Again) -> None:
        """Store pages, and count what in the window was new or had other content."""

        def inside(moment: datetime) -> bool:
            return window.since <= moment < window.until

        again.shown |= {
            event.vendor_id for reading in readings for event, _ in reading.events if inside(event.occurred_at)
        }
        added = self.store.add(self.source.name, self.source.connector.vendor, readings)
        again.found += sum(inside(at) or self._covered(at) for at in (row.values["occurred_at"] for row in added.new))
        again.changed += len(added.changed)
        readings.clear()

    def _covered(self, moment: datetime) -> bool:
        """Return whether a moment beside the window lies in covered time: what is new there was missing."""
        windows = self.store.coverage(self.source.name, self.stream.name)
        return any(window.since <= moment < window.until for window in windows)

    def check_stop(self) -> None:
        """Raise Stopped when the verification is to end."""
        if self.stop.is_set():
            raise Stopped
