"""Finds the streams of a source, again and again, and does not believe at once that one is gone.

A vendor that shows fewer projects, environments or organizations than before may have lost them, or may have answered
wrongly just now: believed, that would leave a stream unread without any error.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from flagtrail.connector import Stream
from flagtrail.errors import AccessDenied, SourceError, UnexpectedResponse

DISCOVER_EVERY = 600.0  # seconds between looks for new projects, environments and organizations
DOUBT = 1.0  # seconds until a list is asked for again that lacks what there was; twice as long each time

log = structlog.get_logger()


@dataclass
class Known:
    """What is known of the streams of a source; `failed` says why it is not all, None when it is.

    `gone` are the names of streams that are believed to be gone. `expected` says that what is missing next was told of.
    """

    streams: list[Stream] = field(default_factory=list)
    failed: str | None = None
    doubt: float = DOUBT
    gone: set[str] = field(default_factory=set)
    expected: bool = False


class Memory(Protocol):
    """Where several processes keep together what they know of the streams of a source."""

    def recall(self) -> tuple[Known, float] | None:
        """Return what is known, and in how many seconds the vendor is to be asked again; None when nothing is."""

    def keep(self, known: Known, due_in: float) -> None:
        """Keep what is known by now, and in how many seconds the vendor is to be asked again."""


class Discovery:
    """The streams of one source, asked for with `find`; `stored` returns the names of those that were ever read."""

    def __init__(
        self, source: str, find: Callable[[], Iterable[Stream]], stored: Callable[[], set[str]],
        memory: Memory | None = None,
    ) -> None:  # fmt: skip
        self.source, self.find, self.stored, self.memory = source, find, stored, memory
        self.failed: str | None = None  # why not all streams are known, None while they are; whoever asked the vendor
        self._known = Known()
        self._due = float("-inf")
        self._finding = threading.Lock()

    @property
    def known(self) -> list[Stream]:
        """The streams, as far as they are known."""
        return self._known.streams

    def look_again(self) -> None:
        """Let the vendor be asked at the next occasion: its log told of places that came or went."""
        with self._finding:
            self._recall()
            self._due, self._known.expected = float("-inf"), True
            self._keep_in_mind()

    def named(self, name: str) -> Stream | None:
        """Return a stream that is known, without asking the vendor, or waiting for whoever asks it just now."""
        recalled = self.memory.recall() if self.memory else None
        known = recalled[0] if recalled else self._known
        self.failed = known.failed
        return next((stream for stream in known.streams if stream.name == name), None)

    def streams(self, *, whole: bool = True) -> list[Stream]:
        """Return the streams, asked for again when that is due.

        Raises SourceError when that fails; unless `whole`, what was found on the way and what was known before is
        returned all the same, if it is anything, and `failed` holds the error.
        """
        with self._finding:
            self._recall()
            if time.monotonic() >= self._due:
                self._ask(whole=whole)
                self._keep_in_mind()
            self.failed = self._known.failed
            return self.known

    def _recall(self) -> None:
        """Take over what other processes know by now."""
        recalled = self.memory.recall() if self.memory else None
        if recalled is not None:
            self._known, due_in = recalled
            self._due = time.monotonic() + due_in

    def _keep_in_mind(self) -> None:
        if self.memory is not None:
            self.memory.keep(self._known, max(self._due - time.monotonic(), 0.0))

    def _ask(self, *, whole: bool) -> None:
        found: dict[str, Stream] = {}
        try:
            for stream in self.find():
                found[stream.name] = stream
            if not found:
                raise UnexpectedResponse("the vendor shows these credentials no project or organization at all")
        except SourceError as error:
            signed_out = isinstance(error, AccessDenied) and error.status == 401
            if whole or signed_out or not (found or self.known):
                raise
            self._known.failed = f"not all streams are known: {error}"
            log.warning("discovery_failed", source=self.source, error=str(error))
            self._keep(found)
        else:
            self._known.failed = None
            self._believe(found)

    def _believe(self, found: dict[str, Stream]) -> None:
        """Take a whole list over; one that lacks what there was only when it is said for long, or was expected."""
        now = self._known
        now.gone -= found.keys()
        missing = {stream.name for stream in now.streams}.union(self.stored()) - found.keys() - now.gone
        pause = min(now.doubt, DISCOVER_EVERY) if missing and not now.expected else DISCOVER_EVERY
        if pause < DISCOVER_EVERY:
            log.info("streams_missing", source=self.source, streams=sorted(missing), again_in=pause)
            self._keep(found)
            now.doubt *= 2
        else:
            now.gone |= missing
            now.streams, now.doubt, now.expected = list(found.values()), DOUBT, False
        self._due = time.monotonic() + pause

    def _keep(self, found: dict[str, Stream]) -> None:
        """Go on with what was known before, too."""
        self._known.streams = list((found | {stream.name: stream for stream in self.known}).values())
