"""What happens at the vendor, and to our table behind our back: between two rules, or in the middle of one."""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import text

from flagtrail.store import Store
from tests.properties.vendors import BEGINNING_MS
from tests.properties.world import DAY_MS, HOUR_MS, World

MEANWHILE = ("entry", "late", "tie", "burst", "flag events", "removal", "second", "minutes", "too late")
BEHIND = (*MEANWHILE, "too late", "too late", "stored by others", "stored by others", "edit", "row lost")
LOST = (("event",), ("record",), ("event", "record"))


class Happenings(World):
    """A world in which things happen."""

    def happen(self, what: str, age: int, place: int) -> None:
        """Let one thing happen, in the middle of a sync or a verification too."""
        self.number += 1
        with self.simulator.lock:
            ms = self.moment(age)
            late = self.now_ms + (ms + self.settle_ms - self.now_ms) * (place % 5) // 4
            acts: dict[str, Callable[[], object]] = {
                "entry": lambda: self.vendor.add(ms, 0, place),
                "tie": lambda: self.vendor.add(self.time_of_another(ms, place), 0, place),
                "late": lambda: self.vendor.add(ms, late, place),
                "ahead": lambda: self.vendor.add(self.now_ms + 1 + place * HOUR_MS // 10_000, 0, place),
                "burst": lambda: self.vendor.burst(ms, (2, 21, 45, 101)[place % 4], place),
                "flag events": lambda: self.vendor.flag_events(ms, (1, 3, 101)[place % 3], 0),
                "removal": lambda: self.remove_one(place),
                "second": lambda: self.simulator.clock.advance(1.0),
                "minutes": lambda: self.simulator.clock.advance(0.0005 * self.settle_ms * (place % 3 + 1)),
                "too late": lambda: self.show_too_late(place),
                "stored by others": lambda: self.store_by_others(self.show_too_late(place)),
                "edit": lambda: self.edit_one(place, to_be_seen=False),
                "row lost": lambda: self.lose_rows(LOST[place % 3], place, 1),
            }
            acts[what]()
            self.see()

    def let(self, happenings: Sequence[tuple[int, str, int, int]]) -> None:
        """Let things happen at later requests."""
        for turn, what, age, place in happenings:
            act = self.meanwhile.setdefault(self.asked + turn, [])
            act.append(lambda what=what, age=age, place=place: self.happen(what, age, place))  # type: ignore[misc]

    def moment(self, age: int) -> int:
        """Return a time that no sync can have covered: at most the settling time ago, to the millisecond."""
        return self.now_ms - self.settle_ms * age // 10**6

    def time_of_another(self, ms: int, place: int) -> int:
        """Return the time of an entry that cannot be covered yet, or one that is given when there is none."""
        times = sorted({t for ids in self.truth().values() for t in ids.values() if t >= self.moment(10**6)})
        return times[place % len(times)] if times else ms

    def remove_one(self, place: int) -> None:
        """Let the vendor forget an entry, if there is any."""
        for stream, id, _ in self.picked(place):
            self.vendor.remove(stream, id)

    def edit_one(self, place: int, *, to_be_seen: bool) -> None:
        """Let the vendor show other words in an entry, which the next sync has to see if it is not covered yet."""
        for stream, id, ms in self.picked(place):
            words = f"edit {self.number}."
            self.vendor.edit(stream, id, words)
            self.edited.pop((stream, id), None)
            if to_be_seen and not self.last.covers(stream, ms):
                self.edited[stream, id] = words

    def show_too_late(self, place: int) -> list[tuple[str, str]]:
        """Let entries appear after more than the settling time, often beside another; return which."""
        before = self.truth()
        ms = self.settled_ms - int(self.days * DAY_MS * (place % 997) / 997)
        if place % 3:
            for _, _, other in self.picked(place // 3):
                ms = other + (0, 0, 1, -1, 2, -2, 1000)[place % 7]
        ms = min(ms, self.settled_ms)
        if place % 11 == 0:
            self.vendor.burst(ms, (2, 21, 45)[place % 3], place)
        elif place % 5 == 0:
            self.vendor.flag_events(ms, 1, 0)
        else:
            self.vendor.add(ms, 0, place)
        self.excuse(before)
        return [(stream, id) for stream, ids in self.truth().items() for id in ids.keys() - before[stream].keys()]

    def store_by_others(self, entries: Iterable[tuple[str, str]]) -> None:
        """Let another process store entries at this moment, as one that verifies too would do."""
        with Store(self.url) as store:
            for name, id in entries:
                if (stream := self.streams.get(name)) is not None:
                    reading = self.source.reading(stream, [self.simulator.shown(name, id)])
                    store.add(self.source.name, self.source.connector.vendor, [reading])

    def lose_rows(self, tables: Sequence[str], place: int, count: int) -> None:
        """Delete some rows behind our back, if there are any: of events, of records, or of both."""
        with self.simulator.lock:
            events = [(stream, id, kept.key) for stream, ids in self.last.events.items() for id, kept in ids.items()]
            events.sort()
            for _ in range(min(count, len(events))):
                stream, id, key = events.pop(place % len(events))
                with self.store.engine.execution_options(write=True).begin() as connection:
                    for table in set(tables) & {"event", "record"}:
                        connection.execute(text(f"DELETE FROM {table} WHERE number = :key"), {"key": key})
                if "event" in tables:
                    del self.last.events[stream][id]
                    self.excused.setdefault(stream, set()).add(id)
                if "record" in tables:
                    for record in [record for record in self.last.records if record[0] == key]:
                        del self.last.records[record]

    def some_window(self, since: int, length: float) -> tuple[int, int]:
        """Return a span of so many days, from before the start to a day ahead; often an entry lies at its end."""
        begin = BEGINNING_MS - int(self.days * 1.3 * DAY_MS) + int((self.days * 1.3 + 1) * DAY_MS) * since // 1000
        span = int(length * DAY_MS)
        for _, _, ms in self.picked(since):
            begin = (begin, ms, ms + 1, ms - span, ms + 1 - span)[since % 5]
        return begin, begin + span
