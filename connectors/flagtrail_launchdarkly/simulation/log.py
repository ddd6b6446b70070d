"""Entries in order of time, as a vendor keeps them: found by bisection, so that a million of them are no burden."""

import random
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Generic, Literal, Protocol, TypeVar

TieOrder = Literal["descending", "ascending", "unstable"]


class Entry(Protocol):
    """What an entry has to tell to be kept: its time, its id, and since when it can be seen."""

    ms: int
    id: str
    visible_from_ms: int


E = TypeVar("E", bound=Entry)


class Log(Generic[E]):
    """One log; entries that arrive late stay unseen until `settle` is told a time at which they have arrived."""

    def __init__(self) -> None:
        self.entries: dict[str, E] = {}
        self._keys: list[tuple[int, str]] = []
        self._late: list[tuple[int, int, str]] = []

    def add(self, entry: E) -> None:
        """Keep one entry."""
        self.entries[entry.id] = entry
        if entry.visible_from_ms:
            heappush(self._late, (entry.visible_from_ms, entry.ms, entry.id))
        else:
            insort(self._keys, (entry.ms, entry.id))

    def extend(self, entries: Iterable[E]) -> None:
        """Keep many entries that can be seen already."""
        added = {entry.id: entry for entry in entries}
        self.entries.update(added)
        self._keys.extend((entry.ms, entry.id) for entry in added.values())
        self._keys.sort()

    def settle(self, now_ms: int) -> None:
        """Show the entries that have arrived by now; what was seen once stays seen when the clock moves back."""
        while self._late and self._late[0][0] <= now_ms:
            _, ms, id_ = heappop(self._late)
            if id_ in self.entries:
                insort(self._keys, (ms, id_))

    def remove(self, id_: str) -> None:
        """Forget an entry; KeyError when there is none."""
        entry = self.entries.pop(id_)
        at = bisect_left(self._keys, (entry.ms, id_))
        if self._keys[at : at + 1] == [(entry.ms, id_)]:
            del self._keys[at]

    def seen(self, since_ms: int, until_ms: int) -> list[tuple[int, str]]:
        """Return time and id of what can be seen in `[since_ms, until_ms)`, oldest first."""
        low, high = self._span(since_ms, until_ms)
        return self._keys[low:high]

    def count(self, since_ms: int, until_ms: int, admits: Callable[[E], bool] | None = None) -> int:
        """Return how many entries of `[since_ms, until_ms)` can be seen, all or those that `admits` lets through."""
        low, high = self._span(since_ms, until_ms)
        if admits is None:
            return high - low
        return sum(1 for _, id_ in self._keys[low:high] if admits(self.entries[id_]))

    def newest_first(self, since_ms: int, until_ms: int, ties: TieOrder) -> Iterator[E]:
        """Yield what can be seen in `[since_ms, until_ms)`; `ties` orders entries of one millisecond."""
        low, high = self._span(since_ms, until_ms)
        while high > low:
            start = bisect_left(self._keys, (self._keys[high - 1][0], ""), low, high)
            ids = [id_ for _, id_ in self._keys[start:high]]
            if ties == "descending":
                ids.reverse()
            elif ties == "unstable":
                random.shuffle(ids)
            yield from map(self.entries.__getitem__, ids)
            high = start

    def _span(self, since_ms: int, until_ms: int) -> tuple[int, int]:
        low = bisect_left(self._keys, (since_ms, ""))
        return low, max(low, bisect_left(self._keys, (until_ms, "")))
