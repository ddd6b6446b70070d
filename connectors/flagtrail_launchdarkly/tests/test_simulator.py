"""LaunchDarkly's simulator, asked over HTTP: it behaves as the documentation says, and as each switch says."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from flagtrail.testing.cast import PEOPLE
from flagtrail_launchdarkly.simulation.account import NOBODY, SCIM, TERRAFORM, TOKEN
from flagtrail_launchdarkly.simulation.switches import VENDOR_QUOTAS
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

LOG = "/api/v2/auditlog"
COUNTS = "/api/v2/auditlog/counts"
EVENTS = "/api/v2/engineering-insights/flag-events"
T = 1_760_000_000_000
WEB = {"projectKey": "web", "environmentKey": "production"}
BETA = {"LD-API-Version": "beta"}
ALL = [{"effect": "allow", "resources": ["*"], "actions": ["*"]}]


@contextmanager
def asking(simulator: LaunchDarklySimulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": TOKEN, "LD-API-Version": "20240415"}
    with simulator, httpx.Client(base_url=simulator.url, headers=headers) as client:
        yield client


def get(client: httpx.Client, path: str, **params: Any) -> Any:
    # An empty dict would take the query of a link away.
    answer = client.get(path, params=params or None, headers=BETA if path == EVENTS else None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(body: Any) -> list[str]:
    return [item.get("_id") or item["id"] for item in body["items"]]


def search(client: httpx.Client, *statements: dict[str, Any]) -> list[str]:
    answer = client.post(LOG, params={"limit": 20}, json=list(statements))
    assert answer.status_code == 200, answer.text
    return ids(answer.json())


def test_the_log_comes_newest_first_ten_at_a_time_with_relative_sorted_links() -> None:
    simulator = LaunchDarklySimulator()
    added = [simulator.add(T + i) for i in range(25)]
    with asking(simulator) as client:
        first = get(client, LOG, limit=10, after=T - 1)
        assert ids(first) == added[:14:-1]
        assert first["_links"] == {
            "self": {"href": f"{LOG}?after={T - 1}&limit=10", "type": "application/json"},
            "next": {"href": f"{LOG}?after={T - 1}&before={T + 15}&limit=10", "type": "application/json"},
        }
        second = get(client, first["_links"]["next"]["href"])
        assert second["_links"]["self"] == first["_links"]["next"]
        third = get(client, second["_links"]["next"]["href"])
        assert ids(first) + ids(second) + ids(third) == added[::-1]
        assert "next" not in third["_links"]
        assert len(get(client, LOG)["items"]) == 10


def test_following_next_loses_the_entries_that_share_a_millisecond_at_the_edge() -> None:
    simulator = LaunchDarklySimulator()
    simulator.burst(T, 25)
    simulator.add(T - 5)
    with asking(simulator) as client:
        first = get(client, LOG, limit=20)
        second = get(client, first["_links"]["next"]["href"])
        assert len(first["items"]) == 20
        assert [item["date"] for item in second["items"]] == [T - 5]


def test_an_id_begins_with_its_seconds() -> None:
    simulator = LaunchDarklySimulator()
    assert int(simulator.add(T + 789)[:8], 16) == T // 1000


@pytest.mark.parametrize(("bounds", "seen"), [("()", [1]), ("[)", [1, 0]), ("(]", [2, 1]), ("[]", [2, 1, 0])])
def test_bounds_are_a_switch(bounds: str, seen: list[int]) -> None:
    simulator = LaunchDarklySimulator(bounds=bounds)
    added = [simulator.add(T + i) for i in range(3)]
    with asking(simulator) as client:
        assert ids(get(client, LOG, after=T, before=T + 2)) == [added[i] for i in seen]


def test_the_order_of_ties_is_a_switch() -> None:
    simulator = LaunchDarklySimulator()
    added = simulator.burst(T, 12)
    with asking(simulator) as client:
        assert ids(get(client, LOG, limit=12)) == added[::-1]
        simulator.switches.ties = "ascending"
        assert ids(get(client, LOG, limit=12)) == added
        simulator.switches.ties = "unstable"
        orders = [ids(get(client, LOG, limit=12)) for _ in range(5)]
        assert len({tuple(order) for order in orders}) > 1
        assert all(sorted(order) == added for order in orders)


@pytest.mark.parametrize("limit", ["21", "0", "-1", "many", "1e1", ""])
def test_a_wrong_limit_is_refused(limit: str) -> None:
    with asking(LaunchDarklySimulator()) as client:
        answer = client.get(LOG, params={"limit": limit})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_wrong_limit_may_be_clamped_and_a_page_may_be_smaller_than_asked_for() -> None:
    simulator = LaunchDarklySimulator(over_limit="clamp")
    simulator.burst(T, 30)
    with asking(simulator) as client:
        assert len(get(client, LOG, limit=100)["items"]) == 20
        simulator.switches.page_cap = 7
        assert len(get(client, LOG, limit=20)["items"]) == 7


def test_the_next_link_is_a_switch() -> None:
    simulator = LaunchDarklySimulator(next_link="always")
    simulator.burst(T, 3)
    with asking(simulator) as client:
        assert "next" in get(client, LOG)["_links"]
        simulator.switches.next_link = "never"
        assert "next" not in get(client, LOG, limit=1)["_links"]


def test_nothing_between_the_bounds_is_an_empty_page() -> None:
    simulator = LaunchDarklySimulator()
    simulator.add(T)
    with asking(simulator) as client:
        body = get(client, LOG, after=T + 5, before=T - 5)
        assert (body["items"], list(body["_links"])) == ([], ["self"])


@pytest.mark.parametrize("params", [{"before": "now"}, {"after": "1.5"}, {"spec": "proj//x"}, {"spec": "flag"}])
def test_what_is_not_understood_is_refused(params: dict[str, str]) -> None:
    with asking(LaunchDarklySimulator()) as client:
        assert client.get(LOG, params=params).status_code == 400


@pytest.mark.parametrize(("form", "date"), [("number", T), ("string", str(T)), ("iso", "2025-10-09T08:53:20.000Z")])
def test_the_form_of_dates_is_a_switch(form: str, date: Any) -> None:
    simulator = LaunchDarklySimulator(dates=form)
    simulator.add_flag_event(simulator.add(T))
    with asking(simulator) as client:
        assert get(client, LOG)["items"][0]["date"] == date
        assert get(client, EVENTS, **WEB, **{"from": T})["items"][0]["eventTime"] == date


def test_small_plans_silently_show_no_old_entries() -> None:
    simulator = LaunchDarklySimulator(history_days=30)
    now = simulator.clock.ms()
    old, young = simulator.add(now - 31 * 86_400_000), simulator.add(now - 1000)
    with asking(simulator) as client:
        assert ids(get(client, LOG)) == [young]
        assert client.get(f"{LOG}/{old}").status_code == 404
        assert client.post(COUNTS, params={"after": 0}, json=ALL).json()["totalCount"] == 1
    assert list(simulator.truth()["audit_log"]) == [young]


def test_an_entry_may_arrive_late_with_an_older_date() -> None:
    simulator = LaunchDarklySimulator()
    now = simulator.clock.ms()
    seen = simulator.add(now - 1000)
    late = simulator.add(now - 60_000, visible_from_ms=now + 30_000)
    event = simulator.add_flag_event(late, visible_from_ms=now + 30_000)
    with asking(simulator) as client:
        assert ids(get(client, LOG)) == [seen]
        assert client.get(f"{LOG}/{late}").status_code == 404
        assert get(client, EVENTS, **WEB)["items"] == []
        simulator.clock.advance(31)
        assert ids(get(client, LOG)) == [seen, late]
        assert ids(get(client, EVENTS, **WEB)) == [event]
    assert simulator.truth()["audit_log"] == {late: now - 60_000, seen: now - 1000}


def test_entries_can_be_edited_and_removed() -> None:
    simulator = LaunchDarklySimulator()
    gone, kept = simulator.add(T), simulator.add(T + 1)
    event = simulator.add_flag_event(kept)
    simulator.remove(gone)
    simulator.edit(kept, comment="corrected")
    simulator.edit(event, description="corrected too")
    with asking(simulator) as client:
        items = get(client, LOG)["items"]
        assert [item["comment"] for item in items] == ["corrected"]
        assert items == [simulator.shown("audit_log", kept)]
        events = get(client, EVENTS, **WEB, **{"from": T}, expand="experiments")["items"]
        assert events == [simulator.shown("flag_events[web/production]", event)]
        assert events[0]["description"] == "corrected too"
    simulator.remove(event)
    assert simulator.truth()["flag_events[web/production]"] == {}
    with pytest.raises(KeyError):
        simulator.remove(event)


def test_one_entry_has_its_versions_and_may_be_large() -> None:
    simulator = LaunchDarklySimulator(detail_bytes=1_100_000)
    created, updated = simulator.add(T, verb="created the flag"), simulator.add(T)
    with asking(simulator) as client:
        assert "previousVersion" not in get(client, f"{LOG}/{created}")
        answer = client.get(f"{LOG}/{updated}")
        assert len(answer.content) > 2_200_000
        assert {"previousVersion", "currentVersion"} < answer.json().keys()
        assert "delta" not in answer.json()
        assert client.get(f"{LOG}/nonsense").json()["code"] == "not_found"


def detail(client: httpx.Client, simulator: LaunchDarklySimulator, **entry: Any) -> Any:
    return get(client, f"{LOG}/{simulator.add(T, **entry)}")


def test_the_versions_of_a_flag_are_whole_flags_with_all_that_nobody_reads() -> None:
    simulator = LaunchDarklySimulator()
    with asking(simulator) as client:
        record = detail(client, simulator, verb="turned on the flag")
        before, after = record["previousVersion"], record["currentVersion"]
        assert get(client, f"{LOG}/{record['_id']}") == record
        assert list(after["environments"]) == ["production", "staging", "test"]
        assert after["_version"] == before["_version"] + 1
        place, previous = after["environments"]["production"], before["environments"]["production"]
        assert (previous["on"], place["on"], place["version"] - previous["version"]) == (False, True, 1)
        assert {"salt", "sel", "_site", "_summary", "lastModified", "_environmentName"} <= place.keys()
        assert before["environments"]["test"] == after["environments"]["test"]
        assert {"_links", "_maintainer", "creationDate", "variations", "defaults"} <= after.keys()
        assert [variation["value"] for variation in after["variations"]] == [True, False]


def test_what_a_description_says_the_versions_show() -> None:
    simulator = LaunchDarklySimulator()
    told = "* Changed the default rollout from ~~5%~~ to 25% `true`"
    with asking(simulator) as client:
        record = detail(client, simulator, actions="updateFallthrough", description=told)
        weights = [
            record[version]["environments"]["production"]["fallthrough"]["rollout"]["variations"][0]["weight"]
            for version in ("previousVersion", "currentVersion")
        ]
        assert weights == [5_000, 25_000]
        elsewhere = detail(client, simulator, resources="proj/lab:env/new:flag/x", actions="updateTargets")
        assert list(elsewhere["currentVersion"]["environments"]) == ["new"]


def test_a_test_can_say_what_the_full_form_adds() -> None:
    simulator = LaunchDarklySimulator()
    with asking(simulator) as client:
        record = detail(client, simulator, detail={"delta": [], "merge": None})
        assert (record["delta"], record["merge"], "previousVersion" in record) == ([], None, False)
        assert simulator.shown("audit_log", record["_id"]).keys() == record.keys() - {"delta", "merge"}
        deleted = detail(client, simulator, actions="deleteFlag", verb="deleted the flag")
        assert {"previousVersion", "currentVersion"} & deleted.keys() == {"previousVersion"}
        member = detail(client, simulator, resources="member/5c0ffee0", verb="deactivated the member", who=SCIM)
        assert {"previousVersion", "currentVersion"} & member.keys() == {"currentVersion"}
        assert member["currentVersion"]["_lastSeen"] is None


# Searching


def test_statements_select_by_resources_and_actions() -> None:
    simulator = LaunchDarklySimulator()
    web = simulator.add(T, resources="proj/web:env/production:flag/map-view;growth,eu", actions="updateOn")
    test = simulator.add(T + 1, resources="proj/web:env/test:flag/map-view", actions="updateTargets")
    member = simulator.add(T + 2, resources="member/5c0ffee0", actions="updateRole")
    with asking(simulator) as client:
        cases: list[tuple[dict[str, Any], list[str]]] = [
            ({"resources": ["proj/*:env/*:flag/*"]}, [test, web]),
            ({"resources": ["proj/web:env/pro*:flag/map-view"]}, [web]),
            ({"resources": ["proj/*"]}, []),
            ({"resources": ["proj/*:env/*:flag/*;EU"]}, [web]),
            ({"resources": ["proj/*:env/*:flag/*;eu,payments"]}, []),
            ({"notResources": ["proj/*:env/*:flag/*"]}, [member]),
            ({"actions": ["update*"]}, [member, test, web]),
            ({"actions": ["updateTargets", "updateRole"]}, [member, test]),
            ({"notActions": ["updateOn"]}, [member, test]),
            ({"notActions": ["updateOn"], "notResources": ["member/*"]}, [test]),
            ({"resources": ["*"], "actions": ["*"]}, [member, test, web]),
            ({}, [member, test, web]),
        ]
        for statement, found in cases:
            assert search(client, {"effect": "allow", **statement}) == found, statement


def test_any_access_that_is_allowed_and_not_denied_selects_an_entry() -> None:
    simulator = LaunchDarklySimulator()
    both = simulator.add(T, actions=["updateOn", "updateFallthrough"])
    on = simulator.add(T + 1, actions="updateOn")
    everything, deny = {"effect": "allow"}, {"effect": "deny", "actions": ["updateOn"], "resources": ["*"]}
    with asking(simulator) as client:
        assert search(client, everything, deny) == [both]
        assert search(client, everything) == [on, both]
        assert search(client, deny) == []


@pytest.mark.parametrize(
    "body",
    [
        {"effect": "allow"},
        ["allow"],
        [{"effect": "maybe"}],
        [{"effect": "allow", "resources": ["proj/x"], "notResources": ["proj/y"]}],
        [{"effect": "allow", "actions": "updateOn"}],
        [{"effect": "allow", "resources": ["/flag/x"]}],
    ],
)
def test_malformed_statements_are_refused(body: Any) -> None:
    with asking(LaunchDarklySimulator()) as client:
        for path in (LOG, COUNTS):
            answer = client.post(path, params={"after": T}, json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_the_next_link_of_a_search_forgets_the_statements() -> None:
    simulator = LaunchDarklySimulator()
    for i in range(4):
        simulator.add(T + i, actions="updateOn" if i % 2 else "updateTargets")
    statement = [{"effect": "allow", "actions": ["updateOn"], "resources": ["*"]}]
    with asking(simulator) as client:
        link = client.post(LOG, params={"limit": 1}, json=statement).json()["_links"]["next"]["href"]
        assert link == f"{LOG}?before={T + 3}&limit=1"
        assert get(client, link)["items"][0]["accesses"][0]["action"] == "updateTargets"
        assert client.post(link, json=statement).json()["items"][0]["date"] == T + 1


def test_a_search_without_statements_is_a_switch() -> None:
    simulator = LaunchDarklySimulator()
    added = simulator.add(T)
    with asking(simulator) as client:
        assert ids(client.post(LOG).json()) == ids(client.post(LOG, json=[]).json()) == [added]
        simulator.switches.empty_search = "nothing"
        assert ids(client.post(LOG, json=[]).json()) == []
        simulator.switches.empty_search = "refuse"
        assert client.post(LOG, json=[]).status_code == 400


def test_the_list_can_be_narrowed_by_a_specifier_and_by_a_name() -> None:
    simulator = LaunchDarklySimulator()
    flag, member = simulator.add(T), simulator.add(T + 1, resources="member/5c0ffee0", member=PEOPLE[1])
    with asking(simulator) as client:
        assert ids(get(client, LOG, spec="member/*")) == [member]
        assert ids(get(client, LOG, q="CHECKOUT")) == [flag]
        assert ids(get(client, LOG, q="jonas.bruegger@")) == [member]
        assert "q=CHECKOUT" in get(client, LOG, q="CHECKOUT")["_links"]["self"]["href"]


# Counting


def test_counts_come_in_equal_buckets_that_add_up() -> None:
    simulator = LaunchDarklySimulator()
    for offset in (0, 10, 11, 99, 100):
        simulator.add(T + offset)
    with asking(simulator) as client:
        params: dict[str, int] = {"after": T, "before": T + 100, "buckets": 9}
        body = client.post(COUNTS, params=params, json=ALL).json()
        assert body["bucketIntervalMs"] == 12
        assert [bucket["count"] for bucket in body["buckets"]] == [3, 0, 0, 0, 0, 0, 0, 0, 1]
        assert [bucket["timestamp"] for bucket in body["buckets"]] == list(range(T, T + 100, 12))
        assert body["totalCount"] == 4
        simulator.switches.counts_empty_buckets = False
        assert len(client.post(COUNTS, params=params, json=ALL).json()["buckets"]) == 2
        simulator.switches.counts_off_by = 2
        assert client.post(COUNTS, params=params, json=ALL).json()["totalCount"] == 6


def test_counts_count_what_the_statements_select() -> None:
    simulator = LaunchDarklySimulator(counts_aligned=True)
    simulator.add(T + 1, actions="updateTargets")
    simulator.burst(T + 7, 30)
    on = [{"effect": "allow", "actions": ["updateOn"], "resources": ["*"]}]
    with asking(simulator) as client:
        params = {"after": T + 1, "before": T + 1001, "buckets": 10}
        body = client.post(COUNTS, params=params, json=on).json()
        assert body["totalCount"] == 30
        assert body["buckets"][0] == {"timestamp": T, "count": 30}


def test_counts_that_are_not_understood_are_refused() -> None:
    simulator = LaunchDarklySimulator()
    simulator.add(T)
    with asking(simulator) as client:
        assert client.post(COUNTS, json=ALL).status_code == 400
        for buckets in (0, 501):
            assert client.post(COUNTS, params={"after": 0, "buckets": buckets}, json=ALL).status_code == 400
        assert client.post(COUNTS, params={"after": 0}).status_code == 400
        assert client.post(COUNTS, params={"after": 0}, json=[]).status_code == 400
        simulator.switches.empty_counts = "everything"
        assert client.post(COUNTS, params={"after": 0}, json=[]).json()["totalCount"] == 1


@pytest.mark.parametrize(("counts", "status"), [("forbidden", 403), ("absent", 404)])
def test_counts_may_not_be_offered(counts: str, status: int) -> None:
    with asking(LaunchDarklySimulator(counts=counts)) as client:
        assert client.post(COUNTS, params={"after": 0}, json=ALL).status_code == status


# Flag events


def test_flag_events_page_by_a_cursor_and_the_link_forgets_the_rest() -> None:
    simulator = LaunchDarklySimulator()
    added = [simulator.add_flag_event(ms=T + i) for i in range(5)]
    span = {**WEB, "from": T, "to": T + 100, "limit": 2}
    with asking(simulator) as client:
        first = get(client, EVENTS, **span)
        assert (ids(first), first["totalCount"]) == (added[:2:-1], 5)
        assert first["_links"]["next"]["href"] == f"{EVENTS}?after={added[3]}"
        answer = client.get(first["_links"]["next"]["href"], headers=BETA)
        assert answer.json()["errors"] == [
            {"attribute": "projectKey", "reason": "must be present"},
            {"attribute": "environmentKey", "reason": "must be present"},
        ]
        assert ids(get(client, EVENTS, **span, after=added[3])) == [added[2], added[1]]
        last = get(client, EVENTS, **span, after=added[1])
        assert (ids(last), "next" in last["_links"]) == ([added[0]], False)
        simulator.switches.insights_next = "full"
        link = get(client, EVENTS, **span)["_links"]["next"]["href"]
        assert ids(client.get(link, headers=BETA).json()) == [added[2], added[1]]


def test_the_answers_to_flag_events_have_their_switches() -> None:
    simulator = LaunchDarklySimulator(insights_oldest_first=True, insights_total="everything")
    added = [simulator.add_flag_event(ms=T + i) for i in range(4)]
    span = {**WEB, "from": T + 1, "to": T + 3}
    with asking(simulator) as client:
        body = get(client, EVENTS, **span)
        assert (ids(body), body["totalCount"]) == (added[1:3], 4)
        simulator.switches.insights_total = "page"
        assert get(client, EVENTS, **span, limit=1)["totalCount"] == 1
        simulator.switches.insights_bounds = "[]"
        assert ids(get(client, EVENTS, **span)) == added[1:4]
        simulator.switches.insights_longest_days = 7
        assert client.get(EVENTS, params={**WEB, "from": 0}, headers=BETA).status_code == 400


def test_the_impact_of_a_flag_event_is_known_after_ten_minutes() -> None:
    simulator = LaunchDarklySimulator()
    simulator.add_flag_event(swing=0.5)
    with asking(simulator) as client:
        assert get(client, EVENTS, **WEB)["items"][0]["impact"] == {"reason": "waiting"}
        simulator.clock.advance(598)
        assert get(client, EVENTS, **WEB)["items"][0]["impact"] == {"reason": "waiting"}
        simulator.clock.advance(3)
        impact = get(client, EVENTS, **WEB)["items"][0]["impact"]
        assert (impact["reason"], impact["size"], impact["percentage"]) == ("evaluations", "medium", 50.0)
        variations = impact["evaluationsSummary"]["variations"]
        assert sum(v["before"] for v in variations) == sum(v["after"] for v in variations) > 0
        assert get(client, EVENTS, **WEB)["items"][0]["impact"] == impact


def test_flag_events_name_their_audit_entry_and_can_be_filtered() -> None:
    simulator = LaunchDarklySimulator()
    entry = simulator.add(member=PEOPLE[2])
    one = simulator.add_flag_event(entry, flag="map-view", experiment="map-test", swing=0.05)
    everywhere = simulator.add_flag_event(environment=None, swing=0.9)
    with asking(simulator) as client:
        assert get(client, EVENTS, **WEB, query="map")["items"][0]["auditLogEntryId"] == entry
        assert ids(get(client, EVENTS, **WEB, hasExperiments="true")) == [one]
        assert ids(get(client, EVENTS, **WEB, impactSize="large")) == [everywhere]
        assert get(client, EVENTS, **WEB, **{"global": "exclude"})["totalCount"] == 1
        other = get(client, EVENTS, projectKey="web", environmentKey="test")["items"]
        assert [(item["id"], item["impact"], "environmentKey" in item) for item in other] == [
            (everywhere, {"reason": "global"}, False)
        ]
        assert "experiments" not in get(client, EVENTS, **WEB)["items"][0]
        expanded = get(client, EVENTS, **WEB, query="map", expand="experiments")["items"][0]
        assert expanded["experiments"]["items"][0]["key"] == "map-test"


def test_flag_events_need_the_beta_header_and_the_plan() -> None:
    simulator = LaunchDarklySimulator()
    with asking(simulator) as client:
        answer = client.get(EVENTS, params=WEB)
        assert (answer.status_code, list(answer.json())) == (403, ["message"])
        unknown = {**WEB, "projectKey": "nowhere"}
        assert client.get(EVENTS, params=unknown, headers=BETA).status_code == 404
        assert client.get(EVENTS, params={**WEB, "limit": 101}, headers=BETA).status_code == 400
        assert client.get(EVENTS, params={**WEB, "after": "nonsense"}, headers=BETA).status_code == 400
        simulator.switches.insights = "forbidden"
        assert client.get(EVENTS, params=WEB, headers=BETA).json()["code"] == "forbidden"
        simulator.switches.insights = "absent"
        assert client.get(EVENTS, params=WEB, headers=BETA).status_code == 404
    assert list(simulator.truth()) == ["audit_log"]


# Lists, credentials, limits


def test_projects_are_paged_by_offset_and_bring_their_environments_when_asked() -> None:
    simulator = LaunchDarklySimulator()
    for i in range(40):
        simulator.add_project(f"tour-{i:02d}", environments=["production", *(f"preview-{n}" for n in range(i))])
    with asking(simulator) as client:
        first = get(client, "/api/v2/projects", expand="environments")
        assert (len(first["items"]), first["totalCount"], sorted(first["_links"])) == (20, 43, ["last", "next", "self"])
        environment = first["items"][0]["environments"]["items"][0]
        assert environment["apiKey"].startswith("sdk-")
        assert environment["mobileKey"].startswith("mob-")
        second = get(client, first["_links"]["next"]["href"])
        assert sorted(second["_links"]) == ["first", "last", "next", "prev", "self"]
        large = second["items"][19]["environments"]
        assert (len(large["items"]), large["totalCount"]) == (20, 37)
        rest = get(client, large["_links"]["next"]["href"])
        assert (len(rest["items"]), "next" in rest["_links"]) == (17, False)
        assert "environments" not in get(client, "/api/v2/projects")["items"][0]
        assert client.get("/api/v2/projects/nowhere/environments").status_code == 404


def test_an_old_pinned_version_lists_projects_whole() -> None:
    simulator = LaunchDarklySimulator(pinned_version="20191212")
    for i in range(25):
        simulator.add_project(f"tour-{i:02d}")
    with asking(simulator) as client:
        assert len(get(client, "/api/v2/projects")["items"]) == 20
        del client.headers["LD-API-Version"]
        old = get(client, "/api/v2/projects")["items"]
        assert (len(old), isinstance(old[0]["environments"], list)) == (28, True)


def test_only_the_raw_token_opens() -> None:
    simulator = LaunchDarklySimulator()
    with asking(simulator) as client:

        def said(token: str) -> tuple[int, Any]:
            answer = client.get("/api/v2/caller-identity", headers={"Authorization": token})
            return answer.status_code, answer.json() if answer.content else None

        assert said(f"Bearer {TOKEN}") == (401, {"code": "invalid_token", "message": "invalid access token"})
        assert said("sdk-123") == (401, {"code": "unauthorized", "message": "Invalid account ID header"})
        assert said(TOKEN)[1]["accountId"]
        simulator.switches.credential = "expired"
        assert said(TOKEN) == (401, {"code": "unauthorized", "message": "Invalid access token"})
        simulator.switches.credential = "silent"
        assert said(TOKEN) == (401, None)


def test_a_token_without_rights_and_an_unknown_route_are_refused() -> None:
    simulator = LaunchDarklySimulator(permitted=False)
    with asking(simulator) as client:
        assert client.get(LOG).json()["code"] == "forbidden"
        assert client.get("/api/v2/caller-identity").status_code == 200
        simulator.switches.permitted = True
        assert client.get("/api/v2/nothing").status_code == 404
        assert client.post("/api/v2/projects", json={}).status_code == 405


def test_there_are_no_rate_limit_headers_without_quotas() -> None:
    with asking(LaunchDarklySimulator()) as client:
        assert not [name for name in client.get(LOG).headers if "ratelimit" in name or name == "retry-after"]


def test_quotas_are_counted_per_route_and_told_in_headers() -> None:
    simulator = LaunchDarklySimulator(quotas={**VENDOR_QUOTAS, "route": (2, 86_400_000)})
    with asking(simulator) as client:
        assert [client.get(LOG).headers["x-ratelimit-route-remaining"] for _ in range(2)] == ["1", "0"]
        answer = client.get(LOG)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert "retry-after" not in answer.headers
        assert int(answer.headers["x-ratelimit-reset"]) > simulator.clock.ms()
        assert client.get("/api/v2/projects").headers["x-ratelimit-global-remaining"] == "96"
        assert client.get("/api/v2/projects").headers["x-ratelimit-auth-token-limit"] == "1000"


@pytest.mark.parametrize("told", [frozenset(), frozenset({"global"}), frozenset({"route", "token"})])
def test_any_combination_of_rate_limit_headers_is_possible(told: frozenset[str]) -> None:
    simulator = LaunchDarklySimulator(quotas=VENDOR_QUOTAS, rate_headers=told, resets_ago_ms=3000)
    prefixes = {"global": "x-ratelimit-global", "route": "x-ratelimit-route", "token": "x-ratelimit-auth-token"}
    with asking(simulator) as client:
        headers = client.get(LOG).headers
        assert {scope for scope, prefix in prefixes.items() if f"{prefix}-remaining" in headers} == told
        resets = [int(value) for name, value in headers.items() if name.endswith("-reset")]
        assert all(reset < simulator.clock.ms() for reset in resets)


@pytest.mark.parametrize(("refusal", "names"), [("retry-after", {"retry-after"}), ("bare", set())])
def test_what_comes_with_a_refusal_is_a_switch(refusal: str, names: set[str]) -> None:
    simulator = LaunchDarklySimulator(quotas={"ip": (0, 10_000)}, refusal=refusal)
    with asking(simulator) as client:
        answer = client.get(LOG)
        assert answer.status_code == 429
        assert {name for name in answer.headers if "ratelimit" in name or name == "retry-after"} == names
        simulator.switches.refusal = "retry-date"
        assert client.get(LOG).headers["retry-after"].endswith("GMT")
        simulator.switches.refusal = "reset"
        assert 0 < int(client.get(LOG).headers["retry-after"]) <= 10


# The history


def test_a_filled_history_is_exact_repeatable_and_has_ties_and_bursts() -> None:
    one, other = LaunchDarklySimulator(), LaunchDarklySimulator()
    for simulator in (one, other):
        simulator.fill(3000, days=90, seed=7, end_ms=T)
    truth = one.truth()
    assert truth == other.truth()
    assert one.shown("audit_log", next(iter(truth["audit_log"]))) == other.shown(
        "audit_log", next(iter(truth["audit_log"]))
    )
    assert len(truth["audit_log"]) == 3000
    events = sum(len(found) for stream, found in truth.items() if stream != "audit_log")
    assert 600 <= events <= 750
    sizes = sorted(Counter(truth["audit_log"].values()).values())
    assert all(30 <= size <= 60 for size in sizes[-3:])
    assert 2 <= sizes[-4] <= 12
    assert max(truth["audit_log"].values()) <= T


@pytest.mark.parametrize(("records", "events"), [(0, 0), (50, 0), (50, 50), (10, 25), (1000, 990)])
def test_a_test_can_ask_for_exact_numbers(records: int, events: int) -> None:
    simulator = LaunchDarklySimulator()
    simulator.fill(records, days=10, flag_events=events)
    truth = simulator.truth()
    assert len(truth.pop("audit_log")) == records
    assert sum(map(len, truth.values())) == events


def test_a_filled_history_has_every_oddity_of_the_vendor() -> None:
    simulator = LaunchDarklySimulator()
    simulator.fill(2000)
    entries = [simulator.shown("audit_log", id_) for id_ in simulator.truth()["audit_log"]]
    assert any("app" in entry for entry in entries)
    assert any("token" in entry and "member" in entry for entry in entries)
    assert any("token" in entry and "member" not in entry for entry in entries)
    assert any(not {"app", "token", "member"} & entry.keys() for entry in entries)
    assert any(len(entry["accesses"]) > 1 for entry in entries)
    assert any(";" in entry["accesses"][0]["resource"] for entry in entries)
    assert any("comment" not in entry for entry in entries)
    assert any(entry.get("comment") == "" for entry in entries)
    assert any("> **If**" in entry["description"] for entry in entries)
    assert any("再試行" in entry.get("comment", "") for entry in entries)
    assert any("futureKey" in entry for entry in entries)
    kinds = {entry["kind"] for entry in entries}
    assert {"flag", "segment", "environment", "project", "member", "webhook", "metric", "hologram"} <= kinds


def test_something_can_happen_now() -> None:
    simulator = LaunchDarklySimulator()
    simulator.happen()
    truth = simulator.truth()
    assert len(truth.pop("audit_log")) == 1
    assert sum(map(len, truth.values())) == 1


def test_apps_tokens_and_nobody_can_act() -> None:
    simulator = LaunchDarklySimulator()
    shown = [simulator.shown("audit_log", simulator.add(T, who=who)) for who in (SCIM, TERRAFORM, NOBODY)]
    assert [sorted({"app", "token", "member"} & entry.keys()) for entry in shown] == [["app"], ["token"], []]
    assert shown[2]["title"].endswith(r"\(via API\)")


def test_a_long_history_answers_quickly() -> None:
    simulator = LaunchDarklySimulator()
    simulator.fill(20_000)
    with asking(simulator) as client:
        started = time.monotonic()
        for _ in range(50):
            assert client.post(COUNTS, params={"after": 0, "buckets": 500}, json=ALL).json()["totalCount"] == 20_000
            assert len(get(client, LOG, limit=20, before=simulator.clock.ms() - 10**10)["items"]) == 20
        assert time.monotonic() - started < 5
