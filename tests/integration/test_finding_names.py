"""What people type finds what is meant: names of places and their keys, any alphabet, words that begin with a digit."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from flagtrail.conditions import WORDS
from flagtrail.connector import Stream
from flagtrail.event import Event
from flagtrail.gather import Gathering
from flagtrail.query import Query, events, histogram
from flagtrail.rows import Reading
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.window import from_ms


def stored(store: Store, told: Mapping[str, Mapping[str, Any]], *, gathered: bool = False) -> None:
    """Store an event for each id, with these values, one after the other; gather them when that is asked for."""
    store.register("acme", "launchdarkly", Stream("audit_log"))
    usual = {"action": "created", "vendor_action": "x"}
    pairs = [
        (Event(vendor_id=id, occurred_at=from_ms(number), **(usual | dict(values))), {"id": id})
        for number, (id, values) in enumerate(told.items())
    ]
    store.add("acme", "launchdarkly", [Reading("audit_log", pairs)])
    if gathered:
        Gathering(store.engine).catch_up()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("gathered", [False, True])
def test_a_place_is_asked_for_by_its_key_and_by_every_name_that_it_had(store: Store, gathered: bool) -> None:
    told = {
        "old name": {"environment": "prod", "environment_name": "Live", "project": "web"},
        "new name": {"environment": "prod", "environment_name": "Production EU", "project": "web"},
        "no name": {"environment": "prod", "project": "web", "project_name": "Web shop"},
        "another": {"environment": "test", "environment_name": "Test", "project": "app", "project_name": "Web shop"},
        "nowhere": {},
    }
    stored(store, told, gathered=gathered)

    def found(**asked: Any) -> set[str]:
        query = Query(limit=0, **asked)
        ids = {row["vendor_id"] for row in events(store, query)}
        assert sum(histogram(store, query, None, timedelta(hours=1)).values()) == len(ids)
        return ids

    prod = {"old name", "new name", "no name"}
    for name in ("prod", "PROD", "live", "production eu", "Production*", "*EU"):
        assert found(environment=name) == prod, name
        assert found(without={"environment": name}) == {"another", "nowhere"}, name
    assert found(project="web shop") == {*prod, "another"}
    assert found(project="web shop", environment="Live") == prod
    assert found(environment="Web shop") == set()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("gathered", [False, True])
def test_a_key_is_left_out_by_a_name_only_where_it_means_the_same(store: Store, gathered: bool) -> None:
    told = {
        "staging": {"project": "web", "environment": "test", "environment_name": "Staging"},
        "other": {"project": "app", "environment": "test", "environment_name": "Test"},
        "unnamed": {"project": "third", "environment": "test"},
        "live": {"project": "web", "environment": "prod", "environment_name": "Live"},
        "live too": {"project": "web", "environment": "prod"},
        "odd": {"project": "web", "object_name": "x\x1fy", "object_key": "", "environment": "\x1f"},
    }
    stored(store, told, gathered=gathered)

    def found(**asked: Any) -> set[str]:
        return {row["vendor_id"] for row in events(store, Query(limit=0, **asked))}

    assert found(without={"environment": "Staging"}) == set(told), "an event of another project is missing"
    assert found(without={"environment": "Live"}) == set(told) - {"live", "live too"}
    assert found(object="x*") == {"odd"}
    with store.engine.connect() as connection:
        assert connection.execute(select(EVENT.c.object_key).where(EVENT.c.object_key == "")).first() is None


def test_a_name_may_stand_for_any_number_of_keys(store: Store) -> None:
    stored(store, {str(at): {"project": f"p{at}", "project_name": f"Project {at}"} for at in range(520)})
    for project in ("project*", "*"):
        assert sum(1 for _ in events(store, Query(limit=0, project=project))) == 520


@pytest.mark.usefixtures("tiny")
def test_case_does_not_matter_in_any_alphabet(store: Store) -> None:
    values = {"action": "Übernommen", "environment": "Größe", "object_key": "kasse-Ü", "object_name": "Übersicht"}
    people = {"actor_name": "Žofie Černá", "actor_email": "ŽOFIE@example.com"}
    stored(store, {"1": values | people, "2": {}})
    asked = {
        "object": ["übersicht", "ÜBER*", "*SICHT", "*ERS*", "KASSE-ü", "kasse-ü*", "Kasse*"],
        "actor": ["žofie", "ČERN", "žofie č*", "*@EXAMPLE.com"],
        "action": ["ÜBERNOMMEN", "über*"],
        "environment": ["GRößE", "*ÖßE"],
    }
    for gathered in (False, True):
        if gathered:
            Gathering(store.engine).catch_up()
        for name, patterns in asked.items():
            for pattern in patterns:
                found = [row["vendor_id"] for row in events(store, Query(**{name: pattern}))]
                assert found == ["1"], (name, pattern, gathered)
                found = [row["vendor_id"] for row in events(store, Query(without={name: pattern}))]
                assert found == ["2"], ("not", name, pattern, gathered)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("gathered", [False, True])
def test_words_that_begin_with_a_digit_are_found(store: Store, gathered: bool) -> None:
    texts = [
        "deploy 0e1f2a9, 12% of users",
        "4e12ab9c",
        "rollback:4e12ab9c→0e1f2a9\n1.5e3x 2026-03-01",
        "Q1 e1f2a9",
        "é2e5",
    ]
    stored(store, {str(number): {"comment": told} for number, told in enumerate(texts)}, gathered=gathered)
    for asked, found in {
        "0e1f2a9": "02", '"0e1f2a9"': "02", "0E1F": "02", "4e12ab9c": "12", "4e12": "12", '"4e12ab9c 0e1f2a9"': "2",
        '"4e12"': "", "12": "0", '"deploy 0e1f2a9 12"': "0", "1": "02", "q1": "3", "e1f2a9": "3", '"1 5e3x 2026"': "2",
        "é2e5": "4", "2e5": "",
    }.items():  # fmt: skip
        got = sorted(row["vendor_id"] for row in events(store, Query(text=asked)))
        assert got == list(found), (asked, found)
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect() as connection:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = connection.exec_driver_sql(
                f"EXPLAIN SELECT 1 FROM event WHERE {WORDS.replace('%', '%%')} @@ 'x'::tsquery", ()
            ).scalars()
            assert "search_text" in " ".join(plan), "to the letter what the index is of"
