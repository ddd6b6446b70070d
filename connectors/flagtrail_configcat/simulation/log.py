"""One organization's audit log in the simulator: kept in order, so that any span of time is found at once."""

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flagtrail_configcat.simulation.history import Item

TICKS_PER_MS = 10_000  # ConfigCat's platform counts time in ticks of 100 nanoseconds


@dataclass(slots=True)
class Entry:
    """An item with its identity. `changes` are vendor fields that differ from what the item would show."""

    id: int
    ticks: int
    item: Item
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Any:
        """The audit log type that is shown."""
        return self.changes.get("auditLogTypeEnum", self.item.kind)


class Log:
    """The entries of one organization by (time, id); late ones wait until the vendor's clock reaches them."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._order: list[tuple[int, int]] = []
        self._waiting: list[tuple[int, int, int]] = []
        self._last_id = 70_000

    def __getitem__(self, entry_id: int) -> Entry:
        return self._entries[entry_id]

    def next_id(self) -> int:
        """Return an id that no entry of this organization has, or had."""
        self._last_id += 1
        return self._last_id

    def put(self, entry: Entry, visible_from_ms: int | None = None) -> None:
        """Add an entry, at once or hidden until the clock shows `visible_from_ms`."""
        self._entries[entry.id] = entry
        if visible_from_ms is None:
            insort(self._order, (entry.ticks, entry.id))
        else:
            heapq.heappush(self._waiting, (visible_from_ms, entry.ticks, entry.id))

    def load(self, entries: Iterable[Entry]) -> None:
        """Add many entries that can be seen at once."""
        for entry in entries:
            self._entries[entry.id] = entry
            self._order.append((entry.ticks, entry.id))
        self._order.sort()

    def reveal(self, now_ms: int) -> None:
        """Let the entries be seen whose time to appear has come."""
        while self._waiting and self._waiting[0][0] <= now_ms:
            _, ticks, entry_id = heapq.heappop(self._waiting)
            if entry_id in self._entries:
                insort(self._order, (ticks, entry_id))

    def drop(self, unwanted: Callable[[Entry], bool]) -> int:
        """Delete every entry that is unwanted; return how many there were."""
        gone = {entry_id for entry_id, entry in self._entries.items() if unwanted(entry)}
        for entry_id in gone:
            del self._entries[entry_id]
        self._order = [key for key in self._order if key[1] not in gone]
        return len(gone)

    def remove(self, entry_id: int) -> None:
        """Delete one entry; KeyError when there is none."""
        entry = self._entries.pop(entry_id)
        at = bisect_left(self._order, (entry.ticks, entry_id))
        if self._order[at : at + 1] == [(entry.ticks, entry_id)]:
            del self._order[at]

    def between(self, since: int, until: int) -> list[tuple[int, int]]:
        """Return (ticks, id) of what can be seen in the half-open span of ticks `[since, until)`, oldest first."""
        return self._order[bisect_left(self._order, (since, -1)) : bisect_left(self._order, (until, -1))]
