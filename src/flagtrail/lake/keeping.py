"""Keeps the lake up to date: what is noted as changed is read from the database, and put in place of what was there.

Everything is replaced by what the database holds of it now, so doing it again changes nothing: a process that dies
anywhere is followed by one that begins where the notes say. A note is let go after the lake follows it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from flagtrail.database import guarded
from flagtrail.errors import ConfigError
from flagtrail.lake import events, feed, standing
from flagtrail.lake.change import Change, quoted
from flagtrail.lake.feed import Note, State
from flagtrail.lake.lock import alone_with_the_lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.lake.table import DeltaTable, shown
from flagtrail.query import reading
from flagtrail.schema import EVENT
from flagtrail.schema.forgetting import FORGOTTEN
from flagtrail.store import Store

NOTES = 50_000  # notes that are followed in one write
SMALL = 32 * 1024 * 1024  # bytes of a file from which on it is left as it is
DAILY = timedelta(days=1)  # between two looks for files that can go


class Lake(NamedTuple):
    """The two tables of a lake."""

    events: DeltaTable
    coverage: DeltaTable


@dataclass(slots=True)
class Report:
    """What was done to the lake, and what it holds now."""

    why_built: str | None = None
    built: int = 0
    changes: int = 0
    written: int = 0
    writes: int = 0
    compacted: int = 0
    vacuumed: int = 0
    events: int = 0
    files: int = 0
    bytes: int = 0
    version: int = 0
    as_of: datetime | None = None
    seconds: float = 0.0


class Watch:
    """What is told meanwhile; nothing by itself."""

    def moved(self, what: str, done: int, total: int | None) -> None:
        """Take note of how far it is."""

    def waiting(self) -> bool:
        """Return whether to go on waiting for another process."""
        return True

    def ending(self) -> bool:
        """Return whether to end after the write that is under way."""
        return False


@dataclass
class Keeper:
    """Brings one lake up to date with one database."""

    store: Store
    lake: Lake
    settings: LakeSettings
    watch: Watch = field(default_factory=Watch)
    report: Report = field(default_factory=Report)
    _hold: Callable[[], object] = field(init=False, repr=False)

    def follow(self, *, rebuild: bool = False) -> Report:
        """Let the lake hold what the database does, and return what was done; raises LakeError, StoreError.

        `rebuild` makes it anew. Raises ConfigError when there is another lake, or it lies elsewhere.
        """
        began = time.monotonic()
        with alone_with_the_lake(self.store, self.watch.waiting) as self._hold:
            noted = feed.begin(self.store)
            self.report.why_built = self._prepare(feed.state(self.store), noted=noted, rebuild=rebuild)
            acts = self._acts_of_forgetting()  # before any note is read: who is forgotten later is in these files still
            now = standing.standing_of(self.store)  # before any event of it is read
            before = standing.standing_from(self.lake.coverage.rows())
            if feed.state(self.store).building is not None:
                self._tell(standing.unclaimed(now))
                self._build()
            elif less := standing.narrowed(now, before):
                self._tell(less)
            if self._drain() and not self.watch.ending():
                # What was deleted meanwhile is claimed no more, and nothing that was stored meanwhile yet.
                less = standing.narrowed(standing.standing_of(self.store), now)
                self._tell(less._replace(as_of=now.as_of) if less else now)
                self._compact()
                self._let_go(acts)
        self._sum_up(began, now.as_of)
        return self.report

    def _prepare(self, state: State, *, noted: bool, rebuild: bool) -> str | None:
        """Have two tables that are this database's, and return why the lake is to be built; None: it is, or goes on."""
        here, other = shown(self.lake.events.uri), self._has_other_columns()
        there = self.lake.events.exists()
        own = there and self.lake.events.id() == state.table_id
        if there and not own and not rebuild and (self.lake.events.version() > 0 or self.lake.events.files()):
            raise ConfigError(
                f"{here} holds a lake of another database, or one that was given up: name another path, or say "
                "--rebuild to replace it"
            )
        if state.table_id and not own and not rebuild:
            raise ConfigError(
                f"this database keeps its lake elsewhere than at {here}, or it is gone: name that path, or say "
                "--rebuild to make it here"
            )
        for table, schema, partitions in self._tables():
            if other or not table.exists():
                table.create(schema, partitions, anew=other)
        followed = self.lake.events.followed()
        why = None
        if rebuild:
            why = "as asked"
        elif not state.table_id:
            why = "it was not there"
        elif not noted:
            why = "changes were not noted any more: the table of events was made anew, or the triggers were taken away"
        elif other:
            why = "it had other columns than this flagtrail writes"
        elif not state.done <= followed <= state.tried:
            why = "it follows another state of the database, such as one before a backup was restored"
        told: dict[str, Any] = {"tried": max(state.tried, followed), "done": followed if why else state.done}
        told |= {"building": feed.BEGINNING} if why else {}
        feed.note(self.store, table_id=self.lake.events.id(), **told)
        return why

    def _tables(self) -> Sequence[tuple[DeltaTable, Any, Sequence[str]]]:
        """Return the tables with their columns and partitions; what is claimed is made anew before the events are."""
        return ((self.lake.coverage, standing.schema(), ()),
                (self.lake.events, events.schema(), events.PARTITIONS))  # fmt: skip

    def _has_other_columns(self) -> bool:
        """Return whether another version wrote what is there; raises ConfigError when somebody else did."""
        other = [t for t, schema, _ in self._tables() if t.exists() and t.columns() != set(schema.names)]
        for table in other:
            if not table.is_ours():
                raise ConfigError(f"{shown(table.uri)} holds what flagtrail has not written: name another path")
        return bool(other)

    def _write(self, batches: Iterable[Any], predicate: str, consumed: Sequence[int] = (), **values: Any) -> None:
        """Replace what meets a predicate, and note that it was done; what is noted before says that it was begun."""
        number = self._begin_write()
        self.lake.events.replace(self._counted(batches), events.schema(), predicate, number)
        self._end_write(number, consumed, **values)

    def _begin_write(self) -> int:
        self._hold()  # or else what was read before may be older than what another process has written
        number = feed.state(self.store).tried + 1
        feed.note(self.store, tried=number)
        return number

    def _end_write(self, number: int, consumed: Sequence[int] = (), **values: Any) -> None:
        # What changes nothing is not written, and not counted there.
        done = number if self.lake.events.followed() == number else feed.state(self.store).done
        feed.note(self.store, consumed=consumed, done=done, **values)
        self.report.writes += 1

    def _counted(self, batches: Iterable[Any]) -> Iterable[Any]:
        for batch in batches:
            self.report.written += batch.num_rows
            yield batch

    def _tell(self, told: standing.Standing) -> None:
        self.lake.coverage.replace(standing.batches(told), standing.schema(), None, feed.state(self.store).done)

    def _build(self) -> None:
        """Write each month whole, from where it was left."""
        done = feed.state(self.store).building
        assert done is not None
        with guarded(self.store.shown), self.store.engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(EVENT)).scalar()
            months = list(events.months(connection, done))
            every = months if not done else list(events.months(connection))
        for month in months:
            if self.watch.ending():
                return
            with guarded(self.store.shown), reading(self.store) as connection:
                self._write_month(connection, month, total, building=month)
            self.report.built += 1
        left = {file.month for file in self.lake.events.files()} - set(every)
        number = self._begin_write()
        if left:
            self.lake.events.delete(f"month IN ({', '.join(map(quoted, sorted(left)))})", number)
        self._end_write(number, building=None)

    def _write_month(self, connection: Connection, month: str, total: int | None, **values: Any) -> None:
        batches = events.read(connection, events.in_month(month))
        self._write(self._moving(month, batches, total), f"month = {quoted(month)}", **values)

    def _moving(self, what: str, batches: Iterable[Any], total: int | None) -> Iterable[Any]:
        for batch in batches:
            yield batch
            self.watch.moved(what, self.report.written, total)

    def _drain(self) -> bool:
        """Follow every note that there is by now, and return whether all were."""
        upto, total = feed.edge(self.store)
        while not self.watch.ending():
            with guarded(self.store.shown), reading(self.store) as connection:
                some = feed.notes(connection, upto, NOTES)
                if not some:
                    return feed.state(self.store).building is None
                if any(each.number == feed.ALL for each in some):
                    feed.note(self.store, consumed=[each.position for each in some], building=feed.BEGINNING)
                    connection.rollback()
                    self._build()
                    continue
                self._follow(connection, some)
            self.watch.moved("changes", self.report.changes, total)
        return False

    def _follow(self, connection: Connection, notes: Sequence[Note]) -> None:
        """Replace the events of the first notes, as many as one write takes, by what they are now."""
        change = Change(connection, notes)
        while change.is_too_much and len(notes) > 1:
            notes = notes[: len(notes) // 2]
            change = Change(connection, notes)
        if change.months:
            self._write(events.read(connection, change.which()), change.predicate())
        for month in sorted(change.crowded):  # as it was for the others: what moved since would be in no month
            self._write_month(connection, month, None)
        feed.note(self.store, consumed=[note.position for note in notes])
        self.report.changes += len(notes)

    def _compact(self) -> None:
        """Make large files of the small ones, where there are many."""
        small = Counter((file.vendor, file.month) for file in self.lake.events.files() if file.bytes < SMALL)
        for (vendor, month), count in small.items():
            if count >= self.settings.compact:
                self.report.compacted += self.lake.events.compact(vendor, month)

    def _acts_of_forgetting(self) -> int:
        """Return how often somebody was forgotten."""
        with guarded(self.store.shown), self.store.engine.connect() as connection:
            finished = FORGOTTEN.c.finished_at.is_not(None)
            return connection.execute(select(func.count()).select_from(FORGOTTEN).where(finished)).scalar() or 0

    def _let_go(self, acts: int) -> None:
        """Delete files that are no part of the lake any more; at once when they may name somebody who is forgotten."""
        state, now = feed.state(self.store), datetime.now(UTC)
        if acts == state.forgotten and state.vacuumed_at and now - state.vacuumed_at < DAILY:
            return
        older = self.settings.vacuum if acts == state.forgotten else timedelta(0)
        self.report.vacuumed += sum(table.vacuum(older) for table in self.lake)
        feed.note(self.store, forgotten=acts, vacuumed_at=now)

    def _sum_up(self, began: float, as_of: datetime) -> None:
        files = self.lake.events.files()
        self.report.events, self.report.files = sum(file.rows for file in files), len(files)
        self.report.bytes, self.report.version = sum(file.bytes for file in files), self.lake.events.version()
        self.report.as_of, self.report.seconds = as_of, time.monotonic() - began
