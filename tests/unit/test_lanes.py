"""What a flag served over time is at each moment what is known of that moment."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from flagtrail.facts import Life
from flagtrail.lanes import ON, RULE, VALUE, Lanes
from flagtrail.places import ANYWHERE, Place
from flagtrail.touches import blind
from flagtrail.window import Window

START = datetime(2026, 3, 1, tzinfo=UTC)
ENVIRONMENTS = ("production", "test")


def row(number: int, minute: int, action: str, environment: str | None, changes: Any, **more: Any) -> dict[str, Any]:
    """Return a row of the table `event`, as far as the life of a flag is told by it."""
    return {
        "id": f"{number:032}", "number": number, "occurred_at": START + timedelta(minutes=minute), "action": action,
        "vendor_action": action, "environment": environment, "object_kind": "flag", "object_key": "flag",
        "object_name": "Flag", "changes": changes, "truncated": False, "provisional": False,
    } | more  # fmt: skip


def anything(number: int, minute: int, chance: random.Random) -> dict[str, Any]:
    """Return some event about a flag."""
    env = chance.choice(ENVIRONMENTS)
    on, share = chance.random() < 0.5, chance.choice([True, False, {"true": "25%", "false": "75%"}, "blue", None])
    told = [{"path": f"environments.{env}.on", "before": chance.choice([not on, not on, None, on]), "after": on}]
    rollout = [
        {"path": f"environments.{env}.fallthrough", "before": chance.choice([True, False, None]), "after": share}
    ]
    kinds: list[tuple[str, str | None, Any]] = [
        ("turned_on" if on else "turned_off", env, told), ("turned_on" if on else "turned_off", env, None),
        ("rollout_changed", env, rollout), ("rollout_changed", env, None), ("turned_on", env, [*told, *rollout]),
        ("updated", None, None), ("renamed", None, None), ("variation_changed", None, [
            {"path": "variations[blue].name", "before": "blue", "after": "green"}]),
        ("value_changed", env, [{"path": "flag", "before": not on, "after": on}]),
        ("created", None, None), ("deleted", None, None),
        ("turned_on", env, [{"path": "…", "before": None, "after": "x"}]),
    ]  # fmt: skip
    action, where, changes = chance.choices(kinds, [6, 1, 6, 1, 3, 1, 2, 1, 2, 1, 1, 1])[0]
    return row(number, minute, action, where, changes, truncated=chance.random() < 0.05)


def test_lanes_know_at_each_moment_what_facts_know() -> None:
    chance = random.Random(7)
    known = unknown = 0
    for _ in range(60):
        minutes = sorted(chance.choices(range(1, 300), k=chance.randint(1, 14)))
        rows = [anything(number, minute, chance) for number, minute in enumerate(minutes)]
        hole = sorted(chance.sample(range(400), 2))
        whole, day = Window(START, START + timedelta(minutes=400)), timedelta(days=1)
        cuts = [START + timedelta(minutes=minute) for minute in hole]
        covered = [Window(START - day, cuts[0]), Window(cuts[1], whole.until + day)]
        covered = covered if chance.random() < 0.5 else [Window(START - day, whole.until + day)]
        outside = [blind(row(99, chance.randint(1, 300), "applied", None, None), Place(ANYWHERE, ()))]
        others = outside if chance.random() < 0.2 else []
        lanes = Lanes(rows, whole, covered, others)
        for place in (Place(env, name) for env in ENVIRONMENTS for name in (ON, RULE, VALUE)):
            for part in lanes.stretches(place):
                moment = part.since + (part.until - part.since) / 2
                fact = Life(rows, moment, covered, others).fact(place)
                sure = fact is not None and fact.known
                assert part.known == sure, (place, part, fact, rows)
                assert not sure or (fact and fact.value == part.value), (place, part, fact)
                known, unknown = known + part.known, unknown + (not part.known)
    assert min(known, unknown) > 100


def test_what_was_served_is_in_words() -> None:
    path = "environments.production."
    rows = [
        row(1, 10, "created", None, None),
        row(2, 20, "turned_on", "production", [
            {"path": path + "on", "before": False, "after": True},
            {"path": path + "fallthrough", "before": True, "after": {"true": "25%", "false": "75%"}}]),
        row(3, 30, "rollout_changed", "production", [
            {"path": path + "fallthrough", "before": {"true": "25%", "false": "75%"}, "after": "blue"}]),
        row(4, 40, "turned_off", "production", [{"path": path + "on", "before": True, "after": False}]),
        row(5, 50, "deleted", None, None),
    ]  # fmt: skip
    window = Window(START, START + timedelta(minutes=60))
    lanes = Lanes(rows, window, [window])
    assert lanes.environments() == ["production"]
    told = [(part.kind, part.share, part.label) for part in lanes.served("production")]
    assert told == [
        ("absent", None, ""), ("off", None, ""), ("on", 25.0, ""), ("value", None, "blue"), ("off", None, ""),
        ("absent", None, ""),
    ]  # fmt: skip
