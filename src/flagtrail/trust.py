"""Asks the vendor's numbers, and finds out whether they are those of its own list: else they are not believed."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flagtrail.again import LONGEST, Rereader
from flagtrail.connector import Count
from flagtrail.errors import AccessDenied, UnexpectedResponse
from flagtrail.holdings import times
from flagtrail.numbers import Times, samples
from flagtrail.window import MILLISECOND, Window

SEVERAL = 7  # another number of parts: the same total must come out
ROOM = 16  # edges around a window in which a quiet moment is looked for
SAMPLES = 7  # small windows to choose from when the vendor's numbers are tried
BELIEVED = timedelta(days=1)  # how long numbers are believed, or doubted, after they were compared with the list
TRUSTED = "trusted"
NO_NUMBERS = "the vendor tells no numbers for this log"
NOTHING_ELSE = "there is nothing else to try the vendor's numbers with"


class Trial(NamedTuple):
    """How numbers did when they were compared with the list; `made` is false when there was nothing to compare."""

    made: bool
    why_not: str | None = None


@dataclass
class Trust:
    """What is known of the numbers that a vendor tells about one stream; safe to use from several threads.

    `distrusted` says why they are not believed, `silent` why there are none. `shown_any` tells whether the vendor has
    shown or counted any entry. `healed` holds the windows in which something was found while numbers were tried, with
    how many entries the vendor lists there and how many of them were missing.
    """

    rereader: Rereader
    distrusted: str | None = None
    silent: str | None = None
    shown_any: bool = False
    healed: list[tuple[Window, int, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def calibrate(self, windows: Iterable[Window], *, patient: bool = True) -> None:
        """Compare the vendor's numbers with its own list before they are believed, once a day.

        Unless `patient`, numbers that were found not to be those of the list within a day are not asked for again.
        """
        known = self.rereader.state()
        recent = known.counts_at is not None and known.counts_at > datetime.now(UTC) - BELIEVED
        trusted = known.counts == TRUSTED
        if recent and (trusted or not patient):
            self.distrusted = None if trusted else known.counts
            return
        for window in windows:
            if self.tried(self.samples(window, 1)).made:
                self.note()
                return

    def note(self) -> None:
        """Remember whether the numbers are believed."""
        told = {"counts": self.silent or self.distrusted or TRUSTED, "counts_at": datetime.now(UTC)}
        self.rereader.store.note(self.rereader.source.name, self.rereader.stream.name, **told)

    def tried(self, windows: Iterable[Window]) -> Trial:
        """Return how the vendor's numbers of a few windows compare with what it lists there."""
        made = False
        with self.lock:
            for window in windows:
                trial = self._tried(window)
                if trial.why_not:  # once more: an entry may just have appeared, maybe where it was quiet before
                    trial = self._tried(quiet_around(self.rereader, window))
                if trial.why_not:
                    self.distrusted = None if self.silent else trial.why_not
                    return trial
                made |= trial.made
        return Trial(made)

    def _tried(self, window: Window) -> Trial:
        """Return how the vendor's numbers of one window compare with what it lists there."""
        again = self.rereader.read(window)
        listed = len(again.shown)
        if again.holes:
            return Trial(made=False)  # what cannot be read whole says nothing about numbers
        if again.found:
            self.healed.append((window, listed, again.found))
        for parts in (1, SEVERAL):
            counts, why_not = self.ask(window, parts)
            told = sum(count.records for count in counts)
            if why_not or told != listed:
                not_those = f"the vendor's counts are not those of its list: it counts {told} where it lists {listed}"
                return Trial(True, why_not or not_those)
        return Trial(made=True)

    def samples(self, window: Window, count: int, *, besides: Window | None = None) -> list[Window]:
        """Return up to so many small windows inside one that hold stored entries, and nothing of another window."""
        found = samples(times_of(self.rereader, window), SAMPLES, self.rereader.stream.page // 2)
        return [sample for sample in found if besides is None or not sample.clip(besides)][:count]

    def disagreement_besides(self, window: Window) -> str | None:
        """Return why numbers that are wrong in one window are not believed in others either; None if they are."""
        for covered in reversed(self.rereader.store.coverage(self.rereader.source.name, self.rereader.stream.name)):
            month = Window(max(covered.since, covered.until - LONGEST), covered.until)
            trial = self.tried(self.samples(month, SAMPLES // 2, besides=window))
            if trial.made:
                return trial.why_not
        return NOTHING_ELSE

    def ask(self, window: Window, parts: int) -> tuple[list[Count], str | None]:
        """Return the vendor's numbers, or why there are none."""
        self.rereader.check_stop()
        if self.silent or self.distrusted:
            return [], self.silent or self.distrusted
        try:
            told = self.rereader.source.connector.counts(self.rereader.api, self.rereader.stream, window, parts)
        except AccessDenied as error:
            if error.status == 401:
                raise
            self.silent = f"the vendor tells no numbers: {error}"
        except UnexpectedResponse as error:
            self.silent = f"the vendor's numbers are not understood: {error}"
        else:
            if told is not None:
                self.shown_any |= any(count.records for count in told)
                return told, None
            self.silent = NO_NUMBERS
        return [], self.silent


def times_of(rereader: Rereader, window: Window) -> Times:
    """Return when the stored events of a window happened, and of a little around it."""
    edge = rereader.stream.edge
    around = Window(window.since - edge * 2, window.until + edge * 2)
    return times(rereader.store, rereader.source.name, rereader.stream.log, around, edge // MILLISECOND)


def quiet_around(rereader: Rereader, window: Window) -> Window:
    """Return the least window around one that ends at moments which are quiet by what is stored now."""
    room = rereader.stream.edge // MILLISECOND * ROOM
    near = times_of(rereader, Window.of_ms(max(0, window.since_ms - room), window.until_ms + room))
    low = near.quiet(window.since_ms, max(0, window.since_ms - room), window.since_ms)
    high = near.quiet(window.until_ms, window.until_ms, window.until_ms + room)
    return Window.of_ms(window.since_ms if low is None else low, window.until_ms if high is None else high)
