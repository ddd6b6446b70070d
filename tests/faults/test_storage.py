"""Faults of the database, its disk and the way to it."""

import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import make_url

from flagtrail import database, readers
from flagtrail.errors import StoreError
from flagtrail.query import Query, events
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.configured import write_config
from flagtrail.window import to_ms
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, Process, at, is_whole, source_of, wait_until

AUDIT_LOG = "/api/v2/auditlog?"


@pytest.fixture
def vendor() -> Iterator[LaunchDarklySimulator]:
    """LaunchDarkly with a month of history."""
    with LaunchDarklySimulator() as simulator:
        simulator.fill(300, 30, seed=6, flag_events=40)
        yield simulator


def fill(vendor: LaunchDarklySimulator, store: Store, **more: Any) -> list[str]:
    """Sync once, as a new process would, and return the errors."""
    with Session(source_of(vendor, **more), store) as session:
        return session.fill().errors


def assert_heals(oracle: Oracle, vendor: LaunchDarklySimulator, store: Store) -> None:
    """Check that one more sync, with nobody's help, makes everything whole."""
    assert fill(vendor, store) == []
    oracle.whole(store, vendor)
    assert is_whole(store, vendor)


def only_sqlite(store_url: str) -> None:
    if not store_url.startswith("sqlite"):
        pytest.skip("a matter of SQLite's file")


@pytest.fixture
def postgres_url(postgres: Callable[[], str]) -> str:
    return postgres()


@pytest.fixture
def little() -> Iterator[LaunchDarklySimulator]:
    """LaunchDarkly with four pages of audit log and nothing else: few transactions, so that each can have its turn."""
    with LaunchDarklySimulator() as simulator:
        simulator.fill(70, 30, seed=6, flag_events=0)
        yield simulator


def audit_log_of(vendor: LaunchDarklySimulator) -> Source:
    connector = vendor.connect().model_copy(update={"flag_events": False})
    return replace(source_of(vendor, parallel=1), connector=connector)


@contextmanager
def administration(url: str) -> Iterator[Connection]:
    """Another connection to the same PostgreSQL server, with every statement a transaction of its own."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def hang_up_all(connection: Connection) -> int:
    """End every other session of the database; return how many there were."""
    ended = connection.execute(
        text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    ).all()
    return len(ended)


# No room.


@pytest.mark.fault("D3", "the database file may not grow any more")
@pytest.mark.parametrize("room", [0, 1, 7, 40])
def test_d3_a_full_database_takes_no_page_by_halves(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path, room: int
) -> None:
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:

        def limit(connection: sqlite3.Connection, record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {used + room}")

        [(used,)] = rows(store, "PRAGMA page_count")
        assert isinstance(used, int)
        store.engine.dispose()
        event.listen(store.engine, "connect", limit)
        with pytest.raises(StoreError, match="full"):
            fill(vendor, store)
        oracle.check(store, vendor)
        assert not is_whole(store, vendor)
        assert len(list(events(store, Query(limit=0, linked=True)))) == sum(
            len(ids) for ids in held(store, "acme").values()
        )
        event.remove(store.engine, "connect", limit)
        store.engine.dispose()
        assert_heals(oracle, vendor, store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only the superuser may make a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remounted(folder: Path, options: str) -> bool:
    command = ["mount", "-o", f"remount,{options}", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.fault("D3", "the disk is full, and is given more room while the daemon runs")
def test_d3_a_daemon_outlives_a_full_disk(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path, small_disk: Path
) -> None:
    vendor.fill(1500, 30, seed=7)
    url = f"sqlite:///{small_disk / 'trail.db'}"
    config = write_config(tmp_path, {"acme": vendor}, url, start="31d", every="1s")
    with Process("run", "--config", str(config), folder=tmp_path) as daemon:
        wait_until(lambda: daemon.lines("tick_failed"), "a tick fails")
        assert "full" in daemon.lines("tick_failed")[0]["error"]
        assert remounted(small_disk, "size=64m")
        with Store(url) as store:
            oracle.check(store, vendor)
            wait_until(lambda: is_whole(store, vendor), "the rest is read")
            oracle.whole(store, vendor)
        assert daemon.alive


@pytest.mark.fault("D3", "writing fails in the middle of a page")
@pytest.mark.parametrize("table", ["event", "record", "coverage"])
def test_d3_a_page_that_cannot_be_written_whole_leaves_nothing(
    oracle: Oracle, vendor: LaunchDarklySimulator, store: Store, table: str
) -> None:
    for statement in failing_inserts(store, table):
        with store.engine.begin() as connection:
            connection.execute(text(statement))
    with pytest.raises(StoreError, match="no space left"):
        fill(vendor, store)
    oracle.check(store, vendor)
    assert held(store, "acme") == {}, "the first page was not whole"
    with store.engine.begin() as connection:
        on = f" ON {table}" if store.engine.dialect.name == "postgresql" else ""
        connection.execute(text(f"DROP TRIGGER no_space{on}"))
    assert_heals(oracle, vendor, store)


def failing_inserts(store: Store, table: str) -> list[str]:
    """Return the statements after which every insert into a table fails as on a full disk."""
    if store.engine.dialect.name == "sqlite":
        return [
            f"CREATE TRIGGER no_space AFTER INSERT ON {table} BEGIN SELECT RAISE(FAIL, 'no space left on device'); END"
        ]
    full = "RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'"
    return [
        f"CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {full}; END $$",
        f"CREATE TRIGGER no_space AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no_space()",
    ]


@pytest.mark.fault("D3", "the database turns read-only, and can be written again later")
def test_d3_a_read_only_database_is_told_and_healed(
    oracle: Oracle, vendor: LaunchDarklySimulator, store: Store, store_url: str
) -> None:
    assert fill(vendor, store) == []
    with made_read_only(store, store_url):
        vendor.clock.advance(3600)
        vendor.happen()
        before = [stream.covered for stream in status(store)]
        with pytest.raises(StoreError, match=r"read-?only"):
            fill(vendor, store)
        oracle.check(store, vendor)
        assert [stream.covered for stream in status(store)] == before
        assert len(list(events(store, Query(limit=0, linked=True)))) == 340, "asking still works"
    assert_heals(oracle, vendor, store)


@contextmanager
def made_read_only(store: Store, url: str) -> Iterator[None]:
    """Refuse writes: as a disk mounted read-only does, and as a PostgreSQL that became a standby does."""
    if url.startswith("sqlite"):

        def refuse(connection: sqlite3.Connection, record: object) -> None:
            connection.execute("PRAGMA query_only = on")

        store.engine.dispose()  # connections stay open, so that only new ones are told
        event.listen(store.engine, "connect", refuse)
        yield
        event.remove(store.engine, "connect", refuse)
        store.engine.dispose()
        return
    name = make_url(url).database
    with administration(url) as admin:
        admin.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        hang_up_all(admin)
        yield
        admin.execute(text("SET default_transaction_read_only = off"))
        admin.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        hang_up_all(admin)


# Locked.


class Lock:
    """Another process's lock on what a sync wants to write."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.held = threading.Event()
        self._sqlite: sqlite3.Connection | None = None
        self._engine: Any = None
        self._connection: Connection | None = None

    def take(self) -> None:
        if self.url.startswith("sqlite"):
            self._sqlite = sqlite3.connect(
                self.url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False, timeout=30
            )
            self._sqlite.execute("BEGIN IMMEDIATE")
        else:
            self._engine = create_engine(make_url(self.url).set(drivername="postgresql+psycopg"))
            self._connection = self._engine.connect()
            assert self._connection is not None
            self._connection.execute(text("LOCK TABLE event, coverage IN SHARE ROW EXCLUSIVE MODE"))
        self.held.set()

    def release(self) -> None:
        if self._sqlite is not None:
            self._sqlite.execute("ROLLBACK")
            self._sqlite.close()
        if self._connection is not None:
            self._connection.close()
            self._engine.dispose()


@pytest.mark.fault("D4", "the database is locked for a while: reading waits, and does not pile up")
def test_d4_a_locked_database_stops_the_reading_until_it_is_free(
    oracle: Oracle, store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "WAITING", 3)
    monkeypatch.setattr(readers, "ENOUGH", 2)
    lock, errors = Lock(store_url), []
    with LaunchDarklySimulator() as vendor:
        vendor.fill(1200, 30, seed=6, flag_events=0)
        vendor.inject(at(4, lock.take), match=AUDIT_LOG, times=ALWAYS)
        thread = threading.Thread(target=lambda: errors.extend(fill(vendor, store, parallel=4)))
        thread.start()
        wait_until(lock.held.is_set, "the database is locked")
        wait_until(lambda: is_quiet(vendor), "nothing more is asked")
        asked = len([one for one in vendor.requests if one.path == "/api/v2/auditlog"])
        assert thread.is_alive()
        # Those before the lock, a group in the hands of the store, the queue, and what each reader has under way.
        oracle.holds(asked <= 4 + 3 + 3 + 4 * 4, "what cannot be stored is not read on and on")
        oracle.check(store, vendor)
        lock.release()
        thread.join(60)
        assert not thread.is_alive()
        assert errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


def is_quiet(vendor: LaunchDarklySimulator, seconds: float = 0.7) -> bool:
    before = len(vendor.requests)
    time.sleep(seconds)
    return len(vendor.requests) == before


@pytest.mark.fault("D4", "the database is locked for longer than a writer waits")
def test_d4_a_lock_that_lasts_is_an_error_in_words_and_costs_nothing(
    oracle: Oracle, vendor: LaunchDarklySimulator, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 1)
    lock = Lock(store_url)
    with Store(store_url) as store:
        vendor.inject(at(4, lock.take), match=AUDIT_LOG, times=ALWAYS)
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"lock") as raised:
            fill(vendor, store)
        assert time.monotonic() - started < 20
        assert "\n" not in str(raised.value)
        oracle.check(store, vendor)
        lock.release()
        assert_heals(oracle, vendor, store)


@pytest.mark.fault("D4", "somebody reads, or backs up, for as long as a sync lasts")
def test_d4_a_long_reader_does_not_stop_the_writing(
    oracle: Oracle, vendor: LaunchDarklySimulator, store: Store, store_url: str
) -> None:
    with Store(store_url) as other, other.engine.connect() as reader:
        first = reader.execute(text("SELECT count(*) FROM event")).all()
        assert fill(vendor, store) == []
        if store.engine.dialect.name == "sqlite":
            assert reader.execute(text("SELECT count(*) FROM event")).all() == first, "it sees one moment"
    oracle.whole(store, vendor)
    assert is_whole(store, vendor)


# PostgreSQL far away.


class Proxy:
    """Stands between flagtrail and PostgreSQL on 127.0.0.1; it can hang up, and lose a COMMIT or its answer."""

    def __init__(self, url: str) -> None:
        self.to = make_url(url)
        self.commits = 0
        self.lose_at = 0
        self.lose: str | None = None  # "request" or "answer"
        self.lost = 0
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._up = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._listening.close()

    @property
    def url(self) -> str:
        name = self.to.database
        return f"postgresql://{self.to.username}@127.0.0.1:{self._port}/{name}"

    def down(self) -> None:
        """Cut every connection, and let no new one through."""
        self._up = False
        with self._lock:
            for one in self._open:
                _reset(one)
            self._open.clear()

    def up(self) -> None:
        self._up = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if not self._up:
                _reset(client)
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self.to.query['host']}/.s.PGSQL.{self.to.port or 5432}")
            with self._lock:
                self._open += [client, server]
            losing = threading.Event()
            threading.Thread(target=self._there, args=(client, server, losing), daemon=True).start()
            threading.Thread(target=self._back, args=(client, server, losing), daemon=True).start()

    def _there(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if re.search(rb"\bCOMMIT\b", data):
                    self.commits += 1
                    if self.commits == self.lose_at:
                        self.lost += 1
                        if self.lose == "request":
                            break
                        losing.set()
                server.sendall(data)
        _reset(client)
        _reset(server) if not losing.is_set() else None

    def _back(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if losing.is_set() and b"COMMIT\0" in data:
                    break
                client.sendall(data)
        _reset(client)
        _reset(server)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@pytest.mark.fault("D5", "the connection is cut in COMMIT, before or after it took effect")
@pytest.mark.parametrize("lose", ["request", "answer"])
def test_d5_a_commit_of_unknown_outcome_is_harmless(
    oracle: Oracle, little: LaunchDarklySimulator, postgres_url: str, lose: str
) -> None:
    source = audit_log_of(little)
    with Store(postgres_url) as store, Proxy(postgres_url) as proxy, Store(proxy.url) as far:
        said: list[str] = []
        for number in range(1, 40):
            with Session(source, far) as session:
                proxy.lose_at, proxy.lose = proxy.commits + number, lose
                before = counted(store)
                added = counting_adds(far)
                try:
                    errors = session.fill().errors
                except StoreError as error:
                    said.append(str(error))
                    assert proxy.lost
                    if added[-1:] == ["failed"]:
                        oracle.holds((counted(store) > before + sum(n for n in added if isinstance(n, int)))
                                     == (lose == "answer"), "the outcome is what the test means it to be")  # fmt: skip
                else:
                    assert errors == []
                    assert proxy.lost == 0, "a lost COMMIT went unnoticed"
                    break
                finally:
                    proxy.lost = 0
            oracle.check(store, little)
            with Session(source, far) as session:
                assert session.fill().errors == []
            oracle.whole(store, little)
            assert is_whole(store, little)
            emptied(store)
        assert number > 3, "every transaction of a sync had its turn"
        assert not [one for one in said if "\n" in one]


def counted(store: Store) -> int:
    [(count,)] = rows(store, "SELECT count(*) FROM event")
    assert isinstance(count, int)
    return count


def counting_adds(store: Store) -> list[int | str]:
    """Return the list to which each `write` of a store appends how many events were new, or that it failed."""
    told: list[int | str] = []
    write = type(store).write

    def counting(*args: Any, **more: Any) -> Any:
        told.append("failed")
        added = write(store, *args, **more)
        told[-1] = len(added.new)
        return added

    store.write = counting  # type: ignore[method-assign]
    return told


def emptied(store: Store) -> None:
    with store.engine.begin() as connection:
        for table in ("event", "record", "coverage", "gap", "stream"):
            connection.execute(text(f"DELETE FROM {table}"))


@pytest.mark.fault("D5", "PostgreSQL goes away in the middle of a sync, and comes back")
@pytest.mark.parametrize("request_number", [2, 6, 12])
def test_d5_a_server_that_goes_away_and_comes_back_costs_nothing(
    oracle: Oracle, vendor: LaunchDarklySimulator, postgres_url: str, request_number: int
) -> None:
    with Store(postgres_url) as store, Proxy(postgres_url) as proxy, Store(proxy.url) as far:
        vendor.inject(at(request_number, proxy.down), times=ALWAYS)
        with Session(source_of(vendor), far) as session:
            with pytest.raises(StoreError) as raised:
                session.fill()
            assert "\n" not in str(raised.value)
            oracle.check(store, vendor)
            with pytest.raises(StoreError):
                session.fill()
            vendor.heal()
            proxy.up()
            assert session.fill().errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


@pytest.mark.fault("D5", "PostgreSQL is not there, or refuses us")
def test_d5_an_absent_server_is_told_in_one_line_without_the_password(oracle: Oracle, postgres_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused = make_url(postgres_url).set(database="no_such_database", password="pass-word").render_as_string(False)
    for url in (f"postgresql://flagtrail:pass-word@127.0.0.1:{port}/trail", refused):
        with pytest.raises(StoreError) as raised:
            Store(url)
        said = str(raised.value)
        oracle.holds("pass-word" not in said, "the password is not told")
        oracle.holds("\n" not in said and "[store] url" in said, "it says what to do, in one line")


@pytest.mark.fault("D5", "PostgreSQL ends our session in the middle of a transaction")
def test_d5_a_session_that_is_ended_anywhere_leaves_no_half_page(
    oracle: Oracle, little: LaunchDarklySimulator, postgres_url: str
) -> None:
    source = audit_log_of(little)
    with Store(postgres_url) as store, Store(postgres_url) as cut, administration(postgres_url) as admin:
        statements = 0
        turn = 0

        def end(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            nonlocal statements
            statements += 1
            if statements == turn:
                pid = cursor.connection.info.backend_pid
                admin.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        event.listen(cut.engine, "before_cursor_execute", end)
        said: list[str] = []
        for turn in range(1, 200):
            statements = 0
            with Session(source, cut) as session:
                try:
                    session.fill()
                except StoreError as error:
                    said.append(str(error))
            oracle.check(store, little)
            if statements < turn:
                break
            emptied(store)
        assert len(said) > 10
        assert not [one for one in said if "\n" in one]
        with Session(source, store) as session:
            assert session.fill().errors == []
        oracle.whole(store, little)
        assert is_whole(store, little)


@pytest.mark.fault("D5", "PostgreSQL ends idle sessions")
def test_d5_sessions_that_were_ended_between_two_ticks_are_not_noticed(
    oracle: Oracle, vendor: LaunchDarklySimulator, postgres_url: str
) -> None:
    with (
        Store(postgres_url) as store,
        Session(source_of(vendor), store) as session,
        administration(postgres_url) as admin,
    ):
        assert session.fill().errors == []
        assert hang_up_all(admin) >= 1
        vendor.happen()
        assert session.fill().errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


@pytest.mark.fault("D5", "the server's isolation is serializable, and several write at once")
def test_d5_a_strict_isolation_of_the_server_makes_nobody_fail(
    oracle: Oracle, vendor: LaunchDarklySimulator, postgres_url: str
) -> None:
    with administration(postgres_url) as admin:
        name = make_url(postgres_url).database
        admin.execute(text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"))
    errors: list[str] = []

    def run() -> None:
        with Store(postgres_url) as own:
            try:
                errors.extend(fill(vendor, own))
            except StoreError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Store(postgres_url) as store:
        assert rows(store, "SHOW default_transaction_isolation") == [("serializable",)]
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


# Another file than before.


@pytest.mark.fault("D6", "an old backup is restored")
def test_d6_a_restored_backup_is_filled_up_again(
    oracle: Oracle, vendor: LaunchDarklySimulator, store_url: str, tmp_path: Path
) -> None:
    with Store(store_url) as store:
        assert fill(vendor, store) == []
        oracle.see(vendor)
    vendor.clock.advance(3 * 86_400)
    restore = backed_up(store_url, tmp_path)
    vendor.fill(150, 2.5, seed=9)
    with Store(store_url) as store:
        assert_heals(oracle, vendor, store)
    restore()
    with Store(store_url) as store:
        assert not is_whole(store, vendor)
        oracle.check(store, vendor)
        assert_heals(oracle, vendor, store)


def backed_up(url: str, folder: Path) -> Callable[[], object]:
    """Back a database up; return what restores it."""
    if url.startswith("sqlite"):
        path, copy = Path(url.removeprefix("sqlite:///")), folder / "backup.db"
        shutil.copy(path, copy)
        return lambda: shutil.copy(copy, path)
    name = make_url(url).database
    server = make_url(url).set(database="postgres").render_as_string(False)
    with administration(server) as admin:
        admin.execute(text(f"CREATE DATABASE {name}_backup TEMPLATE {name}"))

    def restore() -> None:
        with administration(server) as again:
            again.execute(text(f"DROP DATABASE {name}"))
            again.execute(text(f"ALTER DATABASE {name}_backup RENAME TO {name}"))

    return restore


@pytest.mark.fault("D8", "the database file is deleted under a running process")
def test_d8_a_deleted_file_is_told_and_claims_nothing(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path
) -> None:
    path = tmp_path / "trail.db"
    with Store(f"sqlite:///{path}") as store, Session(source_of(vendor), store) as session:
        assert session.fill().errors == []
        path.unlink()
        vendor.happen()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"trail\.db"):
                session.fill()
        oracle.holds(not path.exists(), "no other trail is begun where the lost one stood")
    with Store(f"sqlite:///{path}") as store:
        oracle.check(store, vendor)
        assert_heals(oracle, vendor, store)


@pytest.mark.fault("D8", "the database file is replaced by an older one in the middle of a sync")
@pytest.mark.parametrize("request_number", [2, 5, 8])
def test_d8_a_file_replaced_in_the_middle_of_a_sync_stops_it_and_spoils_neither(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path, request_number: int
) -> None:
    path, older = tmp_path / "trail.db", tmp_path / "older.db"
    url = f"sqlite:///{path}"
    with Store(url) as store:
        with Session(source_of(vendor, start=timedelta(days=9)), store) as session:
            assert session.fill().errors == []
        shutil.copy(path, older)
        vendor.inject(at(request_number, lambda: older.replace(path)), match=AUDIT_LOG, times=ALWAYS)
        with pytest.raises(StoreError, match="replaced"):
            fill(vendor, store)
        assert not older.exists()
        with pytest.raises(StoreError, match="without the -wal"):
            fill(vendor, store)
        vendor.heal()
    for name in ("trail.db-wal", "trail.db-shm"):  # SQLite leaves them behind, and would mix them into any file
        (tmp_path / name).unlink(missing_ok=True)
    with Store(url) as store:
        oracle.holds(rows(store, "PRAGMA integrity_check") == [("ok",)], "the file is whole")
        oracle.check(store, vendor)
        assert_heals(oracle, vendor, store)


@pytest.mark.fault("D9", "the end of the write-ahead log is missing")
def test_d9_a_shortened_log_loses_whole_pages_only(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path
) -> None:
    path = tmp_path / "trail.db"
    with Store(f"sqlite:///{path}") as store, store.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM event")).all()  # keeps the log from being folded into the file
        assert fill(vendor, store) == []
        whole = Path(f"{path}-wal").read_bytes()
        assert len(whole) > 100_000
        for number, share in enumerate((0.0, 0.2, 0.5, 0.9, 0.99)):
            copy = tmp_path / f"copy{number}.db"
            shutil.copy(path, copy)
            Path(f"{copy}-wal").write_bytes(whole[: int(len(whole) * share)])
            with Store(f"sqlite:///{copy}") as shortened:
                assert share > 0.5 or not is_whole(shortened, vendor)
                oracle.check(shortened, vendor)
                assert_heals(oracle, vendor, shortened)


@pytest.mark.fault("D9", "the database file is damaged")
@pytest.mark.parametrize(("first", "match"), [(0, "not a database"), (1, "malformed")])
def test_d9_a_damaged_file_is_told_in_one_line_and_left_alone(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path, first: int, match: str
) -> None:
    path = tmp_path / "trail.db"
    with Store(f"sqlite:///{path}") as store:
        assert fill(vendor, store) == []
    with sqlite3.connect(path) as connection:
        [[size]] = connection.execute("PRAGMA page_size")
    connection.close()
    content = path.read_bytes()
    damaged = content[: first * size] + b"\xff" * (len(content) - first * size)
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=match) as raised, Store(f"sqlite:///{path}") as store:
        fill(vendor, store)
    assert "\n" not in str(raised.value)
    oracle.holds(path.read_bytes() == damaged, "what could still be saved is not touched")


@pytest.mark.fault("D10", "the database was written by a newer version")
def test_d10_a_newer_schema_is_refused_and_left_alone(
    oracle: Oracle, vendor: LaunchDarklySimulator, store: Store, store_url: str
) -> None:
    assert fill(vendor, store) == []
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = sorted(rows(store, "SELECT id, revision FROM event"))
    with pytest.raises(StoreError, match="newer flagtrail"):
        Store(store_url)
    oracle.holds(sorted(rows(store, "SELECT id, revision FROM event")) == before, "nothing is changed")


# Readers beside the writer.


@pytest.mark.fault("D14", "many read while a load is written: nobody sees half a page")
def test_d14_every_reader_sees_whole_pages_only(oracle: Oracle, store: Store, store_url: str) -> None:
    done = threading.Event()
    found: list[str] = []
    looks = 0

    with LaunchDarklySimulator() as vendor:
        vendor.fill(1500, 30, seed=8, flag_events=100)
        truth = vendor.truth()

        def look() -> None:
            nonlocal looks
            with Store(store_url) as own:
                while not done.is_set():
                    missing = claimed_and_missing(own, truth)
                    looks += 1
                    found.extend(missing)

        threads = [threading.Thread(target=look) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            with Session(source_of(vendor), store) as session:
                assert session.fill().errors == []
        finally:
            done.set()
            for thread in threads:
                thread.join()
        oracle.holds(not found, f"claimed in a snapshot that lacks it: {found[:3]}")
        assert looks > 20
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


def claimed_and_missing(store: Store, truth: dict[str, dict[str, int]]) -> list[str]:
    """Return what one snapshot of the database claims to hold and does not."""
    engine = store.engine
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        ids = {tuple(row) for row in connection.execute(text("SELECT stream, vendor_id FROM event"))}
        windows = connection.execute(text("SELECT stream, since, until FROM coverage")).all()
    missing = []
    for stream, since, until in windows:
        bounds = [to_ms(_instant(value)) for value in (since, until)]
        for entry, ms in truth[stream].items():
            if bounds[0] <= ms < bounds[1] and (stream, entry) not in ids:
                missing.append(f"{stream} {entry}")
    return missing


def _instant(value: Any) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(value) if isinstance(value, str) else value
