"""Pages that redirect, shift, break off or never end: reliability rows A9 to A12."""

from collections.abc import Callable
from typing import Any

import pytest

from flagtrail.store import Store
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulation.account import TOKEN
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.faults.conftest import Oracle
from tests.faults.scene import (
    ALWAYS,
    DAY_MS,
    FLAG_EVENTS,
    LISTS,
    before_answer,
    covered,
    gaps,
    sync,
)


@pytest.mark.fault("A9", "configcat V1 redirects to V2, or becomes V2")
@pytest.mark.parametrize(
    ("v1", "status"),
    [("array", 0), ("v2_object", 0), *(("redirect", code) for code in (301, 302, 303, 307, 308))],
)
def test_a9_configcat_v1_is_read_whole_in_each_form(oracle: Oracle, lite: Store, v1: Any, status: int) -> None:
    with ConfigCatSimulator(v1=v1, redirect_status=status) as vendor:
        vendor.fill(620, 5, seed=7)
        connector = vendor.connect().model_copy(update={"api": "v1"})
        assert sync(vendor, lite, connector=connector).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(gaps(lite) == [], "V1 hides nothing")


@pytest.mark.fault("A9", "configcat V1 redirects somewhere else, or answers oddly")
@pytest.mark.parametrize(
    "fault",
    [
        *(faults.redirect(to, 302) for to in ("/login", "/v1/me", "//127.0.0.1:1/v2/", "https://thief.example/v2/")),
        faults.status(301),
        faults.body({"items": []}),
        faults.body({"data": []}),
    ],
    ids=["login", "another path", "another host", "another scheme", "nowhere", "items", "data"],
)
def test_a9_another_answer_of_v1_is_never_taken_for_an_empty_list(
    oracle: Oracle, lite: Store, fault: faults.Fault
) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(150, 5, seed=7)
        connector = vendor.connect().model_copy(update={"api": "v1"})
        vendor.inject(fault, match="auditlogs", times=ALWAYS)
        oracle.holds(sync(vendor, lite, connector=connector).errors, "it is told of")
        oracle.holds(covered(lite) == [], "nothing is claimed")
        oracle.check(lite, vendor)
        vendor.heal()
        assert sync(vendor, lite, connector=connector).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("A9", "configcat V1 shows as many items as a page of V2")
@pytest.mark.parametrize("count", [99, 100, 101])
def test_a9_exactly_a_page_from_v1_is_doubted(oracle: Oracle, lite: Store, count: int) -> None:
    with ConfigCatSimulator() as vendor:
        crowd = vendor.clock.ms() - 3 * DAY_MS
        vendor.burst(crowd // 1000 * 1000 + 200, count)
        connector = vendor.connect().model_copy(update={"api": "v1"})
        assert sync(vendor, lite, connector=connector).errors == []
        oracle.whole(lite, vendor)
        doubts = [gap for gap in gaps(lite) if "exactly 100" in gap.reason]
        oracle.holds(bool(doubts) == (count == 100), "only a full page is doubted")


@pytest.mark.fault("A10", "items come and go between two pages")
@pytest.mark.parametrize("change", ["comes", "goes", "both"])
@pytest.mark.parametrize("times", [1, 3])
def test_a10_pages_that_shift_lose_nothing(oracle: Oracle, store: Store, change: str, times: int) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(100, 5, seed=8)
        crowd = vendor.clock.ms() // 1000 * 1000 - 5000  # inside of the settling time
        ids = vendor.burst(crowd, 250, spread_ms=900)

        def churn() -> None:
            oracle.see(vendor)
            if change != "comes":
                vendor.remove(ids.pop(0))
            if change != "goes":
                vendor.add(crowd + 950)

        vendor.inject(before_answer(churn), match="pageNumber=2", times=times)
        assert sync(vendor, store).errors == []
        oracle.whole(store, vendor)


@pytest.mark.fault("A10", "items never stop to come and go between two pages")
def test_a10_a_list_that_is_never_the_same_is_not_claimed(oracle: Oracle, lite: Store) -> None:
    with ConfigCatSimulator() as vendor:
        crowd = vendor.clock.ms() // 1000 * 1000 - DAY_MS
        ids = vendor.burst(crowd, 250, spread_ms=900)

        def churn() -> None:
            oracle.see(vendor)
            vendor.remove(ids.pop(0))
            ids.append(vendor.add(crowd + 950))

        vendor.inject(before_answer(churn), match="pageNumber=2", times=ALWAYS)
        report = sync(vendor, lite)
        oracle.holds("other items" in str(report.errors), "it is called by its name")
        oracle.check(lite, vendor)
        vendor.heal()
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("A11", "flag events: links that drop parameters, either order")
@pytest.mark.parametrize("link", ["cursor", "full"])
@pytest.mark.parametrize("oldest_first", [False, True])
def test_a11_every_parameter_is_sent_with_every_page(
    oracle: Oracle, lite: Store, link: Any, oldest_first: bool
) -> None:
    with LaunchDarklySimulator(insights_next=link, insights_oldest_first=oldest_first) as vendor:
        vendor.fill(60, 5, seed=9)
        for number in range(230):
            vendor.add_flag_event(ms=vendor.clock.ms() - 3 * DAY_MS + number)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        asked = [set(request.query) for request in vendor.requests if FLAG_EVENTS in request.path]
        needed = {"projectKey", "environmentKey", "from", "to", "limit"}
        oracle.holds(all(needed <= names for names in asked), "no page relies on a default")
        oracle.holds(any("after" in names for names in asked), "there was more than one page")


@pytest.mark.fault("A11", "flag events: the row of the cursor is deleted")
@pytest.mark.parametrize("answer", ["empty", "400"])
@pytest.mark.parametrize("times", [1, 4])
def test_a11_a_cursor_that_leads_nowhere_is_not_the_end(oracle: Oracle, lite: Store, answer: str, times: int) -> None:
    with LaunchDarklySimulator() as vendor:
        moment = vendor.clock.ms() - 3 * DAY_MS
        for number in range(230):
            vendor.add_flag_event(ms=moment + number)

        def deleted(request: Request, reply: Callable[[], Reply]) -> Reply:
            oracle.see(vendor)
            vendor.remove(request.query["after"])
            gone = reply()
            if answer == "400":
                return gone
            return Reply(body={"items": [], "_links": {}, "totalCount": len(vendor.truth()[stream])})

        stream = "flag_events[web/production]"
        vendor.inject(deleted, match="&after=", times=times)
        connector = vendor.connect().model_copy(update={"flag_events": ["web/production"]})
        sync(vendor, lite, connector=connector)
        oracle.check(lite, vendor)
        vendor.heal()
        sync(vendor, lite, connector=connector)
        oracle.check(lite, vendor)
        oracle.holds(gaps(lite) == [], "it is read again to its real end")


@pytest.mark.fault("A12", "a next link that leads to itself, in circles, or on for ever")
@pytest.mark.parametrize("kind", ["itself", "circle", "endless"])
def test_a12_paging_without_an_end_is_given_up(oracle: Oracle, lite: Store, kind: str) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=10, flag_events=0)
        moment = vendor.clock.ms() - 3 * DAY_MS
        for number in range(230):
            vendor.add_flag_event(ms=moment + number)
        connector = vendor.connect().model_copy(update={"flag_events": ["web/production"]})
        sheets: list[Any] = []

        def play(request: Request, answer: Callable[[], Reply]) -> Reply:
            reply = answer()
            if request.query["limit"] == "1" or not reply.body["items"]:
                return reply
            sheets.append(reply.body)
            if kind == "itself":
                reply.body = sheets[0]
            elif kind == "circle":
                reply.body = sheets[(len(sheets) + 1) % 2]
            else:
                made = [f"{len(sheets):016d}-{number:08d}" for number in range(100)]
                items = [one | {"id": id} for one, id in zip(sheets[0]["items"], made, strict=True)]
                reply.body = sheets[0] | {"items": items}
            return reply

        vendor.inject(play, match=FLAG_EVENTS, times=ALWAYS)
        report = sync(vendor, lite, connector=connector)
        asked = [request for request in vendor.requests if FLAG_EVENTS in request.path]
        oracle.holds(len(asked) <= 60, "it ends soon")
        oracle.holds(report.streams["flag_events[web/production]"].error, "it is told of")
        claims = covered(lite, "flag_events[web/production]")
        oracle.holds(not any(one.since_ms <= moment < one.until_ms for one in claims), "nothing of it is claimed")
        oracle.holds(report.streams["audit_log"].error is None, "the other stream goes on")


@pytest.mark.fault("A12", "a list that shows the same page whatever is asked for")
@pytest.mark.parametrize("again", [1, 3, 60])
def test_a12_the_same_page_again_is_refused(oracle: Oracle, lite: Store, vendor: Simulator, again: int) -> None:
    first: dict[str, Any] = {}

    def stuck(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        reply.body = first.setdefault(request.path, reply.body)
        return reply

    vendor.inject(stuck, match=LISTS[vendor.connector.vendor], times=again)
    sync(vendor, lite)
    oracle.holds(len(vendor.requests) <= 400, "it ends soon")
    vendor.heal()
    sync(vendor, lite)
    oracle.check(lite, vendor)


@pytest.mark.fault("A12", "configcat says for ever that there is a next page")
def test_a12_configcat_with_a_next_page_for_ever_is_given_up(oracle: Oracle, lite: Store) -> None:
    def more(body: Any) -> Any:
        return body | {"paging": body["paging"] | {"hasNext": True}}

    with ConfigCatSimulator() as vendor:
        vendor.burst(vendor.clock.ms() // 1000 * 1000 - DAY_MS, 250)
        vendor.inject(faults.edited(more), match="auditlogs", times=ALWAYS)
        report = sync(vendor, lite)
        oracle.holds(report.errors, "it is told of")
        oracle.holds(len(vendor.requests) <= 400, "it ends soon")
        oracle.check(lite, vendor)
        vendor.heal()
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("A12", "a list of projects that has no end")
def test_a12_a_list_of_projects_without_an_end_is_given_up(oracle: Oracle, lite: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=10)

        def stuck(request: Request, answer: Callable[[], Reply]) -> Reply:
            return Reply(body=first | {"_links": {"next": {"href": "/api/v2/projects?offset=0"}}})

        first = vendor.reply(Request("GET", "/api/v2/projects", {}, {"authorization": TOKEN})).body

        vendor.inject(faults.status(500), match="/api/v2/projects?", skip=100, times=ALWAYS)
        vendor.inject(stuck, match="/api/v2/projects?", times=ALWAYS)
        sync(vendor, lite, attempts=1)
        asked = [request for request in vendor.requests if request.path == "/api/v2/projects"]
        oracle.holds(len(asked) < 50, "it ends soon")
