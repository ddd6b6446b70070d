"""How the page says what was done, and what is different."""

from typing import Any

import pytest

from flagtrail.event import Action
from flagtrail.exports.columns import COLUMNS
from flagtrail.sentence import PHRASES, sentence, tidy, together
from flagtrail.web.page.difference import differences, json_lines, text_parts
from flagtrail.web.page.quoting import as_markdown
from tests.serving import event


def row(**values: Any) -> dict[str, Any]:
    """Return a row of the table `event`."""
    told = event(0).model_dump() | {"source": "acme", "actor_email": None, "summary": None, "changes": None} | values
    return dict.fromkeys(COLUMNS) | told


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"action": "turned_on", "object_name": "checkout-v2", "environment_name": "Production"},
         "Ada Lovelace turned on checkout-v2 in Production"),
        ({"object_name": "Stop in production", "environment": "production"},
         "Ada Lovelace turned on Stop in production"),
        ({"object_kind": "segment", "action": "targeting_changed", "object_key": "beta", "environment": None},
         "Ada Lovelace changed the targeting of the segment beta"),
        ({"object_kind": "environment", "action": "renamed", "object_name": "Test", "environment": "test"},
         "Ada Lovelace renamed the environment Test"),
        ({"object_kind": "member", "action": "invited", "object_name": "Bo", "environment": None},
         "Ada Lovelace invited Bo"),
        ({"object_kind": "member", "action": "joined", "object_name": "Ada Lovelace", "environment": None},
         "Ada Lovelace joined"),
        ({"action": "value_changed", "object_key": "limit", "environment": "test",
          "changes": [{"path": "limit", "before": 9, "after": 90}]},
         "Ada Lovelace changed the value of limit from 9 to 90 in test"),
        ({"action": "rollout_changed", "object_key": "new", "environment": "test", "changes": [
            {"path": "environments.test.fallthrough", "before": True, "after": {"true": "25%", "false": "75%"}}]},
         "Ada Lovelace changed the rollout of new to 25% true in test"),
        ({"action": "updated", "object_kind": "experiment", "object_name": "X", "environment": None,
          "summary": "started an iteration of the experiment X"},
         "Ada Lovelace started an iteration of the experiment X"),
        ({"action": "holdoutGroupCreated", "object_kind": None, "object_key": None, "environment": None},
         "Ada Lovelace holdoutGroupCreated"),
        ({"actor_name": None, "actor_kind": "automation", "object_key": None, "object_kind": None, "environment": None},
         "An automation turned on something"),
        ({"actor_name": "A\n\u202edA\x1b[31m", "object_key": "x" * 500, "environment": None},
         f"A dA [31m turned on {'x' * 79}…"),
    ],
)  # fmt: skip
def test_a_change_is_an_english_sentence(values: dict[str, Any], said: str) -> None:
    assert str(sentence(row(**values))) == said


def test_several_changes_are_told_as_one_by_what_was_changed() -> None:
    def told(*keys: str) -> str | None:
        rows = [row(action="targeting_changed", object_key=key, environment="test") for key in keys]
        said = together(rows)
        return said and str(said)

    assert told("a", "b", "c") == "Ada Lovelace changed the targeting of 3 flags in test"
    assert told("a", "b", "a", "b") == "Ada Lovelace changed the targeting of 2 flags (4 changes) in test"
    assert told("a", "a", "a") is None, "it is one flag, whatever was done to it how often"


def test_several_changes_are_told_with_their_projects_where_these_are_several() -> None:
    def told(*projects: str | None, environment: str | None = "test") -> str:
        rows = [
            row(
                action="archived",
                object_key="a",
                project=key,
                project_name=key and key.title(),
                environment=environment,
            )
            for key in projects
        ]
        return str(together(rows))

    assert told("web", "app", "app", "api") == "Ada Lovelace archived 3 flags (4 changes) in test of Web, App and Api"
    assert told("web", None, environment=None) == "Ada Lovelace archived 2 flags in Web and no project"
    assert told(*"abcdefg") == "Ada Lovelace archived 7 flags in test of 7 projects"


def test_every_verb_has_a_phrase() -> None:
    assert set(PHRASES) == {str(action) for action in Action}


def test_texts_are_tidied() -> None:
    assert tidy("👩‍👩‍👧 a\u2066b\u0000  c") == "👩‍👩‍👧 a b c"


def test_texts_differ_by_words_and_records_by_lines() -> None:
    parts = text_parts("serve the old page to all", "serve the new page to some")
    assert [part.text for part in parts if part.how == "removed"] == ["old", "all"]
    assert text_parts("nothing alike", "x y z") == []
    lines = json_lines({str(n): n for n in range(30)}, {str(n): n * (n != 15) for n in range(30)})
    assert [line.text.strip() for line in lines if line.how in ("removed", "added")] == ['"15": 15,', '"15": 0,']
    assert [line.how for line in lines][::len(lines) - 1] == ["skipped", "skipped"]  # fmt: skip
    assert json_lines([1] * 5000, [2] * 5000)[0].how == "skipped"


def test_any_value_can_be_told() -> None:
    odd: list[Any] = [None, True, 0, 10**30, "", "x" * 5000, [], {}, [None], [[1]], {"clauses": []},
                      {"clauses": [None]},
                      {"order": [1]}, {"added": [1]}, {"removed": "x"}, {"true": "x%"}, {"a": {"b": "…"}},
                      [{"variation": None}], [{"variation": 0, "weight": "50%"}], {"values": [], "op": "in"},
                      {"key": 1, "variation": 2}, "\ud800"]  # fmt: skip
    paths = (
        "environments.production.fallthrough",
        "environments",
        "rules[",
        "",
        "…",
        "checkout-0",
        "a..b",
        "[1]",
        "x" * 300,
    )
    for path in paths:
        changes = [{"path": path, "before": before, "after": after} for before in odd for after in odd]
        told = differences(row(changes=changes))
        assert len(told) == len(changes)
        assert all(one.place and one.form for one in told)


def test_markdown_holds_no_markup_of_others() -> None:
    hostile = row(object_name="[x](javascript:1)", comment="# a\n<b>", actor_name="*me*")
    text = as_markdown(hostile, differences(hostile), "https://flags.example/event/1")
    assert "[x](" not in text
    assert "\\<b\\>" in text
    assert text.endswith("<https://flags.example/event/1>")
