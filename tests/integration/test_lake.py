"""The lake holds what the table of events does, row by row, whatever died in a write of it; and it answers alike."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyarrow import parquet
from sqlalchemy import select, update

from flagtrail import forget
from flagtrail.completeness import completeness
from flagtrail.database import writing
from flagtrail.errors import ConfigError
from flagtrail.event import Event
from flagtrail.keep import delete_older
from flagtrail.lake import change, events, feed, keeping, table
from flagtrail.lake.asking import Asking
from flagtrail.lake.comparing import compare
from flagtrail.lake.keeping import Keeper, Report
from flagtrail.lake.opening import open_lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.lake.table import DeltaTable
from flagtrail.query import count, cursor_of, reading
from flagtrail.query import events as find_events
from flagtrail.rows import Reading
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.window import Window
from tests.integration.mess import DIMENSIONS, LOG, START, Mess, question

ROOT = Path(__file__).parents[2]
SETTINGS = LakeSettings(compact=3, vacuum=timedelta(0))


class MessOfMonths(Mess):
    """Events of several months, of which some move to another one."""

    def event(self, vendor_id: str, **values: Any) -> Event:
        made = super().event(vendor_id, **values)
        name = self.made.choice([None, "Website", "Straße"])
        days = timedelta(days=self.made.choice([0, 0, 0, 40, 75, -400]))
        return made.model_copy(update={"occurred_at": made.occurred_at + days, "project_name": name})


def keeper(store: Store, path: Path, **settings: Any) -> Keeper:
    chosen = SETTINGS.model_copy(update=settings)
    return Keeper(store, open_lake(str(path), chosen), chosen)


def follow(store: Store, path: Path, **settings: Any) -> Report:
    return keeper(store, path, **settings).follow()


def in_lake(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the lake in the order of their numbers, as any reader of Parquet sees them."""
    files = DeltaTable(str(path / "event"), {}, "").files()
    rows = [
        row | {"vendor": file.vendor, "month": file.month}
        for file in files
        for row in parquet.ParquetFile(file.uri).read().to_pylist()
    ]
    return sorted(rows, key=lambda row: row["number"])


def in_database(store: Store) -> list[dict[str, Any]]:
    with reading(store) as connection:
        rows = [row for batch in events.read(connection, EVENT.c.number > 0) for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: row["number"])


def assert_same(store: Store, path: Path) -> None:
    here, there = in_database(store), in_lake(path)
    assert [row["number"] for row in there] == [row["number"] for row in here]
    for mine, theirs in zip(here, there, strict=True):
        assert theirs == mine
    told = compare(keeper(store, path))
    assert (told.differences, told.events, told.waiting) == ([], len(here), 0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that happens with many changes happen with a few."""
    monkeypatch.setattr(keeping, "NOTES", 17)
    monkeypatch.setattr(change, "RUN", 3)
    monkeypatch.setattr(change, "MOST", 9)
    monkeypatch.setattr(change, "CROWDED", 4)
    monkeypatch.setattr(events, "AT_ONCE", 7)


class Died(BaseException):
    """As if the process had been killed."""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(int(os.environ.get("FLAGTRAIL_HISTORIES", "1"))))
def test_the_lake_is_the_table_whatever_happened_and_died(
    store: Store, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mess, path = MessOfMonths(store, seed), tmp_path / "lake"
    for _ in range(8):
        mess.write()
    points = [(DeltaTable, "replace"), (DeltaTable, "delete"), (DeltaTable, "create"), (feed, "note"),
              (DeltaTable, "compact"), (DeltaTable, "vacuum")]  # fmt: skip
    for round_ in range(3):
        for _ in range(mess.made.randrange(1, 14)):
            mess.write()
            if mess.made.random() < 0.4:
                mess.behind()
        for _ in range(2):
            with monkeypatch.context() as patched:
                die_at(mess.made, patched, points)
                with contextlib.suppress(Died):
                    keeper(store, path).follow(rebuild=round_ == 1)
        follow(store, path)
        assert_same(store, path)
    assert len({row["month"] for row in in_lake(path)}) > 2
    check_answers(store, path, mess.made, 12)


def die_at(made: random.Random, patched: pytest.MonkeyPatch, points: list[tuple[Any, str]]) -> None:
    """Let one of some steps die, before it is done or after, at one of its first times."""
    where, name = made.choice(points)
    real, left, before = getattr(where, name), made.randrange(6), made.random() < 0.5

    def dying(*args: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0 and before:
            raise Died
        done = real(*args, **options)
        if left < 0:
            raise Died
        return done

    patched.setattr(where, name, dying)


def check_answers(store: Store, path: Path, made: random.Random, questions: int) -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    with Asking(open_lake(str(path), SETTINGS)) as lake:
        for _ in range(questions):
            query = question(made)
            if made.random() < 0.3:
                query = replace(query, project=made.choice(["website", "STRASSE", "straße", "web*"]))
            found = list(find_events(store, query))
            told = list(lake.events(query))
            assert [row["number"] for row in told] == [row["number"] for row in found], query
            assert told == found
            if found:
                later = replace(query, after=cursor_of(made.choice(found)))
                assert list(lake.events(later)) == list(find_events(store, later)), later
            by = made.sample(DIMENSIONS, made.choice([0, 1, 2])) + made.sample(["hour", "day"], made.choice([0, 1]))
            assert lake.count(query, by, 3, zone) == count(store, query, by, 3, zone), (query, by)
            now = datetime(2026, 7, 1, tzinfo=UTC)
            assert lake.completeness(query, now=now).as_json() == completeness(store, query, now=now).as_json()


PROGRAM = """
import os, signal, sys
from pathlib import Path
from flagtrail.lake import events, keeping
from flagtrail.lake.keeping import Keeper
from flagtrail.lake.opening import open_lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.lake.table import DeltaTable
from flagtrail.store import Store
url, path, point = sys.argv[1:]
keeping.NOTES = 40
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
if point == "reading":
    read = events.read
    def dying(connection, which):
        yield from read(connection, which)
        kill()
    events.read = dying
else:
    replace = DeltaTable.replace
    def dying(self, *args):
        replace(self, *args)
        kill()
    DeltaTable.replace = dying
settings = LakeSettings()
with Store(url) as store:
    Keeper(store, open_lake(path, settings), settings).follow()
"""


def test_a_killed_process_leaves_what_the_next_one_goes_on_from(store: Store, tmp_path: Path) -> None:
    mess, path = MessOfMonths(store, 5), tmp_path / "lake"
    url = store.engine.url.render_as_string(hide_password=False)
    for point in ("reading", "writing"):
        for _ in range(20):
            mess.write()
        done = subprocess.run([sys.executable, "-c", PROGRAM, url, str(path), point], check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
    follow(store, path)
    assert_same(store, path)


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_what_is_committed_late_with_a_lower_number_is_not_lost(store: Store, tmp_path: Path) -> None:
    mess, path = MessOfMonths(store, 6), tmp_path / "lake"
    mess.write()
    follow(store, path)
    row = dict(in_database(store)[0])
    with store.engine.connect() as slow, slow.begin():
        low = slow.exec_driver_sql("SELECT nextval(pg_get_serial_sequence('event', 'number'))").scalar()
        slow.execute(EVENT.insert().values(_as_row(store, row) | {"number": low, "id": "late"}))
        mess.write()
        follow(store, path)
        assert max(each["number"] for each in in_lake(path)) > low
    follow(store, path)
    assert "late" in {each["id"] for each in in_lake(path)}
    assert_same(store, path)


def _as_row(store: Store, row: dict[str, Any]) -> dict[str, Any]:
    with store.engine.connect() as connection:
        return dict(connection.execute(select(EVENT).where(EVENT.c.number == row["number"])).mappings().one())


def test_who_is_forgotten_is_in_no_file_of_the_lake(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(table.OFTEN, "delta.checkpointInterval", "2")
    path = tmp_path / "lake"
    for number in range(4):
        event = Event(vendor_id=str(number), occurred_at=START + timedelta(days=20 * number), action="updated",
                      vendor_action="x", actor_kind="member", actor_name="Ada Lovelace", actor_id="u1",
                      actor_email="ada@acme.example", summary="told by Ada Lovelace")  # fmt: skip
        store.add("acme", "v", [Reading(LOG, [(event, {"n": number})])])
        follow(store, path, vacuum=timedelta(days=7))
    assert "Lovelace" in held_anywhere(path)
    done = forget.forget(store, ["ada@acme.example", "Ada Lovelace"], None, lambda *_: None)
    report = follow(store, path, vacuum=timedelta(days=7))
    assert report.vacuumed
    told = held_anywhere(path)
    assert "Lovelace" not in told
    assert "ada@acme" not in told
    assert done.act.pseudonym in told
    assert list(path.rglob("*.checkpoint.parquet")), "the log was put together, too"
    assert_same(store, path)


def held_anywhere(path: Path) -> str:
    """Return all that is in any file below a folder, whether it is part of the lake still or not."""
    texts = []
    for file in path.rglob("*"):
        if file.suffix == ".parquet":  # of the events, and of what the log was put together to
            texts.append(str(parquet.ParquetFile(file).read().to_pylist()))
        elif file.is_file():
            texts.append(file.read_bytes().decode("utf-8", "replace"))
    return "\n".join(texts)


def test_what_our_own_keeping_deletes_goes_from_the_lake_and_is_not_claimed(store: Store, tmp_path: Path) -> None:
    path, later = tmp_path / "lake", START + timedelta(days=40)
    for at in (START, later):
        event = Event(vendor_id=str(at), occurred_at=at, action="updated", vendor_action="x")
        store.add("acme", "v", [Reading(LOG, [(event, {})], covers=Window(START, later + timedelta(days=1)))])
    from flagtrail.connector import Stream

    store.register("acme", "v", Stream(LOG), wanted_since=START)
    follow(store, path)
    assert claimed(path) == [(START, later + timedelta(days=1))]
    assert delete_older(store, "acme", later, seconds=5) == 1
    told: list[Any] = []
    real = DeltaTable.replace

    def noting(self: DeltaTable, *args: Any) -> None:
        real(self, *args)
        told.append((claimed(path), len(in_lake(path))))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DeltaTable, "replace", noting)
        follow(store, path)
    assert told[0] == ([(later, later + timedelta(days=1))], 2), "the claim goes before the events do"
    assert told[-1] == ([(later, later + timedelta(days=1))], 1)
    assert_same(store, path)


def claimed(path: Path) -> list[tuple[datetime, datetime]]:
    with Asking(open_lake(str(path), SETTINGS)) as lake:
        return [(w.since, w.until) for windows in lake.standing.evidence.covered.values() for w in windows]


def test_what_is_wrong_with_a_lake_is_found_told_and_made_anew(store: Store, tmp_path: Path) -> None:
    mess, path = MessOfMonths(store, 8), tmp_path / "lake"
    for _ in range(20):
        mess.write()
    assert follow(store, path).why_built == "it was not there"
    assert follow(store, path).why_built is None
    # Somebody deletes rows of the lake, and somebody the triggers.
    lost = in_lake(path)[0]
    with DeltaTable(str(path / "event"), {}, "")._opened() as table:
        table.delete(f"number = {lost['number']}")
    [difference] = compare(keeper(store, path)).differences
    assert (difference.vendor, difference.month) == (lost["vendor"], lost["month"])
    keeper(store, path).follow(rebuild=True)
    assert_same(store, path)
    with writing(store.engine) as connection:
        on = " ON event" if connection.dialect.name == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER lake_updated{on}")
        connection.execute(update(EVENT).values(summary="behind our back"))
    assert "triggers" in str(follow(store, path).why_built)
    assert_same(store, path)
    feed.note(store, done=0, tried=1)  # as after a backup was restored
    assert "backup" in str(follow(store, path).why_built)
    with pytest.raises(Exception, match="elsewhere"):
        follow(store, tmp_path / "other")
    with writing(store.engine) as connection:
        connection.exec_driver_sql("DELETE FROM event" if on == "" else "TRUNCATE event")
    follow(store, path)
    assert in_lake(path) == []
    assert feed.end(store)
    assert not feed.end(store)
    with pytest.raises(Exception, match="another database"):
        follow(store, path)
    with pytest.raises(ConfigError, match="is kept of this database"):
        compare(keeper(store, path))
    mess.write()
    keeper(store, path).follow(rebuild=True)
    assert_same(store, path)


def test_small_files_become_large_ones(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "DAILY", timedelta(0))
    mess, path = Mess(store, 9), tmp_path / "lake"
    seen = []
    for _ in range(6):
        mess.write()
        seen.append(follow(store, path, compact=3).files)
    assert max(seen) <= 8
    assert sum(1 for _ in (path / "event").rglob("*.parquet")) <= max(seen) + 1, "what is no part of it goes"
    assert_same(store, path)


def test_one_process_at_a_time_writes(store: Store, tmp_path: Path) -> None:
    from flagtrail.lake.lock import alone_with_the_lake

    mess, path = Mess(store, 9), tmp_path / "lake"
    mess.write()
    other = keeper(store, path)
    other.watch.waiting = lambda: False  # type: ignore[method-assign]
    with alone_with_the_lake(store, lambda: False), pytest.raises(Exception, match="another process"):
        other.follow()
    other.follow()
    assert_same(store, path)
