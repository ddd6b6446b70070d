"""What is called complete holds all that was stored when it was found complete, whatever is stored meanwhile."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flagtrail import completeness as module
from flagtrail import query
from flagtrail.around import around
from flagtrail.assistants import asked as ask
from flagtrail.assistants import incidents as assisting
from flagtrail.assistants import tools
from flagtrail.cli import asking, counting
from flagtrail.cli.options import Form
from flagtrail.connector import Stream
from flagtrail.rows import Reading
from flagtrail.state import state
from flagtrail.store import Store
from flagtrail.web import asking as web_asking
from flagtrail.window import Window
from tests.serving import LOG, event, served

START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
LATE = START + timedelta(hours=5)
Answer = tuple[bool, int]  # whether it was called complete, and how many events it held


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database in which one hour was not read, and its config."""
    made = f"sqlite:///{tmp_path / 'flagtrail.db'}"
    (tmp_path / "flagtrail.toml").write_text('[[source]]\nname = "acme"\nconnector = "launchdarkly"\n')
    with Store(made) as store:
        store.note_source("acme", "launchdarkly", None)
        store.register("acme", "launchdarkly", Stream(LOG), wanted_since=START)
        store.note("acme", LOG, settled_at=START + timedelta(days=1))
        first = Reading(LOG, [(event(1, occurred_at=LATE - timedelta(hours=1)), {"_id": "e1"})])
        windows = [Window(START, LATE), Window(LATE + timedelta(hours=1), START + timedelta(days=1))]
        store.add("acme", "launchdarkly", [first, *(Reading(LOG, [], window) for window in windows)])
    return made


def fill_the_gap(url: str) -> None:
    """Store what another process reads meanwhile: the only event of the hour that was not read."""
    with Store(url) as store:
        page = [(event(6, occurred_at=LATE + timedelta(minutes=5)), {"_id": "e6"})]
        store.add("acme", "launchdarkly", [Reading(LOG, page, Window(LATE, LATE + timedelta(hours=1)))])


def over_http(path: str, count: Callable[[Any], int]) -> Callable[[str, Any], Answer]:
    def ask_it(url: str, _: Any) -> Answer:
        with served(url, configured=("acme",)) as client:
            told = client.get(f"/api/v1/{path}").raise_for_status().json()
        return told["completeness"]["complete"], count(told)

    return ask_it


def by_envelope(url: str, capsys: Any) -> Answer:
    config = Path(url.removeprefix("sqlite:///")).with_name("flagtrail.toml")
    asking.events(asking.Typed(None, None, None, "UTC", {}), 50, None, Form.JSON, config, envelope=True)
    told = json.loads(capsys.readouterr().out)
    return told["completeness"]["complete"], len(told["events"])


def by_count(url: str, capsys: Any) -> Answer:
    config = Path(url.removeprefix("sqlite:///")).with_name("flagtrail.toml")
    counting.count(None, [], 0, None, None, "UTC", Form.JSON, config, linked=False)
    told = json.loads(capsys.readouterr().out)
    return told["completeness"]["complete"], told["total"]


def by_assistant(url: str, _: Any) -> Answer:
    with Store(url) as store:
        told, _lines = tools.search_events(tools.Trail(store, ("acme",)), ask.SearchEvents())
    return told["completeness"]["complete"], len(told["events"])


def by_assistant_around(url: str, _: Any) -> Answer:
    asked = ask.ChangesAround(at=LATE.isoformat(), before="2h", after="2h")
    with Store(url) as store:
        told, _lines = assisting.changes_around(tools.Trail(store, ("acme",)), asked)
    return told["completeness"]["complete"], told["changes"]


WAYS = {
    "page": over_http("events", lambda told: len(told["events"])),
    "histogram": over_http("histogram", lambda told: told["total"]),
    "count": over_http("count", lambda told: told["total"]),
    "envelope": by_envelope,
    "counted": by_count,
    "assistant": by_assistant,
    "assistant's around": by_assistant_around,
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_called_complete_that_misses_what_was_stored_meanwhile(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    stored: list[bool] = []

    def interrupted(*args: Any, **options: Any) -> module.Completeness:
        """Have the gap filled just before: events that were read already miss what it held."""
        if not stored:
            stored.append(True)
            fill_the_gap(url)
        return module.completeness(*args, **options)

    for place in (asking, tools, web_asking):
        monkeypatch.setattr(place, "completeness", interrupted)
    assert WAYS[way](url, capsys) == (True, 2), "complete, so the event must be there"
    assert stored


def unread_around(store: Store) -> int:
    return len(around(store, LATE, after=timedelta(hours=2)).unread)


def unread_of_state(store: Store) -> int:
    return len(state(store, "checkout-1", LATE + timedelta(hours=2))[0].covered) - 1


@pytest.mark.parametrize(("place", "count"), [("around", unread_around), ("state", unread_of_state)])
def test_what_was_not_read_of_a_moment_is_told_as_it_was_before_its_events(
    url: str, monkeypatch: pytest.MonkeyPatch, place: str, count: Callable[[Store], int]
) -> None:
    def interrupted(*args: Any) -> Iterator[dict[str, Any]]:
        rows = list(query.events(*args))
        fill_the_gap(url)
        return iter(rows)

    monkeypatch.setattr(f"flagtrail.{place}.events", interrupted)
    with Store(url) as store:
        assert count(store) == 1, "the hour was not read when the events were"
