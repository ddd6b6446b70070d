"""The page Coverage and the sign on every page: never is anything called complete that is not."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flagtrail.completeness import completeness
from flagtrail.connector import Stream
from flagtrail.question import Query
from flagtrail.rows import Reading
from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.verdicts import Method, Outcome, Verdict, note_verdicts
from flagtrail.web.access import Trail
from flagtrail.web.app import app
from flagtrail.web.page import sign as signs
from flagtrail.web.page.scale import LEAST, Scale
from flagtrail.web.page.sign import judge, sign
from flagtrail.window import Window
from tests.serving import event

VENDOR = "launchdarkly"
NOW = datetime.now(UTC)
START, SETTLED = NOW - timedelta(days=90), NOW - timedelta(minutes=14)
HOSTILE = "<script>alert(1)</script>"


def read(store: Store, stream: str, since: datetime = START, until: datetime = SETTLED, source: str = "acme") -> None:
    """Let a stream be read whole over a time."""
    store.register(source, VENDOR, Stream(stream), wanted_since=START)
    store.add(source, VENDOR, [Reading(stream, (), covers=Window(since, until))])
    store.note(source, stream, settled_at=until, succeeded_at=NOW)


def lose(store: Store, reason: str) -> None:
    """Let the first ten days be lost for good."""
    first = Window(START, START + timedelta(days=10))
    store.uncover("acme", "audit_log", first, "not kept", None, 0)
    store.note_lost("acme", "audit_log", [first], reason)


def asking(store: Store, *configured: str) -> TestClient:
    return TestClient(app(store, ServeSettings(), configured), base_url="http://127.0.0.1")


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Store]:
    """A store in which one stream is complete."""
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        store.note_source("acme", VENDOR, None)
        read(store, "audit_log")
        yield store


def said(store: Store, *configured: str) -> tuple[str, str]:
    """Return the level and the words of the sign, as they would be now."""
    signs._judged.clear()
    told = sign(Trail(store, ServeSettings(), configured), UTC)
    found = completeness(store, Query(), configured=configured)
    assert (told.level == "good") == found.is_trusted, "the sign says what the API says"
    assert ("Complete" in told.text) == found.is_trusted
    return told.level, told.text


def test_the_sign_says_complete_of_what_is_and_nothing_else(trail: Store) -> None:
    day = "" if SETTLED.date() == datetime.now(UTC).date() else f"{SETTLED:%d %b} "
    assert said(trail) == ("good", f"Complete to {day}{SETTLED:%H:%M}")
    assert said(trail, "acme", "other") == ("bad", "other fails")
    week = Window(START + timedelta(days=20), START + timedelta(days=27))
    lose(trail, "kept for 80d only")
    assert said(trail) == ("warning", "1 span lost")
    note_verdicts(trail, "acme", "audit_log", [Verdict(week, Outcome.DIFFERS, NOW, Method.COUNTS, 3, 2, reason="x")])
    assert said(trail) == ("bad", "Differs")
    trail.uncover("acme", "audit_log", week, "burst", 140, 100)
    trail.uncover("acme", "audit_log", Window(NOW - timedelta(days=9), NOW - timedelta(days=8)), "burst", None, 0)
    assert said(trail) == ("bad", "2 gaps")
    trail.register("acme", VENDOR, Stream("new"), wanted_since=START)
    assert said(trail) == ("bad", "1 stream not read")
    trail.note_source("acme", VENDOR, "401 Unauthorized")
    assert said(trail) == ("bad", "acme fails")


def test_the_sign_says_how_long_nobody_looked(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        assert said(store) == ("bad", "Never read")
        store.note_source("acme", VENDOR, None)
        assert said(store, "acme") == ("bad", "Never read")
        read(store, "audit_log", until=NOW - timedelta(hours=3, minutes=20))
        assert said(store) == ("bad", "Not read for 3 h")
        later = NOW + timedelta(days=2)
        assert judge(completeness(store, Query(), now=later), later).text == "Not read for 2 d"
        page = unescape(asking(store).get("/coverage").text)
        assert "Not complete: nothing was read since" in page


def test_the_sign_costs_one_question_in_a_while(trail: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    signs._judged.clear()
    asked = 0

    def counting(*args: object, **values: object) -> object:
        nonlocal asked
        asked += 1
        return completeness(*args, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(signs, "completeness", counting)
    asks = asking(trail)
    for _ in range(3):
        assert 'class="sign sign-good" id="sign" href="/coverage"' in asks.get("/around").text
    assert asked == 1
    trail.note_source("acme", VENDOR, "refused")
    monkeypatch.setattr(signs, "KEPT", 0.0)
    assert "sign-bad" in asks.get("/around").text


def test_a_complete_trail_is_called_so_with_how_much_is_verified(trail: Store) -> None:
    verified = Verdict(Window(START, SETTLED - timedelta(days=9)), Outcome.VERIFIED, NOW, Method.COUNTS, 3, 3)
    note_verdicts(trail, "acme", "audit_log", [verified])
    page = unescape(asking(trail, "acme").get("/coverage").text)
    headline = re.search(r"<h1>(.*?)</h1>", page)
    assert headline
    assert re.fullmatch(
        rf"Complete from {START.day} {START:%b %Y} to .*\d\d:\d\d( today)?, 8\d.* % of it verified\.", headline[1]
    )
    assert "What is missing" not in page
    assert '<rect class="verified"' in page
    assert '<rect class="unsettled"' in page


def test_every_gap_stands_there_with_its_reason_and_what_to_do(trail: Store) -> None:
    lose(trail, "the vendor keeps 80d only")
    burst = Window(NOW - timedelta(days=20), NOW - timedelta(days=20) + timedelta(milliseconds=1))
    trail.uncover("acme", "audit_log", burst, f"burst {HOSTILE}", 140, 100)
    read(trail, "flag_events[web/test]", since=NOW - timedelta(days=30))
    trail.note("acme", "flag_events[web/test]", error=f"403 {HOSTILE}", failed_at=NOW)
    trail.note_source("acme", VENDOR, f"401 {HOSTILE}")
    answer = asking(trail, "acme", "other").get("/coverage")
    assert answer.status_code == 200
    assert HOSTILE not in answer.text
    page = unescape(answer.text)
    headline = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    assert headline
    assert (
        "Not complete: acme, other cannot be read, 2 gaps in 2 of 2 streams, 1 span of time lost for good"
        in headline[1]
    )
    for text in (
        f"burst {HOSTILE}", "100 stored of 140", f"not read yet: 403 {HOSTILE}", "the vendor keeps 80d only",
        "Nothing brings it back", "Mend what the error tells of", f"401 {HOSTILE}", "nobody has looked at it yet",
    ):  # fmt: skip
        assert text in page, text
    for kind in ("gap", "unread", "lost", "covered"):
        assert f'<rect class="{kind}"' in page
    concerns = re.findall(r'<span>(\S+) <small class="concern">(.*?)</small>', page)
    assert concerns == [("flag_events[web/test]", "last error"), ("audit_log", "1 gap")], "the worst first, and why"


def test_facts_of_a_stream_are_told(trail: Store) -> None:
    seen = [(event(n, occurred_at=NOW - timedelta(days=n + 1)), {}) for n in range(3)]
    trail.add("acme", VENDOR, [Reading("audit_log", seen, detailed={"e1", "e2"})])
    trail.register("acme", VENDOR, Stream("audit_log"), retention=timedelta(days=60))
    trail.note("acme", "audit_log", counts="the vendor counts 3 where it lists 2", counts_at=NOW, kept_since=START)
    trail.register("acme", VENDOR, Stream("filtered[web]", log="filtered"), wanted_since=START)
    healed = Verdict(Window(START, SETTLED), Outcome.HEALED, NOW, Method.CONTENTS, 9, 9, found=2)
    note_verdicts(trail, "acme", "audit_log", [healed])
    page = unescape(asking(trail, "acme").get("/coverage").text)
    for told in (
        "the vendor counts 3 where it lists 2", "2 entries that were missing were found by a verification",
        "2 changes wait for before and after", "60d: what is older stands only here", 'class="horizon"',
        'href="/?q=source:%22acme%22+stream:%22audit_log%22+linked:yes&since=all"',
        'href="/?q=source:%22acme%22+stream:%22filtered%22+linked:yes&since=all"',
        "what is older was deleted here, as configured",
    ):  # fmt: skip
        assert told in page, told


def test_actions_without_a_verb_are_counted(trail: Store) -> None:
    action = f'odd "{HOSTILE}'
    odd = [(event(n, action=action, occurred_at=NOW - timedelta(days=1)), {}) for n in range(3)]
    trail.add("acme", VENDOR, [Reading("audit_log", odd)])
    asks = asking(trail)
    page = asks.get("/coverage").text
    assert "Actions without a verb" in page
    assert re.search(r"odd &#34;&lt;script&gt;.*?>3</a>", page, re.DOTALL)
    [way] = re.findall(r'href="([^"]*)">3</a>', page)
    assert len(re.findall(r'<li class="change', asks.get(unescape(way)).text)) == 3


def test_time_is_chosen_by_links_and_what_is_not_known_is_refused(trail: Store) -> None:
    asks = asking(trail, "acme")
    for span in ("24h", "7d", "30d", "90d", "all"):
        page = asks.get("/coverage", params={"span": span, "source": "acme"}).text
        assert re.search(rf'aria-current="true">{span if span != "all" else "All"}<', page)
    zoned = asks.get("/coverage", params={"zone": "Asia/Kathmandu", "span": "7d"}).text
    assert "/coverage?source=acme&amp;span=7d&amp;zone=Asia/Kathmandu" in zoned, "the zone stays"
    for params, status in (
        ({"span": "1y"}, 422), ({"source": "nobody"}, 404), ({"stream": "x"}, 422), ({"source": HOSTILE}, 404),
    ):  # fmt: skip
        answer = asks.get("/coverage", params=params)
        assert answer.status_code == status
        assert HOSTILE not in answer.text


def test_many_streams_are_light_and_the_worst_are_seen(trail: Store) -> None:
    for number in range(60):
        read(trail, f"flag_events[p{number}/production]")
    trail.uncover("acme", "flag_events[p57/production]", Window(START, START + timedelta(hours=1)), "burst", None, 0)
    asks = asking(trail, "acme")
    page = asks.get("/coverage").text
    assert len(page) < 70_000
    assert page.index("flag_events[p57/production]</span>") < page.index("streams in order</summary>")
    assert "21 more streams of acme" in page
    assert asks.get("/coverage", params={"source": "acme"}).text.count('<details class="stream') == 61


def test_a_bar_shows_the_shortest_gap_and_stays_small_with_thousands() -> None:
    scale = Scale(Window(START, NOW), UTC)
    [part] = scale.parts([Window(START + timedelta(days=3), START + timedelta(days=3, milliseconds=1))])
    assert part.width == LEAST
    [last] = scale.parts([Window(NOW - timedelta(milliseconds=1), NOW + timedelta(days=1))])
    assert last.start + last.width <= 100.01
    many = [Window(START + timedelta(minutes=20 * n), START + timedelta(minutes=20 * n + 5)) for n in range(6000)]
    assert len(scale.parts(many)) < 300
    assert sum(len(part.windows) for part in scale.parts(many)) == 6000
    assert scale.parts([Window(START - timedelta(days=2), START - timedelta(days=1))]) == []


@pytest.mark.parametrize("hours", [1, 5, 24, 24 * 7, 24 * 30, 24 * 90, 24 * 365, 24 * 3650, 24 * 20000])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia"])
def test_ticks_are_few_and_in_order(hours: int, zone: str) -> None:
    from zoneinfo import ZoneInfo

    ticks = Scale(Window(NOW - timedelta(hours=hours), NOW), ZoneInfo(zone)).ticks()
    assert 2 <= len(ticks) <= 9
    assert [tick.at for tick in ticks] == sorted({tick.at for tick in ticks})
