"""The page Around: the suspects at a moment, what was not read there, and clear words for moments that are none."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flagtrail.connector import Stream
from flagtrail.rows import Reading
from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.verdicts import Method, Outcome, Verdict, note_verdicts
from flagtrail.web.app import app
from flagtrail.web.page.suspects import web_address
from flagtrail.window import Window, iso
from tests.serving import LOG, START, event, fill

AT = START + timedelta(hours=10, minutes=5)
HOSTILE = '"><script>alert(1)</script>{{7*7}}'


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def asks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of the page, with changes of two vendors, one of which writes what it likes."""
    path = tmp_path_factory.mktemp("around") / "trail.db"
    new: Callable[[], str] | None = None if request.param == "sqlite" else request.getfixturevalue("postgres")
    with Store(new() if new else f"sqlite:///{path}") as store:
        fill(store)
        store.note_source("other", "configcat", None)
        told = {name: f"{HOSTILE}{name}" for name in ("summary", "actor_name", "object_name", "environment", "project")}
        changes = [{"path": HOSTILE, "before": None, "after": {"a": HOSTILE * 9}}] * 5
        common = {"url": "javascript:alert(1)", "change_set": "one", "changes": changes, "comment": HOSTILE}
        page = [
            (event(n, vendor_id=f"x{n}", occurred_at=AT - timedelta(minutes=3), **told | common), {}) for n in range(9)
        ]
        linked = event(300, vendor_id="good", occurred_at=AT - timedelta(minutes=1), url="https://vendor.example/x")
        store.add("other", "configcat", [Reading(LOG, [*page, (linked, {})])])
        yield TestClient(app(store, ServeSettings(), ["acme", "other", "never"]), base_url="http://127.0.0.1")


def test_suspects_of_all_vendors_are_ranked_with_reasons(asks: TestClient) -> None:
    answer = asks.get("/around", params={"at": iso(AT), "before": "30m"})
    assert answer.status_code == 200
    told = asks.get("/api/v1/around", params={"at": iso(AT), "before": "30m"}).json()["suspects"]
    items = re.findall(
        r'<li class="suspect" id="suspect-(\d+)">(.*?)</li>\n(?=<li class="suspect"|</ol>)', answer.text, re.DOTALL
    )
    assert [int(rank) for rank, _ in items] == [one["rank"] for one in told]
    for (_, item), one in zip(items, told, strict=True):
        assert f'href="/event/{one["event"]["id"]}"' in item
        text = unescape(item)
        for reason in one["reasons"]:
            assert f"{reason['points']:+.1f}".replace("-", "\N{MINUS SIGN}") in text
            assert reason["text"] in text
        assert f">{one['score']:+.1f}<".replace("-", "\N{MINUS SIGN}") in item
        assert ("before</strong>" in item) == (one["seconds_after"] <= 0)
    assert {one["event"]["vendor"] for one in told} == {"launchdarkly", "configcat"}
    assert len(re.findall(r'href="#suspect-\d+"', answer.text)) == len(told), "each is a numbered dot"


def test_what_a_vendor_writes_is_text_and_only_a_web_address_is_a_link(asks: TestClient) -> None:
    page = asks.get("/around", params={"at": iso(AT), "before": "30m"}).text
    assert "<script>alert" not in page
    assert "49" not in re.sub(
        r"\S+T\d\d:\S+|\d\d:\d\d|[0-9a-f]{12,}|[\d.]+%", "", re.sub(r"</?(time|svg|a|link)[^>]*>", "", page)
    )
    assert "alert(1)" in page
    assert "javascript:" not in page
    assert 'href="https://vendor.example/x" rel="noopener noreferrer"' in page
    assert "and 2 more</a>" in page, "three of five changes are shown"
    assert "saved with" in page
    assert "and 2 more</p>" in page, "six of eight others of the save are named"
    assert not re.search(r"\sstyle=|\son[a-z]+=", re.sub(r'"[^"]*"', '""', page))


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//vendor.example", "vbscript:x", "http://[", "", None, "x"]
)
def test_what_is_no_web_address_is_no_link(address: str | None) -> None:
    assert web_address(address) is None


def test_what_was_not_read_stands_above_the_suspects(asks: TestClient) -> None:
    page = asks.get("/around", params={"at": iso(START + timedelta(hours=30))}).text
    assert "Not everything was read" in page
    assert re.search(r"<strong>acme</strong>, audit_log: .*not read yet", page)
    assert re.search(r"<strong>never</strong>: .*never read", page)
    assert "Nothing is known to have changed" in page
    assert "Nothing changed" not in page
    assert 'class="not-read"' in page
    assert page.index("unread-grave") < page.index('class="panel empty"')


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"at": "yesterday at noon"}, "is not a span such as 90d"),
        ({"at": "2999-01-01T00:00Z"}, "lies in the future"),
        ({"at": "0001-01-01T00:00Z"}, "before 1970"),
        ({"at": "9999-12-31T23:59:59Z"}, "lies in the future"),
        ({"before": "8d"}, "longer than 7d"),
        ({"before": "0m"}, "no time at all"),
        ({"after": "soon"}, "After:"),
        ({"limit": "1e9"}, "no number from 1 to 100"),
        ({"limit": "0"}, "no number from 1 to 100"),
        ({"at": HOSTILE}, "is not a span"),
    ],
)
def test_a_question_that_cannot_be_asked_is_said_beside_the_form(
    asks: TestClient, asked: dict[str, str], said: str
) -> None:
    answer = asks.get("/around", params=asked)
    assert answer.status_code == 422
    assert said in unescape(answer.text)
    assert 'role="alert"' in answer.text
    assert '<form class="panel ask"' in answer.text
    assert "<script>alert" not in answer.text


def test_what_is_no_parameter_is_refused(asks: TestClient) -> None:
    for params in ({"enviroment": "x"}, {"at": "\0"}, [("at", "1h"), ("at", "2h")]):
        assert asks.get("/around", params=params).status_code == 422
    assert asks.get("/around", params={"at": "", "environment": "", "before": ""}).status_code == 200, "as a form sends"


def test_a_moment_without_a_zone_is_the_readers_and_becomes_one_that_all_read_alike(asks: TestClient) -> None:
    berlin = {"flagtrail_zone": "Europe/Berlin"}
    for text in ("2026-03-01T11:05", "2026-03-01 11:05:00"):
        reader = TestClient(asks.app, base_url="http://127.0.0.1", cookies=berlin, follow_redirects=False)
        answer = reader.get("/around", params={"at": text, "before": "30m", "object": "checkout-*"})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/around?")
        page = reader.get(answer.headers["location"])
        assert 'value="2026-03-01 11:05:00"' in page.text
        assert 'datetime="2026-03-01T10:05:00.000Z"' in page.text
        assert 'value="checkout-*"' in page.text
        assert 'value="30m"' in page.text
    assert 'value="2h"' in asks.get("/around", params={"at": "2h"}).text, "what counts from now goes on doing so"


def test_one_moves_in_time_by_links(asks: TestClient) -> None:
    page = unescape(asks.get("/around", params={"at": iso(AT), "before": "6h", "environment": "production"}).text)
    earlier, later = (re.search(rf'href="([^"]+)" rel="{name}"', page) for name in ("prev", "next"))
    assert earlier
    assert later
    assert "2026-03-01T04" in earlier[1]
    assert "2026-03-01T16" in later[1]
    assert "environment=production" in earlier[1]
    for span in ("15m", "24h"):
        assert re.search(rf'href="/around[^"]*before={span}', page)
    assert asks.get(earlier[1]).status_code == 200
    assert 'rel="next"' not in asks.get("/around").text, "there is no later than now"


def test_now_is_asked_about_without_a_word(asks: TestClient) -> None:
    page = asks.get("/around").text
    assert 'value="now"' in page
    assert f"{datetime.now(UTC):%d %b %Y}" in page


def test_time_that_differs_from_the_vendor_is_not_called_quiet(tmp_path: Path) -> None:
    quiet = Window(START, START + timedelta(days=1))
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        store.register("acme", "launchdarkly", Stream(LOG))
        store.note("acme", LOG, wanted_since=quiet.since, settled_at=quiet.until)
        store.add("acme", "launchdarkly", [Reading(LOG, [], quiet)])
        store.note_source("acme", "launchdarkly", None)
        asks = TestClient(app(store, ServeSettings(), ["acme"]), base_url="http://127.0.0.1")
        asked = {"at": iso(START + timedelta(hours=12))}
        assert "Nothing changed" in asks.get("/around", params=asked).text
        differs = Verdict(quiet, Outcome.DIFFERS, START, Method.COUNTS, 9, 0)
        note_verdicts(store, "acme", LOG, [differs])
        page = asks.get("/around", params=asked).text
    assert "Nothing changed" not in page
    assert "1 span of time differs from what the vendor shows" in page
