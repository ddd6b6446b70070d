"""The arithmetic of comparing a vendor's numbers with ours.

It is unknown on which side of a cut the vendor counts an entry that lies at it. So windows begin and end at quiet
moments, where there is nothing around, and differences between neighbouring parts that entries at their common edge
explain are none.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from flagtrail.connector import Count
from flagtrail.window import Window


class Times:
    """When the stored events of a window happened, in order; eight bytes each, so that a month of them is little."""

    def __init__(self, times: Iterable[int], edge_ms: int) -> None:
        """Take milliseconds in order; `edge_ms` is how far around a cut there should be nothing."""
        self._times = array("q", times)
        self._edge = edge_ms

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, index: int) -> int:
        return self._times[index]

    def count(self, since: int, until: int) -> int:
        """Return how many lie in `[since, until)`."""
        return bisect_left(self._times, until) - bisect_left(self._times, since)

    def near(self, ms: int) -> int:
        """Return how many lie so close to a cut that the vendor may count them on its other side."""
        return self.count(ms - self._edge, ms + self._edge)

    def quiet(self, wanted: int, low: int, high: int) -> int | None:
        """Return the cut in `[low, high]` that is closest to the wanted one and has nothing around it; None if none."""
        if low > high:
            return None
        wanted = min(max(wanted, low), high)
        if not self.near(wanted):
            return wanted
        below = self._free_below(wanted, low)
        above = self._free_above(wanted, high)
        found = [cut for cut in (below, above) if cut is not None]
        return min(found, key=lambda cut: abs(cut - wanted), default=None)

    def _free_below(self, wanted: int, low: int) -> int | None:
        index = bisect_left(self._times, wanted + self._edge) - 1
        while index >= 0:
            cut = self._times[index] - self._edge  # the last cut from which that time is far enough away
            if cut < low:
                return None
            index -= 1
            if index < 0 or self._times[index] < cut - self._edge:
                return cut
        return low

    def _free_above(self, wanted: int, high: int) -> int | None:
        index = bisect_left(self._times, wanted - self._edge)
        while index < len(self._times):
            cut = self._times[index] + self._edge + 1
            if cut > high:
                return None
            index += 1
            if index >= len(self._times) or self._times[index] >= cut + self._edge:
                return cut
        return high


def suspects(window: Window, parts: Iterable[Count], times: Times) -> Iterator[Window]:
    """Yield the stretches whose numbers differ from ours, unless entries at the edges of the parts explain it."""
    run: list[tuple[Window, int, int]] = []  # parts in a row that differ: how far, and how many lie at their edges
    for part, told, stored in _paired(window, parts, times):
        if told != stored:
            near = times.near(part.since_ms) + times.near(part.until_ms)
            run.append((part, told - stored, near))
            continue
        yield from _unexplained(run)
        run = []
    yield from _unexplained(run)


def _unexplained(run: list[tuple[Window, int, int]]) -> Iterator[Window]:
    if run and (sum(off for _, off, _ in run) or any(abs(off) > near for _, off, near in run)):
        yield Window(run[0][0].since, run[-1][0].until)


def _paired(window: Window, parts: Iterable[Count], times: Times) -> Iterator[tuple[Window, int, int]]:
    """Yield parts that add up to the window, each with the vendor's number and ours; one that is left out has none."""
    since = window.since
    for part, records in sorted(parts):
        if part.since > since:
            hole = Window(since, part.since)
            yield hole, 0, times.count(hole.since_ms, hole.until_ms)
        yield part, records, times.count(part.since_ms, part.until_ms)
        since = max(since, part.until)
    if since < window.until:
        rest = Window(since, window.until)
        yield rest, 0, times.count(rest.since_ms, rest.until_ms)


def between_quiet(part: Window, window: Window, times: Times) -> Window:
    """Return the least stretch of a window that holds a part and ends at quiet moments."""
    low = times.quiet(part.since_ms, window.since_ms, part.since_ms)
    high = times.quiet(part.until_ms, part.until_ms, window.until_ms)
    return Window.of_ms(window.since_ms if low is None else low, window.until_ms if high is None else high)


def samples(times: Times, count: int, entries: int) -> Iterator[Window]:
    """Yield up to so many small windows with stored entries in them, between quiet moments."""
    if not len(times):
        return
    first, last = times[0] - 10**9, times[len(times) - 1] + 10**9
    for number in range(count):
        index = (len(times) - 1) * (2 * number + 1) // (2 * count)
        low = times.quiet(times[index], first, times[index])
        high = times.quiet(times[min(index + entries, len(times) - 1)] + 1, times[index] + 1, last)
        if low is not None and high is not None:
            yield Window.of_ms(low, high)
