"""Workers share the work of 200 streams: whoever is killed, nothing is lost, doubled, or read by two at once."""

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.conftest import COMMAND, environment
from tests.conftest import held, shown

WORKERS = 4
KILLS = 3
STREAMS = 200
LATENCY = 0.02
ENGINE = '[engine]\nkind = "procrastinate"\nconcurrency = 6\nstalled = "2s"\n[serve]\nenabled = false\n'
SETTINGS = {"start": "31d", "every": "5s", "verify": False}


class Asked(NamedTuple):
    """A request for the list of one stream's entries, from its arrival to its answer."""

    stream: tuple[str, ...]
    began: float
    ended: float
    worker: int


class Doors:
    """The vendors as the workers reach them: each by addresses of its own, so that one can tell who asks."""

    def __init__(self, vendors: dict[str, Simulator], opened: ExitStack) -> None:
        self.vendors, self.opened = vendors, opened
        self.asked: list[Asked] = []

    def of(self, worker: int) -> dict[str, Simulator]:
        """Return new addresses for one worker."""
        doors = {name: self._door(name, vendor, worker) for name, vendor in self.vendors.items()}
        return {name: self.opened.enter_context(door) for name, door in doors.items()}

    def _door(self, name: str, vendor: Simulator, worker: int) -> Simulator:
        door = type(vendor)()
        door.latency = LATENCY

        def answer(request: Request) -> Reply:
            began = time.monotonic()
            reply = vendor.answer(request)
            # Only lists: full forms of entries, which upkeep fetches at the top of a minute, are read beside them.
            if request.path.endswith(("auditlog", "auditlogs", "auditlog/counts")) or "flag-events" in request.path:
                scope = [request.query.get(key, "") for key in ("projectKey", "environmentKey")]
                log = "audit_log" if request.path.startswith("/api/v2/auditlog") else request.path
                self.asked.append(Asked((name, log, *scope), began, began + LATENCY, worker))
            return reply

        door.answer = answer  # type: ignore[method-assign]
        return door


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, Simulator]]:
    """190 environments and logs of LaunchDarkly, at two accounts, and 10 organizations of ConfigCat, at five."""
    made: dict[str, Simulator] = {}
    with ExitStack() as opened:
        for account in range(2):
            launchdarkly = LaunchDarklySimulator()
            for project in range(17):
                launchdarkly.add_project(f"team-{project}", environments=[f"env-{number}" for number in range(5)])
            launchdarkly.fill(300, 30, seed=account, flag_events=150)
            launchdarkly.burst(launchdarkly.clock.ms() - 86_400_000, 45, actions=3)
            made[f"launchdarkly-{account}"] = opened.enter_context(launchdarkly)
        for account in range(5):
            configcat = ConfigCatSimulator()
            configcat.fill(100, 30, seed=account)
            made[f"configcat-{account}"] = opened.enter_context(configcat)
        for vendor in made.values():
            vendor.latency = LATENCY
        yield made


class Workers:
    """Processes of `flagtrail worker`, and one of `flagtrail run`, each with a config and a log of its own."""

    def __init__(self, folder: Path, url: str, doors: Doors) -> None:
        self.folder, self.url, self.doors = folder, url, doors
        self.running: list[subprocess.Popen[bytes]] = []
        self.begun = 0

    def start(self) -> None:
        number, self.begun = self.begun, self.begun + 1
        own = self.folder / f"worker-{number}"
        own.mkdir()
        config = write_config(own, self.doors.of(number), self.url, **SETTINGS)
        config.write_text(ENGINE + config.read_text(encoding="utf-8"), encoding="utf-8")
        with (own / "log").open("wb") as log:
            words = [*COMMAND, "worker" if number else "run", "--config", str(config)]
            self.running.append(subprocess.Popen(words, env=environment(), stdout=log, stderr=log))

    def kill(self, rng: random.Random) -> None:
        process = self.running.pop(rng.randrange(len(self.running)))
        process.kill()
        process.wait()

    def stop(self) -> list[int]:
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        return [process.wait(10) for process in self.running]

    def told(self, event: str) -> list[dict[str, Any]]:
        logs = [path.read_text(encoding="utf-8") for path in self.folder.glob("worker-*/log")]
        lines = [json.loads(line) for text in logs for line in text.splitlines() if line.startswith("{")]
        assert not [line for line in lines if line["event"].endswith("_crashed")]
        return [line for line in lines if line["event"] == event]


def is_whole(store: Store, vendors: dict[str, Simulator]) -> bool:
    """Return whether everything is there, once; `held` checks that nothing is there twice."""
    return all(held(store, name) == shown(vendor) for name, vendor in vendors.items())


def test_workers_that_are_killed_lose_double_and_share_nothing(
    tmp_path: Path, vendors: dict[str, Simulator], postgres: Callable[[], str]
) -> None:
    rng = random.Random(2026)
    url = postgres()
    assert sum(len(vendor.truth()) for vendor in vendors.values()) == STREAMS
    with ExitStack() as opened, Store(url) as store:
        doors = Doors(vendors, opened)
        workers = Workers(tmp_path, url, doors)
        for _ in range(WORKERS):
            workers.start()
        wait_until(lambda: doors.asked, "they read")
        beside = threading.Thread(target=backfill, args=(tmp_path, vendors, url))
        beside.start()
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.1, 0.9))
            workers.kill(rng)
            workers.start()
        beside.join()
        for vendor in vendors.values():
            vendor.happen()
        wait_until(lambda: is_whole(store, vendors) and not gaps(store), "all is there")
        assert workers.stop() == [0] * WORKERS
        assert len(status(store)) == STREAMS
        assert {line["clean"] for line in workers.told("daemon_stopped")} == {True}
        assert is_whole(store, vendors)
    assert len({asked.stream for asked in doors.asked}) == STREAMS
    assert len({asked.worker for asked in doors.asked}) >= WORKERS
    assert not at_once(doors.asked)


def at_once(asked: list[Asked]) -> list[tuple[Asked, Asked]]:
    """Return the requests of two workers for one stream at the same time."""
    return [
        (one, two)
        for one, two in pairwise(sorted(asked))
        if one.stream == two.stream and one.worker != two.worker and two.began < one.ended
    ]


def backfill(folder: Path, vendors: dict[str, Simulator], url: str) -> None:
    """Read a part of the same time by a command of its own."""
    config = write_config(folder, vendors, url, "backfill.toml", **SETTINGS)
    words = [*COMMAND, "backfill", "--since", "9d", "--quiet", "--config", str(config)]
    subprocess.run(words, env=environment(), check=True, capture_output=True, timeout=120)


def wait_until(done: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"not in {seconds} s: {what}"
        time.sleep(0.5)


def gaps(store: Store) -> list[Any]:
    return [gap for stream in status(store) for gap in stream.gaps]
