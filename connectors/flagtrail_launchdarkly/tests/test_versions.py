"""What two versions of an object differ in, for somebody who reads it at night."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flagtrail.event import to_json
from flagtrail_launchdarkly.versions import MOST_CHANGES, MOST_ITEMS, told_changes

YES, NO = {"_id": "v-yes", "value": True, "name": "Yes"}, {"_id": "v-no", "value": False}
RED, BLUE = {"_id": "v-red", "value": "#f00", "name": "Red"}, {"_id": "v-blue", "value": "#00f", "name": "Blue"}
RULE_A: dict[str, Any] = {
    "_id": "rule-a",
    "description": "Guides",
    "clauses": [
        {"_id": "cl-1", "attribute": "role", "op": "in", "values": ["guide"], "negate": False, "contextKind": "user"}
    ],
    "variation": 0,
    "trackEvents": False,
    "ref": "r1",
}
RULE_B: dict[str, Any] = {
    "_id": "rule-b",
    "clauses": [{"_id": "cl-2", "attribute": "city", "op": "in", "values": ["Oslo", "Porto"], "negate": True}],
    "rollout": {"variations": [{"variation": 0, "weight": 12_500}, {"variation": 1, "weight": 87_500}]},
}


def flag(**production: Any) -> dict[str, Any]:
    """Return a flag as LaunchDarkly keeps it, with something else in its production environment."""
    return {
        "name": "Map view",
        "_version": 7,
        "variations": [YES, NO],
        "tags": ["eu"],
        "environments": {
            "production": {
                "on": True,
                "version": 3,
                "rules": [],
                "targets": [],
                "fallthrough": {"variation": 0},
                **production,
            },
            "test": {"on": False},
        },
    }


def differences(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    found = told_changes({"previousVersion": before, "currentVersion": after})
    assert found is not None
    return [(change.path, change.before, change.after) for change in found]


def in_production(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    found = differences(flag(**before), flag(**after))
    assert all(path.startswith("environments.production.") for path, _, _ in found)
    return [(path.removeprefix("environments.production."), a, b) for path, a, b in found]


def rollout(*weights: int, **more: Any) -> dict[str, Any]:
    return {"rollout": {"variations": [{"variation": i, "weight": w} for i, w in enumerate(weights)], **more}}


def test_noise_is_no_change() -> None:
    noisy = flag()
    noisy |= {
        "_version": 8, "lastModified": 1, "creationDate": 2, "_links": {"self": {"href": "/x"}}, "salt": "s",
        "_maintainer": {"_id": "m", "_links": {"self": {}}, "email": "a@b"}, "_lastSeen": 3, "description": "",
        "goalIds": [], "customProperties": {}, "comment": None,
    }  # fmt: skip
    noisy["environments"]["production"] |= {
        "version": 4, "sel": "x", "salt": "y", "_site": {"href": "/"}, "_summary": {"rules": 1}, "lastModified": 5,
        "_environmentName": "Production", "contextTargets": [{"contextKind": "user", "values": [], "variation": 0}],
    }  # fmt: skip
    assert differences(flag(), noisy) == []
    assert differences(noisy, flag()) == []


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"on": False}, {"on": True}, [("on", False, True)]),
        ({"fallthrough": {"variation": 1}}, {}, [("fallthrough", False, True)]),
        ({}, {"fallthrough": rollout(25_000, 75_000)}, [("fallthrough", True, {"true": "25%", "false": "75%"})]),
        (
            {"fallthrough": rollout(500, 99_500)},
            {"fallthrough": rollout(33_333, 66_667)},
            [("fallthrough", {"true": "0.5%", "false": "99.5%"}, {"true": "33.333%", "false": "66.667%"})],
        ),
        (
            {"fallthrough": rollout(50_000, 50_000, bucketBy="key")},
            {"fallthrough": rollout(50_000, 50_000, bucketBy="country", contextKind="device")},
            [
                (
                    "fallthrough",
                    {"true": "50%", "false": "50%"},
                    {"true": "50%", "false": "50%", "by": "device country"},
                )
            ],
        ),
        ({"fallthrough": rollout(1, 2)}, {"fallthrough": rollout(1, 2, bucketBy="key", contextKind="user")}, []),
        (
            {"targets": [{"variation": 0, "values": ["ana", "mei"]}]},
            {"targets": [{"variation": 0, "values": ["mei", "olu"]}, {"variation": 1, "values": ["ana"]}]},
            [("targets.true", {"removed": ["ana"]}, {"added": ["olu"]}), ("targets.false", None, {"added": ["ana"]})],
        ),
        (
            {},
            {"contextTargets": [{"variation": 1, "contextKind": "device", "values": ["d1"]}]},
            [("contextTargets", None, {"false device": ["d1"]})],
        ),
        (
            {"rules": [RULE_A]},
            {"rules": [RULE_B, RULE_A]},
            [
                (
                    "rules[1]",
                    None,
                    {"clauses": ["user city not in Oslo, Porto"], "serve": {"true": "12.5%", "false": "87.5%"}},
                )
            ],
        ),
        (
            {"rules": [RULE_A, RULE_B]},
            {"rules": [RULE_B]},
            [("rules[Guides]", {"description": "Guides", "clauses": ["user role in guide"], "serve": True}, None)],
        ),
        (
            {"rules": [RULE_A, RULE_B]},
            {"rules": [RULE_B, RULE_A]},
            [("rules", {"order": ["Guides", "1"]}, {"order": ["1", "Guides"]})],
        ),
        (
            {"rules": [RULE_A, RULE_B]},
            {"rules": [RULE_A, {**RULE_B, "rollout": None, "variation": 1}]},
            [("rules[2].serve", {"true": "12.5%", "false": "87.5%"}, False)],
        ),
        (
            {"rules": [RULE_B]},
            {"rules": [{**RULE_B, "clauses": [{**RULE_B["clauses"][0], "values": ["Porto", "Bern"]}]}]},
            [("rules[1].clauses[city in].values", {"removed": ["Oslo"]}, {"added": ["Bern"]})],
        ),
        (
            {"prerequisites": [{"key": "dark-mode", "variation": 0}]},
            {"prerequisites": [{"key": "dark-mode", "variation": 1}, {"key": "map", "variation": 0}]},
            [
                ("prerequisites[dark-mode].variation", 0, 1),
                ("prerequisites[map]", None, {"key": "map", "variation": 0}),
            ],
        ),
        ({"trackEvents": False}, {"trackEvents": True}, [("trackEvents", False, True)]),
    ],
)
def test_a_change_in_an_environment_is_readable(
    before: dict[str, Any], after: dict[str, Any], found: list[tuple[str, Any, Any]]
) -> None:
    assert in_production(before, after) == found


def test_variations_are_called_by_their_names_and_found_again_by_their_ids() -> None:
    before = {**flag(offVariation=1), "variations": [RED, BLUE]}
    after = {**flag(offVariation=0), "variations": [RED, {**BLUE, "name": "Navy"}]}
    assert differences(before, after) == [
        ("variations[Navy].name", "Blue", "Navy"),
        ("environments.production.offVariation", "Navy", "Red"),
    ]
    moved = {**flag(offVariation=0, fallthrough={"variation": 1}), "variations": [BLUE, RED]}
    assert differences(before, moved) == [("variations", {"order": ["Red", "Blue"]}, {"order": ["Blue", "Red"]})]


def test_variations_that_are_called_the_same_are_told_apart() -> None:
    variations = [{"value": 1, "name": "Step"}, {"value": 2, "name": "Step"}]
    before, after = ({**flag(offVariation=at), "variations": variations} for at in (0, 1))
    assert [change[1:] for change in differences(before, after)] == [("Step (variation 0)", "Step (variation 1)")]


def test_a_value_of_the_customers_own_is_compared_as_it_is() -> None:
    before, after = (
        {"variations": [{"_id": "v", "name": "Config", "value": {"version": n, "_x": [n], "rules": {"on": n == 1}}}]}
        for n in (1, 2)
    )
    assert differences(before, after) == [
        ("variations[Config].value.version", 1, 2),
        ("variations[Config].value._x", {"removed": [1]}, {"added": [2]}),
        ("variations[Config].value.rules.on", True, False),
    ]


def test_true_is_not_one() -> None:
    assert differences({"a": True, "b": 0, "c": [1]}, {"a": 1, "b": False, "c": [True]}) == [
        ("a", True, 1),
        ("b", 0, False),
        ("c", {"removed": [1]}, {"added": [True]}),
    ]


def test_a_maintainer_is_a_person() -> None:
    def version(id_: str, email: str) -> dict[str, Any]:
        return {"maintainerId": id_, "_maintainer": {"_id": id_, "email": email, "_links": {}, "role": "owner"}}

    before, after = version("m1", "ana@fernweh.example"), version("m2", "mei@fernweh.example")
    assert differences(before, after) == [("maintainer", "ana@fernweh.example", "mei@fernweh.example")]
    assert differences(before, {"maintainerId": "m1"}) == []
    assert differences(before, {"maintainerId": "m3"}) == [("maintainer", "ana@fernweh.example", "m3")]


def test_an_archived_flag_is_archived_once() -> None:
    before, after = flag(archived=False), flag(archived=True)
    assert len(differences(before, after)) == 1
    assert differences({**before, "archived": False}, {**after, "archived": True}) == [("archived", False, True)]


def test_lists_without_ids_are_compared_by_what_is_in_them() -> None:
    one, two, three = {"actions": ["a"]}, {"actions": ["b"]}, {"actions": ["c"]}
    assert differences({"policy": [one, two]}, {"policy": [three, one, two]}) == [("policy[1]", None, three)]
    assert differences({"policy": [one, two]}, {"policy": [one]}) == [("policy[2]", two, None)]
    assert differences({"policy": [one, two]}, {"policy": [one, three]}) == [
        ("policy[2].actions", {"removed": ["b"]}, {"added": ["c"]})
    ]


def test_the_order_of_keys_is_no_change_and_that_of_values_is() -> None:
    before = {"policy": [{"a": 1, "b": 2}, [3]], "phases": ["dev", "live"]}
    assert differences(before, {"phases": ["dev", "live"], "policy": [{"b": 2, "a": 1}, [3]]}) == []
    assert differences(before, {**before, "policy": [[3], {"b": 2, "a": 1}]}) == []
    assert differences(before, {**before, "phases": ["live", "dev"]}) == [("phases", ["dev", "live"], ["live", "dev"])]


def test_a_segments_members_are_told_as_what_was_added_and_removed() -> None:
    before = {"included": [f"guide-{n}" for n in range(9000)], "rules": [{"_id": "r", "weight": 25_000}]}
    after = {"included": [f"guide-{n}" for n in range(1, 9001)], "rules": [{"_id": "r", "weight": 50_000}]}
    assert differences(before, after) == [
        ("included", {"removed": ["guide-0"]}, {"added": ["guide-9000"]}),
        ("rules[1].weight", "25%", "50%"),
    ]


@pytest.mark.parametrize("name", ["apiKey", "mobileKey", "secret", "sdk_key", "password", "authToken", "credentials"])
def test_a_secret_is_not_told(name: str) -> None:
    before, after = {name: "abc-1", "s": {name: "abc-2"}}, {name: "abc-3", "s": "abc-free"}
    found = differences(before, after)
    assert found[0] == (name, "(secret)", "(another secret)")
    assert found[1] == ("s", {name: "(secret)"}, "abc-free")
    assert differences({name: False}, {name: True}) == [(name, False, True)]


def test_what_is_called_like_a_secret_and_is_none_is_told() -> None:
    assert differences({"secureMode": "a", "tokenId": "b"}, {"secureMode": "c", "tokenId": "d"}) == [
        ("secureMode", "a", "c"),
        ("tokenId", "b", "d"),
    ]


# Sizes


def test_many_changes_are_cut_with_their_number() -> None:
    found = differences({f"k{n}": n for n in range(100)}, {f"k{n}": n + 1 for n in range(100)})
    assert len(found) == MOST_CHANGES + 1
    assert found[-1] == ("…", None, "and 60 more changes, in the record")


def test_long_values_are_cut() -> None:
    ((_, before, after),) = differences({"t": "x" * 5000 + "a"}, {"t": "x" * 5000 + "b" + "x" * 900})
    assert before == "…" + "x" * 20 + "a"
    assert after.startswith("…" + "x" * 20 + "b")
    assert len(after) == 200
    ((_, _, added),) = differences({"l": []}, {"l": list(range(1000))})
    assert len(added["added"]) == MOST_ITEMS + 1
    assert added["added"][-1] == f"… and {1000 - MOST_ITEMS} more"
    ((_, _, wide),) = differences({}, {"o": {f"k{n}": {f"k{m}": "y" * 90 for m in range(30)} for n in range(30)}})
    assert len(to_json(wide)) <= 2000


def test_a_name_that_is_no_word_stands_in_brackets() -> None:
    assert [path for path, _, _ in differences({}, {"a": {"b.c": 1}, "": 2, "d e": 3})] == ["a", "[]", "[d e]"]
    assert [path for path, _, _ in differences({"a": {"b.c": 1, "d": 2}}, {"a": {"b.c": 3, "d": 4}})] == [
        "a[b.c]",
        "a.d",
    ]


def test_a_path_is_one_line() -> None:
    assert differences({"rules": []}, {"rules": [{"_id": "r", "description": "For\nguides", "variation": 1}]}) == [
        ("rules[For guides]", None, {"description": "For\nguides", "serve": 1})
    ]


# One version, none, or a patch


@pytest.mark.parametrize("none", [None, "", [], 7, "text", True, ...])
def test_without_two_versions_and_a_patch_nothing_is_told(none: Any) -> None:
    for record in ({"previousVersion": none, "currentVersion": flag()}, {"previousVersion": flag()}, {"delta": none}):
        given_ = {key: value for key, value in record.items() if value is not ...}
        assert told_changes(given_) is None
    assert told_changes({}) is None


PATCH = [
    {"op": "test", "path": "/environments/production/on", "value": False},
    {"op": "replace", "path": "/environments/production/on", "value": True},
    {"op": "replace", "path": "/_version", "value": 8},
    {"op": "add", "path": "/tags/0", "value": "eu"},
    {"op": "remove", "path": "/environments/a~1b/rules/2"},
    {"op": "move", "path": "/environments/test/rules/0", "from": "/environments/test/rules/1"},
    {"op": "replace", "path": "/environments/test/fallthrough", "value": rollout(10_000, 90_000)},
    {"op": "replace", "path": "/apiKey", "value": "sdk-1"},
]


@pytest.mark.parametrize("delta", [PATCH, {"patch": PATCH, "comment": "TRAVEL-1"}, to_json(PATCH).decode()])
def test_a_patch_is_told_when_there_are_no_versions(delta: Any) -> None:
    found = told_changes({"delta": delta, "previousVersion": "", "currentVersion": None})
    assert [(change.path, change.before, change.after) for change in found or []] == [
        ("environments.production.on", False, True),
        ("tags[0]", None, "eu"),
        ("environments[a/b].rules[2]", None, "(removed)"),
        ("environments.test.rules[0]", None, "(move of environments.test.rules[1])"),
        ("environments.test.fallthrough", None, {"0": "10%", "1": "90%"}),
        ("apiKey", None, "(another secret)"),
    ]


def test_versions_say_more_than_a_patch() -> None:
    record = {"previousVersion": {"a": 1}, "currentVersion": {"a": 2}, "delta": PATCH}
    assert [change.path for change in told_changes(record) or []] == ["a"]


@pytest.mark.parametrize("delta", [[1], [{}], [{"op": "replace"}], [{"op": 1, "path": "/a"}], {"patch": 1}, "{", "[]"])
def test_a_patch_that_is_none_is_not_told(delta: Any) -> None:
    assert told_changes({"delta": delta}) is None


# Every shape

fuzz = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
WORDS = """
    environments production rules targets contextTargets fallthrough variations variation rollout weight _id key id
    clauses values attribute op value name on offVariation prerequisites version maintainerId _maintainer email
    archived apiKey bucketBy contextKind trackEvents negate description
"""
words = st.sampled_from(sorted(WORDS.split()))
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=3), inner, max_size=4),
    max_leaves=25,
)
objects = st.dictionaries(words, anything, max_size=5)


@fuzz
@given(objects, objects)
def test_no_shape_of_two_versions_is_refused(before: Any, after: Any) -> None:
    kept = copy.deepcopy((before, after))
    found = told_changes({"previousVersion": before, "currentVersion": after})
    assert found is not None
    assert (before, after) == kept
    assert found == told_changes({"previousVersion": before, "currentVersion": after})
    assert told_changes({"previousVersion": before, "currentVersion": copy.deepcopy(before)}) == []


@fuzz
@given(anything, anything, anything)
@example(flag(), {"environments": {"production": {"rules": [None, {"_id": None}]}}}, None)
def test_no_shape_inside_a_flag_is_refused(one: Any, two: Any, three: Any) -> None:
    before = {
        "variations": [one, {"_id": one, "value": two, "name": three}],
        "_maintainer": one,
        "maintainerId": two,
        "environments": {
            "production": {
                "fallthrough": {"variation": two, "rollout": one},
                "rules": [one, {"_id": "r", "clauses": [two, {"attribute": "a", "op": "in", "values": [three]}]}],
                "targets": [three, {"variation": one, "values": [two], "contextKind": three}],
                "prerequisites": one,
                "offVariation": one,
            },
            "test": two,
        },
    }
    for after in (flag(), {"environments": three}, {**before, "environments": {"production": one}}):
        assert told_changes({"previousVersion": before, "currentVersion": after}) is not None
        assert told_changes({"previousVersion": after, "currentVersion": before}) is not None
    told_changes({"delta": [{"op": "replace", "path": "/environments/production/rules/0", "value": one, "from": two}]})
    told_changes({"delta": one, "previousVersion": two, "currentVersion": three})


def test_a_depth_that_only_nonsense_has_is_not_told() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [{"a": deep}]
    assert told_changes({"previousVersion": {"x": deep}, "currentVersion": {"x": [1]}}) is None
    assert told_changes({"delta": [{"op": "add", "path": "/x", "value": deep}]}) is None
    half = '{"a":' * 400 + "1" + "}" * 400
    assert told_changes({"delta": half}) is None
