"""Others use the database too: they lock it, or read it, while a sync writes."""

import sqlite3
import threading
import time
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from flagtrail import database, readers
from flagtrail.errors import StoreError
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.window import to_ms
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, at, is_whole, source_of, wait_until
from tests.faults.storage.filling import AUDIT_LOG, assert_heals, fill

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
        before = len([one for one in vendor.requests if one.path == "/api/v2/auditlog"])  # the lock waits for the store
        wait_until(lambda: is_quiet(vendor), "nothing more is asked")
        asked = len([one for one in vendor.requests if one.path == "/api/v2/auditlog"]) - max(0, before - 4)
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
