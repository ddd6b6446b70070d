"""What a sync tells while it runs, and when it is done."""

from dataclasses import dataclass, field
from typing import Protocol

from flagtrail.connector import Stream
from flagtrail.errors import AccessDenied


class Watch(Protocol):
    """Somebody who watches a sync, such as a progress bar."""

    def planned(self, jobs: int, records: int | None) -> None:
        """Say how many windows will be read, and how many records are expected in all (None: nobody knows)."""

    def stored(self, new: int) -> None:
        """Say that so many events were stored that were not there before."""

    def finished(self) -> None:
        """Say that one window has been read to its end, or given up."""

    def ended(self) -> None:
        """Say that nothing more will be read."""


class Nobody:
    """Watches nothing."""

    def planned(self, jobs: int, records: int | None) -> None:
        """Ignore it."""

    def stored(self, new: int) -> None:
        """Ignore it."""

    def finished(self) -> None:
        """Ignore it."""

    def ended(self) -> None:
        """Ignore it."""


@dataclass(slots=True)
class StreamReport:
    """How the sync of one stream went; `error` is what a person should read, None when all is well."""

    stream: Stream
    new: int = 0
    changed: int = 0
    gaps: int = 0
    failures: int = 0
    error: str | None = None


@dataclass(slots=True)
class Report:
    """How the sync of one source went.

    `refused` are the streams that the vendor refuses, None standing for the whole source. `grown` says that a project,
    an environment or an organization came or went, so that there may be other streams now.
    """

    source: str
    streams: dict[str, StreamReport] = field(default_factory=dict)
    refused: dict[str | None, AccessDenied] = field(default_factory=dict)
    requests: int = 0
    error: str | None = None
    stopped: bool = False
    grown: bool = False

    @property
    def new(self) -> int:
        """How many events were not there before."""
        return sum(stream.new for stream in self.streams.values())

    @property
    def errors(self) -> list[str]:
        """Every error once, the source's own first, each with the streams it belongs to."""
        told = {self.error: [""]} if self.error else {}
        for name, stream in self.streams.items():
            if stream.error and stream.error != self.error:
                told.setdefault(stream.error, []).append(f" {name}")
        return [f"{self.source}{names[0]}{_more(len(names) - 1)}: {error}" for error, names in told.items()]


def _more(streams: int) -> str:
    return f" and {streams} more streams" if streams > 1 else " and 1 more stream" if streams else ""
