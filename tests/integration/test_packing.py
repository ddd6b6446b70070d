"""Records take little room, and come back as they were."""

import json
import os
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from flagtrail.connector import Stream
from flagtrail.errors import StoreError
from flagtrail.event import Event, to_json
from flagtrail.migrations.upgrade import upgrade
from flagtrail.packing import SAMPLES
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


def test_a_database_of_the_second_schema_is_packed_and_numbered(store_url: str) -> None:
    old = create_engine(make_url(store_url).set(drivername=DRIVERS[make_url(store_url).get_backend_name()]))
    with old.begin() as connection:
        upgrade(connection, "0002")
    body = json.dumps({"a": "é", "b": [1]})
    with old.begin() as connection:
        for number, id in enumerate(("aa", "bb")):
            moment = f"2026-03-01T00:00:0{number}.000Z"
            connection.execute(
                text(
                    "INSERT INTO event (id, source, vendor, stream, vendor_id, occurred_at, first_seen_at, actor_kind,"
                    " action, vendor_action, revision) VALUES (:id, 'acme', 'launchdarkly', 'audit_log', :id, :moment,"
                    " :moment, 'member', 'created', 'x', 1)"
                ),
                {"id": id, "moment": moment},
            )
            told = {"id": id, "moment": moment, "digest": b"1", "body": body}
            connection.execute(text("INSERT INTO record VALUES (:id, 1, :moment, :digest, :body)"), told)
        connection.execute(
            text("INSERT INTO detail VALUES ('bb', 'acme', 'audit_log', :moment, 'done', 0, :moment, :body)"),
            {"moment": "2026-03-01T00:00:01.000Z", "body": body},
        )
    old.dispose()
    with Store(store_url) as store:
        assert rows(store, "SELECT number, id FROM event ORDER BY number") == [(1, "aa"), (2, "bb")]
        assert rows(store, "SELECT number, revision, body FROM record ORDER BY number") == [(1, 1, body), (2, 1, body)]
        assert rows(store, "SELECT number, state, body FROM detail") == [(2, "done", body)]
        store.register("acme", "launchdarkly", Stream(LOG))
        add(store, 5, 1)
        assert rows(store, "SELECT number FROM event WHERE vendor_id = '5'") == [(3,)]
