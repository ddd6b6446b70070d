import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest

from flagtrail.event import Record
from flagtrail.testing.simulator import Quota
from flagtrail.window import from_ms, iso
from flagtrail_configcat import ConfigCat
from flagtrail_configcat.simulation.account import LABS, TRAVEL, Place
from flagtrail_configcat.simulator import PASSWORD, USERNAME, ConfigCatSimulator

LOG = f"/v2/organizations/{TRAVEL.id}/auditlogs"
OLD_LOG = f"/v1/organizations/{TRAVEL.id}/auditlogs"
STREAM = f"audit_log[{TRAVEL.id}]"
SHOP = TRAVEL.products[0]
DAY = 86_400_000
NOON = 1_790_000_000_000 // DAY * DAY + DAY // 2


class Asked:
    """A simulator and a client that signs in to it."""

    def __init__(self, **switches: Any) -> None:
        self.simulator = ConfigCatSimulator(**switches)
        self.simulator.clock.advance((NOON - time.time_ns() // 1_000_000) / 1000)

    def __enter__(self) -> Self:
        self.simulator.start()
        self.client = httpx.Client(base_url=self.simulator.url, auth=(USERNAME, PASSWORD))
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        self.simulator.stop()

    def get(self, path: str = LOG, **query: Any) -> httpx.Response:
        return self.client.get(path, params=query)

    def items(self, path: str = LOG, **query: Any) -> list[Record]:
        body: Any = self.get(path, **query).raise_for_status().json()
        items: list[Record] = body["data"] if isinstance(body, dict) else body
        return items

    def ids(self, path: str = LOG, **query: Any) -> list[int]:
        return [each["auditLogId"] for each in self.items(path, **query)]

    def walk(self, **query: Any) -> Iterator[Record]:
        number, more = 1, True
        while more:
            body = self.get(**query, pageNumber=number).raise_for_status().json()
            yield from body["data"]
            number, more = number + 1, body["paging"]["hasNext"]


def test_wrong_credentials_get_an_empty_401() -> None:
    with Asked() as asked:
        for auth in (None, (USERNAME, "wrong")):
            answer = httpx.get(asked.simulator.url + LOG, auth=auth)
            assert (answer.status_code, answer.content) == (401, b"")


def test_the_settings_make_a_connector_that_signs_in() -> None:
    with Asked() as asked:
        connector = asked.simulator.connect()
        assert isinstance(connector, ConfigCat)
        with connector.connect() as api:
            assert {stream.name for stream in connector.streams(api)} == set(asked.simulator.truth())


def test_discovery_lists_two_organizations_with_all_they_own() -> None:
    with Asked() as asked:
        assert set(asked.get("/v1/me").json()) == {"email", "fullName"}
        assert [each["name"] for each in asked.get("/v1/organizations").json()] == ["Fernweh Travel", "Fernweh Labs"]
        products = asked.get("/v1/products").json()
        assert [each["name"] for each in products] == ["Web Shop", "Mobile App", "Trip Planner"]
        assert products[0]["organization"]["organizationId"] == TRAVEL.id
        configs = asked.get(f"/v1/products/{SHOP.id}/configs").json()
        assert [each["name"] for each in configs] == ["Main", "Payments"]
        environments = asked.get(f"/v1/products/{SHOP.id}/environments").json()
        assert [each["name"] for each in environments] == ["Production", "Staging", "Test"]


@pytest.mark.parametrize(
    "path", ["/v2/organizations/no/auditlogs", "/v1/products/no/auditlogs", "/v1/products/no/configs", "/v3/me"]
)
def test_what_is_unknown_gets_an_empty_404(path: str) -> None:
    with Asked() as asked:
        answer = asked.get(path)
        assert (answer.status_code, answer.content) == (404, b"")


def test_only_reading_is_possible() -> None:
    with Asked() as asked:
        assert asked.client.post(LOG).status_code == 405


def test_pages_are_numbered_from_one_and_say_what_follows() -> None:
    with Asked() as asked:
        asked.simulator.burst(NOON - DAY, 250, spread_ms=5000)
        paging = [asked.get(pageNumber=number).json()["paging"] for number in (1, 3, 4)]
        assert paging[0] == {
            "currentPage": 1, "totalPages": 3, "pageSize": 100, "totalCount": 250, "hasPrevious": False, "hasNext": True
        }  # fmt: skip
        assert [each["hasNext"] for each in paging] == [True, False, False]
        assert asked.items(pageNumber=4) == []
        assert len(asked.items(pageSize=7)) == 7
        assert len(list(asked.walk())) == 250


@pytest.mark.parametrize(
    "query",
    [
        {"pageSize": 0}, {"pageSize": 101}, {"pageSize": "many"}, {"pageNumber": 0}, {"auditLogType": "nothing"},
        {"fromUtcDateTime": "yesterday"}, {"toUtcDateTime": "2026-01-01T00:00:00 00:00"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_gets_a_400_in_plain_text(query: dict[str, Any]) -> None:
    with Asked() as asked:
        answer = asked.get(**query)
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text


def test_filters_find_products_configs_environments_and_types() -> None:
    with Asked() as asked:
        production = Place(TRAVEL, SHOP, SHOP.configs[1], SHOP.environments[0])
        here = asked.simulator.add(place=production, auditLogTypeEnum="settingValueChanged")
        config = asked.simulator.add(place=Place(TRAVEL, SHOP, SHOP.configs[1]), auditLogTypeEnum="settingCreated")
        nowhere = asked.simulator.add(place=Place(TRAVEL))
        assert set(asked.ids()) == {here, config, nowhere}
        assert set(asked.ids(productId=SHOP.id)) == {here, config}
        assert set(asked.ids(f"/v2/products/{SHOP.id}/auditlogs")) == {here, config}
        assert asked.ids(environmentId=SHOP.environments[0].id) == [here]
        assert asked.ids(configId=SHOP.configs[0].id) == []
        assert asked.ids(auditLogType="settingCreated", productId=SHOP.id) == [config]
        assert asked.items(auditLogType="settingCreated", productId=SHOP.id)[0]["where"] == "Web Shop / Payments"


@pytest.mark.parametrize("from_inclusive", [True, False])
@pytest.mark.parametrize("to_inclusive", [True, False])
def test_bounds_include_the_bound_or_not(from_inclusive: bool, to_inclusive: bool) -> None:
    with Asked(from_inclusive=from_inclusive, to_inclusive=to_inclusive, order="oldest") as asked:
        first, middle, last = [asked.simulator.add(NOON - 1000 + i) for i in range(3)]
        found = asked.ids(fromUtcDateTime=iso(from_ms(NOON - 1000)), toUtcDateTime=iso(from_ms(NOON - 998)))
        assert found == [first] * from_inclusive + [middle] + [last] * to_inclusive


@pytest.mark.parametrize("written", ["Z", "+00:00", ""])
def test_bounds_may_be_written_in_several_ways(written: str) -> None:
    with Asked() as asked:
        asked.simulator.add(NOON - 2000)
        late = asked.simulator.add(NOON - 1000)
        assert asked.ids(fromUtcDateTime=iso(from_ms(NOON - 1500)).replace("Z", written)) == [late]


def test_fractions_of_bounds_may_be_dropped() -> None:
    query = {"fromUtcDateTime": iso(from_ms(NOON - 500)), "toUtcDateTime": iso(from_ms(NOON - 100))}
    for fractions in (True, False):
        with Asked(fractions=fractions) as asked:
            early, inside = asked.simulator.add(NOON - 1000), asked.simulator.add(NOON - 300)
            assert asked.ids(**query) == ([inside] if fractions else [early])


def test_the_list_is_ordered_as_the_switch_says() -> None:
    ids = {}
    for order in ("newest", "oldest", "shuffled"):
        with Asked(order=order) as asked:
            asked.simulator.burst(NOON - DAY, 150, spread_ms=70)
            ids[order] = [each["auditLogId"] for each in asked.walk()]
    assert ids["newest"] == ids["oldest"][::-1] == sorted(ids["newest"], reverse=True)
    assert sorted(ids["shuffled"]) == ids["oldest"]
    assert ids["shuffled"] not in (ids["oldest"], ids["newest"])


@pytest.mark.parametrize(
    ("dates", "ending"),
    [("Z", ":00.120Z"), ("offset", ":00.120+00:00"), ("trimmed", ":00.12Z"), ("naive", ":00.120")],
)
def test_dates_are_written_as_the_switch_says(dates: str, ending: str) -> None:
    with Asked(dates=dates) as asked:
        asked.simulator.add(NOON - 60_000 + 120)
        assert asked.items()[0]["auditLogDateTime"].endswith(ending)


def test_with_ticks_items_lie_between_milliseconds_and_past_an_inclusive_bound() -> None:
    with Asked(dates="ticks") as asked:
        asked.simulator.add(NOON - 1)
        assert len(asked.items()[0]["auditLogDateTime"].split(".")[1]) == len("1234567Z")
        assert asked.items(toUtcDateTime=iso(from_ms(NOON - 1))) == []
        assert set(asked.simulator.truth()[STREAM].values()) == {NOON - 1}


def test_paging_and_data_can_be_null() -> None:
    with Asked(null_paging=True) as asked:
        assert asked.get().json() == {"paging": None, "data": []}
        asked.simulator.null_data = True
        assert asked.get().json()["data"] is None


def test_the_old_array_shows_seven_days_by_default_and_at_most_thirty() -> None:
    with Asked() as asked:
        new, old = asked.simulator.add(NOON - 6 * DAY), asked.simulator.add(NOON - 8 * DAY)
        assert asked.ids(OLD_LOG) == [new]
        bounds = [iso(from_ms(NOON - days * DAY)) for days in (31, 30, 0)]
        assert len(asked.items(OLD_LOG, fromUtcDateTime=bounds[1], toUtcDateTime=bounds[2])) == 2
        assert asked.get(OLD_LOG, fromUtcDateTime=bounds[0], toUtcDateTime=bounds[2]).status_code == 400
        assert asked.get(OLD_LOG, fromUtcDateTime=bounds[0]).status_code == 400
        assert asked.ids(OLD_LOG, toUtcDateTime=iso(from_ms(NOON - 7 * DAY))) == [old]
        assert asked.ids(f"/v1/products/{SHOP.id}/auditlogs", fromUtcDateTime=bounds[1], toUtcDateTime=bounds[2]) == [
            each for each in (new, old) if asked.simulator.shown(STREAM, str(each))["where"].startswith("Web Shop")
        ]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_old_path_can_redirect_with_the_same_query(status: int) -> None:
    with Asked(v1="redirect", redirect_status=status) as asked:
        answer = asked.get(OLD_LOG, pageSize=5, fromUtcDateTime="2026-01-01T00:00:00+00:00")
        assert answer.status_code == status
        assert answer.headers["location"] == f"{LOG}?pageSize=5&fromUtcDateTime=2026-01-01T00%3A00%3A00%2B00%3A00"
        assert asked.get(OLD_LOG).headers["location"] == LOG


def test_the_old_path_can_answer_like_the_new_one_with_its_newest_hundred() -> None:
    with Asked(v1="v2_object") as asked:
        ids = asked.simulator.burst(NOON - 40 * DAY, 150, spread_ms=1000)
        body = asked.get(OLD_LOG, pageSize=5, pageNumber=2).json()
        assert [each["auditLogId"] for each in body["data"]] == ids[:49:-1]
        assert body["paging"]["hasNext"]


def test_above_the_quota_comes_an_empty_429_that_says_when_to_come_back() -> None:
    with Asked(quota=Quota(2, 60_000)) as asked:
        answers = [asked.get() for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 429]
        assert [each.headers["x-rate-limit-remaining"] for each in answers] == ["1", "0", "0"]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 60
        assert answers[2].content == b""
        asked.simulator.clock.advance(60)
        assert asked.get().status_code == 200


def test_the_reset_header_is_a_time_or_a_number() -> None:
    with Asked() as asked:
        assert "T" in asked.get().headers["x-rate-limit-reset"]
        asked.simulator.reset = "number"
        assert asked.get().headers["x-rate-limit-reset"].isdecimal()


def test_items_beyond_the_retention_are_gone() -> None:
    with Asked(retention_days=7) as asked:
        asked.simulator.add(NOON - 8 * DAY)
        kept = asked.simulator.add(NOON - 6 * DAY)
        assert asked.ids() == [kept]
        assert list(asked.simulator.truth()[STREAM]) == [str(kept)]
        asked.simulator.clock.advance(2 * 86_400)
        assert asked.ids() == []


def test_the_log_can_grow_while_it_is_paged_through() -> None:
    with Asked(growth=2) as asked:
        asked.simulator.burst(NOON - DAY, 150, spread_ms=1000)
        ids = [each["auditLogId"] for each in asked.walk()]
        assert Counter(Counter(ids).values())[2] == 2  # pushed to the next page
        assert len(asked.simulator.truth()[STREAM]) == 154


def test_an_entry_can_become_visible_late() -> None:
    with Asked(late_seconds=30) as asked:
        asked.simulator.add(NOON - 5000, visible_from_ms=NOON + 60_000)
        asked.simulator.happen()
        future = asked.simulator.add(NOON + DAY)
        assert asked.ids() == []
        asked.simulator.clock.advance(31)
        assert len(asked.ids()) == 1
        asked.simulator.clock.advance(60)
        assert len(asked.ids()) == len(asked.simulator.truth()[STREAM]) == 2
        asked.simulator.clock.advance(86_400)
        assert asked.ids()[0] == future


def test_an_entry_can_be_deleted_before_it_was_ever_visible() -> None:
    with Asked() as asked:
        asked.simulator.remove(asked.simulator.add(NOON, visible_from_ms=NOON + 1000))
        asked.simulator.clock.advance(10)
        assert asked.ids() == []


def test_entries_can_be_removed_and_edited() -> None:
    with Asked() as asked:
        kept, gone = asked.simulator.add(NOON - 2), asked.simulator.add(NOON - 1, userEmail=None)
        assert asked.items()[0]["userEmail"] is None
        asked.simulator.remove(gone)
        asked.simulator.edit(kept, why="Changed my mind", auditLogTypeEnum="settingTeleported")
        assert asked.items() == [asked.simulator.shown(STREAM, str(kept))]
        assert asked.items()[0]["why"] == "Changed my mind"
        with pytest.raises(KeyError):
            asked.simulator.remove(gone)


def test_cleaning_an_environment_leaves_its_creation_and_what_is_elsewhere() -> None:
    with Asked() as asked:
        staging, production = (Place(TRAVEL, SHOP, SHOP.configs[0], SHOP.environments[i]) for i in (1, 0))
        created = asked.simulator.add(place=staging, auditLogTypeEnum="environmentCreated")
        asked.simulator.add(place=staging, auditLogTypeEnum="settingValueChanged")
        elsewhere = asked.simulator.add(place=production)
        assert asked.simulator.cleanup_environment(SHOP.environments[1].id) == 1
        assert set(asked.ids()) == {created, elsewhere}


def test_a_burst_lies_in_one_millisecond_unless_it_is_spread() -> None:
    with Asked() as asked:
        asked.simulator.burst(NOON - 10, 120)
        asked.simulator.burst(NOON - DAY, 10, spread_ms=10, organization=LABS.id)
        assert Counter(asked.simulator.truth()[STREAM].values()) == {NOON - 10: 120}
        assert len(set(asked.simulator.truth()[f"audit_log[{LABS.id}]"].values())) == 10


def test_a_history_has_exactly_as_many_items_as_asked_for_and_ends_now() -> None:
    for records in (0, 1, 19, 777):
        with Asked() as asked:
            asked.simulator.fill(records, days=10)
            truth = asked.simulator.truth()
            assert sum(len(ids) for ids in truth.values()) == records
            assert all(NOON - 10 * DAY - 2000 <= ms <= NOON + 60_000 for ids in truth.values() for ms in ids.values())


def test_a_history_is_the_same_for_the_same_seed() -> None:
    told = []
    for seed in (1, 1, 2):
        simulator = ConfigCatSimulator()
        simulator.fill(300, seed=seed)
        records = [simulator.shown(STREAM, each) for each in sorted(simulator.truth()[STREAM])]
        told.append([{**each, "auditLogDateTime": None} for each in records])
    assert told[0] == told[1] != told[2]


def test_a_history_is_believable_and_nasty() -> None:
    simulator = ConfigCatSimulator()
    simulator.fill(5000)
    truth = simulator.truth()
    records = [simulator.shown(STREAM, each) for each in truth[STREAM]]
    assert len(truth[STREAM]) == 4750
    assert set(truth[STREAM]) & set(truth[f"audit_log[{LABS.id}]"])  # ids repeat across organizations
    crowded = Counter(ms // 1000 for ms in truth[STREAM].values()).most_common(2)
    assert all(count > 100 for _, count in crowded)
    assert any(2 <= count <= 6 for count in Counter(truth[STREAM].values()).values())
    assert {"changeSetId" in each for each in records} == {True, False}
    assert all(("changeSetId" in each) != ("modelVersion" in each) for each in records)
    assert any(each["userEmail"] is None for each in records)
    assert any(each["truncated"] and each["details"].endswith("…") for each in records)
    assert any(each["details"].startswith("{") for each in records)
    assert any("% true" in each["details"] for each in records)
    assert {"settingRolloutPaused", "teamMemberInvited"} <= {each["auditLogTypeEnum"] for each in records}


@pytest.mark.parametrize(("generations", "field"), [("old", "changeSetId"), ("new", "modelVersion")])
def test_all_items_can_be_of_one_generation(generations: Any, field: str) -> None:
    simulator = ConfigCatSimulator(generations=generations)
    simulator.fill(1500)
    simulator.happen()
    assert all(field in simulator.shown(STREAM, each) for each in simulator.truth()[STREAM])


def test_unknown_types_and_nobody_can_be_left_out() -> None:
    simulator = ConfigCatSimulator(unknown_types=False, nobody=False)
    simulator.fill(4000)
    records = [simulator.shown(STREAM, each) for each in simulator.truth()[STREAM]]
    assert all(each["userEmail"] for each in records)
    assert "settingRolloutPaused" not in {each["auditLogTypeEnum"] for each in records}


def test_a_hundred_thousand_items_are_no_burden() -> None:
    with Asked() as asked:
        asked.simulator.fill(100_000)
        began = time.perf_counter()
        for day in range(100):
            since = NOON - (day + 1) * DAY
            asked.get(fromUtcDateTime=iso(from_ms(since)), toUtcDateTime=iso(from_ms(since + DAY)))
        assert time.perf_counter() - began < 5
