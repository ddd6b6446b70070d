"""Measures how well fetching uses what the vendor allows: `python -m benchmarks.fetching`.

Three tables: how much of the allowed budget a backfill uses, and what it is refused; how much faster it is than reading
page after page; and what an idle hour costs. Ratios and counts are printed, nothing is asserted.
"""

import logging
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from flagtrail import clock, logs
from flagtrail.limit import RESERVE
from flagtrail.readers import Readers
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Quota, Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.simulation.account import TOKEN
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

DAYS = 90.0
LATENCY = 0.05  # seconds that each answer takes at the least
PAGE = 20
ENTRIES = 40_000
SAMPLE = 40  # pages that are read one after the other
TICK = 60.0
LIST = ("GET", "/api/v2/auditlog")  # the route that a backfill asks most; searches have a limit of their own


def main() -> None:
    """Print every table."""
    logs.configure(logging.ERROR)
    _limits()
    _speed()
    _idle()


@contextmanager
def _opened(connector: Any, **more: Any) -> Iterator[Session]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(f"sqlite:///{Path(folder) / 'trail.db'}") as store,
        Session(Source("acme", connector, start=timedelta(days=DAYS + 1), **more), store) as session,
    ):
        yield session


# How much of what is left to us is used.


def _limits() -> None:
    print("Share of the budget left to a backfill (limit less reserve) that it uses, between its first and last window")
    print(f"{'vendor':<14}{'limits (requests / seconds)':<44}{'windows':>8}{'used':>8}{'429':>6}")
    for quotas in (
        {"global": (100, 10_000)},
        {"global": (100, 2000)},
        {"route": (20, 2000)},
        {"route": (5, 1000)},
        {"token": (60, 1000)},
        {"route": (60, 2000), "global": (100, 2000), "token": (1000, 2000)},
    ):
        limit, window = min(quotas.values(), key=lambda quota: quota[0])
        with LaunchDarklySimulator(quotas=quotas) as vendor:
            vendor.fill(_entries(limit, window, PAGE), DAYS, seed=1, flag_events=0)
            connector = vendor.connect().model_copy(update={"flag_events": False})
            told = ", ".join(f"{name} {size}/{ms / 1000:g}" for name, (size, ms) in quotas.items())
            _print_use("launchdarkly", told, vendor, connector, limit, window)
    for reset in ("iso", "number"):
        with ConfigCatSimulator(quota=Quota(40, 3000), reset=reset) as configcat:
            configcat.fill(_entries(40, 3000, 60), DAYS, seed=1)
            _print_use("configcat", f"40/3, reset as {reset}", configcat, configcat.connect(), 40, 3000)


def _entries(limit: int, window: int, page: int) -> int:
    """Return how many entries take some seconds and some windows."""
    windows = max(4, 10_000 // window)
    return int(limit * (1 - RESERVE) * windows * page)


def _print_use(name: str, told: str, vendor: Simulator, connector: Any, limit: int, window: int) -> None:
    used: Counter[int] = Counter()
    refused = 0
    reply = vendor.reply

    def watched(request: Any) -> Any:
        nonlocal refused
        answer = reply(request)
        refused += answer.status == 429
        if not told.startswith("route") or (request.method, request.path) == LIST:
            used[vendor.clock.ms() // window] += 1
        return answer

    vendor.reply = watched  # type: ignore[method-assign]
    vendor.latency = LATENCY
    with _opened(connector) as session:
        errors = session.fill().errors
    whole = range(min(used) + 1, max(used))
    allowed = (limit - int(limit * RESERVE)) * len(whole)
    share = sum(used[number] for number in whole) / allowed if allowed else 0.0
    print(f"{name:<14}{told:<44}{len(whole):>8}{share:>8.0%}{refused:>6}{'  ' + errors[0] if errors else ''}")


# How much faster than page after page.


def _serve(pipe: Connection) -> None:
    """Simulate the vendor in a process of its own, so that it takes no time from the reading."""
    with LaunchDarklySimulator() as vendor:
        vendor.fill(ENTRIES, DAYS, seed=1, flag_events=0)
        pipe.send(vendor.url)
        while (latency := pipe.recv()) is not None:
            vendor.latency = latency
            pipe.send(True)


def _speed() -> None:
    here, there = multiprocessing.Pipe()
    serving = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    serving.start()
    url = here.recv()
    connector = LaunchDarkly(base_url=url, token=SecretStr(TOKEN), flag_events=False)
    pages = ENTRIES / PAGE
    print(f"\n{ENTRIES:,} entries without a limit, beside one connection that follows `before` and stores nothing.")
    print(
        "Python does one thing at a time: what a page takes of the processor bounds what readers can do together, and"
    )
    print("on a busy machine they reach less. `possible` is that bound: a page's time over its share of the processor.")
    print(f"{'latency':>8}{'readers':>9}  {'':<14}{'requests':>10}{'seconds':>9}{'processor':>12}", end="")
    print(f"{'faster':>8}{'possible':>10}")
    try:
        for latency in (LATENCY, 4 * LATENCY):
            here.send(latency)
            here.recv()
            page = _page_after_page(url)
            for parallel, stored in ((4, True), (16, True), (16, False))[latency > LATENCY :]:
                seconds, processor, requests = _timed(connector, parallel, stored=stored)
                print(f"{latency * 1000:>5.0f} ms{parallel:>9}  {'and storing' if stored else 'reading alone':<14}"
                      f"{requests:>10,}{seconds:>9.1f}{processor / pages * 1000:>5.1f} ms/page"
                      f"{pages * page / seconds:>7.1f}x{min(parallel, pages * page / processor):>9.1f}x")  # fmt: skip
    finally:
        here.send(None)
        serving.join(10)


def _page_after_page(url: str) -> float:
    """Return how many seconds a page takes on one connection that follows `before`, with nothing stored."""
    with httpx.Client(base_url=url, headers={"authorization": TOKEN}, trust_env=False) as client:
        target, started = f"/api/v2/auditlog?limit={PAGE}", 0.0
        for number in range(SAMPLE + 1):
            if number == 1:
                started = time.perf_counter()  # the first pays for the connection
            target = client.get(target).json()["_links"]["next"]["href"]
    return (time.perf_counter() - started) / SAMPLE


def _timed(connector: LaunchDarkly, parallel: int, *, stored: bool) -> tuple[float, float, int]:
    """Return the seconds, those of the processor, and the requests of a first load.

    Unless `stored`, what was read is translated and then dropped.
    """
    with _opened(connector, parallel=parallel) as session:
        store_together = Readers.store_together
        if not stored:
            Readers.store_together = lambda self, readings: None  # type: ignore[method-assign]
        try:
            started, processor = time.perf_counter(), time.process_time()
            report = session.fill()
            assert report.errors == []
            return time.perf_counter() - started, time.process_time() - processor, report.requests
        finally:
            Readers.store_together = store_together  # type: ignore[method-assign]


# What an idle hour costs.


def _idle() -> None:
    clock.STEP = timedelta(hours=1)  # the simulated clock jumps
    print("\nRequests of an idle hour, looked at every minute, besides those that find new environments")
    print(f"{'environments':>13}{'every stream every time':>25}{'as it is':>10}{'after a change in one':>23}")
    for count in (40,):
        with LaunchDarklySimulator() as vendor:
            vendor.trail.projects.clear()
            vendor.add_project("shop", environments=[f"team-{number:02d}" for number in range(count)])
            with _opened(vendor.connect()) as session:
                session.look()
                _hour(vendor, session)
                idle = _hour(vendor, session)
                vendor.add(resources="proj/shop:env/team-01:flag/checkout")
                print(f"{count:>13}{(count + 1) * 60:>25,}{idle:>10,}{_hour(vendor, session):>23,}")


def _hour(vendor: LaunchDarklySimulator, session: Session) -> int:
    before = len(vendor.requests)
    for _ in range(int(3600 / TICK)):
        vendor.clock.advance(TICK)
        session.look()
    return len(vendor.requests) - before


if __name__ == "__main__":
    main()
