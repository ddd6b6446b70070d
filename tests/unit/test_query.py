"""Which events the table gives to which question."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flagtrail.counts import count_by_stream, unmapped
from flagtrail.event import Event, Ref
from flagtrail.query import Query, event, events
from flagtrail.rows import Reading, event_id
from flagtrail.store import Store

START = datetime(2026, 3, 1, tzinfo=UTC)
LOG, EFFECTS = "audit_log", "flag_events[web/production]"
Change = Callable[..., Event]
Put = Callable[..., None]


@pytest.fixture
def put(store: Store, change: Change) -> Put:
    """Return a function that stores one event; `hour` says when it happened."""

    def stored(
        vendor_id: str, *, hour: float = 0, source: str = "acme", vendor: str = "v", stream: str = LOG, **values: Any
    ) -> None:
        made = change(vendor_id, START + timedelta(hours=hour), **values)
        store.add(source, vendor, [Reading(stream, [(made, {"id": vendor_id, "hour": hour})])])

    return stored


@pytest.fixture
def ask(store: Store) -> Callable[..., list[str]]:
    """Return a function that asks the table and tells the vendor's ids."""
    return lambda **conditions: [row["vendor_id"] for row in events(store, Query(**conditions))]


Ask = Callable[..., list[str]]


def test_events_come_newest_first(put: Put, ask: Ask) -> None:
    for name, hour in (("b", 2), ("a", 1), ("c", 3)):
        put(name, hour=hour)
    assert ask() == ["c", "b", "a"]


def test_events_of_one_millisecond_always_come_in_the_same_order(put: Put, ask: Ask) -> None:
    names = [f"e{number}" for number in range(9)]
    for name in names:
        put(name)
    assert ask() == names[::-1]
    assert ask(limit=4) == names[:4:-1]


def test_the_limit_keeps_the_newest_and_zero_means_all(store: Store, change: Change, ask: Ask) -> None:
    made = [change(f"e{number:02d}", START + timedelta(hours=number)) for number in range(60)]
    store.add("acme", "v", [Reading(LOG, [(each, {}) for each in made])])
    assert ask(limit=2) == ["e59", "e58"]
    assert len(ask()) == 50
    assert len(ask(limit=0)) == 60


def test_since_belongs_to_the_span_and_until_does_not(put: Put, ask: Ask) -> None:
    for name, hour in (("early", 1), ("first", 2), ("last", 3), ("late", 4)):
        put(name, hour=hour)
    since, until = START + timedelta(hours=2), START + timedelta(hours=4)
    assert ask(since=since, until=until) == ["last", "first"]
    assert ask(since=since) == ["late", "last", "first"]
    assert ask(until=since) == ["early"]


@pytest.mark.parametrize("name", ["project", "environment", "action"])
def test_a_filter_by_an_exact_value_ignores_case_and_nothing_else(put: Put, ask: Ask, name: str) -> None:
    put("right", **{name: "Web"})
    put("longer", **{name: "Website"})
    if name != "action":
        put("unknown", **{name: None})
    assert ask(**{name: "wEB"}) == ["right"]
    assert ask(**{name: "We_"}) == []
    assert ask(**{name: "W%"}) == []


@pytest.mark.parametrize("name", ["vendor", "source"])
def test_a_filter_by_vendor_or_source_leaves_the_others_out(put: Put, ask: Ask, name: str) -> None:
    put("right", **{name: "configcat"})
    put("wrong", **{name: "launchdarkly"})
    assert ask(**{name: "ConfigCat"}) == ["right"]


def test_every_condition_has_to_hold(put: Put, ask: Ask) -> None:
    put("both", project="web", action="created")
    put("one", project="web", action="deleted")
    put("other", project="app", action="created")
    assert ask(project="web", action="created") == ["both"]


@pytest.mark.parametrize("column", ["actor_name", "actor_email", "actor_id"])
def test_an_actor_is_found_by_a_part_of_name_mail_or_id(put: Put, ask: Ask, column: str) -> None:
    put("right", **{column: "Ada.Lovelace@example.com"})
    put("wrong", actor_name="Grace", actor_email="grace@example.org", actor_id="g")
    assert ask(actor="lovelace@") == ["right"]


@pytest.mark.parametrize("column", ["summary", "comment", "object_key", "object_name", "location", "actor_name"])
def test_a_text_is_found_in_every_place_that_people_read(put: Put, ask: Ask, column: str) -> None:
    put("right", **{column: "Before the Black Friday rush"})
    put("wrong", summary="something else", actor_email="black@friday.example")
    assert ask(text="black fri") == ["right"]


@pytest.mark.parametrize("wildcard", ["%", "_", "\\"])
def test_wildcards_of_like_are_taken_literally_in_a_part(put: Put, ask: Ask, wildcard: str) -> None:
    put("literal", actor_name=f"100{wildcard} off")
    put("other", actor_name="100 x off")
    assert ask(actor=f"0{wildcard}") == ["literal"]


@pytest.mark.parametrize("wildcard", ["%", "_", "\\"])
def test_wildcards_of_like_are_taken_literally_in_an_object(put: Put, ask: Ask, wildcard: str) -> None:
    put("literal", object_key=f"a{wildcard}b")
    put("other", object_key="axb")
    assert ask(object=f"a{wildcard}b") == ["literal"]
    assert ask(object=f"*{wildcard}*") == ["literal"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("checkout", []),
        ("checkout*", ["key", "name"]),
        ("*-v2", ["key"]),
        ("CHECKOUT-V2", ["key"]),
        ("*check*v*", ["key", "name"]),
        ("checkout v3", ["name"]),
        ("*", ["key", "name", "other"]),
    ],
)
def test_an_object_is_found_by_its_whole_key_or_name_with_stars_for_anything(
    put: Put, ask: Ask, pattern: str, found: list[str]
) -> None:
    put("key", object_key="checkout-v2", hour=3)
    put("name", object_name="Checkout v3", hour=2)
    put("other", object_key="search", hour=1)
    assert ask(object=pattern) == found


@pytest.fixture
def linked(put: Put) -> None:
    """Store an audit entry with the flag event that names it, and a flag event whose entry is not there."""
    put("entry", hour=1, object_key="checkout")
    put("effect", hour=1, stream=EFFECTS, related_event=Ref(LOG, "entry"), impact={"size": "large"}, object_key="x")
    put("alone", hour=2, stream=EFFECTS, related_event=Ref(LOG, "not read"), impact={"size": "small"})
    put("plain", hour=3)


@pytest.mark.usefixtures("linked")
def test_a_linked_flag_event_shows_as_the_impact_of_its_audit_entry(store: Store) -> None:
    rows = {row["vendor_id"]: row["impact"] for row in events(store, Query())}
    assert rows == {"entry": {"size": "large"}, "alone": {"size": "small"}, "plain": None}


@pytest.mark.usefixtures("linked")
def test_a_linked_flag_event_is_shown_when_asked_for(ask: Ask) -> None:
    assert sorted(ask(linked=True)) == ["alone", "effect", "entry", "plain"]
    assert ask(linked=False) == ["plain", "alone", "entry"]


@pytest.mark.usefixtures("linked")
def test_the_impact_stands_on_the_entry_also_when_the_flag_event_is_filtered_out(store: Store) -> None:
    (row,) = events(store, Query(object="checkout"))
    assert row["impact"] == {"size": "large"}


def test_of_several_flag_events_of_one_entry_the_newest_is_shown_and_no_row_is_doubled(put: Put, store: Store) -> None:
    put("entry")
    for number in (2, 1):
        put(f"e{number}", hour=number, stream=EFFECTS, related_event=Ref(LOG, "entry"), impact={"number": number})
    assert [row["impact"] for row in events(store, Query())] == [{"number": 2}]


def test_entries_of_the_same_id_in_two_sources_are_never_linked(put: Put, ask: Ask) -> None:
    put("entry", source="acme")
    put("effect", source="other", stream=EFFECTS, related_event=Ref(LOG, "entry"), impact={"size": "large"})
    assert sorted(ask()) == ["effect", "entry"]


def test_a_row_has_every_column_and_aware_times(put: Put, store: Store) -> None:
    put("entry", hour=1, actor_name="Ada", changes=[{"path": "/on", "before": False, "after": True}])
    (row,) = events(store, Query())
    assert row["id"] == event_id("acme", LOG, "entry")
    assert row["occurred_at"] == START + timedelta(hours=1)
    assert row["occurred_at"].tzinfo is UTC
    assert row["changes"] == [{"path": "/on", "before": False, "after": True}]
    assert (row["revision"], row["vanished_at"], row["actor_name"]) == (1, None, "Ada")


def test_a_number_larger_than_64_bits_is_kept(put: Put, store: Store) -> None:
    put("entry", impact={"evaluations": 2**70})
    (row,) = events(store, Query())
    assert row["impact"] == {"evaluations": 2**70}


def test_one_event_is_found_by_the_beginning_of_its_id_with_every_revision_of_its_record(
    put: Put, store: Store
) -> None:
    put("entry", hour=1)
    put("entry", hour=2)
    put("other", hour=1)
    (row,) = event(store, event_id("acme", LOG, "entry")[:12])
    assert row["vendor_id"] == "entry"
    assert row["revision"] == 2
    assert [(kept["revision"], kept["record"]["hour"]) for kept in row["records"]] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("id", ["nothing", "%", "_", "\\"])
def test_an_id_that_no_event_has_finds_nothing(put: Put, store: Store, id: str) -> None:
    put("entry")
    assert event(store, id) == []


def test_an_ambiguous_id_finds_two(put: Put, store: Store) -> None:
    for number in range(5):
        put(f"e{number}")
    assert len(event(store, "")) == 2


def test_events_are_counted_by_stream(put: Put, store: Store) -> None:
    put("a")
    put("b")
    put("a", stream=EFFECTS)
    put("a", source="other")
    assert count_by_stream(store) == {("acme", LOG): 2, ("acme", EFFECTS): 1, ("other", LOG): 1}


def test_actions_that_no_shared_verb_fits_are_counted_by_vendor(put: Put, store: Store) -> None:
    for number, action in enumerate(["created", "beamedUp", "beamedUp"]):
        put(f"e{number}", action=action)
    put("e9", source="other", vendor="w", action="beamedUp")
    assert unmapped(store, {"created"}) == {("v", "beamedUp"): 2, ("w", "beamedUp"): 1}
