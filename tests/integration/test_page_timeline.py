"""The page Timeline as it is drawn by the server, on both databases; what its scripts do is tested in a browser."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from flagtrail.rows import Reading
from flagtrail.store import Store
from flagtrail.web.page import answer, counting
from tests.serving import COUNT, LOG, START, event, fill, served

WHOLE = {"since": "2026-03-01", "until": "2026-03-03"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}'


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a trail, in which something is hostile."""
    path: Path = tmp_path_factory.mktemp("page")
    new: Callable[[], str] = (
        (lambda: f"sqlite:///{path / 'trail.db'}") if request.param == "sqlite" else request.getfixturevalue("postgres")
    )
    made = new()
    with Store(made) as store:
        fill(store)
        odd = event(
            0, vendor_id="odd", actor_name=HOSTILE, actor_email=None, summary=HOSTILE, comment=HOSTILE,
            environment=HOSTILE, project=HOSTILE, object_name=HOSTILE, url="javascript:alert(3)",
        )  # fmt: skip
        store.add("acme", "configcat", [Reading(LOG, [(odd, {"_id": "odd"})])])
    return made


@pytest.fixture(scope="module")
def page(url: str) -> Iterator[httpx.Client]:
    """Who looks at the page."""
    with served(url) as client:
        yield client


def got(page: httpx.Client, status: int = 200, **where: str) -> str:
    answered = page.get("/", params=where)
    assert answered.status_code == status, answered.text
    assert "trusted-types 'none'" in answered.headers["content-security-policy"]
    return answered.text


def links(text: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'href="(/\?[^"]*|/)"', text)]


def ids(text: str) -> list[str]:
    return re.findall(r'<li class="change [^"]*" data-id="(\w+)"', text)


def total(text: str) -> int:
    found = re.search(r"<strong>([\d,]+)\+?</strong>", text)
    assert found
    return int(found[1].replace(",", ""))


def asked(address: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(address).query)


def counted(page: httpx.Client, question: str) -> int:
    where = WHOLE | ({"q": question} if question else {})
    return int(page.get("/api/v1/count", params=where).raise_for_status().json()["total"])


def test_pages_show_every_change_once_by_day(page: httpx.Client) -> None:
    text, found = got(page, since="all"), []
    assert "Newest</a>" not in text
    while True:
        found += ids(text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        if not older:
            break
        text = page.get(unescape(older[1])).text
        assert "Newest</a>" in text
    assert len(found) == len(set(found)) == COUNT + 1
    assert re.findall(r'class="day">(.*?)</h2>', text) == ["Sunday, 1 March 2026"]


def test_the_chart_and_each_facet_count_what_the_api_counts(page: httpx.Client) -> None:
    text = got(page, **WHOLE)
    assert total(text) == counted(page, "") == COUNT + 1
    assert sum(int(number) for number in re.findall(r"<title>(\d+) changes?, ", text)) == COUNT + 1
    lanes = re.findall(r'<li title="([^"]*): (\d+)"', text)
    assert sorted(int(number) for _, number in lanes) == [1, COUNT]
    facets = re.findall(r'<li><a href="([^"]+)" data-key="[^"]*"><span.*?class="number">(~?[\d,]+)<', text, re.DOTALL)
    assert len(facets) > 10
    for address, number in facets:
        question = asked(unescape(address))["q"][0]
        assert counted(page, question) == int(number), question


def test_a_facet_adds_its_value_and_takes_it_away_and_keeps_the_rest(page: httpx.Client) -> None:
    here = WHOLE | {"q": 'environment:production -action:viewed "checkout 1"', "by": "actor", "zone": "Europe/Berlin"}
    text = got(page, **here)
    added = next(each for each in links(text) if "turned_on" in each)
    assert asked(added)["q"] == ['environment:production action:turned_on -action:viewed "checkout 1"']
    assert (asked(added)["by"], asked(added)["zone"]) == (["actor"], ["Europe/Berlin"])
    taken = re.search(r'href="([^"]+)" data-key="environment production" aria-current="true"', text)
    assert taken
    assert asked(unescape(taken[1]))["q"] == ['-action:viewed "checkout 1"']
    chips = re.findall(r'class="chip( not)?" href="([^"]+)"', text)
    assert [bool(is_not) for is_not, _ in chips] == [False, True, False]
    assert [asked(unescape(each))["q"] for _, each in chips] == [
        ['-action:viewed "checkout 1"'],
        ['environment:production "checkout 1"'],
        ["environment:production -action:viewed"],
    ]


def test_every_link_of_the_page_leads_to_a_page(page: httpx.Client) -> None:
    found = sorted(set(links(got(page, since="all", by="environment"))))
    assert len(found) > 60
    for address in found[::5]:
        assert page.get(address).status_code == 200, address


def test_a_question_that_is_not_understood_stays_in_the_box_with_its_place(page: httpx.Client) -> None:
    text = got(page, 422, q="environment:production enviroment:x")
    assert 'value="environment:production enviroment:x"' in text
    assert "environment:production <mark>enviroment:x</mark>" in text
    assert "did you mean environment:?" in text
    assert 'aria-invalid="true" aria-describedby="mistake"' in text
    assert ids(text) == []
    assert "is not a span such as" in got(page, 422, since="yesterday")
    assert "not before the end" in got(page, 422, since="2026-03-02", until="2026-03-01")
    assert "in the future" in got(page, 422, since="2999-01-01")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/?environment=x", "environment: there is no such parameter"),
        ("/?by=nothing", "by: changes are shown by one of"),
        ("/?after=nothing", "after: this is no cursor"),
        ("/?q=a&q=b", "q: stands there twice"),
        ("/?zone=Mars/North", "zone: there is no time zone"),
        ("/?q=%00", "NUL"),
        (f"/?q={'a' * 4001}", "q: 4,000 characters are the most that can be asked for"),
    ],
)
def test_wrong_parameters_are_told_on_a_page(page: httpx.Client, address: str, told: str) -> None:
    answered = page.get(address)
    assert answered.status_code == 422
    assert told in unescape(answered.text)
    assert answered.headers["content-type"].startswith("text/html")


def test_times_in_the_question_and_beside_it_mean_the_same(page: httpx.Client) -> None:
    beside = got(page, q="checkout", since="2026-03-01T10:00Z", until="2026-03-01T12:00Z")
    within = got(page, q="checkout since:2026-03-01T10:00Z until:2026-03-01T12:00Z")
    assert ids(beside) == ids(within)
    assert len(ids(beside)) == 12
    assert "since:2026" not in "".join(links(within)), "a link says a time once"


def test_times_stand_in_the_readers_zone_and_links_mean_the_same_in_every_zone(page: httpx.Client) -> None:
    text = got(page, since="2026-03-01 10:00", until="2026-03-01 12:00", zone="Asia/Kathmandu")
    assert 'name="since" value="2026-03-01 10:00"' in text
    assert "1 Mar 2026 10:00–12:00" in text  # noqa: RUF001
    assert all(asked(each)["zone"] == ["Asia/Kathmandu"] for each in links(text) if "by=actor" in each)
    lane = next(each for each in links(text) if "by=actor" in each)
    assert asked(lane)["since"] == ["2026-03-01T04:15Z"]
    page.cookies.set("flagtrail_zone", "Asia/Kathmandu")
    try:
        assert 'data-zone="Asia/Kathmandu"' in got(page)
        assert 'href="/?zone=UTC"' in got(page)
    finally:
        page.cookies.clear()


def test_what_was_not_read_is_drawn_and_said(page: httpx.Client) -> None:
    text = got(page, **WHOLE)
    assert '<rect class="hole"' in text
    assert "Not read whole" in text
    assert "Not everything is here" in text
    inside = got(page, since="2026-03-01T00:00Z", until="2026-03-01T10:00Z", q=f"stream:{LOG}")
    assert "Complete for this time" in inside
    assert 'class="hole"' not in inside


def test_what_takes_too_long_to_count_is_said_and_can_be_counted(
    page: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "MOST", 60)
    monkeypatch.setattr(counting, "TOO_MANY", 60)
    text = got(page, by="actor", **WHOLE)
    assert total(text) == 60
    assert "Counted back to" in text
    assert 'class="uncounted"' in text
    assert "~" in text
    whole = re.search(r'href="([^"]+)">count all<', text)
    assert whole
    found = page.get(unescape(whole[1])).text
    assert total(found) == COUNT + 1
    assert "Counted back to" not in found
    exact = got(page, **WHOLE)  # by vendor there is a table of counts
    assert total(exact) == COUNT + 1


def test_the_pane_shows_one_change_and_may_come_alone(page: httpx.Client) -> None:
    first = ids(got(page, **WHOLE))[0]
    text = got(page, event=first, **WHOLE)
    assert re.search(r'<aside class="pane" [^>]*tabindex="-1">', text)
    assert re.search(rf'chosen" data-id="{first}"', text)
    alone = page.get("/", params=WHOLE | {"event": first}, headers={"Flagtrail-Part": "pane"}).text
    assert 'data-part="list"' not in alone
    assert 'data-part="pane"' in alone
    assert len(alone) < len(text) / 2
    assert 'class="note note-warning"' in got(page, event="nothing", **WHOLE)


def test_nothing_hostile_becomes_markup(page: httpx.Client) -> None:
    for where in (
        WHOLE,
        {"q": HOSTILE},
        {"q": f"nothing:{HOSTILE}"},
        WHOLE | {"by": "environment"},
        {"event": HOSTILE},
    ):
        answered = page.get("/", params=where)
        assert "<script>" not in answered.text
        assert "<img src=x" not in answered.text
        assert "javascript:" not in answered.text
    assert "&lt;script&gt;" in got(page, **WHOLE)


def test_the_page_weighs_little_with_all_that_it_loads(page: httpx.Client) -> None:
    text = got(page, by="action", q="checkout", **WHOLE)
    files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', text))
    assert len(files) > 6
    weight = len(text.encode()) + sum(len(page.get(each).raise_for_status().content) for each in files)
    assert weight < 150_000


def test_completion_tells_fields_values_and_what_they_mean(page: httpx.Client) -> None:
    def told(typed: str) -> list[tuple[str, str]]:
        found = page.get("/complete", params={"q": typed}).raise_for_status().json()
        return [(typed[: found["from"]] + each["text"], each["about"]) for each in found["options"]]

    assert told("en")[0] == ("environment:", "its key or name; * stands for anything")
    assert told("environment:pro") == [("environment:production ", "")]
    assert ("-action:turned_off ", "it ceased to act") in told("-action:off")
    assert told("actor:lovel") == [("actor:ada@example.com ", "Ada Lovelace")]
    assert [each for each, _ in told("object:checkout-3")] == ["object:checkout-3 "]
    assert [each for each, _ in told("has:")] == ["has:comment ", "has:impact "]
    assert told("nothing:") == []
    assert len(told("")) == 12
    hostile = next(each for each, _ in told("environment:") if "script" in each)
    assert ids(got(page, q=hostile, **WHOLE))


def test_the_live_address_tells_what_is_stored_after_the_page(tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path / 'live.db'}"
    now = datetime.now(UTC)
    with Store(where) as store, served(where) as client:
        rows = [(event(n, vendor_id=f"n{n}", occurred_at=now - timedelta(minutes=n)), {"n": n}) for n in range(1, 56)]
        store.add("acme", "configcat", [Reading(LOG, rows)])
        text = got(client, q="environment:production")
        assert "last hour, chosen for you" in text
        live = re.search(r'data-live="([^"]+)"', text)
        assert live
        late = event(2, vendor_id="late", occurred_at=now)
        store.add("acme", "configcat", [Reading(LOG, [(late, {"n": "late"})])])
        timer = threading.Timer(15, client.close)
        timer.start()
        with client.stream("GET", unescape(live[1])) as told:
            data = next(line for line in told.iter_lines() if line.startswith("data: "))
        timer.cancel()
        assert json.loads(data[6:])["id"] in ids(got(client, q="environment:production"))
        assert "data-live=" not in got(client, since="1h", until="1m")


def test_the_file_of_another_version_is_not_kept(page: httpx.Client) -> None:
    address = re.findall(r'src="(/static/[^"]+page.js)"', got(page))[0]
    assert "immutable" in page.get(address).headers["cache-control"]
    assert page.get("/static/older/page.js").headers["cache-control"] == "no-store"
    assert page.get("/static/older/nothing.js").status_code == 404


def test_pages_and_their_parts_come_in_fewer_bytes_where_that_is_taken(page: httpx.Client) -> None:
    plain = page.get("/", headers={"Accept-Encoding": "identity, gzip;q=0"})
    packed = page.get("/", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    style = re.search(r'href="([^"]+style\.css)"', plain.text)
    assert style
    part = page.get(style[1], headers={"Accept-Encoding": "gzip"})
    assert part.headers["content-encoding"] == "gzip"
    assert "--accent" in part.text


def test_a_time_that_leaves_the_calendar_is_told_on_a_page(page: httpx.Client) -> None:
    for address in (
        "/?since=9999-12-31T23:59:59.999Z&zone=Asia/Tokyo",
        "/person?who=x&since=0001-01-01&zone=Asia/Tokyo",
    ):
        answered = page.get(address)
        assert answered.status_code in (404, 422), address
        assert answered.headers["content-type"].startswith("text/html")


def test_pages_of_a_time_that_was_chosen_back_from_a_moment_hold_every_change(page: httpx.Client) -> None:
    text = got(page, until="2026-03-02T12:00Z")
    found, expected = ids(text), total(text)
    while older := re.search(r'rel="next" href="([^"]+)"', text):
        text = page.get(unescape(older[1])).raise_for_status().text
        found += ids(text)
    assert len(found) == len(set(found)) == expected


def test_what_was_made_at_once_is_told_as_one_and_named_whole(tmp_path: Path) -> None:
    at = START + timedelta(hours=3)
    flags = [event(n, object_key=f"flag-{n}", action="archived", occurred_at=at, actor_name="terraform",
                   environment="production", comment="apply 7") for n in range(70)]  # fmt: skip
    others = [
        event(100, object_key="seen", action="archived", occurred_at=at, actor_name="terraform", comment="apply 8"),
        event(101, object_key="held", action="archived", occurred_at=at, actor_name="terraform", comment="apply 7",
              provisional=True),
        *(event(200 + n, object_key=f"value-{n}", action="value_changed", occurred_at=at - timedelta(hours=1),
                changes=[{"path": "value", "before": n, "after": n + 1}]) for n in range(5)),
    ]  # fmt: skip
    with Store(url := f"sqlite:///{tmp_path / 'trail.db'}") as store:
        page = [(each, {"_id": each.vendor_id}) for each in (*flags, *others)]
        store.add("acme", "launchdarkly", [Reading(LOG, page)])
    with served(url) as client:
        first = got(client, since="all")
        second = client.get(unescape(re.findall(r'rel="next" href="([^"]+)"', first)[0])).text
    bursts = [re.findall(r'<ol class="burst-of" aria-label="([^"]*)"', text) for text in (first, second)]
    assert all("terraform archived" in told and "flags and maybe more in production" in told
               for told in (bursts[0][-1], bursts[1][0]))  # fmt: skip
    shown = re.findall(r'data-id="(\w+)"', first + second)
    assert len(shown) == len(set(shown)) == len(flags) + len(others), "what is told as one is still there, each once"
    for text in (first, second):
        singles = re.findall(r'<li class="change action-.*?</li>', text, re.DOTALL)
        assert not any("flag-" in one for one in singles)
    assert (first + second).count("from 4 to 5") == 1, "what was changed otherwise keeps a sentence of its own"
    assert "held" in first + second
    assert "provisional" in first + second


def test_paper_says_what_is_not_on_it(page: httpx.Client) -> None:
    first = got(page, since="all")
    second = page.get(unescape(re.findall(r'rel="next" href="([^"]+)"', first)[0])).text
    said = [re.findall(r'<p class="print-only">(Here stand .*?)</p>', text) for text in (first, second)]
    total_of = f"of {total(first):,} changes"
    assert said[0] == [f"Here stand 50 {total_of}. Not on this paper: older ones."]
    assert said[1] == [f"Here stand 50 {total_of}. Not on this paper: newer ones and older ones."]
    assert "Not on this paper" not in got(page, since="all", q="object:checkout-3")


def test_what_was_made_at_once_in_several_projects_stands_by_project(tmp_path: Path) -> None:
    at = START + timedelta(hours=3)
    same = {"action": "archived", "environment": "production", "comment": "apply 7"}
    flags = [
        event(
            n, object_key=f"flag-{n}", occurred_at=at + timedelta(seconds=n), project=("web", "app<i>")[n % 2], **same
        )
        for n in range(6)
    ]
    with Store(url := f"sqlite:///{tmp_path / 'trail.db'}") as store:
        store.add("acme", "launchdarkly", [Reading(LOG, [(each, {"_id": each.vendor_id}) for each in flags])])
    with served(url) as client:
        text = got(client, since="all")
    lists = re.findall(r'<ol class="burst-of" aria-label="([^"]*)">(.*?)</ol>', text, re.DOTALL)
    assert [re.findall(r"<bdi>flag-(\d)", each) for _, each in lists] == [["5", "3", "1"], ["4", "2", "0"]]
    assert [re.sub(".*: ", "", unescape(name)) for name, _ in lists] == ["app<i>", "web"]
    assert "in <bdi>production of app&lt;i&gt; and web</bdi>" in text


def test_a_time_that_ends_now_stays_so_and_nothing_is_later(page: httpx.Client) -> None:
    for where in ({}, {"since": "2d"}, {"since": "all"}):
        ways = re.search(r'<nav class="ways".*?</nav>', got(page, **where), re.DOTALL)
        assert ways
        assert 'data-key="way Later"' not in ways[0]
        zoomed = re.search(r'href="([^"]*)"[^>]*data-key="way Zoom in"', ways[0])
        assert zoomed
        assert "until" not in asked(unescape(zoomed[1])), "who zooms in still sees what happens now"
