"""What is said to be known of a flag at a moment was so, whatever happened, was missed, or was told in part."""

import copy
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from flagtrail.connector import Connector, Stream
from flagtrail.event import to_json
from flagtrail.facts import Fact, Life
from flagtrail.places import Item, place_of
from flagtrail.rows import Reading, prepared
from flagtrail.state import FlagState, state
from flagtrail.store import Store
from flagtrail.window import Window, from_ms, subtract, to_ms
from flagtrail_configcat import ConfigCat
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.readable import labels, readable, readable_value
from flagtrail_launchdarkly.simulation.versions import _patch
from flagtrail_launchdarkly.versions import _told

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=40)
PLACES = ("production", "test", "eu.west")
SECRET = SecretStr("made-up")
LD, CC = LaunchDarkly(token=SECRET), ConfigCat(username=SECRET, password=SECRET)
Model = dict[str, Any]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def trail(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that all tests of this module share, each with a source of its own."""
    folder: Path = tmp_path_factory.mktemp("state")
    new: Callable[[], str] | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with Store(new() if new else f"sqlite:///{folder / 'trail.db'}") as store:
        yield store


class Told(NamedTuple):
    """A record of a vendor, and what the flag was afterwards; None when it was not there."""

    at: datetime
    record: dict[str, Any]
    model: Model | None


def keep(
    store: Store,
    source: str,
    connector: Connector,
    stream: Stream,
    told: list[Told],
    unseen: list[Window] = [],  # noqa: B006
) -> None:
    """Store what was seen, and cover all time but what was not."""
    store.register(source, connector.vendor, stream, wanted_since=START)
    store.note(source, stream.name, settled_at=END)
    store.note_source(source, connector.vendor, None)
    seen = [one for one in told if not any(w.since <= one.at < w.until for w in unseen)]
    page = [(connector.event(stream, one.record), one.record) for one in seen]
    windows = subtract(Window(START, END), unseen)
    store.add(source, connector.vendor, [Reading(stream.name, page), *(Reading(stream.name, [], w) for w in windows)])


class Flag:
    """A flag of LaunchDarkly that somebody changes at random, as the vendor's records tell it."""

    def __init__(self, seed: int, key: str = "checkout-v2") -> None:
        self.made, self.key, self.number = random.Random(seed), key, 0
        self.names = self.made.choice(((True, False), ("Red", "Blue", "Green")))
        self.model: Model | None = self.new() if self.made.random() < 0.7 else None

    def new(self) -> Model:
        variations = [
            {"_id": f"v{n}-{self.number}", "value": name, **({"name": name} if isinstance(name, str) else {})}
            for n, name in enumerate(self.names)
        ]
        here = {"on": False, "fallthrough": {"variation": 0}, "offVariation": 1, "rules": [], "targets": []}
        environments = {place: copy.deepcopy(here) for place in PLACES}
        return {"key": self.key, "name": "Checkout", "tags": ["core"], "archived": False, "description": "",
                "variations": variations, "environments": environments}  # fmt: skip

    def tell(self, at: datetime) -> Told:
        """Change something, and return the vendor's record of it."""
        self.number += 1
        before = copy.deepcopy(self.model)
        if self.model is None or self.made.random() < 0.04:
            self.model = self.new() if self.model is None else None
            verb = "created" if self.model else "deleted"
            versions = {"currentVersion": self.model} if self.model else {"previousVersion": before}
            return self._told(at, [("createFlag" if self.model else "deleteFlag", "production")], verb, versions)
        place = self.made.choice(PLACES)
        chosen = dict.fromkeys(self.made.sample(CHANGES, 2 if self.made.random() < 0.15 else 1))  # none of them twice
        verbs = [change(self, self.model, self.model["environments"][place]) for change in chosen]
        verb = next((v for v in verbs if not v.startswith("update")), "updated the flag")
        actions = [ACTION.get(v, v) for v in verbs]
        chance = self.made.random()
        forms: Model = {"previousVersion": before, "currentVersion": copy.deepcopy(self.model)}
        if chance < 0.15:
            forms = {}
        elif chance < 0.25 and before:
            forms = {"delta": _patch(before, self.model)}
        return self._told(at, [(action, place) for action in actions], verb, forms)

    def _told(self, at: datetime, actions: list[tuple[str, str]], verb: str, forms: Model) -> Told:
        accesses = [{"action": a, "resource": f"proj/web:env/{place}:flag/{self.key}"} for a, place in actions]
        record = {"_id": f"{self.key}-{self.number}", "date": to_ms(at), "accesses": accesses, "kind": "flag",
                  "name": "Checkout", "titleVerb": verb, **copy.deepcopy(forms)}  # fmt: skip
        return Told(at, record, copy.deepcopy(self.model))

    def switch(self, model: Model, here: Model) -> str:
        here["on"] = not here["on"]
        return "turned on the flag" if here["on"] else "turned off the flag"

    def roll_out(self, model: Model, here: Model) -> str:
        weight = self.made.choice((5_000, 25_000, 50_000))
        shares = [{"variation": 0, "weight": weight}, {"variation": 1, "weight": 100_000 - weight}]
        plain = {"variation": self.made.randrange(2)}
        here["fallthrough"] = plain if self.made.random() < 0.4 else {"rollout": {"variations": shares}}
        return "updateFallthrough"

    def rule(self, model: Model, here: Model) -> str:
        rules = here["rules"]
        chance = self.made.random()
        if chance < 0.4 or not rules:
            clause = {"_id": f"c{self.number}", "attribute": "city", "op": "in", "values": ["Bern"], "negate": False}
            named = {"description": self.made.choice(("Guides", "Staff", "a.b[c]"))} if self.made.random() < 0.7 else {}
            rules.insert(self.made.randint(0, len(rules)), {"_id": f"r{self.number}", "clauses": [clause],
                                                            "variation": self.made.randrange(2), **named})  # fmt: skip
        elif chance < 0.55:
            rules.pop(self.made.randrange(len(rules)))
        elif chance < 0.65:
            self.made.shuffle(rules)
        elif chance < 0.75:
            self.made.choice(rules)["description"] = self.made.choice(("Guides", "Staff", ""))
        elif chance < 0.85:
            self.made.choice(rules)["clauses"][0]["values"] = self.made.sample(["Oslo", "Bern", "Porto"], 2)
        else:
            rule = self.made.choice(rules)
            rule["variation"] = 1 - rule["variation"]
        return "updateRules"

    def target(self, model: Model, here: Model) -> str:
        users = {n: set() for n in range(2)} | {t["variation"]: set(t["values"]) for t in here["targets"]}
        for n in self.made.sample(range(2), self.made.randint(1, 2)):
            users[n] ^= set(self.made.sample(["ana", "mei", "olu", "priya"], self.made.randint(1, 2)))
        here["targets"] = [{"variation": n, "values": sorted(values)} for n, values in users.items() if values]
        return "updateTargets"

    def turn_off_with(self, model: Model, here: Model) -> str:
        here["offVariation"] = 1 - here["offVariation"]
        return "updateOffVariation"

    def tag(self, model: Model, here: Model) -> str:
        model["tags"] = self.made.sample(["core", "q3", "ops", "x"], self.made.randrange(4))
        return "updateTags"

    def rename(self, model: Model, here: Model) -> str:
        model["name"] = self.made.choice(("Checkout", "Checkout v2", "x" * 300))
        return "updateName"

    def archive(self, model: Model, here: Model) -> str:
        model["archived"] = not model["archived"]
        return "archived the flag" if model["archived"] else "restored the flag"

    def vary(self, model: Model, here: Model) -> str:
        one = self.made.choice(model["variations"])
        one["name"] = self.made.choice(("Red", "Crimson", "Blue", "Navy"))
        return "updateFlagVariations"


CHANGES: tuple[Callable[[Flag, Model, Model], str], ...] = (
    Flag.switch, Flag.switch, Flag.roll_out, Flag.roll_out, Flag.rule, Flag.rule, Flag.target, Flag.turn_off_with,
    Flag.tag, Flag.rename, Flag.archive, Flag.vary,
)  # fmt: skip
ACTION = {"turned on the flag": "updateOn", "turned off the flag": "updateOn",
          "archived the flag": "updateGlobalArchived", "restored the flag": "updateGlobalArchived"}  # fmt: skip


def same(fact: Fact, model: Model) -> bool:
    """Return whether a flag is as a fact says, by the words of the connector or of a JSON patch."""
    path = fact.name if fact.environment is None else f"environments[{fact.environment}].{fact.name}"
    place, _ = place_of(path, frozenset(), None)
    steps = [*(["environments", place.environment] if place.environment else []), *place.segments]
    told: Any = readable(model, model)[0]
    raw: Any = model
    for step in steps:
        if isinstance(step, Item) and isinstance(told, list):
            told = dict(zip(labels(told), told, strict=True)).get(str(step))
        else:
            told = told.get(str(step)) if isinstance(told, dict) else None
        raw = raw.get(str(step)) if isinstance(raw, dict) else None
    if fact.member is not None:
        return (fact.member in (told or ())) == fact.value
    if fact.value == "(removed)":
        return raw is None
    wanted = _form(fact.value)
    return wanted in (_form(_told(told, 0)), _form(_told(readable_value(str(steps[-1]), raw), 0)))


def _form(value: Any) -> bytes:
    return to_json(None if value in ("", [], {}) else value, sort_keys=True)


def moments(made: random.Random, count: int) -> list[datetime]:
    """Return random moments, some in one millisecond, some in bursts."""
    found = [START + timedelta(seconds=made.randrange(86_400 * 39)) for _ in range(count)]
    found += [at + timedelta(milliseconds=made.choice((0, 1, 500))) for at in made.sample(found, count // 10)]
    return sorted(found)


def holes(made: random.Random, told: list[Told]) -> list[Window]:
    """Return times that were not read: around some events, and anywhere."""
    at = [one.at for one in told if made.random() < 0.12] + [
        START + timedelta(seconds=made.randrange(86_400 * 39)) for _ in range(made.randrange(4))
    ]
    return [
        Window(one - timedelta(seconds=made.randrange(30)), one + timedelta(seconds=1 + made.randrange(90)))
        for one in at
    ]


def model_at(told: list[Told], first: Model | None, at: datetime) -> Model | None:
    index = bisect_right([one.at for one in told], at)
    return told[index - 1].model if index else first


class History:
    """A random history of a flag, with times that were not read, and moments to ask about."""

    def __init__(self, seed: int) -> None:
        flag = Flag(seed, f"flag-{seed}")
        self.key, self.first = flag.key, copy.deepcopy(flag.model)
        self.told = [flag.tell(at) for at in moments(flag.made, 40)]
        self.holes = holes(flag.made, self.told)
        self.asked = [*moments(flag.made, 8), *(flag.made.choice(self.told).at for _ in range(4))]

    def check(self, at: datetime, exists: Fact | None, facts: Sequence[Fact]) -> int:
        """Fail if anything that is said to be known was not so; return how much is known."""
        model = model_at(self.told, self.first, at)
        assert exists is None or not exists.known or exists.value == (model is not None), (self.key, at, exists)
        for fact in facts:
            assert not fact.known or (model is not None and same(fact, model)), (self.key, at, fact, model)
            assert fact.known != bool(fact.doubts)
        return sum(fact.known for fact in facts)


def rows_of(told: Sequence[Told], unseen: Sequence[Window]) -> list[dict[str, Any]]:
    """Return what the table would hold of an audit log."""
    seen = [one for one in told if not any(w.since <= one.at < w.until for w in unseen)]
    page = [(LD.event(Stream("audit_log"), one.record), one.record) for one in seen]
    rows = prepared("acme", "launchdarkly", Reading("audit_log", page)).rows
    return [{**row.values, "number": number} for number, row in enumerate(rows)]


def test_what_is_said_to_be_known_was_so() -> None:
    known = all_of_them = 0
    for seed in range(60):
        history = History(seed)
        rows, covered = rows_of(history.told, history.holes), subtract(Window(START, END), history.holes)
        for at in history.asked:
            life = Life(rows, at, covered)
            facts = life.facts()
            known += history.check(at, life.exists(), facts)
            all_of_them += len(facts)
    assert known > all_of_them * 0.25, "so much is known that the test means something"


def test_a_flag_of_launchdarkly_was_what_is_said_to_be_known(trail: Store) -> None:
    known = 0
    for seed in range(3):
        history = History(seed)
        keep(trail, f"ld{seed}", LD, Stream("audit_log"), history.told, history.holes)
        for at in history.asked[4:8]:
            for one in state(trail, history.key, at):
                known += history.check(at, one.exists, one.facts)
    assert known


def item(number: int, at: datetime, kind: str, where: str, details: str, key: str = "checkout_v2") -> dict[str, Any]:
    return {"auditLogId": number, "auditLogDateTime": at.isoformat(), "auditLogTypeEnum": kind, "auditLogType": kind,
            "actionTarget": key, "details": details, "where": where, "userEmail": "ana@fernweh.example"}  # fmt: skip


def test_a_flag_of_configcat_had_the_value_that_is_said_to_be_known(trail: Store) -> None:
    """The same key in two configs of a product is two flags."""
    known = all_of_them = 0
    for seed in range(3):
        made, source = random.Random(seed), f"cc{seed}"
        values: dict[tuple[str, str], int] = {(c, e): 0 for c in ("Main", "Payments") for e in ("Production", "Test")}
        told: list[Told] = []
        for number, at in enumerate(moments(made, 60)):
            config, place = made.choice(list(values))
            before, after = values[config, place], made.randrange(9)
            values[config, place] = after
            plain = made.random() < 0.85
            details = f"checkout_v2: {before} ➔ {after}" if plain else "checkout_v2:\r\n  Targeting rules changed"
            details = details.replace("checkout_v2", f"key_{seed}")
            record = item(number, at, "settingValueChanged", f"Shop / {config} / {place}", details, f"key_{seed}")
            told.append(Told(at, record, dict(values)))  # type: ignore[arg-type]
        keep(trail, source, CC, Stream("audit_log[1]", scope=("1",)), told, holes(made, told))
        start: Any = dict.fromkeys(values, 0)
        for at in moments(made, 4):
            found = state(trail, f"key_{seed}", at, vendor="configcat")
            assert [one.place for one in found] == ["Shop / Main", "Shop / Payments"]
            model: Any = model_at(told, start, at)
            for one in found:
                for fact in one.facts:
                    config = str(one.place).rpartition(" / ")[2]
                    assert not fact.known or model[config, fact.environment] == fact.value, (seed, at, fact)
                known += sum(fact.known for fact in one.facts)
                all_of_them += len(one.facts)
    assert known > all_of_them * 0.4


DAY = timedelta(days=1)
ON, OFF = {"on": True, "fallthrough": {"variation": 0}}, {"on": False, "fallthrough": {"variation": 0}}


def version(**production: Any) -> Model:
    variations = [{"_id": "v0", "value": True}, {"_id": "v1", "value": False}]
    return {"name": "Map view", "archived": False, "variations": variations, "environments": {"production": production}}


def entry(day: float, before: Model, after: Model, project: str = "web", verb: str = "updated the flag") -> Told:
    at = START + DAY * day
    access = {"action": "updateOn", "resource": f"proj/{project}:env/production:flag/map-view"}
    record = {"_id": f"{project}{day}", "date": to_ms(at), "accesses": [access], "kind": "flag", "name": "Map view",
              "titleVerb": verb, "previousVersion": version(**before), "currentVersion": version(**after)}  # fmt: skip
    return Told(at, record, None)


def the_one(found: list[FlagState], name: str) -> Fact:
    [one] = found
    [fact] = [fact for fact in one.facts if fact.name == name]
    return fact


def test_facts_say_how_they_are_known(trail: Store) -> None:
    keep(trail, "how", LD, Stream("audit_log"), [entry(2, OFF, ON, "how"), entry(6, ON, OFF, "how")])
    for day, value, how in ((1, False, "before"), (2, True, "after"), (4, True, "after"), (9, False, "after")):
        fact = the_one(state(trail, "map-view", START + DAY * day, project="how"), "on")
        assert (fact.environment, fact.value, fact.known, fact.how) == ("production", value, True, how)
    [one] = state(trail, "Map view", START + DAY, project="HOW", environment="test")
    assert one.facts == []
    assert any("nothing about it in test" in note for note in one.notes)
    assert one.exists is not None
    assert one.exists.value is True


def test_what_happened_in_a_gap_is_not_known(trail: Store) -> None:
    gap = Window(START + DAY * 3, START + DAY * 4)
    keep(trail, "gap", LD, Stream("audit_log"), [entry(2, OFF, ON, "gap"), entry(6, ON, OFF, "gap")], [gap])
    ask = lambda day: the_one(state(trail, "map-view", START + DAY * day, project="gap"), "on")  # noqa: E731
    assert ask(2.5).known
    assert ask(5).known, "the next change tells what it was"
    assert ask(5).how == "before"
    inside = ask(3.5)
    assert not inside.known
    assert inside.doubts[0] == f"not known whether it was changed between 2026-03-04T00:00:00.000Z and {ISO}: gap"


ISO = "2026-03-04T12:00:00.001Z"


def test_a_trail_that_disagrees_says_so(trail: Store) -> None:
    keep(trail, "odd", LD, Stream("audit_log"), [entry(2, OFF, ON, "odd"), entry(6, OFF, ON, "odd")])
    fact = the_one(state(trail, "map-view", START + DAY * 4, project="odd"), "on")
    assert not fact.known
    assert "the trail disagrees: left as true" in fact.doubts[0]
    assert "something between was not seen" in fact.doubts[0]
    gap = Window(START + DAY * 3, START + DAY * 4)
    keep(trail, "odd2", LD, Stream("audit_log"), [entry(2, OFF, ON, "odd2"), entry(6, OFF, ON, "odd2")], [gap])
    fact = the_one(state(trail, "map-view", START + DAY * 5, project="odd2"), "on")
    assert (fact.known, fact.value) == (True, False), "the gap explains it"
    assert "disagrees" in fact.remarks[0]


def test_one_key_in_several_projects_is_several_flags(trail: Store) -> None:
    told = [entry(2, OFF, ON, "left"), entry(3, ON, OFF, "right")]
    keep(trail, "two", LD, Stream("audit_log"), told)
    found = [one for one in state(trail, "MAP-view", START + DAY * 5) if one.source == "two"]
    assert [(one.project, one.facts[0].value) for one in found] == [("left", True), ("right", False)]
    assert state(trail, "no-such-flag", START) == []


def test_what_an_applied_change_request_or_a_deleted_environment_did_is_not_known(trail: Store) -> None:
    where = "Travel / Main / Production"
    value = [item(1, START + DAY, "settingValueChanged", where, "seats: 1 ➔ 2", "seats")]
    stream = Stream("audit_log[1]", scope=("1",))
    for source, other, said in (
        ("applied", item(2, START + DAY * 2, "changeRequestApplied", where, "", "Launch"), "change request applied at"),
        ("gone", item(2, START + DAY * 2, "environmentDeleted", "Travel", "", "Production"), "environment deleted at"),
    ):
        told = [Told(START + DAY * n, record, None) for n, record in enumerate([*value, other], 1)]
        keep(trail, source, CC, stream, told)
        for day, known in ((1.5, True), (3, False)):
            found = [one for one in state(trail, "seats", START + DAY * day) if one.source == source]
            fact = the_one(found, "value")
            assert fact.known == known
            assert known or fact.doubts[0].startswith(said)


def test_only_read_is_what_is_covered_up_to_the_moment(trail: Store) -> None:
    keep(trail, "now", LD, Stream("audit_log"), [entry(2, OFF, ON, "now")])
    fact = the_one(state(trail, "map-view", END + DAY, project="now"), "on")
    assert not fact.known
    assert "is read up to" in fact.doubts[0]
    assert from_ms(to_ms(fact.event_at)) == START + DAY * 2
