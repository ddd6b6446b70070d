"""The store, on a real SQLite file and on a real PostgreSQL server."""

import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from flagtrail import migrations
from flagtrail.connector import Stream
from flagtrail.database import writing
from flagtrail.errors import AccessDenied, StoreError
from flagtrail.event import Change, Event, Record, Ref
from flagtrail.migrations.upgrade import upgrade
from flagtrail.rows import Reading, event_id
from flagtrail.schema.whole import METADATA
from flagtrail.store import Store
from flagtrail.window import Window
from tests.conftest import rows

DAY = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def entry(number: int, **more: object) -> tuple[Event, Record]:
    record: Record = {"id": number, **more}
    event = Event(
        vendor_id=str(number),
        occurred_at=DAY + timedelta(milliseconds=number),
        action="created",
        vendor_action="createFlag",
        summary=str(more.get("summary", "created")),
    )
    return event, record


def hours(since: int, until: int) -> Window:
    return Window(DAY + since * HOUR, DAY + until * HOUR)


def registered(store: Store, stream: str = "audit_log", account: str | None = "a1") -> Store:
    store.register("acme", "launchdarkly", Stream(stream, account=account), wanted_since=DAY, settled_at=DAY + 9 * HOUR)
    return store


def test_the_same_page_twice_is_stored_once(store: Store) -> None:
    registered(store)
    page = Reading("audit_log", [entry(1), entry(2)], hours(0, 1))
    assert len(store.add("acme", "launchdarkly", [page]).new) == 2
    again = store.add("acme", "launchdarkly", [page, page])
    assert (again.new, again.changed) == ([], [])
    assert rows(store, "SELECT count(*) FROM event") == [(2,)]
    assert rows(store, "SELECT count(*) FROM record") == [(2,)]


def test_other_content_is_a_new_revision_and_the_old_one_is_kept(store: Store) -> None:
    registered(store)
    store.add("acme", "launchdarkly", [Reading("audit_log", [entry(1)])])
    first = rows(store, "SELECT first_seen_at FROM event")
    changed = store.add("acme", "launchdarkly", [Reading("audit_log", [entry(1, summary="edited")])]).changed
    assert [row.stream for row in changed] == ["audit_log"]
    assert rows(store, "SELECT summary, revision FROM event") == [("edited", 2)]
    assert rows(store, "SELECT first_seen_at FROM event") == first
    assert rows(store, "SELECT revision, body FROM record ORDER BY revision") == [
        (1, '{"id":1}'),
        (2, '{"id":1,"summary":"edited"}'),
    ]


def test_the_order_of_keys_is_no_change(store: Store) -> None:
    registered(store)
    event, _ = entry(1)
    store.add("acme", "launchdarkly", [Reading("audit_log", [(event, {"a": 1, "b": 2})])])
    assert store.add("acme", "launchdarkly", [Reading("audit_log", [(event, {"b": 2, "a": 1})])]).changed == []


def test_coverage_merges_whatever_the_order(store: Store) -> None:
    registered(store)
    for window in (hours(4, 5), hours(0, 1), hours(2, 4), hours(1, 2), hours(7, 8)):
        store.add("acme", "launchdarkly", [Reading("audit_log", [], window)])
    assert store.coverage("acme", "audit_log") == [hours(0, 5), hours(7, 8)]
    store.add("acme", "launchdarkly", [Reading("audit_log", [], hours(3, 9))])
    assert store.coverage("acme", "audit_log") == [hours(0, 9)]
    assert store.coverage("acme", "other") == []


def test_a_gap_is_noted_until_it_is_covered(store: Store) -> None:
    registered(store)
    store.add("acme", "launchdarkly", [Reading("audit_log", [entry(1)], gap=(hours(1, 2), "burst", 30))])
    store.add("acme", "launchdarkly", [Reading("audit_log", [entry(1)], gap=(hours(1, 2), "burst", 31))])
    [gap] = store.gaps("acme", "audit_log")
    assert (gap.window, gap.reason, gap.expected, gap.stored) == (hours(1, 2), "burst", 31, 1)
    store.add("acme", "launchdarkly", [Reading("audit_log", [], hours(0, 3))])
    assert store.gaps("acme", "audit_log") == []


def test_a_failed_write_leaves_neither_events_nor_coverage(store: Store) -> None:
    registered(store)
    bad = Reading("audit_log", [entry(1)], hours(0, 1), gap=(hours(2, 3), None, None))  # type: ignore[arg-type]
    with pytest.raises(StoreError) as raised:
        store.add("acme", "launchdarkly", [bad])
    assert "\n" not in str(raised.value)
    assert rows(store, "SELECT count(*) FROM event") == [(0,)]
    assert store.coverage("acme", "audit_log") == []


def test_two_writers_at_once_lose_nothing(store_url: str) -> None:
    with Store(store_url) as one, Store(store_url) as two:
        registered(one)
        errors: list[Exception] = []

        def write(store: Store, numbers: range) -> None:
            try:
                for number in numbers:
                    window = Window(DAY + timedelta(seconds=number), DAY + timedelta(seconds=number + 1))
                    store.add(
                        "acme", "launchdarkly", [Reading("audit_log", [entry(number), entry(number + 1)], window)]
                    )
            except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
                errors.append(error)

        threads = [
            threading.Thread(target=write, args=(store, numbers))
            for store, numbers in ((one, range(60)), (two, range(60)), (one, range(59, 30, -1)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert rows(one, "SELECT count(*) FROM event") == [(61,)]
        assert two.coverage("acme", "audit_log") == [Window(DAY, DAY + timedelta(seconds=60))]


def test_every_kind_of_value_comes_back_as_it_was(store: Store) -> None:
    registered(store)
    record: Record = {
        "big": 10**30,
        "nul": "a\0b",
        "text": "Ünïcode 再",
        "float": 0.1,
        "none": None,
        "deep": [[{"x": 1}]],
    }
    event = Event(
        vendor_id="1",
        occurred_at=DAY.astimezone(None) + timedelta(microseconds=1999),
        action="renamed",
        vendor_action="a\0b",
        changes=[Change(path="/name", before="old", after=["x\0y"])],
        impact={"size": "large", "percentage": 12.5},
        related_event=Ref("audit_log", "77"),
    )
    store.add("acme", "launchdarkly", [Reading("flag_events[a/b]", [(event, record)])])
    with store.engine.connect() as connection:
        from flagtrail.schema import EVENT

        row = connection.execute(EVENT.select()).mappings().one()
    assert row["occurred_at"] == DAY + timedelta(milliseconds=1)
    assert row["vendor_action"] == "a\N{REPLACEMENT CHARACTER}b"
    assert row["changes"] == [{"path": "/name", "before": "old", "after": ["x\N{REPLACEMENT CHARACTER}y"]}]
    assert row["impact"] == {"size": "large", "percentage": 12.5}
    assert row["related_event"] == event_id("acme", "audit_log", "77")
    [(body,)] = rows(store, "SELECT body FROM record")
    import json

    assert json.loads(str(body)) == record


def test_a_stream_of_another_account_is_refused(store: Store) -> None:
    registered(store, account="a1")
    registered(store, account="a1")
    registered(store, account=None)
    with pytest.raises(AccessDenied, match="belongs to account a2"):
        registered(store, account="a2")


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_the_migrated_schema_is_what_the_code_says(store: Store) -> None:
    def told(name: str | None, kind: str, parents: object) -> bool:
        return not (name or "").startswith("search")  # indexes that only one of the databases has

    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": told})
        differences = compare_metadata(context, METADATA)
    assert differences == []
    assert rows(store, "SELECT version_num FROM alembic_version") == [(migrations.HEAD,)]


def test_opening_twice_at_once_makes_one_schema(store_url: str) -> None:
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            Store(store_url).close()
        except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Store(store_url) as store:
        assert registered(store).streams()


def test_a_newer_schema_is_refused(store: Store, store_url: str) -> None:
    with writing(store.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer flagtrail .*upgrade"):
        Store(store_url)


def test_a_database_that_is_not_there_is_told_in_one_line(store: Store, store_url: str) -> None:
    missing = store_url.replace("trail", "nowhere")
    with pytest.raises(StoreError) as raised:
        Store(missing, create=False)
    assert "\n" not in str(raised.value)


def test_sqlite_commits_are_durable_and_writers_wait(store: Store) -> None:
    if store.engine.dialect.name != "sqlite":
        assert rows(store, "SHOW synchronous_commit") == [("on",)]
        assert rows(store, "SHOW timezone") == [("UTC",)]
        return
    assert rows(store, "PRAGMA journal_mode") == [("wal",)]
    assert rows(store, "PRAGMA synchronous") == [(2,)]
    assert int(str(rows(store, "PRAGMA busy_timeout")[0][0])) >= 30_000


def test_plain_sql_reads_times_the_way_the_database_does(store: Store) -> None:
    registered(store)
    store.add("acme", "launchdarkly", [Reading("audit_log", [entry(5)])])
    if store.engine.dialect.name == "sqlite":
        assert rows(store, "SELECT occurred_at, date(occurred_at) FROM event") == [
            ("2026-03-01T00:00:00.005Z", "2026-03-01")
        ]
    else:
        found = rows(store, "SELECT occurred_at FROM event WHERE occurred_at < '2026-03-01 01:00+00'")
        assert found == [(DAY + timedelta(milliseconds=5),)]


def test_the_file_alone_is_the_whole_database_once_it_was_written_back(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        registered(store)
        store.add("acme", "launchdarkly", [Reading("audit_log", [entry(1)])])
        store.write_back()
        shutil.copy(tmp_path / "trail.db", tmp_path / "copy.db")
        with Store(f"sqlite:///{tmp_path / 'copy.db'}", create=False) as copy:
            assert rows(copy, "SELECT count(*) FROM event") == [(1,)]


def test_of_two_answers_in_one_transaction_the_later_one_counts(store: Store) -> None:
    registered(store)
    now = datetime.now(UTC)
    old = Reading("audit_log", [entry(1)], read_at=now - timedelta(seconds=5))
    new = Reading("audit_log", [entry(1, summary="edited")], read_at=now)
    store.add("acme", "launchdarkly", [new, old])
    assert rows(store, "SELECT summary FROM event") == [("edited",)]


def test_names_of_places_get_columns_without_touching_a_row(store_url: str) -> None:
    older = create_engine(make_url(store_url).set(drivername=DRIVERS[make_url(store_url).get_backend_name()]))
    where = {
        "sqlite": "SELECT rootpage FROM sqlite_schema WHERE name = 'event'",
        "postgresql": "SELECT pg_relation_filenode('event')",
    }[older.dialect.name]
    moment = {"at": "2026-03-01T00:00:00.000Z"}
    with older.begin() as connection:
        upgrade(connection, "0004")
        connection.execute(
            text(
                "INSERT INTO event (id, source, vendor, stream, vendor_id, occurred_at, first_seen_at, actor_kind,"
                " action, vendor_action, project, revision, truncated, provisional)"
                " VALUES ('a', 's', 'v', 'l', '0', :at, :at, 'member', 'created', 'x', 'web', 1, false, false)"
            ),
            moment,
        )
        before = connection.execute(text(where)).scalar_one()
    older.dispose()
    with Store(store_url) as store:
        assert rows(store, where) == [(before,)]
        event, record = entry(1)
        named = event.model_copy(update={"project_name": "Web Shop", "environment_name": "Production"})
        store.add("s", "v", [Reading("audit_log", [(named, record)])])
        names = "SELECT project, project_name, environment_name FROM event ORDER BY number"
        assert rows(store, names) == [("web", None, None), (None, "Web Shop", "Production")]
