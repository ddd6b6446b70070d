"""The promise: every change is in the table, once, whatever happens to the process that fetches it."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from flagtrail.database import writing
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.conftest import COMMAND, environment
from tests.conftest import held, shown

KILLS = 5
DAYS = 365.0


@pytest.fixture(scope="module")
def history() -> Iterator[dict[str, Simulator]]:
    """20,000 audit entries with ties and bursts, 5,000 flag events, and 5,000 ConfigCat items."""
    with LaunchDarklySimulator() as launchdarkly, ConfigCatSimulator() as configcat:
        launchdarkly.fill(20_000, DAYS, seed=1, flag_events=5_000)
        for count in (45, 200):
            launchdarkly.burst(launchdarkly.clock.ms() - count * 86_400_000, count, actions=3)
        configcat.fill(5_000, DAYS, seed=1)
        yield {"acme-launchdarkly": launchdarkly, "acme-configcat": configcat}


def config_for(folder: Path, history: dict[str, Simulator], store_url: str) -> str:
    return str(write_config(folder, history, store_url, start="366d"))


def assert_whole(store_url: str, history: dict[str, Simulator]) -> None:
    """Check the table against the simulators' own lists."""
    with Store(store_url) as store:
        for source, vendor in history.items():
            assert held(store, source) == shown(vendor)
        for stream in status(store):
            assert stream.gaps == []


def assert_claims_hold(store: Store, history: dict[str, Simulator]) -> None:
    """Check that what is claimed at this moment is there."""
    for source, vendor in history.items():
        in_table = held(store, source)
        for stream, ids in vendor.truth().items():
            covered = [(window.since_ms, window.until_ms) for window in store.coverage(source, stream)]
            claimed = {id for id, ms in ids.items() if any(a <= ms < b for a, b in covered)}
            assert claimed <= in_table.get(stream, set())


def empty(store: Store) -> None:
    with writing(store.engine) as connection:
        for table in ("event", "record", "coverage", "gap", "stream"):
            connection.execute(text(f"DELETE FROM {table}"))


def test_a_sync_stores_every_entry_once_and_the_next_asks_a_handful(
    tmp_path: Path, history: dict[str, Simulator], store_url: str
) -> None:
    sizes = {stream: len(ids) for vendor in history.values() for stream, ids in shown(vendor).items()}
    assert sizes["audit_log"] == 20_245
    assert sum(size for stream, size in sizes.items() if stream.startswith("flag_events")) == 5_000
    assert sum(size for stream, size in sizes.items() if stream.startswith("audit_log[")) == 5_000
    command = [*COMMAND, "sync", "--config", config_for(tmp_path, history, store_url)]
    subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=200)
    assert_whole(store_url, history)
    asked = {name: len(vendor.requests) for name, vendor in history.items()}
    subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=200)
    for name, vendor in history.items():
        streams = len(vendor.truth())
        assert len(vendor.requests) - asked[name] <= streams + 3
    assert_whole(store_url, history)


def test_sigkill_at_any_moment_loses_nothing(tmp_path: Path, history: dict[str, Simulator], store_url: str) -> None:
    rng = random.Random(2026)
    command = [*COMMAND, "sync", "--quiet", "--config", config_for(tmp_path, history, store_url)]
    killed = 0
    while killed < KILLS:
        asked = sum(len(vendor.requests) for vendor in history.values())
        process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and sum(len(vendor.requests) for vendor in history.values()) == asked:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.6))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        with Store(store_url) as store:
            assert_claims_hold(store, history)
            if process.returncode == 0:
                empty(store)  # it was done before it could be killed: start afresh
    subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=200)
    assert_whole(store_url, history)
