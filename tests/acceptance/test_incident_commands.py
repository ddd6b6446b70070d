"""What the page about incidents shows, as a person types it: `around` and `state`."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flagtrail.connector import Stream
from flagtrail.rows import Reading
from flagtrail.store import Store
from flagtrail.suspects import describe
from flagtrail.window import Window, to_ms
from flagtrail_launchdarkly import LaunchDarkly
from tests.acceptance.conftest import Flagtrail

PAGE = (Path(__file__).parents[2] / "docs" / "incidents.md").read_text(encoding="utf-8")
MOMENT = datetime(2026, 3, 1, 14, 3, tzinfo=UTC)
CONFIG = '[[source]]\nname = "acme"\nconnector = "launchdarkly"\ntoken = { env = "LAUNCHDARKLY_TOKEN" }\n'


def entry(minutes: float, place: str, on: bool, flag: str = "checkout-v2") -> dict[str, Any]:
    versions = [{"environments": {place: {"on": value}}} for value in (not on, on)]
    return {
        "_id": f"{flag}{minutes}", "date": to_ms(MOMENT + timedelta(minutes=minutes)), "kind": "flag", "name": flag,
        "accesses": [{"action": "updateOn", "resource": f"proj/web:env/{place}:flag/{flag}"}],
        "titleVerb": f"turned {'on' if on else 'off'} the flag", "member": {"_id": "m", "email": "ana@acme.example"},
        "previousVersion": versions[0], "currentVersion": versions[1],
        "_links": {"site": {"href": f"/web/{place}/features/{flag}"}},
    }  # fmt: skip


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """A database with a few changes around a moment, and its config."""
    (tmp_path / "flagtrail.toml").write_text(CONFIG, encoding="utf-8")
    connector, stream = LaunchDarkly(token=SecretStr("made-up")), Stream("audit_log")
    records = [entry(-4, "production", True), entry(-2, "test", True, "search"), entry(9, "production", False)]
    with Store(f"sqlite:///{tmp_path / 'flagtrail.db'}") as store:
        store.register("acme", "launchdarkly", stream, wanted_since=MOMENT - timedelta(days=9))
        store.note("acme", stream.name, settled_at=MOMENT + timedelta(hours=1), succeeded_at=MOMENT)
        store.note_source("acme", "launchdarkly", None)
        page = [(connector.event(stream, record), record) for record in records]
        covers = Window(MOMENT - timedelta(days=9), MOMENT + timedelta(hours=1))
        store.add("acme", "launchdarkly", [Reading(stream.name, page, covers)])
    return tmp_path


def test_the_factors_of_the_page_are_those_of_the_model() -> None:
    assert describe() in PAGE


def test_the_commands_of_the_page_work(trail: Path, flagtrail: Flagtrail) -> None:
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line.removeprefix("$ "))[1:] for block in blocks for line in block.splitlines()]
    assert {words[0] for words in lines} == {"around", "state"}
    told = {tuple(words): flagtrail(*words) for words in lines}
    assert [words for words, done in told.items() if done.returncode] == []
    shown, wide, project, state_shown, state_told = (done.stdout for done in told.values())
    assert "2 of 2 changes, likeliest first" in shown
    assert shown.index("1  4m before") < shown.index("2  2m before")
    for text in ("ana@acme.example turned on the flag", "put back 9m after", "environments.production.on: false → true",
                 "\n1 https://app.launchdarkly.com/web/production/features/checkout-v2\n"):  # fmt: skip
        assert text in shown
    [suspect] = json.loads(wide)["suspects"]
    assert (suspect["rank"], suspect["event"]["object_key"]) == (1, "checkout-v2")
    assert suspect["score"] == pytest.approx(sum(reason["points"] for reason in suspect["reasons"]))
    assert len(json.loads(project)["suspects"]) == 2
    assert "checkout-v2 at 2026-03-01 14:03:00" in state_shown
    assert re.search(r"production\s+on\s+true\s+since 2026-03-01 13:59:00", state_shown)
    [flag] = json.loads(state_told)
    assert [(fact["name"], fact["value"], fact["known"]) for fact in flag["facts"]] == [("on", True, True)]


def test_into_a_pipe_goes_json_and_what_is_not_complete_is_said_beside_it(trail: Path, flagtrail: Flagtrail) -> None:
    done = flagtrail("around", "2026-03-01T15:00Z", "--after", "30m")
    assert json.loads(done.stdout)["unread"][0]["reason"] == "not settled yet: changes may still appear"
    assert "complete from" in done.stderr
    table = flagtrail("around", "2026-03-01T15:00Z", "--after", "30m", "-o", "table")
    assert "not read: acme, audit_log, 2026-03-01 15:03:00 to 2026-03-01 15:30:00" in table.stderr
    assert "not settled yet" in table.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["around", "then"], "is not a span such as 90d"),
        (["around", "2126-01-01"], "lies in the future"),
        (["around", "1h", "--before", "soon"], "--before: 'soon' is not a span"),
        (["around", "1970-01-01T00:00Z", "--before", "999999d"], "--before 999999d: that is before 1970"),
        (["around", "1h", "--after", "999999w"], "--after 999999w: that is after the year 9000"),
        (["state", "no-such-flag", "--at", "now"], "not everything is here"),
        (["state", "no-such-flag", "--at", "now"], "no event is about a flag 'no-such-flag'"),
        (["state", "checkout-v2", "--at", "now", "--vendor", "nobody"], "there is no vendor 'nobody'"),
    ],
)
def test_a_mistake_is_told_in_one_line(trail: Path, flagtrail: Flagtrail, words: list[str], said: str) -> None:
    done = flagtrail(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
