"""Tells how much of the past is in the table, and where it is not, why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flagtrail.query import count_by_stream
from flagtrail.store import Gap, Store, StreamState
from flagtrail.window import EPOCH, Window, merge, subtract

NOT_READ = "not read yet"


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream: what is wanted of it, what is covered, and every gap with its reason.

    `wanted` ends where it could be covered at the last sync: at the vendor's time less the settling time.
    """

    state: StreamState
    events: int
    wanted: Window | None
    covered: Sequence[Window]
    gaps: Sequence[Gap]

    @property
    def complete_until(self) -> datetime | None:
        """The instant up to which nothing wanted is missing; None when the very start is."""
        if self.wanted is None:
            return None
        inside = [part for gap in self.gaps if (part := gap.window.clip(self.wanted))]
        return inside[0].since if inside else self.wanted.until

    @property
    def lag(self) -> timedelta | None:
        """How far behind the present the newest covered time is; None when nothing is covered. Gaps are told apart."""
        return datetime.now(UTC) - self.covered[-1].until if self.covered else None

    @property
    def share(self) -> float:
        """How much of the wanted time is covered, from 0 to 1."""
        if self.wanted is None:
            return 0.0
        inside = [part for gap in self.gaps if (part := gap.window.clip(self.wanted))]
        return max(0.0, 1.0 - sum((part.length / self.wanted.length for part in inside), 0.0))

    def cells(self, count: int) -> list[float]:
        """Return the covered share of each of `count` equal parts of the wanted time, oldest first."""
        if self.wanted is None:
            return []
        shares = []
        for part in self.wanted.split(count):
            missing = sum((hole.length / part.length for hole in subtract(part, self.covered)), 0.0)
            shares.append(1.0 - missing)
        return shares


def status(store: Store, source: str | None = None) -> list[StreamStatus]:
    """Return the status of every stream, or of one source's."""
    counts = count_by_stream(store)
    return [
        _of(store, state, counts.get((state.source, state.stream), 0))
        for state in store.streams()
        if source in (None, state.source)
    ]


def _of(store: Store, state: StreamState, events: int) -> StreamStatus:
    covered = store.coverage(state.source, state.stream)
    wanted = None
    if state.wanted_since and state.settled_at and state.settled_at > state.wanted_since:
        # Another process may have read further than the sync that was noted last.
        ends = [window.until for window in covered if window.until > state.settled_at]
        wanted = Window(state.wanted_since, max([state.settled_at, *ends]))
    gaps = _explained(wanted, covered, store.gaps(state.source, state.stream), state)
    return StreamStatus(state, events, wanted, covered, gaps)


def _explained(wanted: Window | None, covered: Sequence[Window], noted: Sequence[Gap], state: StreamState) -> list[Gap]:
    """Return the gaps, oldest first: those that are noted with their reason, the rest of the wanted as not read yet.

    A backfill may have noted some outside of what is wanted. A note may be covered in part since, or overlap another.
    """
    gaps: list[Gap] = []
    for gap in sorted(noted, key=lambda gap: gap.seen_at or EPOCH, reverse=True):
        told = [*covered, *(newer.window for newer in gaps)]
        gaps += [gap._replace(window=hole) for hole in subtract(gap.window, told)]
    if wanted is not None:
        rest = subtract(wanted, merge([*covered, *(gap.window for gap in gaps)]))
        reason = f"{NOT_READ}: {state.error}" if state.error else NOT_READ
        gaps += [Gap(window, reason, None, 0, None) for window in rest]
    return sorted(gaps, key=lambda gap: gap.window)
