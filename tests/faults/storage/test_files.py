"""Another file than before: restored, deleted, replaced, shortened, damaged, or of a newer version."""

import shutil
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from flagtrail.errors import StoreError
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, at, is_whole, source_of
from tests.faults.storage.filling import AUDIT_LOG, administration, assert_heals, fill


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
