"""Accounts of a simulated vendor in a process of their own: they answer once opened, and count what they are asked."""

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any

from flagtrail.testing.simulator import Reply, Request
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

DAYS = 30
PROJECTS, ENVIRONMENTS = 4, 4  # of each account, beside three projects of three environments that are there anyway
EACH = 1 + 9 + PROJECTS * ENVIRONMENTS  # streams of an account


class Gate(LaunchDarklySimulator):
    """The vendor, which answers from `opened` on, and counts what it was asked in each window of its smallest limit."""

    def __init__(self, quotas: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(quotas=quotas)
        self.opened = threading.Event()
        self.window = min((window for _, window in quotas.values()), default=1000)
        self.used: dict[str, Counter[int]] = {"": Counter()}
        self.refused = 0
        self.began: float | None = None  # when it was asked for entries first

    def answer(self, request: Request) -> Reply:
        """Answer when opened."""
        self.opened.wait()
        reply = super().answer(request)
        with self.lock:
            now = self.clock.ms() // self.window
            if "auditlog" in request.path or "flag-events" in request.path:
                self.began = self.began or time.time()
            self.refused += reply.status == 429
            self.used[""][now] += 1
            self.used.setdefault(f"{request.method} {request.path}", Counter())[now] += 1
        return reply


def simulate(
    pipe: Connection, accounts: int, quotas: Mapping[str, tuple[int, int]], records: int, latency: float
) -> None:
    """Simulate the vendor in a process of its own, so that it takes no time from the workers."""
    with ExitStack() as opened:
        vendors = [opened.enter_context(Gate(quotas)) for _ in range(accounts)]
        for seed, vendor in enumerate(vendors):
            for project in range(PROJECTS):
                vendor.add_project(f"team-{project}", environments=[f"env-{number}" for number in range(ENVIRONMENTS)])
            vendor.fill(records, DAYS, seed=seed, flag_events=records // 2)
            vendor.latency = latency
        entries = sum(len(ids) for vendor in vendors for ids in vendor.truth().values())
        pipe.send(([vendor.url for vendor in vendors], entries))
        while pipe.recv() is not None:
            for vendor in vendors:
                vendor.opened.set()
            pipe.send([(vendor.used, vendor.refused, vendor.began) for vendor in vendors])


@contextmanager
def vendor_with(
    accounts: int, quotas: Mapping[str, tuple[int, int]], records: int, latency: float
) -> Iterator[tuple[Any, list[str], int]]:
    """Give a pipe to a simulated vendor, the addresses of its accounts, and how many entries they have."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=simulate, args=(there, accounts, quotas, records, latency), daemon=True)
    process.start()
    urls, entries = here.recv()
    try:
        yield here, urls, entries
    finally:
        here.send(None)
        process.join()


class Elsewhere(LaunchDarklySimulator):
    """Stands for a vendor in another process."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.told = url

    @property
    def url(self) -> str:
        """Where it is."""
        return self.told
