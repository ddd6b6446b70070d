"""The pages of one change, one object and one person, as whoever has no JavaScript reads them."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flagtrail.people import People, PersonSettings
from flagtrail.query import Query, events
from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.web.app import app
from flagtrail.web.page import life
from tests.changes import fill_more, id_of


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


def listed(client: TestClient, path: str) -> list[str]:
    """Return the ids of all changes that a list has on its pages."""
    found = list[str]()
    while path:
        html = client.get(path).text
        found += re.findall(r'<li class="change[^>]*data-id="(\w+)"', html)
        after = re.search(r'href="([^"]*)" rel="next"', html)
        path = unescape(after[1]) if after else ""
    return found


def test_pages_of_a_person_hold_every_change_once(client: TestClient, store: Store) -> None:
    mine = [row["id"] for row in events(store, Query(limit=0)) if row["actor_name"] in ("Ada Lovelace", "Ada L.")]
    assert listed(client, "/person?who=ada@example.com&since=2026-02-01T00:00Z") == mine
    assert len(mine) > 100


@pytest.mark.parametrize("at", ["", "&at=2026-03-01T00:40Z"])
def test_pages_of_an_object_hold_every_change_once_those_of_no_project_too(
    client: TestClient, store: Store, at: str
) -> None:
    rows = list(events(store, Query(object="shared", limit=0)))
    mine = [row["id"] for row in rows if row["project"] in ("web", None)]
    assert len(mine) > 2 * 50
    assert listed(client, f"/object?source=acme&project=web&kind=flag&key=shared{at}") == mine
    assert listed(client, f"/object?source=acme&kind=flag&key=shared{at}") == [row["id"] for row in rows]


def test_of_a_key_with_very_many_changes_it_is_told_what_was_not_looked_for(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "MOST_OTHERS", 40)
    path = "/object?source=acme&project=web&kind=flag&key=shared"
    rows = list(events(store, Query(source="acme", object="shared", limit=0)))
    edge = rows[40]["occurred_at"]
    mine = [row for row in rows if row["project"] == "web" or (row["project"] is None and row["occurred_at"] >= edge)]
    html = client.get(path).text
    assert f"not looked for before {edge:%d %b %Y %H:%M:%S}: what it was then is drawn as not known" in text_of(html)
    assert re.findall(r'<li class="change[^>]*data-id="(\w+)"', html) == [row["id"] for row in mine][:50]
    webs = {row["id"] for row in rows if row["project"] == "web"}
    assert webs <= set(listed(client, path)), "those of the project are all there"
    within = client.get(f"{path}&at=2026-03-01T00:40Z").text
    assert "not looked for before" in text_of(within)
    monkeypatch.setattr(life, "MOST_OTHERS", len(rows))
    assert "not looked for" not in client.get(path).text


def test_what_is_left_out_is_told_with_the_way_to_it(client: TestClient, store: Store) -> None:
    html = client.get(f"/event/{id_of(store, 'e1100')}").text
    ways = [unescape(each) for each in re.findall(r'There are more: <a href="([^"]*)"', html)]
    assert len(ways) == 3, "of the same object before and after, and by the same person"
    shown = [client.get(way) for way in ways]
    assert all(page.status_code == 200 for page in shown)
    assert "121 changes" not in text_of(shown[2].text)
    person = text_of(client.get("/person?who=grace@example.com&since=3650d").text)
    assert "and 9 more names and ids" in person, "20 names and an address, 12 of them shown"


def test_a_list_says_how_far_it_can_be_trusted(client: TestClient) -> None:
    for path in ("/object?key=pair", "/person?who=ada@example.com&since=2026-02-01T00:00Z"):
        html = client.get(path).text
        assert 'class="trust trust-' in html
        assert "That is all" not in html


def test_a_person_is_one_at_all_vendors(client: TestClient) -> None:
    html = client.get("/person", params={"who": "ada@example.com", "since": "2026-02-01"}).text
    text = text_of(html)
    assert "<h1><bdi>Ada Lovelace</bdi></h1>" in html
    assert "Ada L." in text
    assert "135 changes since" in text
    assert "turned on" in text
    assert "actor:ada@example.com" in html
