"""The cause of an incident is among the first suspects, and each says why it is one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.incidents import Found, ranks_in
from benchmarks.outages import Company
from flagtrail.around import Around, around
from flagtrail.connector import Stream
from flagtrail.effects import EFFECTS, Effect, effect_of, is_production
from flagtrail.event import Action, ActorKind, Event, Ref
from flagtrail.query import Query, events
from flagtrail.rollouts import few_targets, puts_back, step_of
from flagtrail.rows import Reading
from flagtrail.state import state
from flagtrail.store import Store
from flagtrail.suspects import FACTORS, Past, ranked, saves
from flagtrail.unread import TOO_EARLY, TOO_YOUNG
from flagtrail.window import Window

MOMENT = datetime(2026, 3, 1, 14, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Company]]:
    """Months of a company with 100 incidents, stored; tuning never saw this seed."""
    made = Company(seed=1)
    with Store(f"sqlite:///{tmp_path_factory.mktemp('incidents') / 'trail.db'}") as store:
        made.store_in(store)
        yield store, made


def test_the_cause_of_an_incident_is_among_the_first_three_in_90_of_100(company: tuple[Store, Company]) -> None:
    store, made = company
    found: Found = ranks_in(store, made.incidents)
    shares = {way: {first: found.share(way, first) for first in (1, 3, 10)} for way in found.ranks}
    assert len(found.changes) == 100
    assert shares["flagtrail around"][3] >= 0.9, shares
    assert shares["flagtrail around"][3] > shares["nearest in production"][3] + 0.1, shares
    assert shares["nearest in time"][3] < 0.65, "or it would be too easy"


def event(vendor_id: str, minutes: float, **values: Any) -> Event:
    told = {"action": "turned_on", "vendor_action": "x", "object_kind": "flag", "object_key": vendor_id,
            "environment": "production", "project": "web", **values}  # fmt: skip
    return Event(vendor_id=vendor_id, occurred_at=MOMENT + MINUTE * minutes, **told)


def put(store: Store, events: list[Event], stream: str = "audit_log", covers: Window | None = None) -> None:
    store.register("acme", "launchdarkly", Stream(stream), wanted_since=MOMENT - timedelta(days=60))
    store.note("acme", stream, settled_at=MOMENT + timedelta(hours=2))
    store.note_source("acme", "launchdarkly", None)
    store.add("acme", "launchdarkly", [Reading(stream, [(one, {"id": one.vendor_id}) for one in events], covers)])


def order(found: Around) -> list[str]:
    return [suspect.row["vendor_id"] for suspect in found.suspects]


def test_what_alters_nothing_and_what_is_not_where_users_are_comes_last(store: Store) -> None:
    put(store, [event("tag", -1, action="tagged"), event("test", -2, environment="test"), event("cause", -20)])
    assert order(around(store, MOMENT)) == ["cause", "test", "tag"]
    found = around(store, MOMENT, limit=1)
    assert (len(found.suspects), found.changes) == (1, 3)
    assert found.suspects[0].why == "changes what users get, in production"
    assert round(sum(r.points for r in found.suspects[0].reasons), 2) == found.suspects[0].score


def test_what_is_asked_for_narrows_and_keeps_what_belongs_to_no_single_environment(store: Store) -> None:
    told = [event("a", -1), event("b", -2, environment="Test"), event("c", -3, environment=None, project=None)]
    put(store, told)
    assert order(around(store, MOMENT, environment="TEST")) == ["b", "c"]
    assert order(around(store, MOMENT, project="web", object="A*")) == ["a"]
    assert order(around(store, MOMENT, project="other")) == ["c"]


def test_environments_and_projects_go_by_their_names_and_patterns_as_in_any_question(store: Store) -> None:
    names = {"environment": "env-1", "environment_name": "Production EU", "project": "p1", "project_name": "Web shop"}
    flag = {"object_key": "checkout", "changes": [{"path": "environments.env-1.on", "before": False, "after": True}]}
    told = [event("named", -1, **names, **flag), event("key only", -2, **flag, environment="env-1", project="p1"),
            event("another", -3, environment="test", project="app"),
            event("none", -4, environment=None, project=None)]  # fmt: skip
    put(store, told)
    for where in ({"environment": "production EU"}, {"environment": "Prod*"}, {"environment": "env-*"},
                  {"project": "WEB shop"}, {"project": "web*"}, {"project": "p*", "environment": "*1"}):  # fmt: skip
        found = {row["vendor_id"] for row in events(store, Query(limit=0, **where))}
        assert set(order(around(store, MOMENT, **where))) == {*found, "none"}, where
        flags = state(store, "checkout", MOMENT, **where)
        facts = [(one.project, fact.environment) for one in flags for fact in one.facts]
        assert (found, set(facts)) == ({"named", "key only"}, {("p1", "env-1")}), where


def test_the_span_is_what_is_asked_for(store: Store) -> None:
    put(store, [event("early", -61), event("first", -60), event("last", 5), event("late", 5.01)])
    assert sorted(order(around(store, MOMENT))) == ["first", "last"]
    assert order(around(store, MOMENT, before=2 * MINUTE * 60, after=timedelta())) == ["first", "early"]
    put(store, [event("now", 0)])
    assert order(around(store, MOMENT, before=timedelta(), after=timedelta())) == ["now"]
    assert order(around(store, MOMENT, before=timedelta())) == ["now", "last"]
    assert order(around(store, MOMENT, after=timedelta())) == ["now", "first"]


def test_a_flag_event_and_its_entry_are_one_suspect_with_the_impact(store: Store) -> None:
    put(store, [event("small", -3), event("large", -9)])
    for name, size in (("small", "small"), ("large", "large")):
        effect = event(f"f-{name}", -3, related_event=Ref("audit_log", name), impact={"size": size, "percentage": 84.0})
        put(store, [effect], "flag_events[web/production]")
    found = around(store, MOMENT)
    assert order(found) == ["large", "small"]
    assert "large impact measured (84 %)" in found.suspects[0].why


def test_what_was_put_back_after_the_moment_comes_first(store: Store) -> None:
    put(store, [event("near", -3), event("cause", -15), Event(**{
        **event("cause", 9, action="turned_off").model_dump(), "vendor_id": "rollback"})])  # fmt: skip
    found = around(store, MOMENT)
    assert order(found) == ["cause", "near"]
    assert "put back 9m after the moment" in found.suspects[0].why


def test_a_habit_counts_against_and_a_rarity_for_it_only_as_far_as_the_past_is_covered(store: Store) -> None:
    often = [Event(**{**event("often", -60 * 24 * n).model_dump(), "vendor_id": f"often{n}"}) for n in range(1, 21)]
    put(store, [*often, event("often", -2), event("rare", -5)])
    found = around(store, MOMENT)
    assert order(found) == ["rare", "often"]
    assert "changed 20 times" in found.suspects[1].why
    assert "first" not in found.suspects[0].why
    put(store, [], covers=Window(MOMENT - timedelta(days=50), MOMENT + timedelta(hours=1)))
    assert "its first change in 30 days" in around(store, MOMENT).suspects[0].why


def test_what_was_not_read_around_the_moment_is_told(store: Store) -> None:
    put(store, [], covers=Window(MOMENT - timedelta(days=1), MOMENT - 10 * MINUTE))
    gap, late = around(store, MOMENT, after=timedelta(hours=3)).unread
    assert (gap.source, gap.streams, gap.since, gap.until) == (
        "acme", ["audit_log"], MOMENT - 10 * MINUTE, MOMENT + timedelta(hours=2))  # fmt: skip
    assert (late.since, late.reason) == (MOMENT + timedelta(hours=2), TOO_YOUNG)
    early = around(store, MOMENT - timedelta(days=60))
    assert TOO_EARLY in {one.reason for one in early.unread}
    assert early.suspects == []


def row(vendor_id: str, minutes: float, **values: Any) -> dict[str, Any]:
    """Return an event as the table gives it."""
    told = event(vendor_id, minutes, **values).model_dump(mode="python")
    return {**told, "id": vendor_id, "source": "acme", "vendor": "v", "stream": "audit_log", "related_event": None}


def first_reasons(*rows: dict[str, Any], past: Past | None = None) -> set[str]:
    return {reason.factor for reason in ranked(rows, MOMENT, past=lambda row: past)[0].reasons}


@pytest.mark.parametrize(
    ("values", "factor"),
    [
        ({"action": "credential_rotated", "object_kind": "environment"}, "served"),
        ({"action": "updated", "object_kind": "segment"}, "served"),
        ({"action": "turned_on", "object_kind": "webhook"}, "no effect"),
        ({"environment": None}, "everywhere"),
        ({"impact": {"size": "none"}}, "no impact"),
        ({"impact": {"reason": "waiting"}}, "impact"),
        ({"actor_kind": ActorKind.TOKEN}, "automation"),
        ({"changes": [{"path": "x.fallthrough", "before": {"a": "10%", "b": "90%"}, "after": "a"}]}, "step"),
        ({"changes": [{"path": "x.targets.true", "before": None, "after": {"added": ["ana"]}}]}, "few targets"),
    ],
)
def test_each_factor_says_its_own(values: dict[str, Any], factor: str) -> None:
    assert factor in first_reasons(row("a", -3, **values))


def test_a_change_after_the_moment_is_suspected_only_within_what_clocks_differ() -> None:
    found = ranked([row("late", 4), row("skewed", 0.5), row("before", -30)], MOMENT)
    assert [one.row["id"] for one in found] == ["skewed", "before", "late"]
    assert "after" in {reason.factor for reason in found[2].reasons}


def test_changes_of_one_save_are_one_suspect() -> None:
    script = [row(f"s{n}", -5 + n / 100, actor_name="bot") for n in range(20)]
    pair = [row("p1", -9, change_set="7"), row("p2", -8, change_set="7", action="tagged")]
    found = ranked([*script, *pair, row("nobody", -7), row("nobody2", -7)], MOMENT)
    assert sorted(len(one.saved_with) for one in found) == [0, 0, 1, 19]
    assert [len(save) for save in saves(pair)] == [2]
    [saved] = [one for one in found if one.row["id"] == "p1"]
    assert saved.saved_with[0]["id"] == "p2"


def test_every_verb_of_the_trail_has_an_effect_and_a_new_one_may_have_one() -> None:
    assert {str(action) for action in Action} <= EFFECTS.keys()
    assert effect_of("beamedUp", "flag") is Effect.POSSIBLE
    assert effect_of("beamedUp", None) is Effect.POSSIBLE


@pytest.mark.parametrize(
    ("name", "live"),
    [
        ("production", True), ("Prod EU", True), ("us_production", True), ("Live", True), ("euProd", True),
        ("pre-production", False), ("non-prod", False), ("load-test", False), ("Staging", False), ("dev2", None),
        ("canary", None), ("eu", None), ("products", None),
    ],
)  # fmt: skip
def test_the_words_of_an_environments_name_tell_whether_users_are_there(name: str, live: bool | None) -> None:
    assert is_production(name) is live


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        ({"true": "0%", "false": "100%"}, {"true": "100%", "false": "0%"}, 1.0),
        ({"true": "10%", "false": "90%"}, {"true": "11%", "false": "89%"}, 0.01),
        (False, {"true": "25%", "false": "75%"}, 0.25),
        ({"a": "50% untracked", "b": "50%"}, "a", 0.5),
        (False, True, None),
        ({"a": 1}, {"a": 2}, None),
        (None, {"a": "100%"}, None),
        ({"removed": ["x"]}, {"added": ["y"]}, None),
    ],
)
def test_the_step_of_a_rollout_is_the_share_of_users_that_it_moves(before: Any, after: Any, step: float | None) -> None:
    found = step_of([{"path": "fallthrough", "before": before, "after": after}])
    assert found == (step if step is None else pytest.approx(step))


def test_what_puts_a_change_back() -> None:
    def changed(path: str, before: Any, after: Any, action: str = "updated") -> dict[str, Any]:
        return {"action": action, "changes": [{"path": path, "before": before, "after": after}]}

    assert puts_back(changed("a", 1, 2), changed("a", 2, 1))
    assert not puts_back(changed("a", 1, 2), changed("a", 2, 3))
    assert not puts_back(changed("a", 1, 2), changed("b", 2, 1))
    assert puts_back(changed("t", None, {"added": ["x", "y"]}), changed("t", {"removed": ["x"]}, None))
    assert not puts_back(changed("t", None, {"added": ["x"]}), changed("t", {"removed": ["z"]}, None))
    assert puts_back({"action": "archived", "changes": None}, {"action": "restored", "changes": None})
    assert not puts_back({"action": "updated", "changes": None}, {"action": "updated", "changes": None})
    assert not few_targets([])
    assert set(FACTORS) >= {"undone", "undoes"}
