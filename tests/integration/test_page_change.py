"""The pages of one change, one object and one person, as whoever has no JavaScript reads them."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from flagtrail.event import Ref
from flagtrail.people import People, PersonSettings
from flagtrail.query import Query, events
from flagtrail.rows import Reading
from flagtrail.schema import EVENT
from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.web.app import app
from flagtrail.window import Window
from tests.serving import LOG, START, event, fill

HOSTILE = "<img src=x onerror=alert(1)>\u202e\"'{{7*7}}</textarea></script>"
CONFIG = [
    {"path": "environments.production.fallthrough", "before": {"true": "5%", "false": "95%"}, "after": True},
    {"path": "environments.production.rules[Guides].clauses[1]", "before": None,
     "after": {"attribute": "email", "op": "endsWith", "values": ["@x.example"]}},
    {"path": "environments.production.rules[2]", "before": None,
     "after": {"clauses": ["user email endsWith @x.example", "user plan not in gold, silver"], "serve": True}},
    {"path": "tags", "before": {"removed": ["old"]}, "after": {"added": ["new"]}},
    {"path": "description", "before": "Shows the old checkout to everybody", "after": "Shows the new checkout to some"},
    {"path": "custom", "before": {"a": 1}, "after": {"a": 2}},
    {"path": "apiKey", "before": "(secret)", "after": "(another secret)"},
    {"path": "…", "before": None, "after": "and 3 more changes, in the record"},
]  # fmt: skip


def fill_more(store: Store) -> None:
    """Store a trail with a rich change, its revision, a save, a rollback, a hostile one, and one of another vendor."""
    fill(store)
    at = START + timedelta(hours=12)
    rich = event(
        900, occurred_at=at, action="rollout_changed", changes=CONFIG, object_key="rich", environment="production",
        environment_name="Production", url="https://vendor.example/flag", comment="As agreed", change_set="s1",
    )  # fmt: skip
    mate = event(901, occurred_at=at + timedelta(minutes=2), object_key="mate", change_set="s1")
    off = event(902, occurred_at=at, object_key="pair", action="turned_off", environment="production",
                changes=[{"path": "environments.production.on", "before": True, "after": False}])  # fmt: skip
    on = event(903, occurred_at=at + timedelta(minutes=5), object_key="pair", action="turned_on",
               environment="production",
               changes=[{"path": "environments.production.on", "before": False, "after": True}])  # fmt: skip
    names = (
        "actor_name", "actor_email", "object_key", "object_name", "project", "environment", "environment_name",
        "comment", "summary", "location", "vendor_action", "action",
    )  # fmt: skip
    hostile: dict[str, Any] = dict.fromkeys(names, HOSTILE)
    changes = [{"path": HOSTILE, "before": HOSTILE, "after": {HOSTILE: HOSTILE}}]
    hostile |= {"changes": changes, "impact": {"size": HOSTILE}, "url": "javascript:alert(1)"}
    bad = event(904, occurred_at=at, **hostile)
    effect = event(905, vendor_id="f9", occurred_at=at, related_event=Ref(LOG, "e900"), object_key="rich",
                   impact={"size": "medium", "percentage": 34.0})  # fmt: skip
    page = [(one, {"_id": one.vendor_id, "n": 1, HOSTILE: HOSTILE}) for one in (rich, mate, off, on, bad)]
    store.add("acme", "launchdarkly", [Reading(LOG, page)])
    store.add("acme", "launchdarkly", [Reading(LOG, [(rich, {"_id": "e900", "n": 2})])])
    store.add("acme", "launchdarkly", [Reading("flag_events[web/production]", [(effect, {"_id": "f9"})])])
    other = event(906, actor_email=None, actor_name="Ada L.", object_key="elsewhere")
    store.add("cat", "configcat", [Reading("audit_log[1]", [(other, {"auditLogId": 1})],
                                           covers=Window(START, START + timedelta(days=1)))])  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A trail."""
    path: Path = tmp_path_factory.mktemp("page")
    new: Callable[[], str] = (
        (lambda: f"sqlite:///{path / 'trail.db'}") if request.param == "sqlite" else request.getfixturevalue("postgres")
    )
    with Store(new()) as made:
        fill_more(made)
        yield made


@pytest.fixture(scope="module")
def client(store: Store) -> TestClient:
    """Somebody who reads pages."""
    people = People([PersonSettings(email="ada@example.com", name="Ada Lovelace", also=["Ada L."])])
    return TestClient(app(store, ServeSettings(), ("acme", "cat"), people), raise_server_exceptions=True)


def id_of(store: Store, vendor_id: str) -> str:
    """Return the id of an event by the vendor's."""
    with store.engine.connect() as connection:
        return str(connection.execute(EVENT.select().where(EVENT.c.vendor_id == vendor_id)).mappings().one()["id"])


def text_of(html: str) -> str:
    """Return what is read of a page, on one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_a_change_is_told_whole(client: TestClient, store: Store) -> None:
    id = id_of(store, "e900")
    html = client.get(f"/event/{id[:14]}").text
    text = text_of(html)
    for told in (
        "Ada Lovelace changed the rollout of rich in Production", "34 %", "medium", "As agreed",
        "if email ends with @x.example and plan is not one of gold, silver, serve true", "Condition 1",
        "another secret, which is not kept", "and 3 more changes, in the record", "Revision 2", "Revision 1",
        "Saved with it", "By the same person within the hour", "how many get what",
    ):  # fmt: skip
        assert told in text, told
    assert "<del>old</del><ins>new</ins> checkout" in html
    assert 'href="https://vendor.example/flag"' in html
    assert '<code class="value added"><bdi>new</bdi></code>' in html
    assert re.search(r"removed: </span>\s+&#34;n&#34;: 1", html)
    assert f'data-text="Link">http://testserver/event/{id}</textarea>' in html
    assert "**Ada Lovelace changed the rollout of rich in Production**" in html
    assert "changes may be missing" in text


def test_what_was_put_back_stands_at_both(client: TestClient, store: Store) -> None:
    assert "Put back by" in client.get(f"/event/{id_of(store, 'e902')}").text
    assert "Puts back" in client.get(f"/event/{id_of(store, 'e903')}").text
    measured = client.get(f"/event/{id_of(store, 'f9')}").text
    assert "Measures the impact of" in measured


def test_what_is_not_there_is_a_page(client: TestClient) -> None:
    assert client.get("/event/none").status_code == 404
    assert client.get("/event/e").status_code in (404, 409)
    answer = client.get("/object", params={"key": "none"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for path in ("/object?key=rich&at=sometime", "/object?key=rich&after=x", "/object?key=rich&colour=red", "/object",
                 "/person?who=ada@example.com&since=x", "/person?who=ada@example.com&after=AAAA"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 422, path
        assert "<h1>" in answer.text
    assert client.get("/person?who=nobody@example.com").status_code == 404


def test_nothing_of_a_vendor_is_markup(client: TestClient, store: Store) -> None:
    id = id_of(store, "e904")
    pane = client.get(f"/event/{id}")
    links = re.findall(r'href="(/(?:object|person)\?[^"]*)"', pane.text)
    pages = [pane, *(client.get(link.replace("&amp;", "&")) for link in dict.fromkeys(links))]
    assert len(pages) >= 3
    for page in pages:
        assert page.status_code == 200, page.text
        assert "<img src=x" not in page.text
        assert "javascript:" not in re.sub(r"<textarea.*?</textarea>|<pre.*?</pre>", "", page.text, flags=re.DOTALL)
        assert " style=" not in page.text
        assert "&lt;img" in page.text


def test_an_object_is_told_over_time_and_at_a_moment(client: TestClient) -> None:
    where = {"source": "acme", "project": "web", "kind": "flag", "key": "pair"}
    html = client.get("/object", params=where).text
    assert 'class="bar bar-on"' in html or 'class="bar bar-vague"' in html
    assert 'class="bar bar-off"' in html
    assert 'class="hole"' in html
    text = text_of(html)
    assert "on; what it served is not known" in text
    between = text_of(client.get("/object", params=where | {"at": "2026-03-01T12:02Z"}).text)
    assert "What it was" in between
    assert "production Switch off since" in between
    after = text_of(client.get("/object", params=where | {"at": "2026-03-01T12:06Z"}).text)
    assert "production Switch on since" in after


def test_pages_of_an_object_hold_every_change_once(client: TestClient, store: Store) -> None:
    path, found = "/person?who=ada@example.com&since=2026-02-01", list[str]()
    while path:
        html = client.get(path).text
        found += re.findall(r'<li class="change[^>]*data-id="(\w+)"', html)
        after = re.search(r'href="([^"]*)" rel="next"', html)
        path = after[1].replace("&amp;", "&") if after else ""
    mine = [row["id"] for row in events(store, Query(limit=0)) if row["actor_name"] in ("Ada Lovelace", "Ada L.")]
    assert found == mine
    assert len(found) > 100


def test_a_person_is_one_at_all_vendors(client: TestClient) -> None:
    html = client.get("/person", params={"who": "ada@example.com", "since": "2026-02-01"}).text
    text = text_of(html)
    assert "<h1><bdi>Ada Lovelace</bdi></h1>" in html
    assert "Ada L." in text
    assert "135 changes since" in text
    assert "turned on" in text
    assert "actor:ada@example.com" in html
