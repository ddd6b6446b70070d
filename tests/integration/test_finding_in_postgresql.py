"""How PostgreSQL finds events: by keys that others may have too, by the rarest word, and without a guess."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from flagtrail import walk
from flagtrail.connector import Stream
from flagtrail.event import Event
from flagtrail.gather import Gathering
from flagtrail.query import Query, count, events, histogram, reading
from flagtrail.rarest import rarest
from flagtrail.rows import Reading
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.window import from_ms

EVENTS = 400
SAME, KEY = ("flag-122631", "flag-9118"), 516010339  # two names, and what PostgreSQL makes of both
SELDOM = 80  # each so many events has a rare word


@pytest.fixture(scope="module")
def stored(postgres: Callable[[], str]) -> Iterator[Store]:
    """Events that were gathered, of which the database knows what is frequent; two objects have one key."""
    with Store(postgres()) as store:
        store.register("acme", "launchdarkly", Stream("audit_log"))
        with store.engine.connect() as connection:
            keys = connection.execute(
                text("SELECT DISTINCT hashtext(unnest(CAST(:names AS text[])))"), {"names": list(SAME)}
            ).all()
        assert keys == [(KEY,)], "what the indexes hold is what it was in other versions of PostgreSQL"
        pairs: list[tuple[Event, dict[str, Any]]] = []
        for n in range(EVENTS):
            told = f"Ticket {n}" + (" rollback" if n % SELDOM == 0 else "")
            found: dict[str, Any] = {"object_key": SAME[n % 2], "environment": "production", "comment": told}
            one = Event(vendor_id=str(n), occurred_at=from_ms(n), action="created", vendor_action="x", **found)
            pairs.append((one, {"id": n}))
        store.add("acme", "launchdarkly", [Reading("audit_log", pairs)])
        Gathering(store.engine).catch_up()
        with store.engine.begin() as connection:
            connection.execute(text("ANALYZE event"))
        yield store


def found(store: Store, **asked: Any) -> set[int]:
    return {int(row["vendor_id"]) for row in events(store, Query(limit=EVENTS, **asked))}


def test_another_value_with_the_same_key_is_not_shown(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "STEPS", 2)
    names = sorted({row["object_key"] for row in events(stored, Query(limit=2))})
    evens, odds = (found(stored, object=name) for name in names)
    assert {frozenset(evens), frozenset(odds)} == {frozenset(range(0, EVENTS, 2)), frozenset(range(1, EVENTS, 2))}


def test_the_rarest_word_finds_and_all_decide(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "STEPS", 2)
    monkeypatch.setattr(walk, "SPANS", (5, 20))
    with stored.engine.connect() as connection:
        found_by = rarest(connection, "ticket rollback", [])
        few = [EVENT.c.number == 80]
        alone = rarest(connection, "ticket", few)
        together = rarest(connection, "ticket rollback", few)
    assert found_by is not None
    assert list(found_by.conditions[0].compile().params.values()) == ["'rollback':*"]
    assert alone is None, "every event has it"
    assert together is not None
    assert together.conditions[1:] == few
    assert found(stored, text="TICKET rollb") == set(range(0, EVENTS, SELDOM))
    assert found(stored, text="rollback ticket", environment="Production") == set(range(0, EVENTS, SELDOM))
    assert found(stored, text="rollback ticket", without={"environment": "production"}) == set()
    assert found(stored, text='"ticket 160" rollback') == {160}
    assert found(stored, text="ticket 160") == {160}
    assert found(stored, text="ticket", object=SAME[0]) == set(range(0, EVENTS, 2))
    assert found(stored, text="icket rollback") == set(), "a part of a word that it does not begin with"
    oldest = list(events(stored, Query(text="ticket rollback", limit=2, oldest_first=True)))
    assert [row["vendor_id"] for row in oldest] == ["0", str(SELDOM)]


def test_what_else_is_asked_for_spares_reading_what_has_the_words_only(stored: Store) -> None:
    here = [EVENT.c.environment == "production"]
    with reading(stored) as connection:
        room = connection.exec_driver_sql("SELECT pg_size_bytes(current_setting('work_mem'))").scalar_one()
        finding = rarest(connection, "rollback", here)
    assert room == 64 * 2**20, "each place has room: pages as wholes would be taken apart into words again"
    assert finding is not None
    assert len(finding.conditions) == 1
    assert finding.others == here


def test_nothing_is_left_to_guess_about_what_was_not_gathered(stored: Store) -> None:
    said: list[str] = []
    note = lambda *about: said.append(about[2])  # noqa: E731
    event.listen(stored.engine, "before_cursor_execute", note)
    try:
        whole = Query(since=from_ms(-7_200_000), until=from_ms(7_200_000))
        assert sum(histogram(stored, whole, "vendor", timedelta(hours=1)).values()) == EVENTS
        assert count(stored, Query(environment="production"), ["vendor"]).total == EVENTS
        assert len(found(stored, vendor="launchdarkly", environment="production")) == EVENTS
    finally:
        event.remove(stored.engine, "before_cursor_execute", note)
    assert any("event.number >" in statement for statement in said)
    assert not [statement for statement in said if "gathered" in statement and "event" in statement]
