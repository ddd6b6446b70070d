"""A trail whose vendors, people and flags are called what an attacker would call them: nothing runs or is lost."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from playwright.sync_api import Page

from flagtrail.connector import Stream
from flagtrail.event import Change, Event, Record
from flagtrail.rows import Reading, clean, event_id
from flagtrail.store import Store
from flagtrail.window import Window
from tests.browser.conftest import Open
from tests.browser.hostile import texts
from tests.serving import served

TEXTS = texts()
GROUP = 12  # events of one source
STEP = 17  # from the text of one column to that of the next: all columns of few events hold them all
COLUMNS = (
    "summary", "comment", "object_name", "object_key", "actor_name", "actor_email", "actor_id", "environment_name",
    "environment", "project_name", "project", "object_kind", "action", "vendor_action", "organization", "location",
    "url", "change_set",
)  # fmt: skip
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


def text(number: int, column: int = 0) -> str:
    """Return a text as a database can hold it; records hold it as it is."""
    return str(clean(TEXTS[(number + STEP * column) % len(TEXTS)]))


def event(number: int) -> tuple[Event, Record]:
    """Return an event with another hostile text in each column, and such a record."""
    told: dict[str, Any] = {name: text(number, column) for column, name in enumerate(COLUMNS)}
    one, two, three = (text(number, len(COLUMNS) + more) for more in range(3))
    changes = [Change(path=one, before=two, after=three), Change(path=f"rules[{one}].serve", after={two: [three]})]
    impact = {"size": one, "percentage": 12.5, "reason": two, three: one}
    made = Event(vendor_id=f"{one} {number}", occurred_at=NOW - timedelta(seconds=20 * number), changes=changes,
                 impact=impact if number % 3 == 0 else None, **told)  # fmt: skip
    raw = TEXTS[number]
    return made, {"_id": raw, two: three, "nested": {one: [raw, {three: None}]}, **told}


class Group:
    """The events of one source, which is called by hostile texts like everything in it."""

    def __init__(self, number: int) -> None:
        self.source, self.vendor, self.stream = (text(number * GROUP, column) for column in (20, 22, 24))
        self.events = [event(each) for each in range(number * GROUP, min((number + 1) * GROUP, len(TEXTS)))]

    def ids(self) -> list[str]:
        return [event_id(self.source, self.stream, each.vendor_id) for each, _ in self.events]

    def store(self, store: Store) -> None:
        source, vendor, stream = self.source, self.vendor, self.stream
        store.note_source(source, vendor, text(len(self.source), 1))
        store.register(source, vendor, Stream(stream, label=self.vendor), wanted_since=NOW - timedelta(days=3))
        store.note(source, stream, error=text(len(self.stream), 2), settled_at=NOW)
        gap = (Window(NOW - timedelta(days=2), NOW - timedelta(days=1)), self.source, 3)
        store.add(source, vendor, [Reading(stream, self.events, gap=gap)])


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    return [Group(number) for number in range((len(TEXTS) + GROUP - 1) // GROUP)]


@pytest.fixture(scope="module")
def hostile(groups: list[Group], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page of the hostile trail."""
    url = f"sqlite:///{tmp_path_factory.mktemp('hostile') / 'trail.db'}"
    with Store(url) as store:
        for group in groups:
            group.store(store)
    with served(url) as client:
        yield str(client.base_url).rstrip("/")


def quiet(page: Page) -> None:
    """Check that nothing ran, nothing came from elsewhere, and the page is still the page."""
    assert page.evaluate("typeof window.__ran") == "undefined"
    assert page.locator("header.top").is_visible()


def read(value: str) -> str:
    """Return a text as a page shows it: HTML knows one kind of new line, and blanks do not count."""
    return re.sub(r"\s+", " ", str(clean(value))).strip()


def seen(page: Page) -> str:
    return read(str(page.evaluate("document.body.textContent")))


def test_lists_show_every_text_and_run_none(visit: Open, hostile: str, groups: list[Group]) -> None:
    page = visit("/?since=2d", base=hostile)
    shown, pages = "", 0
    while True:
        quiet(page)
        shown += seen(page)
        pages += 1
        further = page.locator('a[rel="next"]')
        if not further.count():
            break
        page.goto(str(further.first.get_attribute("href")))
    assert pages >= len(TEXTS) // 50
    comments = [read(str(each.comment)) for group in groups for each, _ in group.events if each.comment]
    assert [comment for comment in comments if comment not in shown] == []


def test_every_view_of_a_change_shows_its_texts_and_runs_none(visit: Open, hostile: str, groups: list[Group]) -> None:
    page = visit("/coverage", base=hostile)
    quiet(page)
    page.goto("/around?at=" + quote(NOW.isoformat()))
    quiet(page)
    ids = [id for group in groups for id in group.ids()]
    others: set[str] = set()
    for number in range(STEP):
        page.goto(f"/event/{ids[number]}")
        quiet(page)
        told, shown = event(number)[0], seen(page)
        for name in ("summary", "comment", "object_key", "actor_name", "project", "environment"):
            assert read(str(getattr(told, name))) in shown, (number, name)
        links = page.locator("main a[href]").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
        others |= {link for link in links if link.startswith(("/object", "/person"))}
        assert {urlsplit(link).scheme for link in links} <= {"", "http", "https"}
    for link in sorted(others)[:: max(1, len(others) // 12)]:
        page.goto(link)
        quiet(page)


def test_what_is_asked_comes_back_as_text(visit: Open, hostile: str) -> None:
    page = visit("/", base=hostile)
    places = ("/?q={}", "/event/{}", "/around?at={}", "/person?who={}", "/?q=actor:{}", "/?since={}")
    for number, asked in enumerate(TEXTS[:: len(TEXTS) // 18]):
        page.goto(places[number % len(places)].format(quote(asked[:500], safe="")))
        quiet(page)


class Skeleton(HTMLParser):
    """What a page is made of: its tags with the names of their attributes, and where it leads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: set[tuple[str, ...]] = set()
        self.schemes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.add((tag, *sorted(name for name, _ in attrs)))
        self.schemes |= {urlsplit(value or "").scheme for name, value in attrs if name in ("href", "src", "action")}


def test_no_text_in_any_field_makes_markup(hostile: str, groups: list[Group]) -> None:
    """Every text, in some of the fields of a change: no tag, no attribute and no address comes of it."""
    with httpx.Client(timeout=60) as client:
        for group in groups:
            for id in group.ids()[::5]:
                found = Skeleton(client.get(f"{hostile}/event/{id}").raise_for_status().text)
                names = {name for part in found.parts for name in part[1:]}
                assert not {
                    name for name in names if name.startswith("on") or name in ("style", "srcdoc", "formaction")
                }
                assert not {part[0] for part in found.parts} & {"iframe", "object", "embed", "base", "math", "style"}
                assert found.schemes <= {"", "http", "https"}
