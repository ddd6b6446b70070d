"""Finds the streams of a source, again and again, and does not believe at once that one is gone.

A vendor that shows fewer projects, environments or organizations than before may have lost them, or may have answered
wrongly just now: believed, that would leave a stream unread without any error.
"""

import threading
import time
from collections.abc import Callable, Iterable

import structlog

from flagtrail.connector import Stream
from flagtrail.errors import AccessDenied, SourceError, UnexpectedResponse

DISCOVER_EVERY = 600.0  # seconds between looks for new projects, environments and organizations
DOUBT = 1.0  # seconds until a list is asked for again that lacks what there was; twice as long each time

log = structlog.get_logger()


class Discovery:
    """The streams of one source, asked for with `find`; `stored` returns the names of those that were ever read.

    `failed` says why not all streams are known, None while they are.
    """

    def __init__(self, source: str, find: Callable[[], Iterable[Stream]], stored: Callable[[], set[str]]) -> None:
        self.source, self.find, self.stored = source, find, stored
        self.known: list[Stream] = []
        self.failed: str | None = None
        self._due = float("-inf")
        self._doubt = DOUBT
        self._gone: set[str] = set()  # names of streams that are believed to be gone
        self._expected = False  # what is missing next was told of
        self._finding = threading.Lock()

    def look_again(self) -> None:
        """Let the vendor be asked at the next occasion: its log told of places that came or went."""
        self._due, self._expected = float("-inf"), True

    def streams(self, *, whole: bool = True) -> list[Stream]:
        """Return the streams, asked for again when that is due.

        Raises SourceError when that fails; unless `whole`, what was found on the way and what was known before is
        returned all the same, if it is anything, and `failed` holds the error.
        """
        with self._finding:
            if time.monotonic() >= self._due:
                self._ask(whole=whole)
            return self.known

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
            self.failed = f"not all streams are known: {error}"
            log.warning("discovery_failed", source=self.source, error=str(error))
            self._keep(found)
        else:
            self.failed = None
            self._believe(found)

    def _believe(self, found: dict[str, Stream]) -> None:
        """Take a whole list over; one that lacks what there was only when it is said for long, or was expected."""
        self._gone -= found.keys()
        missing = {stream.name for stream in self.known}.union(self.stored()) - found.keys() - self._gone
        pause = min(self._doubt, DISCOVER_EVERY) if missing and not self._expected else DISCOVER_EVERY
        if pause < DISCOVER_EVERY:
            log.info("streams_missing", source=self.source, streams=sorted(missing), again_in=pause)
            self._keep(found)
            self._doubt *= 2
        else:
            self._gone |= missing
            self.known, self._doubt, self._expected = list(found.values()), DOUBT, False
        self._due = time.monotonic() + pause

    def _keep(self, found: dict[str, Stream]) -> None:
        """Go on with what was known before, too."""
        self.known = list((found | {stream.name: stream for stream in self.known}).values())
