"""Records take little room, and come back as they were."""

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

from flagtrail.connector import Stream
from flagtrail.errors import StoreError
from flagtrail.event import Event, to_json
from flagtrail.migrations.upgrade import upgrade
from flagtrail.packing import LARGEST_SAMPLE, SAMPLES
from flagtrail.query import event
from flagtrail.rows import Reading, event_id
from flagtrail.store import Store
from flagtrail.window import from_ms
from tests.conftest import rows

LOG = "audit_log"
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def add(store: Store, first: int, count: int) -> None:
    """Store entries that are alike, as a vendor's are."""
    pairs = []
    for number in range(first, first + count):
        record: dict[str, Any] = {"_id": str(number), "titleVerb": "turned on the flag", "name": f"Flag {number}"}
        record["links"] = {name: f"/api/v2/{name}/{number * 7919}" for name in ("canonical", "parent", "self", "site")}
        pairs.append(
            (Event(vendor_id=str(number), occurred_at=from_ms(number), action="turned_on", vendor_action="x"), record)
        )
    store.add("acme", "launchdarkly", [Reading(LOG, pairs)])


def sizes(store: Store) -> list[int]:
    return [int(str(size)) for (size,) in rows(store, "SELECT length(body) FROM record ORDER BY number")]


def test_records_are_packed_with_what_the_first_ones_have_in_common(store: Store) -> None:
    store.register("acme", "launchdarkly", Stream(LOG))
    add(store, 0, SAMPLES - 1)
    assert rows(store, "SELECT count(*) FROM dictionary") == [(0,)]
    add(store, SAMPLES - 1, 1)
    add(store, SAMPLES, 500)
    assert rows(store, "SELECT kind FROM dictionary") == [("launchdarkly/audit_log",)]
    packed = sizes(store)
    assert max(packed[SAMPLES:]) < min(packed[:SAMPLES]) / 2
    for number in (0, SAMPLES - 1, SAMPLES, SAMPLES + 499):
        [found] = event(store, event_id("acme", LOG, str(number)))
        assert found["records"][0]["record"]["links"]["self"] == f"/api/v2/self/{number * 7919}"


def test_another_process_reads_what_was_packed_and_packs_with_the_same_dictionary(store_url: str) -> None:
    with Store(store_url) as one:
        one.register("acme", "launchdarkly", Stream(LOG))
        add(one, 0, SAMPLES)
        with Store(store_url) as other:
            add(other, SAMPLES, 10)
            assert max(sizes(other)[SAMPLES:]) < min(sizes(other)[:SAMPLES]) / 2
            assert event(other, event_id("acme", LOG, "3"))[0]["records"][0]["record"]["_id"] == "3"
        assert event(one, event_id("acme", LOG, str(SAMPLES + 3)))[0]["records"][0]["record"]["_id"] == str(SAMPLES + 3)
        add(one, SAMPLES + 10, 2 * SAMPLES)
        assert len(rows(one, "SELECT number FROM dictionary")) == 1


def test_records_without_anything_in_common_are_packed_too(store: Store) -> None:
    store.register("acme", "launchdarkly", Stream(LOG))
    pairs = [
        (
            Event(vendor_id=str(number), occurred_at=from_ms(number), action="x", vendor_action="x"),
            {str(number): os.urandom(200).hex()},
        )
        for number in range(SAMPLES + 5)
    ]
    store.add("acme", "launchdarkly", [Reading(LOG, pairs)])
    assert rows(store, "SELECT count(*) FROM record") == [(SAMPLES + 5,)]
    [found] = event(store, event_id("acme", LOG, "7"))
    assert to_json(found["records"][0]["record"]) == to_json(pairs[7][1])


@pytest.mark.parametrize("harm", ["DELETE FROM dictionary", "UPDATE record SET body = substr(body, 1, 20)"])
def test_a_record_that_cannot_be_unpacked_is_told_in_one_line(store: Store, harm: str) -> None:
    store.register("acme", "launchdarkly", Stream(LOG))
    add(store, 0, SAMPLES)
    add(store, SAMPLES, 3)
    with store.engine.begin() as connection:
        connection.execute(text(harm))
    with Store(store.engine.url.render_as_string(hide_password=False)) as other, pytest.raises(StoreError) as raised:
        event(other, event_id("acme", LOG, str(SAMPLES + 1)))
    assert "record" in str(raised.value)
    assert "\n" not in str(raised.value)


BODY = json.dumps({"a": "é", "b": [1]})


def of_the_second_schema(store_url: str) -> Engine:
    """Return a connection to a database as it was made by the second schema, still empty."""
    old = create_engine(make_url(store_url).set(drivername=DRIVERS[make_url(store_url).get_backend_name()]))
    with old.begin() as connection:
        upgrade(connection, "0002")
    return old


def write_as_then(connection: Connection, id: str, second: int) -> None:
    """Store an event with its record, as it was done then."""
    moment = f"2026-03-01T00:00:0{second}.000Z"
    columns = "id, source, vendor, stream, vendor_id, occurred_at, first_seen_at, actor_kind, action, vendor_action"
    values = ":id, 'acme', 'launchdarkly', 'audit_log', :id, :moment, :moment, 'member', 'created', 'x'"
    insert = f"INSERT INTO event ({columns}, revision) VALUES ({values}, 1)"
    connection.execute(text(insert), {"id": id, "moment": moment})
    told = {"id": id, "moment": moment, "digest": b"1", "body": BODY}
    connection.execute(text("INSERT INTO record VALUES (:id, 1, :moment, :digest, :body)"), told)


def test_a_database_of_the_second_schema_is_packed_and_numbered(store_url: str) -> None:
    old = of_the_second_schema(store_url)
    with old.begin() as connection:
        for number, id in enumerate(("aa", "bb")):
            write_as_then(connection, id, number)
        connection.execute(
            text("INSERT INTO detail VALUES ('bb', 'acme', 'audit_log', :moment, 'done', 0, :moment, :body)"),
            {"moment": "2026-03-01T00:00:01.000Z", "body": BODY},
        )
    old.dispose()
    with Store(store_url) as store:
        assert rows(store, "SELECT number, id FROM event ORDER BY number") == [(1, "aa"), (2, "bb")]
        assert rows(store, "SELECT number, revision, body FROM record ORDER BY number") == [(1, 1, BODY), (2, 1, BODY)]
        assert rows(store, "SELECT number, state, body FROM detail") == [(2, "done", BODY)]
        store.register("acme", "launchdarkly", Stream(LOG))
        add(store, 5, 1)
        assert rows(store, "SELECT number FROM event WHERE vendor_id = '5'") == [(3,)]


def test_what_another_daemon_writes_while_the_schema_changes_is_kept(postgres: Callable[[], str]) -> None:
    url = postgres()
    old = of_the_second_schema(url)
    with old.connect() as late, ThreadPoolExecutor(1) as pool:
        write_as_then(late, "aa", 1)  # and does not commit yet
        opening = pool.submit(Store, url)
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'")
        deadline = time.monotonic() + 20
        with old.connect() as watching:
            while not watching.execute(waits).scalar_one():
                assert not opening.done(), "the tables were taken away from whoever still writes to them"
                assert time.monotonic() < deadline
                time.sleep(0.02)
        late.commit()
        with opening.result(timeout=30) as store:
            assert rows(store, "SELECT id, body FROM event JOIN record USING (number)") == [("aa", BODY)]
    old.dispose()


def test_what_can_wait_until_events_are_stored_never_takes_them_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    store.register("acme", "launchdarkly", Stream(LOG))

    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(store.packing, "learn", fail)
    add(store, 0, 3)
    assert rows(store, "SELECT count(*) FROM event") == [(3,)]
    assert [(one["event"], one["error"]) for one in logged] == [("gathering_failed", "the disk is full")]


def test_a_very_long_record_is_no_sample_of_its_kind(store: Store) -> None:
    store.register("acme", "launchdarkly", Stream(LOG))
    long = {"text": os.urandom(LARGEST_SAMPLE).hex()}
    pairs = [
        (Event(vendor_id=f"long{number}", occurred_at=from_ms(number), action="x", vendor_action="x"), long)
        for number in range(20)
    ]
    store.add("acme", "launchdarkly", [Reading(LOG, pairs)])
    add(store, 0, SAMPLES - 1)
    assert rows(store, "SELECT count(*) FROM dictionary") == [(0,)], "long ones were counted as samples"
    add(store, SAMPLES - 1, 1)
    assert rows(store, "SELECT count(*) FROM dictionary") == [(1,)]
    [found] = event(store, event_id("acme", LOG, "long3"))
    assert found["records"][0]["record"] == long
