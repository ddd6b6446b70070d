"""Faults of the processes: killed, frozen, ended, too many, too few means."""

import ctypes
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from flagtrail import logs
from flagtrail.daemon import Daemon
from flagtrail.errors import StoreError
from flagtrail.migrations import HEAD
from flagtrail.report import Report, Watch
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows
from tests.faults import dying
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, Process, at, is_whole, source_of, wait_until

AUDIT_LOG = "/api/v2/auditlog?"


@pytest.fixture
def vendor() -> Iterator[LaunchDarklySimulator]:
    """LaunchDarkly with a month of history."""
    with LaunchDarklySimulator() as simulator:
        simulator.fill(800, 30, seed=6, flag_events=80)
        yield simulator


@pytest.fixture
def config(vendor: LaunchDarklySimulator, store_url: str, tmp_path: Path) -> str:
    return str(write_config(tmp_path, {"acme": vendor}, store_url, start="31d", every="1s"))


def asked(vendor: Simulator) -> int:
    return len(vendor.requests)


# Killed.


@pytest.mark.fault("D1", "kill -9 before and after every statement, commit and answer of a load")
def test_d1_a_load_that_is_killed_anywhere_is_resumed_without_help(oracle: Oracle, store_url: str) -> None:
    with LaunchDarklySimulator() as vendor, Store(store_url) as store:
        vendor.fill(45, 30, seed=6, flag_events=0)
        kills, halves = 0, 0
        for number in dying.killed_at_every_step(dying.sync, store_url, vendor.url):
            oracle.check(store, vendor)
            halves += not is_whole(store, vendor)
            with Session(dying.audit_log_of(vendor), store) as session:
                assert session.fill().errors == []
            oracle.whole(store, vendor)
            empty(store)
            kills = number
        assert kills > 20
        assert halves > 10, "most kills came before the end"


def empty(store: Store) -> None:
    with store.engine.begin() as connection:
        for table in ("event", "record", "coverage", "gap", "stream", "source"):
            connection.execute(text(f"DELETE FROM {table}"))


@pytest.mark.fault("D1", "kill -9 of a daemon that reads both vendors, started again each time")
def test_d1_a_daemon_that_is_killed_again_and_again_comes_to_the_end(
    oracle: Oracle, vendor: LaunchDarklySimulator, store_url: str, tmp_path: Path
) -> None:
    with ConfigCatSimulator() as configcat, Store(store_url) as store:
        configcat.fill(300, 30, seed=6)
        both: dict[str, Simulator] = {"acme": vendor, "other": configcat}
        path = str(write_config(tmp_path, both, store_url, start="31d", every="1s", parallel=1))
        for number in (1, 20, 45):
            before = asked(vendor)
            with Process("run", "--config", path, folder=tmp_path) as daemon:
                wait_until(lambda: asked(vendor) >= before + number or is_whole(store, vendor), "it reads")  # noqa: B023
                daemon.signal(signal.SIGKILL)
                assert daemon.end() == -signal.SIGKILL
            for source, each in both.items():
                oracle.check(store, each, source)
        with Process("run", "--config", path, folder=tmp_path) as daemon:
            wait_until(lambda: all(is_whole(store, each, source=name) for name, each in both.items()), "all is read")
            assert daemon.terminated()[0] == 0
        for source, each in both.items():
            oracle.whole(store, each, source)


@pytest.mark.fault("D10", "kill -9 at every eighth step of making the tables")
def test_d10_a_database_whose_making_is_killed_anywhere_is_made_by_the_next_start(
    oracle: Oracle, store_url: str
) -> None:
    kills = 0
    for number in dying.killed_at_every_step(dying.create, store_url, each=8):
        with Store(store_url) as store:
            oracle.holds(rows(store, "SELECT version_num FROM alembic_version") == [(HEAD,)], "the schema is whole")
            assert status(store) == []
            drop_everything(store)
        kills = number
    assert kills > 10


def drop_everything(store: Store) -> None:
    if store.engine.dialect.name == "postgresql":
        with store.engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    else:
        Path(str(store.engine.url.database)).unlink()


# Too many at once.


@pytest.mark.fault("D7", "two daemons and a backfill at once on one store")
def test_d7_two_daemons_and_a_backfill_at_once_are_as_good_as_one(
    oracle: Oracle, vendor: LaunchDarklySimulator, config: str, store_url: str, tmp_path: Path
) -> None:
    words = ("backfill", "--since", "31d", "--quiet", "--config", config)
    with (
        Process("run", "--config", config, folder=tmp_path) as one,
        Process("run", "--config", config, folder=tmp_path) as two,
        Process(*words, folder=tmp_path) as backfill,
        Store(store_url) as store,
    ):
        wait_until(lambda: asked(vendor) > 10, "they read")
        oracle.check(store, vendor)
        vendor.happen()
        wait_until(lambda: is_whole(store, vendor), "all is read")
        assert backfill.end() == 0, backfill.text()
        for daemon in (one, two):
            wait_until(lambda: daemon.lines("tick"), "a tick is over")  # noqa: B023
            assert daemon.terminated()[0] == 0
            assert daemon.lines("tick_failed") == daemon.lines("tick_crashed") == []
        oracle.whole(store, vendor)
        for stream in status(store):
            assert list(stream.covered) == sorted(stream.covered)
            ends = [window.until for window in stream.covered]
            starts = [window.since for window in stream.covered]
            assert all(end < start for end, start in zip(ends, starts[1:], strict=False)), "windows do not touch"


@pytest.mark.fault("D7", "a process is frozen with an answer in its hands, and goes on when others have passed it")
def test_d7_a_process_that_was_frozen_spoils_nothing(
    oracle: Oracle, vendor: LaunchDarklySimulator, store_url: str, tmp_path: Path
) -> None:
    config = str(write_config(tmp_path, {"acme": vendor}, store_url, start="31d", every="1s", parallel=1))
    reached, released = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        released.wait(60)

    with Process("run", "--config", config, folder=tmp_path) as zombie, Store(store_url) as store:
        vendor.inject(at(1, hold), match=AUDIT_LOG, skip=5)
        wait_until(reached.is_set, "it waits for an answer")
        wait_until(lambda: frozen_without_a_lock(zombie, store), "it is frozen outside of a transaction")
        vendor.clock.advance(3600)
        vendor.happen()
        with Process("sync", "--quiet", "--config", config, folder=tmp_path) as other:
            assert other.end() == 0, other.text()
        oracle.whole(store, vendor)
        before = [stream.covered for stream in status(store)]
        known = asked(vendor)
        released.set()
        zombie.signal(signal.SIGCONT)
        wait_until(lambda: asked(vendor) > known + 5, "it reads on")
        vendor.happen()
        wait_until(lambda: is_whole(store, vendor), "the newest is read")
        oracle.whole(store, vendor)
        for old, stream in zip(before, status(store), strict=True):
            assert stream.covered[0].since <= old[0].since
            assert stream.covered[-1].until >= old[-1].until, "coverage never shrinks"
        assert zombie.terminated()[0] == 0


def frozen_without_a_lock(process: Process, store: Store) -> bool:
    """Freeze a process; wake it again when it holds a lock that others would wait for."""
    process.signal(signal.SIGSTOP)
    wait_until(lambda: state_of(process.pid) == "T", "it is frozen")
    if is_locked(store):
        process.signal(signal.SIGCONT)
        return False
    return True


def is_locked(store: Store) -> bool:
    """Return whether a writer would have to wait."""
    if store.engine.dialect.name == "sqlite":
        connection = sqlite3.connect(str(store.engine.url.database), timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    return rows(store, query) != [(0,)]


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# Ended.


@pytest.mark.fault("D12", "SIGTERM or SIGINT while an answer is awaited, whichever thread it interrupts")
@pytest.mark.parametrize(
    ("word", "number", "main_thread", "code"),
    [
        ("run", signal.SIGTERM, True, 0),
        ("run", signal.SIGINT, True, 0),
        ("run", signal.SIGTERM, False, 0),
        ("sync", signal.SIGTERM, True, 130),
    ],
    ids=["run-term", "run-int", "run-other-thread", "sync-term"],
)
def test_d12_a_signal_in_the_middle_of_a_page_ends_it_within_five_seconds(
    oracle: Oracle,
    vendor: LaunchDarklySimulator,
    tmp_path: Path,
    word: str,
    number: signal.Signals,
    main_thread: bool,
    code: int,
) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    config = str(write_config(tmp_path, {"acme": vendor}, url, start="31d", every="1s"))
    reached, released = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        released.wait(7)  # longer than it may take

    vendor.inject(at(1, hold), match=AUDIT_LOG, skip=7)
    with Process(word, "--config", config, folder=tmp_path) as process:
        wait_until(reached.is_set, "an answer is awaited")
        started = time.monotonic()
        to_a_thread(process.pid, number, main=main_thread)
        assert process.end(8) == code, process.text()
        took = time.monotonic() - started
        released.set()
    with Store(url) as store:
        oracle.holds(took < 5.0, f"it took {took:.1f} s")
        oracle.check(store, vendor)
        assert rows(store, "SELECT count(*) > 0 FROM event") == [(1,)], "what was read before is kept"
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        oracle.whole(store, vendor)


def to_a_thread(pid: int, number: signal.Signals, *, main: bool) -> None:
    """Send a signal to one thread of a process: Linux may give it to any when it is sent to the process."""
    threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    thread = pid if main else max(threads)
    assert main == (thread == pid)
    assert ctypes.CDLL(None).tgkill(pid, thread, int(number)) == 0


IMPATIENT = """
import signal, threading
install, wake, came = signal.signal, threading.Condition.notify_all, []

def installing(number, handler):
    def noticing(*arguments):
        came.append(number)
        return handler(*arguments)
    return install(number, noticing if callable(handler) else handler)

def waking(self):
    if len(came) == 1:
        signal.raise_signal(came[0])
    wake(self)

signal.signal, threading.Condition.notify_all = installing, waking
from flagtrail.cli import main
main()
"""


@pytest.mark.fault("D12", "a second signal while the first is being handled")
def test_d12_a_second_signal_at_the_worst_moment_does_not_hang_the_daemon(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    config = str(write_config(tmp_path, {"acme": vendor}, url, start="31d", every="1s"))
    command = [sys.executable, "-c", IMPATIENT]
    with Process("run", "--config", config, folder=tmp_path, command=command) as daemon, Store(url) as store:
        wait_until(lambda: daemon.lines("tick") and is_whole(store, vendor), "all is read")
        oracle.check(store, vendor)
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: not daemon.alive, "it ends", seconds=6)
        assert daemon.end() == 0
        oracle.whole(store, vendor)


@pytest.mark.fault("D12", "SIGTERM while the database is locked")
def test_d12_a_signal_while_the_database_is_locked_ends_it_within_five_seconds(
    oracle: Oracle, vendor: LaunchDarklySimulator, config: str, store_url: str, tmp_path: Path
) -> None:
    with Process("run", "--config", config, folder=tmp_path) as daemon, Store(store_url) as store:
        wait_until(lambda: asked(vendor) > 12, "it reads")
        with store.engine.connect().execution_options(write=True) as lock:
            lock.execute(text("SELECT 1"))
            if store.engine.dialect.name == "postgresql":
                lock.execute(text("LOCK TABLE event IN EXCLUSIVE MODE"))
            started = time.monotonic()
            to_a_thread(daemon.pid, signal.SIGTERM, main=True)
            code = daemon.end()
            took = time.monotonic() - started
        oracle.holds(code == 0 and took < 5.0, f"code {code} after {took:.1f} s")
        oracle.check(store, vendor)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        oracle.whole(store, vendor)


# The schedule.


@pytest.mark.fault("D11", "a look takes longer than the time to the next one")
def test_d11_a_look_that_overruns_is_never_doubled(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    config = str(write_config(tmp_path, {"acme": vendor}, url, start="31d", every="1s", parallel=1))
    lock, now, most = threading.Lock(), 0, 0

    def slow(request: Request, answer: Callable[[], Reply]) -> Reply:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        return answer()

    vendor.inject(slow, times=ALWAYS)
    with Process("run", "--config", config, folder=tmp_path) as daemon, Store(url) as store:
        wait_until(lambda: daemon.lines("catch_up"), "the older gaps are read")
        assert daemon.lines("catch_up")[0]["requests"] * 0.05 > 2.0, "that overran"
        vendor.heal()
        vendor.happen()
        wait_until(lambda: is_whole(store, vendor), "a later look brings the newest")
        oracle.holds(most <= 2, f"{most} requests at once by a reader of the newest and one of what is older")
        oracle.whole(store, vendor)
        assert daemon.terminated()[0] == 0


@pytest.mark.fault("D11", "the process is frozen for longer than several intervals")
def test_d11_ticks_that_were_slept_through_are_made_up_for(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    config = str(write_config(tmp_path, {"acme": vendor}, url, start="31d", every="1s"))
    with Process("run", "--config", config, folder=tmp_path) as daemon, Store(url) as store:
        wait_until(lambda: is_whole(store, vendor), "all is read")
        wait_until(lambda: frozen_without_a_lock(daemon, store), "it is frozen")
        vendor.happen()
        time.sleep(3.5)  # not a wait for something: it is how long it sleeps, three ticks and more
        oracle.check(store, vendor)
        daemon.signal(signal.SIGCONT)
        wait_until(lambda: is_whole(store, vendor), "the missed is read", seconds=10)
        oracle.whole(store, vendor)
        assert daemon.terminated()[0] == 0


@pytest.mark.fault("D11", "a look fails with an exception that nobody foresaw")
def test_d11_an_exception_in_a_look_does_not_end_the_looking(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, failures, told = Session.look, iter([RuntimeError, StoreError, MemoryError]), []

    def failing(self: Session, watch: Watch) -> Report:
        error = next(failures, None)
        if error is not None:
            raise error("unforeseen")
        return look(self, watch)

    monkeypatch.setattr(Session, "look", failing)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        daemon = Daemon([source_of(vendor, every=timedelta(seconds=1))], store, after=told.append)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        try:
            wait_until(lambda: told and is_whole(store, vendor), "a look succeeds")
        finally:
            daemon.stop()
            thread.join(30)
            for session in daemon.sessions:
                session.__exit__(None, None, None)
        assert next(failures, None) is None
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


# Too little.


@pytest.mark.fault("D13", "no more than 32 open files")
@pytest.mark.parametrize("parallel", [4, 32])
def test_d13_too_few_open_files_cost_nothing(
    oracle: Oracle, vendor: LaunchDarklySimulator, tmp_path: Path, parallel: int
) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    config = str(write_config(tmp_path, {"acme": vendor}, url, start="31d", every="1s", parallel=parallel))
    Store(url).close()
    vendor.latency = 0.02  # so that readers do wait at the same time
    with Process("run", "--config", config, folder=tmp_path) as daemon, Store(url) as store:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (32, 4096))
        wait_until(
            lambda: len(daemon.lines("tick")) + len(daemon.lines("tick_failed")) > 1 or not daemon.alive, "two looks"
        )
        oracle.check(store, vendor)
        assert daemon.alive
        if parallel == 32:
            assert "open" in daemon.text(), "the limit was felt"
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (1024, 4096))
        wait_until(lambda: is_whole(store, vendor), "the rest is read")
        oracle.whole(store, vendor)
        assert daemon.terminated()[0] == 0


@pytest.mark.fault("D13", "the process runs out of memory")
def test_d13_a_process_without_memory_is_carried_on_by_the_next(
    oracle: Oracle, vendor: LaunchDarklySimulator, config: str, store_url: str, tmp_path: Path
) -> None:
    with Process("sync", "--quiet", "--config", config, folder=tmp_path) as starved, Store(store_url) as store:
        wait_until(lambda: asked(vendor) > 3 or not starved.alive, "it reads")
        resource.prlimit(starved.pid, resource.RLIMIT_AS, (1 << 20, resource.RLIM_INFINITY))
        with suppress(subprocess.TimeoutExpired):  # a thread that died without a word may leave the others waiting
            starved.end(5)
        starved.popen.kill()
        starved.end()
        oracle.check(store, vendor)
        with Process("sync", "--quiet", "--config", config, folder=tmp_path) as next_one:
            assert next_one.end() == 0, next_one.text()
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)
