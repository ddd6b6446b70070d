"""What the addresses of the pages say, and what is refused; SQLite alone, since no database has a part in it."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.web.app import app
from tests.changes import fill_more, id_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A trail."""
    path: Path = tmp_path_factory.mktemp("address") / "trail.db"
    with Store(f"sqlite:///{path}") as made:
        fill_more(made)
        yield made


@pytest.fixture(scope="module")
def client(store: Store) -> TestClient:
    """Somebody who reads pages."""
    return TestClient(app(store, ServeSettings(), ("acme", "cat")))


@pytest.fixture(scope="module")
def change(store: Store) -> str:
    """The id of a change of which much is told."""
    return id_of(store, "e900")


VIEWS = (
    "/", "/?since=all&event={id}", "/?q=nothing-is-called-so", "/?q=nofield:x", "/event/{id}", "/event/none",
    "/around?at=2026-03-01T12:10Z&before=24h", "/around?at=never", "/object?key=pair&project=web",
    "/object?key=pair&at=2026-03-01T12:02Z", "/object?key=shared", "/person?who=grace@example.com&since=3650d",
    "/coverage", "/coverage?source=acme&span=7d",
)  # fmt: skip


@pytest.mark.parametrize("path", VIEWS)
def test_whatever_a_view_links_to_is_in_the_zone_that_its_address_names(
    client: TestClient, change: str, path: str
) -> None:
    there = path.format(id=change)
    html = client.get(f"{there}{'&' if '?' in there else '?'}zone=Asia/Tokyo").text
    links = [unescape(each) for each in re.findall(r'(?:href|data-base|data-around|data-count-all)="(/[^"]*)"', html)]
    ours = [each for each in links if not each.startswith(("/static/", "/api/"))]
    without = [each for each in ours if "zone=Asia/Tokyo" not in each]
    assert len(ours) > 4
    own = there.partition("?")[0]
    assert [each.partition("?")[0] for each in without] == [own], "only the zone's own link leads away from it"
    for form in re.findall(r"<form[^>]*method=\"get\".*?</form>", html, re.DOTALL):
        assert '<input type="hidden" name="zone" value="Asia/Tokyo">' in form
    plain = client.get(there).text
    assert not re.search(r"[?;]zone=", plain), "who asks for no zone is given none"


@pytest.mark.parametrize(
    "path", ["/", "/event/{id}", "/around", "/object?key=pair", "/person?who=a@b.example", "/coverage"]
)
def test_what_an_address_says_twice_or_wrongly_is_refused(client: TestClient, change: str, path: str) -> None:
    there = path.format(id=change)
    there += "&" if "?" in there else "?"
    for wrong, told in (
        ("zone=Mars/Olympus", "zone: there is no time zone"),
        ("zone=UTC&zone=UTC", "zone: stands there twice"),
        ("colour=red", "colour: there is no such parameter"),
        (f"zone={'a' * 4001}", "zone: 4,000 characters are the most"),
    ):
        answer = client.get(there + wrong)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8"), wrong
        assert told in answer.text
    for twice in ("/object?key=pair&key=rich", "/object?key=pair&at=1h&at=2h", "/person?who=a&who=b"):
        assert "stands there twice" in client.get(twice).text


def test_a_time_without_a_zone_becomes_one_that_all_read_alike(client: TestClient) -> None:
    for path, wanted in (
        ("/object?key=pair&zone=Asia/Tokyo&at=2026-03-01T21:02", "at=2026-03-01T12:02Z&zone=Asia/Tokyo"),
        ("/person?who=ada@example.com&zone=Asia/Tokyo&since=2026-03-01", "since=2026-02-28T15:00Z&zone=Asia/Tokyo"),
    ):
        answer = client.get(path, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"].endswith(wanted)
        assert client.get(path).status_code == 200
