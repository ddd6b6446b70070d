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

from flagtrail.again import LONGEST, Again, Reader
from flagtrail.connector import Count
from flagtrail.errors import AccessDenied, UnexpectedResponse
from flagtrail.holdings import Held, held, times
from flagtrail.numbers import Times, between_quiet, samples, suspects
from flagtrail.verdicts import Method, Outcome, Verdict
from flagtrail.window import MILLISECOND, Window, merge, subtract

PARTS = 500  # parts of a window whose numbers are asked for together
SEVERAL = 7  # another number of parts: the same total must come out
SAMPLES = 7  # small windows to choose from when the vendor's numbers are tried
PAGES = 3  # full pages that are read again rather than narrowed further
SHARED = "the table also holds entries of this log that another filter has let through"
NO_NUMBERS = "the vendor tells no numbers for this log"

log = structlog.get_logger()


@dataclass
class Comparison:
    """Compares one stream; safe to use from several threads, one window each."""

    reader: Reader
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    missing: dict[str, Held] = field(default_factory=dict)
    shared: bool = False  # other streams tell of other parts of the same log: which stored rows are whose is not known
    healed: list[Verdict] = field(default_factory=list)  # what was found while numbers were tried
    distrusted: str | None = None  # why the vendor's numbers are not believed
    silent: str | None = None  # why it tells none
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.source, self.store, self.stream = self.reader.source, self.reader.store, self.reader.stream
        self.edge_ms = self.stream.edge // MILLISECOND

    # By numbers.

    def by_counts(self, window: Window) -> Iterator[Verdict]:
        """Yield verdicts that add up to a covered window no longer than `LONGEST`."""
        if self.shared:
            yield self._verdict(window, Outcome.NOT_VERIFIABLE, reason=SHARED)
            return
        times = self._times(window)
        last = window.until_ms
        low = times.quiet(window.since_ms, window.since_ms, last)
        high = None if low is None else times.quiet(last, low + 1, last)
        if low is None or high is None:
            yield from self._edge_of(window)
            return
        if low > window.since_ms:
            yield from self._edge_of(Window.of_ms(window.since_ms, low))
        yield from self._compared(Window.of_ms(low, high), times)
        if high < last:
            yield from self._edge_of(Window.of_ms(high, last))

    def _edge_of(self, window: Window) -> Iterator[Verdict]:
        """Yield the verdict on a window at whose edge there are entries: numbers could mean either side of it."""
        yield from (verdict._replace(method=Method.COUNTS) for verdict in self.by_contents(window))

    def _compared(self, window: Window, times: Times) -> Iterator[Verdict]:
        """Yield verdicts that add up to a window between two quiet moments."""
        parts, why_not = self._numbers(window, PARTS)
        why_not = why_not or self.distrusted
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
        for part in subtract(window, narrowed):
            yield self._verdict(
                part, Outcome.VERIFIED, expected=(n := times.count(part.since_ms, part.until_ms)), stored=n
            )
        for part in narrowed:
            yield from self._narrowed(part, window, parts, times)

    def _narrowed(self, part: Window, whole: Window, parts: Iterable[Count], times: Times) -> Iterator[Verdict]:
        """Yield verdicts on a window whose numbers differ: narrower ones, or after reading it again."""
        told = sum(count.records for count in parts if count.window.clip(part))
        stored = times.count(part.since_ms, part.until_ms)
        if max(told, stored) <= PAGES * self.stream.page or told <= self.stream.page:
            yield from self._read_again(part)
        elif part.length * 2 <= whole.length:
            yield from self._compared(part, times)
        else:
            middle = times.quiet((part.since_ms + part.until_ms) // 2, part.since_ms + 1, part.until_ms - 1)
            if middle is None:
                yield from self._read_again(part)
                return
            for half in (Window.of_ms(part.since_ms, middle), Window.of_ms(middle, part.until_ms)):
                yield from self._compared(half, times)

    def _read_again(self, window: Window) -> Iterator[Verdict]:
        """Yield the verdict on a window that was read again, and whether its numbers are those of the list now."""
        if self.distrusted:
            yield self._verdict(window, Outcome.NOT_VERIFIABLE, reason=self.distrusted)
            return
        [verdict] = self._contents(window, Method.COUNTS)
        parts, why_not = self._numbers(window, 1)
        told = sum(part.records for part in parts)
        if verdict.outcome is Outcome.DIFFERS or (not why_not and told == verdict.expected):
            yield verdict
            return
        why_not = why_not or self._disagreement_besides(window)
        if why_not:
            yield verdict._replace(outcome=Outcome.NOT_VERIFIABLE, reason=why_not)
        else:
            reason = f"the vendor counts {told} entries and lists {verdict.expected}"
            yield verdict._replace(outcome=Outcome.DIFFERS, expected=told, reason=reason)

    # Whether numbers can be believed.

    def disagreement(self, windows: Iterable[Window]) -> str | None:
        """Return how the vendor's numbers of a few windows differ from what it lists there; None when they do not."""
        with self.lock:
            for window in windows:
                again = self.reader.read(window)
                listed = len(again.shown)
                if again.found:
                    counted = {"expected": listed, "stored": listed, "found": again.found}
                    self.healed.append(self._verdict(window, Outcome.HEALED, **counted))
                for parts in (1, SEVERAL):
                    counts, why_not = self._numbers(window, parts)
                    told = sum(count.records for count in counts)
                    if not why_not and told != listed:
                        why_not = (
                            f"the vendor's counts are not those of its list: it counts {told} where it lists {listed}"
                        )
                    if why_not:
                        self.distrusted = None if self.silent else why_not
                        return why_not
        return None

    def samples(self, window: Window, count: int, *, besides: Window | None = None) -> list[Window]:
        """Return up to so many small windows inside one that hold stored entries, and nothing of another window."""
        found = samples(self._times(window), SAMPLES, self.stream.page // 2)
        return [sample for sample in found if besides is None or not sample.clip(besides)][:count]

    def _disagreement_besides(self, window: Window) -> str | None:
        """Return why numbers that are wrong in one window are not believed in others either; None if they are."""
        newest = self.store.coverage(self.source.name, self.stream.name)[-1]
        month = Window(max(newest.since, newest.until - LONGEST), newest.until)
        others = self.samples(month, SAMPLES // 2, besides=window)
        return self.disagreement(others) if others else "there is nothing else to try the vendor's numbers with"

    def _numbers(self, window: Window, parts: int) -> tuple[list[Count], str | None]:
        """Return the vendor's numbers, or why there are none."""
        self.reader.check_stop()
        if self.silent or self.distrusted:
            return [], self.silent or self.distrusted
        try:
            told = self.source.connector.counts(self.reader.api, self.stream, window, parts)
        except AccessDenied as error:
            if error.status == 401:
                raise
            self.silent = f"the vendor tells no numbers: {error}"
        except UnexpectedResponse as error:
            self.silent = f"the vendor's numbers are not understood: {error}"
        else:
            if told is not None:
                return told, None
            self.silent = NO_NUMBERS
        return [], self.silent

    # By contents.

    def by_contents(self, window: Window) -> Iterator[Verdict]:
        """Yield the verdict on a window whose every entry was read again."""
        yield from self._contents(window, Method.CONTENTS)

    def look_for_missing(self, window: Window) -> None:
        """Remember what is stored of a window and no longer shown, if there is anything stored at all."""
        if held(self.store, self.source.name, self.stream.log, window):
            list(self.by_contents(window))

    def _contents(self, window: Window, method: Method) -> Iterator[Verdict]:
        again = self.reader.read(window)
        missing = self._missing(window, again)
        if missing and not again.hole:
            again = again.and_then(self.reader.read(window))  # what two readings in a row do not show is not shown
            missing = self._missing(window, again)
        outcome, reason = Outcome.HEALED if again.found else Outcome.VERIFIED, None
        if again.hole:
            outcome, reason = Outcome.DIFFERS, f"it cannot be read whole any more: {again.hole}"
        else:
            with self.lock:
                self.missing |= missing
        yield self._verdict(
            window,
            outcome,
            method=method,
            expected=len(again.shown),
            stored=len(again.shown),
            found=again.found,
            changed=again.changed,
            vanished=0 if again.hole else len(missing),
            reason=reason,
        )

    def _missing(self, window: Window, again: Again) -> dict[str, Held]:
        """Return what is stored and was not shown again."""
        if self.shared:
            return {}
        stored = held(self.store, self.source.name, self.stream.log, window)
        return {id: event for id, event in stored.items() if id not in again.shown}

    # Small things.

    def _times(self, window: Window) -> Times:
        around = Window(window.since - self.stream.edge * 2, window.until + self.stream.edge * 2)
        return times(self.store, self.source.name, self.stream.log, around, self.edge_ms)

    def _verdict(self, window: Window, outcome: Outcome, **more: Any) -> Verdict:
        return Verdict(window, outcome, self.started, **{"method": Method.COUNTS} | more)
