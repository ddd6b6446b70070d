"""What must be true of the database, whatever happened at the vendor, on the way, or to us: the promises, checked.

The vendor's clock stands still, so nothing here is about right: what can be seen now, and lies in covered time, is
stored, unless the history itself made it appear too late or deleted its row.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple

from flagtrail.event import to_json
from flagtrail.report import Verification
from flagtrail.schema import COVERAGE, EVENT, GAP, RECORD
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.verdicts import Method, Outcome, Verdict, verdicts_of
from flagtrail.window import Window, merge, subtract

EDGE_MS = 2000  # how far around a window the entries may lie that a vendor counts in it
Truth = Mapping[str, Mapping[str, int]]
"""What can be seen: stream, the vendor's id, time in milliseconds."""


class Broken(AssertionError):
    """A promise that was not kept."""


class Kept(NamedTuple):
    """One row of the table: its key, its revision, and whether it is marked as vanished."""

    key: int
    revision: int
    vanished: bool


class Held(NamedTuple):
    """What the database holds: coverage by stream, events by stream and id, digests by revision, noted gaps."""

    coverage: dict[str, list[Window]]
    events: dict[str, dict[str, Kept]]
    records: dict[tuple[int, int], bytes]
    gaps: set[tuple[str, Window]]

    def covers(self, stream: str, ms: int) -> bool:
        """Tell whether a moment is covered."""
        return inside(ms, self.coverage.get(stream, ()))

    def uncovered(self, stream: str, last: "Held") -> list[Window]:
        """Return what was covered and is not any more, but for gaps: what cannot be read whole any more becomes one."""
        told = [*self.coverage.get(stream, ()), *(window for name, window in self.gaps if name == stream)]
        return [hole for window in last.coverage.get(stream, ()) for hole in subtract(window, told)]

    def has(self, stream: str, id: str) -> bool:
        """Tell whether an entry is stored."""
        return id in self.events.get(stream, ())

    def digest(self, stream: str, id: str) -> bytes | None:
        """Return the digest of an entry's newest content; None when that is not stored."""
        kept = self.events.get(stream, {}).get(id)
        return None if kept is None else self.records.get((kept.key, kept.revision))

    def marked(self) -> set[tuple[str, str]]:
        """Return the entries that are marked as vanished."""
        return {(stream, id) for stream, events in self.events.items() for id, kept in events.items() if kept.vanished}


def held(store: Store) -> Held:
    """Return what a database holds; coverage is read first, because events may only come before it."""
    with store.engine.connect() as connection:
        coverage: dict[str, list[Window]] = {}
        for row in connection.execute(COVERAGE.select().order_by(COVERAGE.c.stream, COVERAGE.c.since)):
            coverage.setdefault(row.stream, []).append(Window(row.since, row.until))
        gaps = {(row.stream, Window(row.since, row.until)) for row in connection.execute(GAP.select())}
        gone = EVENT.c.vanished_at.is_not(None)
        columns = (EVENT.c.stream, EVENT.c.vendor_id, EVENT.c.number, EVENT.c.revision, gone)
        found = connection.execute(EVENT.select().with_only_columns(*columns)).all()
        bodies = RECORD.select().with_only_columns(RECORD.c.number, RECORD.c.revision, RECORD.c.digest)
        records = {(row.number, row.revision): row.digest for row in connection.execute(bodies)}
    events: dict[str, dict[str, Kept]] = {}
    for stream, vendor_id, key, revision, vanished in found:
        if vendor_id in events.setdefault(stream, {}):
            raise Broken(f"I2 duplicate: {vendor_id} of {stream}")
        events[stream][vendor_id] = Kept(key, revision, bool(vanished))
    return Held(coverage, events, records, gaps)


def inside(ms: int, windows: Iterable[Window]) -> bool:
    """Tell whether a moment lies in one of some windows."""
    return any(window.since_ms <= ms < window.until_ms for window in windows)


def check_claims(found: Held, truth: Truth, settled_ms: int, excused: Mapping[str, Collection[str]]) -> None:
    """Check I3, I5 and I6 against what can be seen now; entries are `excused` that nobody could have stored in time."""
    for stream, windows in found.coverage.items():
        if any(later.since <= earlier.until for earlier, later in pairwise(windows)):
            raise Broken(f"I5: coverage of {stream} is not canonical: {windows}")
        if windows[-1].until_ms > settled_ms:
            raise Broken(f"I6: {stream} is claimed up to {windows[-1].until}, but only {settled_ms} has settled")
        for id, ms in truth[stream].items():
            if not found.has(stream, id) and id not in excused.get(stream, ()) and inside(ms, windows):
                raise Broken(f"I3: {id} of {stream} at {ms} is not stored, though its time is covered")


def check_growth(found: Held, last: Held, ever: Truth) -> None:
    """Check that nothing is stored that was never shown (I1), and that nothing has gone since (I4)."""
    for stream, events in found.events.items():
        if phantoms := events.keys() - ever.get(stream, {}).keys():
            raise Broken(f"I1: {stream} holds {sorted(phantoms)[:3]}, which were never shown")
    for stream, events in last.events.items():
        if gone := events.keys() - found.events.get(stream, {}).keys():
            raise Broken(f"I4: {stream} has lost {sorted(gone)[:3]}")
    if any(found.records.get(key) != digest for key, digest in last.records.items()):
        raise Broken("I4: a record is gone, or another than it was")
    for stream in last.coverage:
        if lost := found.uncovered(stream, last):
            raise Broken(f"I4: coverage of {stream} has shrunk by {lost}, and no gap tells why")


def check_nothing_is_silent(store: Store) -> None:
    """Check I9: what is wanted is covered, or a gap with a reason; and no verdict is about time that is not covered."""
    for stream in status(store):
        name = stream.state.stream
        known = [*stream.covered, *(gap.window for gap in stream.gaps)]
        check_verdicts(name, verdicts_of(store, stream.state.source, name), known)
        if stream.wanted is None:
            continue
        if silent := subtract(stream.wanted, known):
            raise Broken(f"I9: {name} is silent about {silent}")
        if not all(gap.reason for gap in stream.gaps):
            raise Broken(f"I9: {name} has a gap without a reason")
        if inside_out := [gap for gap in stream.gaps if not subtract(gap.window, stream.covered)]:
            raise Broken(f"I9: {name} calls {inside_out[0]} a gap, which is covered")


def check_verdicts(stream: str, verdicts: Iterable[Verdict], known: Iterable[Window]) -> None:
    """Check that verdicts of one method do not overlap, but for what was healed, and lie in what is or was covered."""
    known = merge(known)
    standing = sorted((v for v in verdicts if v.outcome is not Outcome.HEALED), key=lambda v: (v.method, v.window))
    for one, other in pairwise(standing):
        if one.method == other.method and other.window.since < one.window.until:
            raise Broken(f"two verdicts on one moment of {stream}: {one} and {other}")
    for verdict in standing:
        if subtract(verdict.window, known):
            raise Broken(f"a verdict on what is not covered of {stream}: {verdict}")


def check_marks(found: Held, last: Held, truth: Truth) -> None:
    """Check that nothing was marked as vanished since that the vendor shows."""
    for stream, id in found.marked() - last.marked():
        if id in truth[stream]:
            raise Broken(f"{id} of {stream} is marked as vanished, and the vendor shows it")


class Verified(NamedTuple):
    """One verification that nothing changed at the vendor meanwhile: before, after, and what it told."""

    began: datetime
    before: Held
    after: Held
    truth: Truth
    ever: Truth
    report: Verification

    def verdicts(self, store: Store) -> Iterator[tuple[str, Verdict]]:
        """Yield the verdicts that it has kept in the database."""
        for stream in self.truth:
            for verdict in verdicts_of(store, self.report.source, stream):
                if verdict.checked_at >= self.began:
                    yield stream, verdict

    def unstored(self, stream: str, window: Window) -> dict[str, int]:
        """Return what the vendor shows of a window that is not stored, and when it happened."""
        seen = self.truth[stream].items()
        return {id: ms for id, ms in seen if inside(ms, [window]) and not self.after.has(stream, id)}

    def unmarked(self, stream: str, window: Window) -> dict[str, int]:
        """Return what is stored of a window, not shown, and not marked as vanished, and when it happened."""
        kept = self.after.events.get(stream, {}).items()
        gone = (id for id, event in kept if not event.vanished and id not in self.truth[stream])
        return {id: ms for id in gone if inside(ms := self.ever[stream][id], [window])}

    def offset(self, stream: str, vendor: Any, missing: Iterable[int], others: Iterable[int]) -> bool:
        """Tell whether near each of some moments there is another, so that numbers may agree by chance."""
        longest = max(window.until_ms - window.since_ms for window in self.before.coverage[stream])
        near = vendor.resolution_ms(stream, longest) + EDGE_MS
        others = list(others)
        return all(any(abs(ms - other) <= near for other in others) for ms in missing)

    def check(self, store: Store, vendor: Any) -> None:
        """Check that it claims nothing, and that what it says is true: also when it ended early, or with an error."""
        for stream in self.after.coverage:
            if self.before.uncovered(stream, self.after):
                raise Broken(f"a verification has claimed more of {stream}: {self.after.coverage[stream]}")
        for stream, verdict in self.verdicts(store):
            if verdict.outcome not in (Outcome.VERIFIED, Outcome.HEALED):
                continue
            if missing := self.unstored(stream, verdict.window):
                offsets = self.unmarked(stream, wider(verdict.window)).values()
                if verdict.method is Method.CONTENTS or not self.offset(stream, vendor, missing.values(), offsets):
                    raise Broken(f"{stream} is {verdict} without {sorted(missing)[:3]}")

    def check_undisturbed(self, store: Store, vendor: Any, method: Method, asked: Window | None) -> None:
        """Check that one that no fault disturbed has found all there was to be found, and nothing else."""
        for stream, told in self.report.streams.items():
            new = [verdict for name, verdict in self.verdicts(store) if name == stream]
            self._check_causes(stream, told.verdicts, vendor)
            for verdict in new:
                gone = self.unmarked(stream, verdict.window)
                compared = method is Method.CONTENTS or vendor.honest(stream)
                if gone and compared and verdict.outcome in (Outcome.VERIFIED, Outcome.HEALED):
                    offsets = self.unstored(stream, wider(verdict.window)).values()
                    if method is Method.CONTENTS or not self.offset(stream, vendor, gone.values(), offsets):
                        raise Broken(f"{stream} is {verdict}, and {sorted(gone)[:3]} are no longer shown")
            missing = self.after.events.get(stream, {}).keys() - self.before.events.get(stream, {}).keys()
            missing = {id for id in missing if self.before.covers(stream, self.ever[stream][id])}
            if told.found != len(missing):
                raise Broken(f"{sorted(missing)} of {stream} were missing, and {told.found} are told of")
            windows = self.after.coverage.get(stream, [])
            covered = [part for window in windows if (part := window.clip(asked) if asked else window)]
            looked_at = [v.window for v in new if v.method is method]
            if silent := [hole for window in covered for hole in subtract(window, looked_at)]:
                raise Broken(f"a verification of {stream} by {method} says nothing of {silent}")
            if method is Method.CONTENTS:
                open_ = [v.window for v in new if v.outcome is Outcome.DIFFERS]
                self._check_contents(stream, [p for w in covered for p in subtract(w, open_)], vendor)

    def _check_causes(self, stream: str, verdicts: Iterable[Verdict], vendor: Any) -> None:
        """Check that there was a cause for each verdict that is not simply good."""
        for verdict in verdicts:
            if verdict.outcome is Outcome.DIFFERS and not vendor.unreadable(stream, verdict.window):
                raise Broken(f"{stream} differs without cause: {verdict}")
            if verdict.outcome is Outcome.NOT_VERIFIABLE and vendor.honest(stream):
                raise Broken(f"honest numbers of {stream} are not believed: {verdict}")
            if verdict.found:
                near = wider(verdict.window)
                seen = [
                    id for id, ms in self.truth[stream].items() if inside(ms, [near]) and self.before.covers(stream, ms)
                ]
                if sum(not self.before.has(stream, id) for id in seen) < verdict.found:
                    raise Broken(f"{stream} was healed without cause: {verdict}")

    def _check_contents(self, stream: str, windows: list[Window], vendor: Any) -> None:
        """Check that all that is shown of some windows is stored as it is shown, and all that is not is marked."""
        for id, ms in self.truth[stream].items():
            if not inside(ms, windows):
                continue
            kept = self.after.events.get(stream, {}).get(id)
            if kept is None:
                raise Broken(f"I8: {id} of {stream} at {ms} was not found")
            if kept.vanished:
                raise Broken(f"{id} of {stream} at {ms} is shown, and still marked as vanished")
            shown = sha256(to_json(vendor.simulator.shown(stream, id), sort_keys=True)).digest()
            if self.after.digest(stream, id) != shown:
                raise Broken(f"{id} of {stream} at {ms} has other content than is stored")
        for window in windows:
            if gone := self.unmarked(stream, window):
                raise Broken(f"{sorted(gone)[:3]} of {stream} are no longer shown, and not marked")


def wider(window: Window) -> Window:
    """Return a window and a little around it."""
    return Window.of_ms(window.since_ms - EDGE_MS, window.until_ms + EDGE_MS)
