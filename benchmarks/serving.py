"""Shows what asking over HTTP costs beside asking in Python, and how much memory a large export takes.

    python -m benchmarks.serving --rows 100000 --database sqlite
    python -m benchmarks.serving --url sqlite:////path/to/trail.db --asked 40

The same questions are asked in both ways in turn, one after another and then by several clients at once; the answer in
Python is as complete: rows, completeness, JSON. The server runs in a process of its own.
"""

import argparse
import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.growth import FILTERS, databases, drawn, load, values
from benchmarks.made_up import END, LENGTH
from benchmarks.memory import resident_bytes
from flagtrail.completeness import completeness
from flagtrail.event import to_json
from flagtrail.exports import Format, lines
from flagtrail.exports.columns import as_json
from flagtrail.query import Query, count, events, histogram
from flagtrail.serving import Address, ServeSettings
from flagtrail.store import Store
from flagtrail.window import iso

QUESTIONS: tuple[tuple[str, ...], ...] = (
    (), ("environment",), ("actor",), ("action", "environment"), ("object",), ("text",)
)  # fmt: skip
# Of the questions that `benchmarks.growth` puts in Python, those that are spelled alike in an address.
EVERY = ((), *(names for names in FILTERS if not {"two environments", "vanished", "no comment"} & {*names}
               and not names[0].startswith("not ")))  # fmt: skip
CLIENTS = 8
MIB = 1024 * 1024
out = Console(width=130)


def main() -> None:
    """Load a made-up trail, serve it, ask, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--asked", type=int, default=100, help="how often each question is asked, with other values")
    parser.add_argument("--url", help="ask this database instead, whatever is in it, and more")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    if given.url:
        with Store(given.url, create=False) as store, served(given.url) as (address, _):
            ask(store, address, given.asked, EVERY)
        return
    with databases(given.database, None) as url_of:
        url = url_of(given.rows)
        load(url, given.rows)
        with Store(url, create=False) as store, served(url) as (address, pid):
            ask(store, address, given.asked, QUESTIONS)
            export(store, address, pid)


def serve(url: str) -> None:
    """Serve until stdin ends; the address goes to stdout."""
    from flagtrail.cli.commands.importing import importing

    with importing():  # as `flagtrail serve` does, so that garbage is not looked for among all that is imported
        from flagtrail import logs
        from flagtrail.web.server import Server

    logs.configure(json=True)
    server = Server(url, ServeSettings(listen=Address("127.0.0.1", 0)))
    server.start()
    server.listens.wait()
    print(server.address, flush=True)
    sys.stdin.read()
    server.stop()
    server.wait(5)


@contextmanager
def served(url: str) -> Iterator[tuple[str, int]]:
    """Serve in a process of its own, and give its address and its process's id."""
    words = [sys.executable, "-m", "benchmarks.serving", "--serve", url]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, text=True, **pipes) as started:
        assert started.stdout is not None
        assert started.stdin is not None
        yield f"http://{started.stdout.readline().strip()}", started.pid
        started.stdin.close()


def ask(store: Store, address: str, asked: int, questions: Sequence[tuple[str, ...]]) -> None:
    """Ask each question with many values in both ways, and print how long the answers took."""
    made = random.Random(7)
    samples = drawn(store, made)
    gc.freeze()  # nobody who asks holds so many events; to look through them takes a tenth of a second
    rows, kind = count(store, Query(linked=True), []).total, store.engine.dialect.name
    table = Table(title=f"{rows:,} rows, {kind}: milliseconds for the newest 50, as JSON")
    for heading in (
        "question",
        "Python p50",
        "p95",
        "HTTP p50",
        "p95",
        "HTTP adds, p50",
        f"{CLIENTS} clients, a second",
    ):
        table.add_column(heading, justify="left" if heading == "question" else "right")
    with httpx.Client(base_url=address, timeout=60) as client, ThreadPoolExecutor(CLIENTS) as pool:

        def in_python(where: dict[str, Any]) -> None:
            query = Query(**where)
            rows = [as_json(row) for row in events(store, query)]
            to_json({"events": rows, "completeness": str(completeness(store, query).as_json())})

        def over_http(where: dict[str, Any]) -> None:
            told = {name: iso(value) if isinstance(value, datetime) else value for name, value in where.items()}
            client.get("/api/v1/events", params=told).raise_for_status()

        for names in questions:
            wheres = [values(names, made, samples) for _ in range(asked)]
            took: dict[Callable[[dict[str, Any]], None], list[float]] = {in_python: [], over_http: []}
            for where in wheres:  # in turn, so that whatever else the machine does falls on both
                for way, times in took.items():
                    before = time.perf_counter()
                    way(where)
                    times.append((time.perf_counter() - before) * 1000)
            begun = time.perf_counter()
            list(pool.map(over_http, wheres))
            rate = len(wheres) / (time.perf_counter() - begun)
            adds = median(b - a for a, b in zip(*took.values(), strict=True))
            shown = [f"{each:.1f}" for times in took.values() for each in (median(times), quantiles(times, n=20)[-1])]
            table.add_row(" + ".join(names) or "the newest", *shown, f"{adds:.1f}", f"{rate:.0f}")
        table.add_row("30 days by vendor, by the hour", *_of_a_month(store, client, made, asked), "")
    out.print(table)


def _of_a_month(store: Store, client: httpx.Client, made: random.Random, asked: int) -> list[str]:
    """Return how long a histogram of a month takes in both ways, as a row of the table."""
    month, hour = timedelta(days=30), timedelta(hours=1)
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(asked):
        end = END - made.random() * (LENGTH - month)
        told = {"since": iso(end - month), "until": iso(end), "by": "vendor", "bucket": "1h"}
        before = time.perf_counter()
        histogram(store, Query(since=end - month, until=end), "vendor", hour)
        between = time.perf_counter()
        client.get("/api/v1/histogram", params=told).raise_for_status()
        took[0].append((between - before) * 1000)
        took[1].append((time.perf_counter() - between) * 1000)
    adds = median(b - a for a, b in zip(*took, strict=True))
    shown = [f"{each:.1f}" for times in took for each in (median(times), quantiles(times, n=20)[-1])]
    return [*shown, f"{adds:.1f}"]


def export(store: Store, address: str, pid: int) -> None:
    """Export everything in both ways, and print how long it took and what the server's memory grew by."""
    begun = time.perf_counter()
    number = sum(1 for _ in lines(Format.JSONL, events(store, Query(limit=0))))
    python = time.perf_counter() - begun
    before, peak, lengths = resident_bytes(pid)[0], 0, 0
    begun = time.perf_counter()
    with httpx.stream("GET", f"{address}/api/v1/export", timeout=60) as answer:
        for chunk in answer.iter_bytes(MIB):
            lengths += chunk.count(b"\n")
            peak = max(peak, resident_bytes(pid)[0])
    http = time.perf_counter() - begun
    assert lengths == number, json.dumps([lengths, number])
    out.print(
        f"export of everything: {number / http:,.0f} events a second over HTTP, {number / python:,.0f} in Python; the "
        f"server's memory: {before / MIB:.0f} MiB before, {peak / MIB:.0f} at its most"
    )


if __name__ == "__main__":
    main()
