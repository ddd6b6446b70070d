"""What a sync tells while it runs, and when it is done."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from flagtrail.connector import Stream
from flagtrail.errors import AccessDenied
from flagtrail.plan import Job
from flagtrail.verdicts import Outcome, Verdict


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


class News(NamedTuple):
    """Where something happened a short while ago, by the log that tells of it; None where that is wider."""

    log: str
    project: str | None
    environment: str | None


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
    an environment or an organization came or went, so that there may be other streams now. `news` tells where something
    happened a short while ago that was not known before. `left` is what would have been too much at once.
    """

    source: str
    streams: dict[str, StreamReport] = field(default_factory=dict)
    refused: dict[str | None, AccessDenied] = field(default_factory=dict)
    requests: int = 0
    error: str | None = None
    stopped: bool = False
    grown: bool = False
    news: set[News] = field(default_factory=set)
    left: list[Job] = field(default_factory=list)

    def add(self, earlier: "Report") -> None:
        """Count in what an earlier part of the same sync has stored."""
        for name, state in earlier.streams.items():
            mine = self.streams.setdefault(name, StreamReport(state.stream))
            mine.new += state.new
            mine.changed += state.changed
        self.grown |= earlier.grown
        self.news |= earlier.news

    @property
    def new(self) -> int:
        """How many events were not there before."""
        return sum(stream.new for stream in self.streams.values())

    @property
    def errors(self) -> list[str]:
        """Every error once, the source's own first, each with the streams it belongs to."""
        return _told(self.source, self.error, {name: stream.error for name, stream in self.streams.items()})


def _told(source: str, error: str | None, errors: dict[str, str | None]) -> list[str]:
    told = {error: [""]} if error else {}
    for name, each in errors.items():
        if each and each != error:
            told.setdefault(each, []).append(f" {name}")
    return [f"{source}{names[0]}{_more(len(names) - 1)}: {each}" for each, names in told.items()]


def _more(streams: int) -> str:
    return f" and {streams} more streams" if streams > 1 else " and 1 more stream" if streams else ""


@dataclass(slots=True)
class StreamVerification:
    """How the verification of one stream went; `error` is what a person should read, None when all is well."""

    stream: Stream
    verdicts: list[Verdict] = field(default_factory=list)
    vanished: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    error: str | None = None

    def windows(self, outcome: Outcome) -> int:
        """How many windows came out so."""
        return sum(verdict.outcome is outcome for verdict in self.verdicts)

    @property
    def found(self) -> int:
        """How many entries were missing, and are stored now."""
        return sum(verdict.found for verdict in self.verdicts)

    @property
    def changed(self) -> int:
        """How many entries had other content by now."""
        return sum(verdict.changed for verdict in self.verdicts)


@dataclass(slots=True)
class Verification:
    """How the verification of one source went; `stopped` when it was told to end before it was done."""

    source: str
    streams: dict[str, StreamVerification] = field(default_factory=dict)
    requests: int = 0
    error: str | None = None
    stopped: bool = False

    @property
    def errors(self) -> list[str]:
        """Every error once, the source's own first, each with the streams it belongs to."""
        return _told(self.source, self.error, {name: stream.error for name, stream in self.streams.items()})

    @property
    def differing(self) -> int:
        """How many windows differ from what the vendor says, after everything was tried."""
        return sum(stream.windows(Outcome.DIFFERS) for stream in self.streams.values())
