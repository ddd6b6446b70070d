"""No room for what is to be written, or no writing at all."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from flagtrail.errors import StoreError
from flagtrail.query import Query, events
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.testing.configured import write_config
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows
from tests.faults.conftest import Oracle
from tests.faults.running import Process, is_whole, wait_until
from tests.faults.storage.filling import administration, assert_heals, fill, hang_up_all


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
