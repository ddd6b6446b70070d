"""Measures the lake: questions in several engines, and what following costs; `benchmarks.noting` has the notes.

    python -m benchmarks.lake --rows 100000000 --reference /path/to/10000000.db

The lake's files are made up by DuckDB, in its own layout and columns, and deleted afterwards; 100 million take 6 GB.
The reference is the same question as plain SQL, put to an SQLite database of the growth benchmark, which is only read.
"""

import argparse
import importlib.util
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
from deltalake import DeltaTable as Delta
from deltalake.transaction import AddAction
from sqlalchemy import update

from benchmarks.tables import markdown
from flagtrail.bulk import among, insert_all
from flagtrail.completeness import Evidence
from flagtrail.database import writing
from flagtrail.event import Event
from flagtrail.lake import events as lake_events
from flagtrail.lake import feed, standing
from flagtrail.lake.asking import Asking
from flagtrail.lake.keeping import Keeper, Lake
from flagtrail.lake.opening import open_lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.query import Query
from flagtrail.rows import Reading
from flagtrail.schema import EVENT
from flagtrail.store import Store

MONTHS, END = 36, datetime(2026, 6, 1, tzinfo=UTC)
VENDORS = ("configcat", "launchdarkly")
RUNS = 3
FLAG, WORD = "flag-4711", "inc-4711"
# One month of one vendor; `{first}` is the number of its first event. What is random in life is random here too.
ROWS = """
SELECT n AS number, md5(n::VARCHAR) AS id, occurred_at, 'acme-{vendor}' AS source, 'audit_log' AS stream,
  printf('%012x', n) AS vendor_id, CASE WHEN h % 5 = 0 THEN 'token' ELSE 'member' END AS actor_kind,
  printf('%06x', p * 7919) AS actor_id, 'Person ' || p AS actor_name, 'person' || p || '@acme.example' AS actor_email,
  ['turned_on', 'turned_off', 'targeting_changed', 'rollout_changed', 'updated', 'created'][1 + (h >> 8) % 6] AS action,
  'updateOn' AS vendor_action, 'flag' AS object_kind, 'flag-' || f AS object_key, 'Flag ' || f AS object_name,
  'project-' || f % 40 AS project, 'Project ' || f % 40 AS project_name,
  ['production', 'staging', 'test'][1 + (h >> 16) % 3] AS environment, NULL::VARCHAR AS environment_name,
  '61f0c2a4' AS organization, NULL::VARCHAR AS location, 'turned on the flag Flag ' || f AS summary,
  CASE WHEN h % 9 = 0 THEN 'INC-' || (h >> 20) % 9000 END AS comment,
  '[{{"path":"/environments/production/on","before":' || (h % 2 = 0) || ',"after":' || (h % 2 = 1) || '}}]' AS changes,
  NULL::VARCHAR AS impact, false AS truncated, false AS provisional, NULL::VARCHAR AS change_set,
  NULL::VARCHAR AS related_event, 'https://app.launchdarkly.com/flags/flag-' || f AS url,
  occurred_at + INTERVAL 3 SECONDS AS first_seen_at, 1::BIGINT AS revision, NULL::TIMESTAMPTZ AS vanished_at,
  NULL::VARCHAR AS vanished_reason, false AS linked
FROM (SELECT range AS n, (hash(range) >> 1)::BIGINT AS h,
        (power((hash(range + 1) % 1000000) / 1e6, 3) * 2500)::INT AS p,
        (power((hash(range + 2) % 1000000) / 1e6, 2) * 60000)::INT AS f,
        make_timestamptz({start} + (range - {first}) * {step}) AS occurred_at
      FROM range({first}, {first} + {count}))
"""
QUESTIONS = {
    "a year by month and vendor": "SELECT month, vendor, count(*) AS changes FROM event "
    "WHERE month >= '2025-06' AND NOT linked GROUP BY month, vendor ORDER BY month, vendor",
    "top actors of a month": "SELECT actor_email, count(*) AS changes FROM event "
    "WHERE month = '2026-03' AND NOT linked GROUP BY actor_email ORDER BY changes DESC, actor_email LIMIT 10",
    "one flag's life": "SELECT occurred_at, action, actor_email, summary FROM event "
    "WHERE object_key = 'flag-4711' ORDER BY occurred_at DESC, number DESC",
}
PLAIN = {
    "a year by month and vendor": "SELECT substr(occurred_at, 1, 7) AS month, vendor, count(*) FROM event "
    "WHERE occurred_at >= '2025-06' GROUP BY 1, 2",
    "top actors of a month": "SELECT actor_email, count(*) AS changes FROM event WHERE occurred_at >= '2026-03' "
    "AND occurred_at < '2026-04' GROUP BY 1 ORDER BY 2 DESC LIMIT 10",
    "one flag's life": "SELECT occurred_at, action, actor_email, summary FROM event WHERE object_key = "
    "(SELECT object_key FROM event WHERE object_key IS NOT NULL LIMIT 1) ORDER BY occurred_at DESC",
}
SPARK = """
import sys, time
from deltalake import DeltaTable
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
  .config("spark.sql.session.timeZone", "UTC").config("spark.driver.memory", "2g").getOrCreate())
table = DeltaTable(sys.argv[1])
spark.read.option("basePath", table.table_uri).parquet(*table.file_uris()).createOrReplaceTempView("event")
for _ in range(2):
    began = time.monotonic()
    spark.sql(sys.argv[2]).collect()
print("took", time.monotonic() - began)
"""


def main() -> None:
    """Print tables of everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--reference", type=Path, help="an SQLite database of the growth benchmark; it is only read")
    parser.add_argument("--folder", type=Path, help="where the lake goes, while it is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-", dir=options.folder) as folder:
        settings = LakeSettings()
        lake = open_lake(f"{folder}/lake", settings)
        print(made(lake, options.rows))
        print(markdown(("seconds", *engines()), asked(lake, options.reference)))
        print()
        print(
            markdown(
                ("following", "seconds", "rows written", "files"), followed(Path(folder), lake, settings, options.rows)
            )
        )


def made(lake: Lake, rows: int) -> str:
    """Make a lake of so many events, and return how that went."""
    began = time.monotonic()
    lake.events.create(lake_events.schema(), lake_events.PARTITIONS)
    lake.coverage.create(standing.schema(), ())
    engine = duckdb.connect(config={"memory_limit": "3GB"})
    engine.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
    each, first, actions = rows // (MONTHS * len(VENDORS)), 1, []
    for number in range(MONTHS):
        year, month = divmod(END.year * 12 + END.month - 1 - MONTHS + number, 12)
        start, name = datetime(year, month + 1, 1, tzinfo=UTC), f"{year}-{month + 1:02}"
        step = int(timedelta(days=28) / timedelta(microseconds=1)) // each // 1000 * 1000
        for vendor in VENDORS:
            path = f"vendor={vendor}/month={name}/part-0.parquet"
            place = Path(lake.events.uri) / path
            place.parent.mkdir(parents=True)
            at = int(start.timestamp() * 1_000_000)
            query = ROWS.format(vendor=vendor, first=first, count=each, start=at, step=step)
            engine.execute(f"COPY ({query}) TO '{place}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 200000)")
            actions.append(_action(path, place, vendor, name, each, first, at, step))
            first += each
    Delta(lake.events.uri).create_write_transaction(
        actions, "append", Delta(lake.events.uri).schema(), list(lake_events.PARTITIONS)
    )
    size = sum(file.bytes for file in lake.events.files())
    seconds = time.monotonic() - began
    return f"{rows:,} events of {MONTHS} months, {size / 1e9:.1f} GB, made up in {seconds:.0f} s\n"


def _action(path: str, place: Path, vendor: str, month: str, count: int, first: int, at: int, step: int) -> Any:
    """Return what the table's log says of a file."""
    from flagtrail.event import to_json

    bounds = [{"number": n, "occurred_at": datetime.fromtimestamp(t / 1e6, UTC).isoformat()}
              for n, t in ((first, at), (first + count - 1, at + step * (count - 1)))]  # fmt: skip
    stats = {
        "numRecords": count,
        "minValues": bounds[0],
        "maxValues": bounds[1],
        "nullCount": {"number": 0, "occurred_at": 0},
    }
    size = place.stat().st_size
    return AddAction(
        path, size, {"vendor": vendor, "month": month}, int(time.time() * 1000), True, to_json(stats).decode()
    )


def engines() -> dict[str, Callable[[Lake, str], float]]:
    """Return the engines that are installed, each with what asks it and says how long that took."""
    found: dict[str, Callable[[Lake, str], float]] = {"DuckDB": by_duckdb}
    if importlib.util.find_spec("chdb"):
        found["ClickHouse (chDB)"] = by_clickhouse
    if importlib.util.find_spec("pyspark") and shutil.which("java"):
        found["Spark, local"] = by_spark
    return found | {"SQLite, 10 million": lambda *_: 0.0}


def asked(lake: Lake, reference: Path | None) -> list[list[str]]:
    """Return a row for each question."""
    rows = []
    for name, question in QUESTIONS.items():
        row = [name]
        for engine, by in engines().items():
            if engine.startswith("SQLite"):
                row.append(f"{by_sqlite(reference, PLAIN[name]):.2f}" if reference else "-")
            else:
                row.append(f"{by(lake, question):.2f}")
        rows.append(row)
    lake.coverage.replace(standing.batches(_nothing()), standing.schema(), None, 0)
    others = [""] * (len(engines()) - 1)
    queries = {"newest 50": Query(), "newest 50 of a flag": Query(object=FLAG), "newest 50 of a word": Query(text=WORD)}
    for name, query in queries.items():
        rows.append([f"--from-lake: {name}", f"{best(partial(_ask, lake, query)):.2f}", *others])
    return rows


def _ask(lake: Lake, query: Query) -> None:
    with Asking(lake) as asking:
        list(asking.events(query))


def _nothing() -> standing.Standing:
    return standing.Standing(END, [], [], Evidence({}, {}, {}), {"project": [], "environment": []})


def best(do: Callable[[], object]) -> float:
    """Return the median time of some runs in seconds."""
    took = []
    for _ in range(RUNS):
        began = time.monotonic()
        do()
        took.append(time.monotonic() - began)
    return median(took)


def by_duckdb(lake: Lake, question: str) -> float:
    """Return how long DuckDB takes."""
    engine = duckdb.connect()
    files = [file.uri for file in lake.events.files()]
    engine.read_parquet(files, hive_partitioning=True).create_view("event")
    return best(lambda: engine.sql(question).to_arrow_table())


def by_clickhouse(lake: Lake, question: str) -> float:
    """Return how long ClickHouse takes."""
    from chdb import session

    os.chdir(lake.events.uri)  # ClickHouse reads nothing that lies elsewhere
    clickhouse = session.Session()
    clickhouse.query(f"CREATE TABLE event ENGINE = DeltaLakeLocal('{lake.events.uri}')")
    took = best(lambda: clickhouse.query(question))
    clickhouse.close()
    return took


def by_spark(lake: Lake, question: str) -> float:
    """Return how long Spark takes the second time, in a process that is started for it."""
    words = [sys.executable, "-c", SPARK, lake.events.uri, question]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(done.stdout.rpartition("took ")[2])


def by_sqlite(reference: Path, question: str) -> float:
    """Return how long SQLite takes for a plain question."""
    with closing(sqlite3.connect(f"file:{reference}?mode=ro", uri=True)) as connection:
        return best(lambda: connection.execute(question).fetchall())


def followed(folder: Path, lake: Lake, settings: LakeSettings, rows: int) -> list[list[str]]:
    """Return how long the lake takes to follow new and changed events."""
    found = []
    with Store(f"sqlite:///{folder / 'trail.db'}") as store:
        feed.begin(store)
        feed.note(store, table_id=lake.events.id(), building=None)
        with writing(store.engine) as connection:  # the numbers go on after those of the lake
            connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?)", (rows + 1,))
        for count in (1000, 100_000):
            _store(store, count)
            found.append(_follow(f"{count:,} new events", store, lake, settings))
        old = [rows // 3 + 40 * number for number in range(1000)]
        spread = [1 + rows // 1000 * number for number in range(1000)]
        for name, numbers in (
            ("1,000 changed events of one month", old),
            ("1,000 changed events of all months", spread),
        ):
            _change(store, lake, numbers)
            found.append(_follow(name, store, lake, settings))
    return found


def _store(store: Store, count: int) -> None:
    kind = {"action": "updated", "vendor_action": "x"}
    for first in range(0, count, 5000):
        numbers = range(first, min(count, first + 5000))
        times = [END - timedelta(seconds=number) for number in numbers]
        named = [f"{count}-{number}" for number in numbers]
        page = [Event(vendor_id=id, occurred_at=at, **kind) for id, at in zip(named, times, strict=True)]
        store.add("acme", "launchdarkly", [Reading("audit_log", [(each, {}) for each in page])])


def _change(store: Store, lake: Lake, numbers: list[int]) -> None:
    """Let the database hold some events of the lake, and change them."""
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'")
    whole = engine.read_parquet([file.uri for file in lake.events.files()], hive_partitioning=True)
    found = whole.filter(f"number IN ({', '.join(map(str, numbers))})").to_arrow_table().to_pylist()
    rows = [{column.name: row[column.name] for column in EVENT.c} | {"changes": None, "impact": None} for row in found]
    with writing(store.engine) as connection:
        connection.execute(EVENT.delete())
        insert_all(connection, EVENT, rows)
        connection.execute(feed.CHANGE.delete())
        connection.execute(update(EVENT).where(among(EVENT.c.number, numbers, connection)).values(comment="changed"))


def _follow(name: str, store: Store, lake: Lake, settings: LakeSettings) -> list[str]:
    report = Keeper(store, lake, settings).follow()
    assert report.why_built is None, report.why_built
    return [name, f"{report.seconds:.1f}", f"{report.written:,}", f"{report.files:,}"]


if __name__ == "__main__":
    main()
