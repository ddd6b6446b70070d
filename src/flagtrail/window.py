"""Half-open spans of time, and the arithmetic of coverage.

Coverage is a set of windows. Union is commutative, associative and idempotent, so two daemons, a backfill and a
resumed crash can only ever add truth to it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_ms(instant: datetime) -> int:
    """Return the whole milliseconds since the Unix epoch, rounded down."""
    return (instant - EPOCH) // MILLISECOND


def from_ms(ms: int) -> datetime:
    """Return the UTC instant of a count of milliseconds since the Unix epoch."""
    return EPOCH + timedelta(milliseconds=ms)


@dataclass(frozen=True, order=True, slots=True)
class Window:
    """The span `[since, until)` in UTC with millisecond precision; never empty."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise ValueError("a window needs time zones at both ends")
        object.__setattr__(self, "since", from_ms(to_ms(self.since)))
        object.__setattr__(self, "until", from_ms(to_ms(self.until)))
        if self.since >= self.until:
            raise ValueError(f"a window must end after it starts: {self}")

    @classmethod
    def of_ms(cls, since: int, until: int) -> "Window":
        """Return the window between two counts of milliseconds since the Unix epoch."""
        return cls(from_ms(since), from_ms(until))

    @property
    def since_ms(self) -> int:
        """The start in milliseconds since the Unix epoch."""
        return to_ms(self.since)

    @property
    def until_ms(self) -> int:
        """The end in milliseconds since the Unix epoch; not part of the window."""
        return to_ms(self.until)

    @property
    def length(self) -> timedelta:
        """How much time the window spans."""
        return self.until - self.since

    def clip(self, other: "Window") -> "Window | None":
        """Return what both windows share, or None."""
        since, until = max(self.since, other.since), min(self.until, other.until)
        return Window(since, until) if since < until else None

    def before(self, instant: datetime) -> "Window | None":
        """Return the part of this window that lies before an instant, or None."""
        until = min(self.until, instant)
        return Window(self.since, until) if until - self.since >= MILLISECOND else None

    def after(self, instant: datetime) -> "Window | None":
        """Return the part of this window that does not lie before an instant, or None."""
        since = max(self.since, from_ms(-(-(instant - EPOCH) // MILLISECOND)))
        return Window(since, self.until) if since < self.until else None

    def pieces(self, length: timedelta) -> "list[Window]":
        """Return this window cut into consecutive windows of at most `length`, oldest first."""
        step = max(length // MILLISECOND * MILLISECOND, MILLISECOND)
        cuts = [self.since]
        while cuts[-1] + step < self.until:
            cuts.append(cuts[-1] + step)
        return [Window(a, b) for a, b in zip(cuts, [*cuts[1:], self.until], strict=True)]

    def split(self, parts: int) -> "list[Window]":
        """Return this window cut into at most `parts` nearly equal windows, oldest first."""
        since, until = self.since_ms, self.until_ms
        parts = max(1, min(parts, until - since))
        edges = [since + (until - since) * i // parts for i in range(parts + 1)]
        return [Window.of_ms(a, b) for a, b in pairwise(edges)]

    def __str__(self) -> str:
        return f"[{iso(self.since)}, {iso(self.until)})"


@lru_cache(maxsize=64)  # a transaction's own moment stands in each of its rows
def iso(instant: datetime) -> str:
    """Return an instant as text in UTC with milliseconds and a Z, the form used in data everywhere."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="milliseconds")[:-6] + "Z"  # without the offset, +00:00


def merge(windows: Iterable[Window]) -> list[Window]:
    """Return the same span of time as disjoint windows that do not touch, oldest first."""
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.since <= merged[-1].until:
            merged[-1] = Window(merged[-1].since, max(merged[-1].until, window.until))
        else:
            merged.append(window)
    return merged


def subtract(wanted: Window, covered: Iterable[Window]) -> list[Window]:
    """Return the gaps: the parts of `wanted` that no covered window holds, oldest first."""
    gaps: list[Window] = []
    since = wanted.since
    for window in merge(covered):
        if window.until <= since:
            continue
        if window.since >= wanted.until:
            break
        if window.since > since:
            gaps.append(Window(since, window.since))
        since = window.until
    if since < wanted.until:
        gaps.append(Window(since, wanted.until))
    return gaps
