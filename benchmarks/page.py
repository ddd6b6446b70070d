"""Shows how long the server takes to draw the timeline, and how heavy the page is.

    python -m benchmarks.page --rows 100000
    python -m benchmarks.page --url sqlite:////path/to/trail.db --asked 40

Each view is asked for in turn with the same list over the API, which is the reference: the page adds the chart, the
facets and the markup. CPU is that of the server, which runs in a process of its own.
"""

import argparse
import os
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.growth import databases, load
from benchmarks.serving import served
from flagtrail.query import Query, events
from flagtrail.store import Store
from flagtrail.web.page.view import short

TICK = 1 / os.sysconf("SC_CLK_TCK")
LOADED = re.compile(r'(?:href|src)="(/static/[^"]+)"')  # what a page fetches besides itself
KIB = 1024
out = Console(width=130)


class View(NamedTuple):
    """A view of the timeline, and how the same list is asked for over the API."""

    name: str
    page: dict[str, str]
    events: dict[str, str]


class Took(NamedTuple):
    """Milliseconds of some answers: on the clock of who asked, and of the server's CPU for each."""

    p50: float
    p95: float
    cpu: float


def main(words: Sequence[str] | None = None) -> None:
    """Serve a trail, ask for each view, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="ask this database, whatever is in it")
    parser.add_argument("--rows", type=int, default=100_000, help="else ask a made-up one of this size")
    parser.add_argument("--asked", type=int, default=20, help="how often each view is asked for")
    given = parser.parse_args(words)
    with ExitStack() as opened:
        url = given.url
        if url is None:
            url = opened.enter_context(databases("sqlite", None))(given.rows)
            load(url, given.rows)
        views = drawn(url)
        address, pid = opened.enter_context(served(url))
        client = opened.enter_context(httpx.Client(base_url=address, timeout=60))
        ask(client, pid, views, given.asked)
        weigh(client, views)


def drawn(url: str) -> list[View]:
    """Return the views, with values of the newest change."""
    with Store(url, create=False) as store:
        newest = next(iter(events(store, Query(limit=1, environment="*"))))
    actor = newest["actor_email"] or newest["actor_name"]
    filters = {name: str(newest[name]) for name in ("vendor", "environment", "action")} | {"actor": actor}
    since, until = short(newest["occurred_at"] - timedelta(days=30)), short(newest["occurred_at"])
    month = {"since": since, "until": until}
    views = [View("as it opens", {}, {})]
    views += [View(name, {"q": f'{name}:"{value}"'}, {name: value}) for name, value in filters.items()]
    views += [View("30 days", month, month)]
    views += [View(f"30 days, {name}", month | {"q": f'{name}:"{filters[name]}"'}, month | {name: filters[name]})
              for name in ("environment", "actor", "action")]  # fmt: skip
    views += [View(f"30 days, by {by}", month | {"by": by}, month) for by in ("environment", "actor")]
    return views


def ask(client: httpx.Client, pid: int, views: Sequence[View], times: int) -> None:
    """Ask for each view and its reference in turn, and print how long they took."""
    rows = client.get("/api/v1/count", params={"linked": True}).raise_for_status().json()["total"]
    table = Table(title=f"milliseconds for a page with 50 changes of {rows:,}, each asked {times} times")
    for heading in ("view", "page p50", "p95", "CPU", "API p50", "p95", "CPU", "KiB of HTML", "chart"):
        table.add_column(heading, justify="left" if heading in ("view", "chart") else "right")
    for view in views:
        ways = (("/", view.page), ("/api/v1/events", view.events))
        for path, where in ways:  # what is cold for both is not measured
            client.get(path, params=where).raise_for_status()
        page, reference = ([_took(client, pid, path, where) for _ in range(times)] for path, where in ways)
        text = client.get("/", params=view.page).text
        chart = "newest only" if "data-count-all" in text else "whole"
        numbers = [f"{each:.0f}" for told in (_summed(page), _summed(reference)) for each in told]
        table.add_row(view.name, *numbers, f"{len(text.encode()) / KIB:.0f}", chart)
    out.print(table)


def _took(client: httpx.Client, pid: int, path: str, where: dict[str, Any]) -> tuple[float, float]:
    spent, begun = _cpu(pid), time.perf_counter()
    client.get(path, params=where).raise_for_status()
    return (time.perf_counter() - begun) * 1000, (_cpu(pid) - spent) * 1000


def _summed(took: Sequence[tuple[float, float]]) -> Took:
    clock, cpu = zip(*took, strict=True)
    return Took(median(clock), quantiles(clock, n=20)[-1] if len(clock) > 1 else clock[0], sum(cpu) / len(cpu))


def _cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used, to a hundredth: only sums of many say something."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def weigh(client: httpx.Client, views: Sequence[View]) -> None:
    """Print what the heaviest page weighs with everything that it loads, and how much of that is sent."""
    pages = {view.name: client.get("/", params=view.page) for view in views}
    name = max(pages, key=lambda name: len(pages[name].content))
    files = sorted(set(LOADED.findall(pages[name].text)))
    parts = {file: client.get(file).raise_for_status() for file in files}
    whole = [pages[name], *parts.values()]
    sent, read = (sum(sizes) / KIB for sizes in zip(*map(_sizes, whole), strict=True))
    told = ", ".join(f"{file.rpartition('/')[2]} {_sizes(part)[0] / KIB:.0f}" for file, part in parts.items())
    page = f"{sent:.0f} KiB are sent, gzipped, with all files ({read:.0f} KiB when unpacked)"
    out.print(f"the heaviest page ({name}): {page}, in KiB: {told}")


def _sizes(answer: httpx.Response) -> tuple[int, int]:
    """Return how many bytes of an answer were sent, and how many they are when they are unpacked."""
    return int(answer.headers["content-length"]), len(answer.content)


if __name__ == "__main__":
    main()
