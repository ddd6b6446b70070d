"""The HTTP API, asked over real connections, on both databases."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from flagtrail.exports import jsonl
from flagtrail.people import People, PersonSettings
from flagtrail.query import Query, events
from flagtrail.rows import Reading
from flagtrail.store import Store
from tests.serving import COUNT, LOG, START, event, fill, served


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a trail."""
    path: Path = tmp_path_factory.mktemp("http")
    new: Callable[[], str] = (
        (lambda: f"sqlite:///{path / 'trail.db'}") if request.param == "sqlite" else request.getfixturevalue("postgres")
    )
    made = new()
    with Store(made) as store:
        fill(store)
    return made


@pytest.fixture(scope="module")
def api(url: str) -> Iterator[httpx.Client]:
    """A client of the API."""
    with served(url, configured=("acme", "other")) as client:
        yield client


def problem(answer: httpx.Response, status: int) -> str:
    """Return the detail of a problem, having checked its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["title"]
    return str(told["detail"])


def test_pages_hold_every_event_once_and_say_how_complete_they_are(api: httpx.Client, url: str) -> None:
    for sort in ("newest", "oldest"):
        found, cursor, pages = [], None, 0
        while cursor or not pages:
            where = {"limit": 50, "sort": sort} | ({"after": cursor} if cursor else {})
            told = api.get("/api/v1/events", params=where).raise_for_status().json()
            found += [row["id"] for row in told["events"]]
            cursor, pages = told["next"], pages + 1
        with Store(url) as store:
            ids = [row["id"] for row in events(store, Query(limit=0, oldest_first=sort == "oldest"))]
        assert (found, pages, len(found)) == (ids, 3, COUNT)
    trust = told["completeness"]
    assert not trust["complete"]
    assert trust["failing"] == ["other"]
    assert trust["complete_since"] == "2026-03-01T00:00:00.000Z"


def test_filters_are_those_of_the_command_line_in_both_forms(api: httpx.Client) -> None:
    apart = api.get(
        "/api/v1/events",
        params={
            "environment": ["production", "nothing"],
            "object": "checkout-*",
            "since": "2026-03-01T20:00Z",
            "limit": 1,
        },
    ).json()
    short = api.get(
        "/api/v1/events", params={"q": "environment:production checkout since:2026-03-01T20:00Z", "limit": 1}
    )
    assert apart["events"] == short.json()["events"]
    assert apart["events"][0]["environment"] == "production"
    whole = api.get("/api/v1/events", params={"has": "impact"}).json()["events"]
    assert [row["impact"]["size"] for row in whole] == ["large"]
    assert len(api.get("/api/v1/events", params={"has": "impact", "linked": "true"}).json()["events"]) == 2


def test_one_event_comes_whole_by_the_beginning_of_its_id(api: httpx.Client) -> None:
    id = api.get("/api/v1/events", params={"limit": 1}).json()["events"][0]["id"]
    told = api.get(f"/api/v1/events/{id[:12]}").json()
    assert told["id"] == id
    assert told["records"][0]["record"] == {"_id": f"e{COUNT - 1}", "big": 10**30}
    assert "write more of it" in problem(api.get(f"/api/v1/events/{id[0]}"), 409)
    problem(api.get("/api/v1/events/nothing"), 404)
    problem(api.get("/api/v1/events/%25"), 404)


def test_counts_add_up(api: httpx.Client) -> None:
    spans = api.get(
        "/api/v1/histogram", params={"since": "2026-03-01", "until": "2026-03-03", "bucket": "1h", "by": "environment"}
    ).json()
    assert spans["total"] == sum(span["events"] for span in spans["spans"]) == COUNT
    assert spans["spans"][0] == {"since": "2026-03-01T00:00:00.000Z", "value": "production", "events": 3}
    told = api.get("/api/v1/count", params={"by": ["day", "object"], "top": 2, "zone": "Europe/Berlin"}).json()
    assert told["total"] == COUNT == told["rest"] + sum(group["events"] for group in told["groups"])
    assert told["groups"][0]["day"] == "2026-03-01T00:00:00+01:00"


def test_coverage_moments_and_states_are_told(api: httpx.Client) -> None:
    told = api.get("/api/v1/streams").json()
    [stream] = told["streams"]
    assert stream["coverage"] == [{"since": "2026-03-01T00:00:00.000Z", "until": "2026-03-02T00:00:00.000Z"}]
    assert stream["gaps"][0]["reason"] == "not read yet"
    assert stream["covered_share"] == 0.5
    problem(api.get("/api/v1/streams", params={"source": "nobody"}), 404)
    around = api.get("/api/v1/around", params={"at": "2026-03-01T10:05Z", "before": "30m"}).json()
    assert around["suspects"][0]["why"]
    assert around["changes"] == 4
    assert [(one["source"], one["reason"]) for one in around["unread"] if not one["streams"]] == [
        ("other", "never read")
    ]
    assert around["completeness"]["failing"] == ["other"]
    assert around["completeness"]["since"] == "2026-03-01T09:35:00.000Z"
    moment = {"at": "2026-03-01T10:05Z", "before": "0", "after": "0"}
    at_once = api.get("/api/v1/around", params=moment).raise_for_status().json()
    assert (at_once["since"], at_once["until"]) == ("2026-03-01T10:05:00.000Z", "2026-03-01T10:05:00.001Z")
    missing = api.get("/api/v1/state", params={"flag": "no-such-flag", "at": "2026-03-01T10:05Z"}).json()
    assert (missing["flags"], missing["completeness"]["complete"]) == ([], False)
    assert "7d" in problem(api.get("/api/v1/around", params={"at": "1970-01-01T00:00Z", "before": "999999d"}), 422)
    state = api.get("/api/v1/state", params={"flag": "checkout-0", "at": "2026-03-01T10:05Z"}).json()
    assert state["flags"][0]["key"] == "checkout-0"


def test_exports_hold_everything_and_say_whether_it_is_complete(api: httpx.Client, url: str) -> None:
    answer = api.get("/api/v1/export", params={"format": "jsonl", "environment": "test"})
    with Store(url) as store:
        rows = list(events(store, Query(environment="test", limit=0)))
    kept = [{name: value for name, value in row.items() if name != "number"} for row in rows]
    assert list(jsonl.read(answer.content.splitlines())) == kept
    assert answer.headers["flagtrail-complete"] == "false"
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert api.get("/api/v1/export", params={"format": "csv"}).text.count("\r\n") == COUNT + 1
    assert "flagtrail export" in problem(api.get("/api/v1/export", params={"format": "parquet"}), 422)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("events?enviroment=test", "did you mean environment?"),
        ("events?since=1d&since=2d", "since: stands there twice"),
        ("events?limit=0", "limit: must be greater than or equal to 1"),
        ("events?limit=1001", "limit: must be less than or equal to 1000"),
        ("events?after=nonsense", "no cursor of an event"),
        ("events?after=MS45OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ", "no cursor of an event"),
        ("events?after=MjUzNDAyMzAwNzk5OTk5LjE", "no cursor of an event"),
        ("events?limit=1" + "0" * 30, "limit: must be less than or equal to 1000"),
        ("events?environment=", "environment"),
        ("events?q=environment:", "a value of environment: is missing"),
        ("events?q=-environment:", "a value of environment: is missing"),
        ("events?impact=>1" + "0" * 30, "is not a measured effect"),
        ("events?since=whenever", "is not a span such as 90d"),
        ("events?since=2026-03-01T10:00+02:00", "a + in an address is written %2B"),
        ("events?since=2026-03-02&until=2026-03-01", "since is not before until"),
        ("events?q=enviroment:test", "did you mean environment:?"),
        ("events?q=environment:test&environment=test", "stands both in q and beside it"),
        ("events?text=a%00b", "NUL"),
        ("events/a%00b", "NUL"),
        ("events?text=!!!", "there is no word in"),
        ("events?is=lost", "is is one of vanished"),
        ("events?environment=" + "&environment=".join(map(str, range(101))), "at most 100"),
        ("histogram?bucket=1h", "spans shorter than 1d need a `since`"),
        ("histogram?bucket=1s&since=2020-01-01", "more than 5000 spans"),
        ("histogram?by=nothing", "they are by: actor"),
        ("count?by=nothing", "they are by: hour"),
        ("count?zone=Nowhere/Land", "no time zone"),
        ("count?zone=../../etc/passwd", "no time zone"),
        ("around?before=90d", "longer than 7d"),
        ("around?before=0s", "or 0"),
        ("around?limit=1" + "0" * 30, "limit: must be less than or equal to 500"),
        ("around?at=0001-01-01", "lies before 1970"),
        ("state?flag=c*", "at least 3 characters"),
        ("state?flag=x&at=9999-12-31", "after the year 9000"),
        ("state", "flag: Field required"),
        ("live?after=nonsense", "no id that was sent from here"),
        ("live?after=YWZ0ZXIgOTk5OTk5OTk", "another database"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_to_do(api: httpx.Client, asked: str, told: str) -> None:
    assert told in problem(api.get(f"/api/v1/{asked}"), 422)


def sent(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Yield server-sent events as a browser would take them apart."""
    told: dict[str, str] = {}
    for line in lines:
        if not line and told:
            yield told
            told = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            told[name] = value


def test_live_events_come_once_and_go_on_after_the_last_that_came(api: httpx.Client, url: str) -> None:
    with Store(url) as store, api.stream("GET", "/api/v1/live", params={"environment": "production"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = sent(answer.iter_lines())
        first = next(told)
        late = [
            (event(n, vendor_id=f"late{n}", occurred_at=START - timedelta(days=1)), {"n": n}) for n in (900, 901, 902)
        ]
        store.add("acme", "launchdarkly", [Reading(LOG, late)])
        came = [next(told), next(told)]
    assert first.keys() == {"retry", "id"}
    ids = [json.loads(each["data"])["vendor_id"] for each in came]
    assert sorted(ids) == ["late900", "late902"]
    for place, filters, rest in (
        (came[0], {"environment": "production"}, {ids[1]}),
        (first, {}, {"late900", "late901", "late902"}),
    ):
        with api.stream("GET", "/api/v1/live", params=filters, headers={"Last-Event-ID": place["id"]}) as answer:
            told = sent(answer.iter_lines())
            next(told)
            assert {json.loads(next(told)["data"])["vendor_id"] for _ in rest} == rest


def test_a_person_is_asked_for_by_any_name_in_every_question(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    person = PersonSettings(email="ada@example.com", also=["countess"])
    by_id = [
        (event(n, vendor_id=f"by-id{n}", actor_name=None, actor_email=None, actor_id="countess"), {}) for n in (1, 3)
    ]
    other = [(event(7, vendor_id="other", actor_name="Bo", actor_email="bo@example.com"), {})]
    with Store(url) as store:
        fill(store)
        store.add("acme", "launchdarkly", [Reading(LOG, [*by_id, *other])])
    with served(url, people=People([person])) as api:
        for where in ({"actor": "ADA@example.com"}, {"actor": "countess"}, {"q": "actor:countess"}):
            told = api.get("/api/v1/events", params={**where, "limit": 1000}).json()
            assert len(told["events"]) == COUNT + 2
            assert api.get("/api/v1/count", params=where).json()["total"] == COUNT + 2
            assert api.get("/api/v1/histogram", params=where).json()["total"] == COUNT + 2
            assert api.get("/api/v1/export", params=where).content.count(b"\n") == COUNT + 2
        assert api.get("/api/v1/count", params={"q": "-actor:countess"}).json()["total"] == 1
        assert api.get("/api/v1/count", params={"actor": "bo@example.com"}).json()["total"] == 1
        with api.stream("GET", "/api/v1/live", params={"actor": "countess"}) as answer:
            told = sent(answer.iter_lines())
            next(told)
            with Store(url) as store:
                store.add("acme", "launchdarkly", [Reading(LOG, [(event(8, vendor_id="late"), {})])])
            assert json.loads(next(told)["data"])["vendor_id"] == "late"


def test_live_connections_are_few_and_questions_do_not_wait_for_them(url: str) -> None:
    with served(url, live=1) as api, api.stream("GET", "/api/v1/live"):
        refused = api.get("/api/v1/live")
        assert "and no more may be" in problem(refused, 503)
        assert refused.headers["retry-after"] == "10"
        api.get("/api/v1/events").raise_for_status()
    with served(url, live=1) as api:
        for _ in range(3):  # the place is free again once the one who had it went away
            deadline = time.monotonic() + 10
            while True:
                with api.stream("GET", "/api/v1/live") as answer:
                    if answer.status_code == 200:
                        break
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_an_end_is_quick_also_with_a_live_connection(url: str) -> None:
    gone: list[Any] = []
    with served(url) as api:
        listening = threading.Event()

        def listen() -> None:
            with httpx.Client() as client, client.stream("GET", f"{api.base_url}/api/v1/live") as answer:
                for line in answer.iter_lines():
                    listening.set()
                    gone.append(line)

        thread = threading.Thread(target=listen)
        thread.start()
        assert listening.wait(10)
        begun = time.monotonic()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - begun < 4


def test_a_question_that_takes_too_long_is_ended_by_the_database(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "postgresql": "SELECT pg_sleep(30)",
    }

    def endless(store: Store, wanted: Query) -> Iterator[dict[str, Any]]:
        from flagtrail.query import reading

        with reading(store) as connection:
            connection.exec_driver_sql(slow[connection.dialect.name])
        return iter(())

    with served(url, timeout=timedelta(seconds=1)) as api:
        monkeypatch.setattr("flagtrail.query.events", endless)
        assert "longer than 1 seconds" in problem(api.get("/api/v1/events"), 503)
        monkeypatch.undo()
        api.get("/api/v1/events").raise_for_status()
