"""Tells how much of the past is in the table, and where it is not, why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from flagtrail.counts import count_by_stream, count_details, count_vanished, first_ages
from flagtrail.database import guarded
from flagtrail.schema import COVERAGE, GAP
from flagtrail.source import RETENTIONS
from flagtrail.store import Gap, Store, StreamState
from flagtrail.verdicts import Outcome, Verdict, all_verdicts, current
from flagtrail.window import EPOCH, Window, merge, subtract

NOT_READ = "not read yet"
Name = tuple[str, str]
"""Of a stream: its source's, and its own."""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream: what is wanted of it, what is covered, and every gap with its reason.

    `wanted` ends where it could be covered at the last sync: at the vendor's time less the settling time. `verdicts`
    are the newest on each moment. `healed` counts the entries that verifications found missing, `vanished` those that
    the vendor no longer shows by the reason, `details_open` those whose full form is still to be fetched, at least so
    many if there are `more_details`. `first_age` is how old the oldest event was when it was stored.
    """

    state: StreamState
    events: int
    wanted: Window | None
    covered: Sequence[Window]
    gaps: Sequence[Gap]
    verdicts: Sequence[Verdict] = ()
    healed: int = 0
    vanished: Mapping[str, int] = field(default_factory=dict)
    details_open: int = 0
    more_details: bool = False
    first_age: timedelta | None = None

    @property
    def complete_until(self) -> datetime | None:
        """The instant up to which nothing wanted is missing; None when the very start is."""
        if self.wanted is None:
            return None
        inside = [part for gap in self.gaps if not gap.permanent and (part := gap.window.clip(self.wanted))]
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

    @property
    def verified_share(self) -> float:
        """How much of the covered time was compared with the vendor and found to agree, from 0 to 1."""
        covered = sum((window.length for window in self.covered), timedelta())
        return agreed(self.covered, self.verdicts) / covered if covered else 0.0

    @property
    def verified_at(self) -> datetime | None:
        """When the verification was that is the longest ago of those that count; None when there was none."""
        return min((verdict.checked_at for verdict in self.verdicts), default=None)

    @property
    def likely_retention(self) -> timedelta | None:
        """How long the vendor seems to keep entries, while no `retention` is configured; None when nothing hints at it.

        A vendor that keeps less than is wanted shows an oldest entry of just that age, and says nothing about it.
        """
        if self.state.retention is not None or self.first_age is None or self.wanted is None:
            return None
        reached = self.wanted.length > self.first_age + timedelta(days=1)
        near = [kept for kept in RETENTIONS if kept - timedelta(days=1) < self.first_age <= kept]
        return near[0] if reached and near else None

    @property
    def ages_out_at(self) -> datetime | None:
        """When the vendor starts to drop what was not read yet; None when it keeps everything, or all is read."""
        open_since = [gap.window.since for gap in self.gaps if not gap.permanent]
        if self.state.retention is None or not open_since:
            return None
        return open_since[0] + timedelta(seconds=self.state.retention)

    @property
    def headroom(self) -> timedelta | None:
        """For how long nothing could be read before the vendor drops something unread; None when it keeps everything.

        Less than nothing when that has begun already.
        """
        if self.state.retention is None or self.wanted is None:
            return None
        open_since = [gap.window.since for gap in self.gaps if not gap.permanent]
        unread = min([*open_since, self.covered[-1].until if self.covered else self.wanted.since])
        return unread + timedelta(seconds=self.state.retention) - datetime.now(UTC)

    @property
    def ages_out_soon(self) -> bool:
        """Whether more than half of the time has passed that the vendor keeps the oldest entries that were not read."""
        at, kept = self.ages_out_at, self.state.retention
        return at is not None and kept is not None and at - datetime.now(UTC) < timedelta(seconds=kept / 2)

    @property
    def kept_since(self) -> datetime | None:
        """The moment before which everything was deleted here, as configured, and was not read again; None: nothing."""
        return kept_since(self.state, self.covered)

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
    counts, vanished, waiting = count_by_stream(store), count_vanished(store), count_details(store)
    states = [state for state in store.streams() if source in (None, state.source)]
    covered, noted = extents(store)  # after the states: what is covered since then is no gap
    told = all_verdicts(store)
    ages = first_ages(store, {(state.source, state.log or state.stream) for state in states})
    found = []
    for state in states:
        name = (state.source, state.log or state.stream)
        own = (state.source, state.stream)
        verdicts = told.get(own, [])
        found.append(
            replace(
                described(state, covered.get(own, []), noted.get(own, []), counts.get(name, 0)),
                verdicts=current(verdicts),
                healed=sum(verdict.found for verdict in verdicts),
                vanished=vanished.get(name, {}),
                details_open=waiting[name].number if name in waiting else 0,
                more_details=name in waiting and waiting[name].at_least,
                first_age=ages.get(name),
            )
        )
    return found


def extents(store: Store) -> tuple[dict[Name, list[Window]], dict[Name, list[Gap]]]:
    """Return the covered windows and the noted gaps of every stream, by its source and name, the oldest first."""
    covered: dict[Name, list[Window]] = {}
    gaps: dict[Name, list[Gap]] = {}
    with guarded(store.shown), store.engine.connect() as connection:
        for row in connection.execute(select(GAP).order_by(GAP.c.since)):  # first: what closes one is covered then
            gap = Gap(Window(row.since, row.until), row.reason, row.expected, row.stored, row.seen_at, row.permanent)
            gaps.setdefault((row.source, row.stream), []).append(gap)
        for row in connection.execute(select(COVERAGE).order_by(COVERAGE.c.since)):
            covered.setdefault((row.source, row.stream), []).append(Window(row.since, row.until))
    return covered, gaps


def overview(store: Store) -> list[StreamStatus]:
    """Return the status of every stream without what is counted in the table of events, by a few questions in all."""
    states = store.streams()
    covered, noted = extents(store)  # after the states: what is covered since then is no gap
    verdicts = all_verdicts(store)
    found = []
    for state in states:
        name = (state.source, state.stream)
        told = described(state, covered.get(name, []), noted.get(name, []))
        found.append(replace(told, verdicts=current(verdicts.get(name, []))))
    return found


def aging(store: Store, source: str) -> list[StreamStatus]:
    """Return the streams of a source that lose entries soon if they are not read; events are not counted for it."""
    found = [_of(store, state) for state in store.streams() if state.source == source and state.retention]
    return [stream for stream in found if stream.ages_out_soon]


def agreed(covered: Sequence[Window], verdicts: Sequence[Verdict]) -> timedelta:
    """Return how much of the covered time agrees with the vendor, by verdicts of which none overlaps another."""
    good = [verdict.window for verdict in verdicts if verdict.outcome in (Outcome.VERIFIED, Outcome.HEALED)]
    return sum((part.length for window in covered for part in _parts(window, good)), timedelta())


def kept_since(state: StreamState, covered: Sequence[Window]) -> datetime | None:
    """Return the moment before which a stream was deleted here; None when nothing was, or it is covered again.

    A longer `keep`, or none, reads again what the vendor still has.
    """
    again = covered and state.kept_since and covered[0].since < state.kept_since
    return None if again else state.kept_since


def _parts(window: Window, others: Sequence[Window]) -> list[Window]:
    """Return the parts of a window that others share with it; others do not overlap."""
    return [part for other in others if (part := other.clip(window))]


def _of(store: Store, state: StreamState) -> StreamStatus:
    return described(state, store.coverage(state.source, state.stream), store.gaps(state.source, state.stream))


def described(state: StreamState, covered: Sequence[Window], noted: Sequence[Gap], events: int = 0) -> StreamStatus:
    """Return the status of a stream by its coverage and its noted gaps, both the oldest first, without verdicts."""
    wanted = None
    if state.wanted_since and state.settled_at and state.settled_at > state.wanted_since:
        # Another process may have read further than the sync that was noted last.
        ends = [window.until for window in covered if window.until > state.settled_at]
        wanted = Window(state.wanted_since, max([state.settled_at, *ends]))
    gaps = _explained(wanted, covered, noted, state)
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
