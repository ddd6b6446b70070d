"""The full form of an entry: fetched over HTTP, checked, and told as the same event with its changes."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from flagtrail.api import Api
from flagtrail.connector import Stream
from flagtrail.errors import AccessDenied, Unavailable, UnexpectedResponse
from flagtrail.event import Change, Event
from flagtrail.testing import faults
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.simulation.account import SCIM, TOKEN
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

LOG = Stream("audit_log")
T = 1_760_000_000_000
FLAG = "proj/web:env/production:flag/checkout-v2"


@pytest.fixture
def vendor() -> Iterator[LaunchDarklySimulator]:
    with LaunchDarklySimulator() as simulator:
        yield simulator


@pytest.fixture
def api(vendor: LaunchDarklySimulator) -> Iterator[Api]:
    with LaunchDarkly(**vendor.settings()).connect() as found:
        found.attempts = 1
        yield found


def told(vendor: LaunchDarklySimulator, api: Api, vendor_id: str) -> Event:
    connector = LaunchDarkly(**vendor.settings())
    return connector.event(LOG, connector.detail(api, LOG, vendor_id))


def changes(vendor: LaunchDarklySimulator, api: Api, vendor_id: str) -> list[tuple[str, Any, Any]]:
    found = told(vendor, api, vendor_id).changes
    assert found is not None
    return [(change.path, change.before, change.after) for change in found]


@pytest.mark.parametrize(
    ("details", "flag", "segment"), [("flags", True, False), ("all", True, True), ("off", False, False)]
)
def test_the_setting_says_whose_details_are_wanted(details: Any, flag: bool, segment: bool) -> None:
    connector = LaunchDarkly(token=SecretStr("api-x"), details=details)
    simulator = LaunchDarklySimulator()
    ids = simulator.add(T), simulator.add(T, resources="proj/web:env/test:segment/staff")
    events = [connector.event(LOG, simulator.shown("audit_log", id_)) for id_ in ids]
    assert [connector.detailed(LOG, event) for event in events] == [flag, segment]
    filtered = Stream("audit_log[acct]", log="audit_log")
    assert [connector.detailed(filtered, event) for event in events] == [flag, segment]


def test_flag_events_have_no_details() -> None:
    simulator = LaunchDarklySimulator()
    id_ = simulator.add_flag_event(ms=T)
    stream = Stream("flag_events[web/production]", scope=("web", "production"))
    for details in ("flags", "all", "off"):
        connector = LaunchDarkly(token=SecretStr("api-x"), details=details)
        event = connector.event(stream, simulator.shown(stream.name, id_))
        assert event.object_kind == "flag"
        assert not connector.detailed(stream, event)


def test_details_are_those_of_flags_unless_something_else_is_wanted() -> None:
    assert LaunchDarkly(token=SecretStr("api-x")).details == "flags"


def test_the_answer_comes_back_untouched(vendor: LaunchDarklySimulator, api: Api) -> None:
    id_ = vendor.add(T, resources=FLAG, verb="turned on the flag")
    sent = httpx.get(f"{vendor.url}/api/v2/auditlog/{id_}", headers={"Authorization": TOKEN}).json()
    record = LaunchDarkly(**vendor.settings()).detail(api, LOG, id_)
    assert record == sent
    assert record == {**record, **vendor.shown("audit_log", id_)}
    assert list(record["currentVersion"]["environments"]) == ["production", "staging", "test"]


def test_everything_else_of_the_event_is_as_the_list_tells_it(vendor: LaunchDarklySimulator, api: Api) -> None:
    vendor.fill(400, days=20, seed=8)
    connector = LaunchDarkly(**vendor.settings())
    forms: Counter[str] = Counter()
    for id_ in vendor.truth()["audit_log"]:
        record = connector.detail(api, LOG, id_)
        forms.update(record.keys())
        full, listed = connector.event(LOG, record), connector.event(LOG, vendor.shown("audit_log", id_))
        assert listed.changes is None
        assert full.model_copy(update={"changes": None}) == listed
        told = {change.path.rpartition(".")[2] for change in full.changes or []}
        assert not told & {"_version", "version", "lastModified", "salt", "sel", "_links", "_site", "_summary"}
        assert len(full.changes or []) <= 12
        if full.action in ("turned_on", "turned_off") and full.object_kind == "flag":
            on = [change.after for change in full.changes or [] if change.path == f"environments.{full.environment}.on"]
            assert on == [full.action == "turned_on"]
    oddities = {"delta", "triggerBody", "merge", "subentries", "previousVersion", "currentVersion"}
    assert oddities <= forms.keys()
    assert forms["previousVersion"] > 200


@pytest.mark.parametrize(
    ("added", "found"),
    [
        (
            {"actions": "updateOn", "verb": "turned off the flag"},
            [("environments.production.on", True, False)],
        ),
        (
            {"actions": "updateFallthrough", "description": "* Changed the default rollout from ~~5%~~ to 25% `true`"},
            [
                (
                    "environments.production.fallthrough",
                    {"true": "5%", "false": "95%"},
                    {"true": "25%", "false": "75%"},
                )
            ],
        ),
        (
            {"actions": "updateTargets", "description": r"* Added `guide\-9` to `true`"},
            [("environments.production.targets.true", None, {"added": ["guide-9"]})],
        ),
        (
            {"actions": "updateRules", "description": "**If** `user` `city` **is one of** `Oslo`"},
            [("environments.production.rules[1]", None, {"clauses": ["user city in Oslo"], "serve": True})],
        ),
        (
            {"actions": "updateTags", "description": r"* Added tag `q3\-review`"},
            [("tags", None, {"added": ["q3-review"]})],
        ),
        ({"actions": "updateName", "name": "New"}, [("name", "New (old)", "New")]),
        ({"actions": "updateGlobalArchived", "verb": "archived the flag"}, [("archived", False, True)]),
        ({"actions": "updateFlagVariations"}, [("variations[The new way].name", "New way", "The new way")]),
        ({"actions": "updateOffVariation"}, [("environments.production.offVariation", True, False)]),
        (
            {"actions": ["updateOn", "updateTemporary"], "verb": "turned on the flag"},
            [("environments.production.on", False, True), ("temporary", True, False)],
        ),
        ({"actions": "createApprovalRequest"}, []),
        ({"actions": "updateOn", "detail": {"previousVersion": "", "currentVersion": "", "delta": ""}}, None),
        ({"actions": "createFlag", "verb": "created the flag"}, None),
        ({"actions": "deleteFlag", "verb": "deleted the flag"}, None),
    ],
)  # fmt: skip
def test_a_flags_changes_are_told_shortly(
    vendor: LaunchDarklySimulator, api: Api, added: dict[str, Any], found: list[tuple[str, Any, Any]] | None
) -> None:
    event = told(vendor, api, vendor.add(T, resources=FLAG, **added))
    expected = None if found is None else [Change(path=path, before=a, after=b) for path, a, b in found]
    assert (event.changes and sorted(event.changes, key=lambda change: change.path)) == expected


def test_a_change_in_every_environment_is_told_for_each(vendor: LaunchDarklySimulator, api: Api) -> None:
    resources = [f"proj/web:env/{place}:flag/checkout-v2" for place in ("production", "staging")]
    id_ = vendor.add(T, resources=resources, verb="turned on the flag")
    assert changes(vendor, api, id_) == [
        ("environments.production.on", False, True),
        ("environments.staging.on", False, True),
    ]


def test_a_deactivated_member_has_only_its_present_form(vendor: LaunchDarklySimulator, api: Api) -> None:
    id_ = vendor.add(
        T, resources="member/5c0ffee0", actions="deactivateScimMember", verb="deactivated the member", who=SCIM
    )
    record = LaunchDarkly(**vendor.settings()).detail(api, LOG, id_)
    assert record["currentVersion"]["_lastSeen"] is None
    assert "previousVersion" not in record
    assert told(vendor, api, id_).changes is None


def test_a_secret_stands_in_no_change(vendor: LaunchDarklySimulator, api: Api) -> None:
    id_ = vendor.add(T, resources="proj/web:env/test", actions="updateApiKey", verb="updated the environment")
    record = LaunchDarkly(**vendor.settings()).detail(api, LOG, id_)
    assert record["currentVersion"]["apiKey"] != record["previousVersion"]["apiKey"]
    assert changes(vendor, api, id_) == [("apiKey", "(secret)", "(another secret)")]


def test_a_large_entry_has_small_changes(vendor: LaunchDarklySimulator, api: Api) -> None:
    vendor.switches.detail_bytes = 1_100_000
    id_ = vendor.add(T, resources=FLAG, verb="turned on the flag")
    assert changes(vendor, api, id_) == [("environments.production.on", False, True)]


def test_an_id_is_quoted(vendor: LaunchDarklySimulator, api: Api) -> None:
    with pytest.raises(AccessDenied) as raised:
        LaunchDarkly(**vendor.settings()).detail(api, LOG, "../projects?x=/1#é")
    assert raised.value.status == 404
    assert vendor.requests[-1].path == "/api/v2/auditlog/..%2Fprojects%3Fx%3D%2F1%23%C3%A9"
    assert vendor.requests[-1].query == {}


def test_an_entry_that_is_gone_is_named(vendor: LaunchDarklySimulator, api: Api) -> None:
    vendor.switches.history_days = 30
    old = vendor.add(vendor.clock.ms() - 31 * 86_400_000)
    with pytest.raises(AccessDenied, match=f"does not show the audit log entry '{old}' \\(any more\\)$") as raised:
        LaunchDarkly(**vendor.settings()).detail(api, LOG, old)
    assert raised.value.status == 404


@pytest.mark.parametrize("body", [None, [], {}, {"_id": "another"}, {"_id": ["x"]}, {"items": [], "_links": {}}])
def test_an_answer_that_is_not_the_entry_is_refused(vendor: LaunchDarklySimulator, api: Api, body: Any) -> None:
    id_ = vendor.add(T)
    vendor.inject(faults.body(b"null" if body is None else body))
    with pytest.raises(UnexpectedResponse, match="answers with something else than the entry"):
        LaunchDarkly(**vendor.settings()).detail(api, LOG, id_)


@pytest.mark.parametrize(
    ("status", "error"), [(401, AccessDenied), (403, AccessDenied), (400, UnexpectedResponse), (503, Unavailable)]
)
def test_a_failure_raises_its_named_error(
    vendor: LaunchDarklySimulator, api: Api, status: int, error: type[Exception]
) -> None:
    id_ = vendor.add(T)
    vendor.inject(faults.status(status))
    with pytest.raises(error) as raised:
        LaunchDarkly(**vendor.settings()).detail(api, LOG, id_)
    assert getattr(raised.value, "status", status) == status
