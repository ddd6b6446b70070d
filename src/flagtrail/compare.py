"""Compares covered windows of one stream with the vendor: by its numbers, or by reading everything again.

A window that holds as many entries as the vendor counts is verified. One that does not is narrowed, read again, and
what was missing is stored. Numbers are believed as long as they are those of the vendor's own list; once they are not,
the verdict is "not verifiable". A contents verification asks no numbers: it reads everything again and compares ids.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from flagtrail.again import Again, Rereader
from flagtrail.connector import Count, Hole
from flagtrail.holdings import Held, held
from flagtrail.numbers import Times, between_quiet, suspects
from flagtrail.trust import Trust, quiet_around, times_of
from flagtrail.verdicts import Method, Outcome, Verdict
from flagtrail.window import Window, merge, subtract

PARTS = 500  # parts of a window whose numbers are asked for together
PAGES = 3  # full pages that are read again rather than narrowed further
SHARED = "the table also holds entries of this log that another filter has let through"

log = structlog.get_logger()


@dataclass
class Comparison:
    """Compares one stream; safe to use from several threads, one window each."""

    rereader: Rereader
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    missing: dict[str, Held] = field(default_factory=dict)
    shared: bool = False  # other streams tell of other parts of the same log: which stored rows are whose is not known
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.trust = Trust(self.rereader)
        self.source, self.store, self.stream = self.rereader.source, self.rereader.store, self.rereader.stream

    # By numbers.

    def by_counts(self, window: Window) -> Iterator[Verdict]:
        """Yield verdicts that add up to a covered window no longer than `LONGEST`."""
        if self.shared:
            yield self._verdict(window, Outcome.NOT_VERIFIABLE, reason=SHARED)
            return
        times = times_of(self.rereader, window)
        last = window.until_ms
        low = times.quiet(window.since_ms, window.since_ms, last)
        high = None if low is None else times.quiet(last, low + 1, last)
        if low is None or high is None:
            # Entries lie at its edges: numbers could mean either side of them.
            yield self._contents(window, Method.COUNTS)
            return
        if low > window.since_ms:
            yield self._contents(Window.of_ms(window.since_ms, low), Method.COUNTS)
        yield from self._compared(Window.of_ms(low, high), times)
        if high < last:
            yield self._contents(Window.of_ms(high, last), Method.COUNTS)

    def _compared(self, window: Window, times: Times) -> Iterator[Verdict]:
        """Yield verdicts that add up to a window between two quiet moments."""
        parts, why_not = self.trust.ask(window, PARTS)
        if why_not:
            yield self._verdict(window, Outcome.NOT_VERIFIABLE, reason=why_not)
            return
        told, stored = sum(part.records for part in parts), times.count(window.since_ms, window.until_ms)
        differing = list(suspects(window, parts, times))
        if not differing and told == stored:
            yield self._verdict(window, Outcome.VERIFIED, expected=told, stored=stored)
            return
        narrowed = merge(between_quiet(part, window, times) for part in differing) or [window]
        log.info("counts_differ", source=self.source.name, stream=self.stream.name, window=str(window), expected=told,
                 stored=stored)  # fmt: skip
        for part in narrowed:
            yield from self._narrowed(part, window, parts, times)
        for part in subtract(window, narrowed):
            yield from self._whole(part, times)

    def _whole(self, part: Window, times: Times) -> Iterator[Verdict]:
        """Yield verdicts by one number for a window: a part's edge may have hidden that one is missing beside it."""
        parts, why_not = self.trust.ask(part, 1)
        told, stored = sum(count.records for count in parts), times.count(part.since_ms, part.until_ms)
        if why_not:
            yield self._verdict(part, Outcome.NOT_VERIFIABLE, reason=why_not)
        elif told == stored:
            yield self._verdict(part, Outcome.VERIFIED, expected=told, stored=stored)
        elif max(told, stored) <= PAGES * self.stream.page or (middle := _middle(part, times)) is None:
            yield from self._read_again(part)
        else:
            yield from self._whole(Window.of_ms(part.since_ms, middle), times)
            yield from self._whole(Window.of_ms(middle, part.until_ms), times)

    def _narrowed(self, part: Window, whole: Window, parts: Iterable[Count], times: Times) -> Iterator[Verdict]:
        """Yield verdicts on a window whose numbers differ: narrower ones, or after reading it again."""
        told = sum(count.records for count in parts if count.window.clip(part))
        stored = times.count(part.since_ms, part.until_ms)
        if max(told, stored) <= PAGES * self.stream.page or told <= self.stream.page:
            yield from self._read_again(part)
        elif part.length * 2 <= whole.length:
            yield from self._compared(part, times)
        else:
            middle = _middle(part, times)
            if middle is None:
                yield from self._read_again(part)
                return
            for half in (Window.of_ms(part.since_ms, middle), Window.of_ms(middle, part.until_ms)):
                yield from self._compared(half, times)

    def _read_again(self, window: Window) -> Iterator[Verdict]:
        """Yield the verdict on a window that was read again, and whether its numbers are those of the list now.

        Nothing is said of one whose numbers are moving.
        """
        if self.trust.distrusted:
            yield self._verdict(window, Outcome.NOT_VERIFIABLE, reason=self.trust.distrusted)
            return
        tries: list[tuple[Verdict, int]] = []
        around = window
        for _ in range(2):
            verdict = self._contents(around, Method.COUNTS)
            if verdict.outcome is Outcome.DIFFERS:
                yield verdict
                return
            parts, why_not = self.trust.ask(around, 1)
            tries.append((verdict, sum(part.records for part in parts)))
            if why_not or tries[-1][1] == verdict.expected:
                break
            around = quiet_around(self.rereader, window)  # what was found may lie just where it was quiet before
        verdict, told = _together([verdict for verdict, _ in tries], window), tries[-1][1]
        agrees = told == tries[-1][0].expected
        if not why_not and not agrees and len({told for _, told in tries}) > 1:
            return
        why_not = why_not or (None if agrees else self.trust.disagreement_besides(window))
        if why_not:
            yield verdict._replace(outcome=Outcome.NOT_VERIFIABLE, reason=why_not)
        elif agrees:
            yield verdict
        else:
            reason = f"the vendor counts {told} entries and lists {verdict.expected}"
            yield verdict._replace(outcome=Outcome.DIFFERS, expected=told, reason=reason)

    def healed(self) -> list[Verdict]:
        """Return the verdicts on windows in which something was found while the vendor's numbers were tried."""
        return [
            self._verdict(window, Outcome.HEALED, expected=listed, stored=listed, found=found)
            for window, listed, found in self.trust.healed
        ]

    # By contents.

    def by_contents(self, window: Window) -> Iterator[Verdict]:
        """Yield the verdict on a window whose every entry was read again."""
        yield self._contents(window, Method.CONTENTS)

    def look_for_missing(self, window: Window) -> None:
        """Remember what is stored of a window and no longer shown, if there is anything stored at all."""
        if held(self.store, self.source.name, self.stream.log, window):
            self._contents(window, Method.CONTENTS)

    def _contents(self, window: Window, method: Method) -> Verdict:
        """Return the verdict on a window after reading it again, and remember what is missing."""
        again = self.rereader.read(window)
        missing = self._missing(window, again)
        self.trust.shown_any |= bool(again.shown)
        if missing and not again.holes:
            again = again.and_then(self.rereader.read(window))
            # What two readings in a row do not show is not shown. Another process may have stored more meanwhile.
            missing = {id: event for id, event in missing.items() if id not in again.shown}
        outcome, reason = Outcome.HEALED if again.found else Outcome.VERIFIED, None
        if again.holes:
            outcome, reason = Outcome.DIFFERS, f"it cannot be read whole any more: {again.holes[0].reason}"
            self._uncover(again.holes)
        else:
            with self.lock:
                self.missing |= missing
        return self._verdict(
            window,
            outcome,
            method=method,
            expected=len(again.shown),
            stored=len(again.shown),
            found=again.found,
            changed=again.changed,
            vanished=0 if again.holes else len(missing),
            reason=reason,
        )

    def _uncover(self, holes: Iterable[Hole]) -> None:
        """Turn what cannot be read whole any more from coverage into gaps that say so."""
        for hole in holes:
            here = held(self.store, self.source.name, self.stream.log, hole.window)
            name = (self.source.name, self.stream.name)
            self.store.uncover(*name, hole.window, hole.reason, hole.expected, len(here))

    def _missing(self, window: Window, again: Again) -> dict[str, Held]:
        """Return what is stored and was not shown again."""
        if self.shared:
            return {}
        stored = held(self.store, self.source.name, self.stream.log, window)
        return {id: event for id, event in stored.items() if id not in again.shown}

    # Small things.

    def _verdict(self, window: Window, outcome: Outcome, **more: Any) -> Verdict:
        return Verdict(window, outcome, self.started, **{"method": Method.COUNTS} | more)


def _middle(part: Window, times: Times) -> int | None:
    """Return a quiet moment near the middle of a window, if there is any inside."""
    return times.quiet((part.since_ms + part.until_ms) // 2, part.since_ms + 1, part.until_ms - 1)


def _together(verdicts: list[Verdict], window: Window) -> Verdict:
    """Return the last verdict, with what the earlier ones have found too."""
    found, changed = sum(v.found for v in verdicts), sum(v.changed for v in verdicts)
    outcome = Outcome.HEALED if found else verdicts[-1].outcome
    return verdicts[-1]._replace(window=window, outcome=outcome, found=found, changed=changed)
