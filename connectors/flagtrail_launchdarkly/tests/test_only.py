"""The setting `only`: a part of the audit log is read as completely as the whole, and nothing else is asked for."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from flagtrail.connector import Hole, Page, Stream
from flagtrail.errors import UnexpectedResponse
from flagtrail.window import Window, merge
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.simulation import answers
from flagtrail_launchdarkly.simulation.statements import Policy
from flagtrail_launchdarkly.simulator import BURST_ACTIONS, LaunchDarklySimulator

LOG = "/api/v2/auditlog"
T = 1_760_000_000_000
AROUND = Window.of_ms(T - 1000, T + 1000)
FLAGS = "proj/web:env/production:flag/*"
BOUNDS = ["()", "[)", "(]", "[]"]


def read(vendor: LaunchDarklySimulator, window: Window, **settings: Any) -> tuple[list[str], list[Page | Hole]]:
    """Return the ids that a filter reads, each once, and the pages, which must add up to the window."""
    connector = LaunchDarkly(**vendor.settings(), **settings)
    with connector.connect() as api:
        api.attempts = 1
        stream = next(iter(connector.streams(api)))
        pages = list(connector.pages(api, stream, window))
    covered = [page.window if isinstance(page, Hole) else page.covers for page in pages]
    assert merge([window for window in covered if window]) == [window]
    ids = dict.fromkeys(record["_id"] for page in pages for record in page.records)
    return list(ids), pages


def whole(pages: Sequence[Page | Hole]) -> bool:
    return not any(isinstance(page, Hole) for page in pages)


def outside(vendor: LaunchDarklySimulator, ms: int, count: int) -> None:
    """Add entries of one millisecond that no filter of these tests selects."""
    for i in range(count):
        vendor.add(ms, resources=f"proj/mobile:env/test:flag/other-{i:03d}")


@pytest.fixture
def vendor() -> Iterator[LaunchDarklySimulator]:
    with LaunchDarklySimulator() as simulator:
        yield simulator


@pytest.mark.parametrize(
    "only",
    [
        ["proj/web:env/*:flag/*"],
        ["*"],
        ["proj/web:env/production:flag/*", "proj/mobile:env/*:segment/*", "member/*"],
        ["proj/*:env/*:flag/*;payments"],
        ["proj/*:env/*:flag/*;core,reviewed", "proj/*:env/*:segment/*;growth"],
        [{"actions": ["updateOn", "updateFallthrough"]}],
        [{"resources": ["proj/web:env/*:flag/*"], "notActions": ["updateTags", "create*"]}],
        [{"notResources": ["proj/*:env/*:flag/*"]}],
        ["proj/*:env/*:flag/*", {"effect": "deny", "resources": ["proj/*:env/test:*/*"], "actions": ["*"]}],
        ["proj/nowhere:env/*:flag/*"],
    ],
)
def test_a_filter_reads_what_it_selects_and_no_more(vendor: LaunchDarklySimulator, only: Any) -> None:
    vendor.fill(500, days=30, seed=4)
    written = [{"resources": [item]} if isinstance(item, str) else item for item in only]
    policy = Policy.parse([{"effect": "allow", **statement} for statement in written])
    entries = vendor.trail.audit_log.entries
    wanted = {id_ for id_, entry in entries.items() if policy.admits(entry.change.accesses)}
    now = vendor.clock.ms()
    ids, pages = read(vendor, Window.of_ms(now - 31 * 86_400_000, now), only=only)
    assert whole(pages)
    assert set(ids) == wanted
    assert len(wanted) > 20 or only in (["proj/nowhere:env/*:flag/*"], ["proj/*:env/*:flag/*;payments"])
    assert {request.method for request in vendor.requests if request.path == LOG} == {"POST"}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("ties", ["ascending", "unstable"])
def test_ties_at_the_edges_of_pages_are_not_lost(vendor: LaunchDarklySimulator, bounds: str, ties: str) -> None:
    vendor.switches.bounds, vendor.switches.ties = bounds, ties  # type: ignore[assignment]
    wanted = set()
    for ms in range(T, T + 90, 2):
        wanted |= {vendor.add(ms + i % 2, resources=f"proj/web:env/production:flag/f-{i}") for i in range(7)}
        outside(vendor, ms, 9)
    ids, pages = read(vendor, AROUND, only=[FLAGS])
    assert whole(pages)
    assert set(ids) == wanted


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize(("count", "resources", "actions"), [(20, 20, 1), (45, 45, 1), (45, 3, 5), (200, 40, 12)])
def test_a_burst_is_taken_apart_inside_the_filter(
    vendor: LaunchDarklySimulator, bounds: str, count: int, resources: int, actions: int
) -> None:
    vendor.switches.bounds, vendor.switches.ties = bounds, "unstable"  # type: ignore[assignment]
    wanted = set(vendor.burst(T, count, resources=resources, actions=actions))
    wanted |= {vendor.add(T - 1), vendor.add(T + 1)}
    outside(vendor, T, 60)
    ids, pages = read(vendor, AROUND, only=[FLAGS])
    assert whole(pages)
    assert set(ids) == wanted


def test_a_burst_next_to_other_entries_is_no_hole_without_a_filter_either(vendor: LaunchDarklySimulator) -> None:
    wanted = {*vendor.burst(T, 45), vendor.add(T - 1), vendor.add(T + 1)}
    ids, pages = read(vendor, AROUND)
    assert whole(pages)
    assert set(ids) == wanted


def burst_of_several_accesses(vendor: LaunchDarklySimulator) -> set[str]:
    """Add entries of one millisecond that have accesses inside and outside of `FLAGS`, and many that share one."""
    wanted = set()
    for i in range(60):
        own = [f"proj/web:env/{place}:flag/many-{i:02d}" for place in ("test", "production")]
        wanted.add(vendor.add(T, resources=own, actions=["updateOn", "updateTags"]))
        shared = ["proj/web:env/production:flag/shared", f"proj/web:env/production:flag/pair-{i % 30:02d};eu,growth"]
        wanted.add(vendor.add(T, resources=shared, actions=BURST_ACTIONS[i % 12]))
        vendor.add(T, resources=["proj/web:env/test:flag/shared", f"proj/mobile:env/test:flag/x-{i}"])
    return wanted


def test_entries_with_several_accesses_are_found_by_any_that_the_filter_allows(vendor: LaunchDarklySimulator) -> None:
    wanted = burst_of_several_accesses(vendor)
    ids, pages = read(vendor, AROUND, only=[FLAGS])
    assert whole(pages)
    assert set(ids) == wanted


def test_a_burst_inside_statements_with_actions_and_exceptions(vendor: LaunchDarklySimulator) -> None:
    wanted = set()
    for i in range(150):
        flag, action = f"proj/web:env/production:flag/b-{i % 10}", BURST_ACTIONS[i % 12]
        id_ = vendor.add(T, resources=flag, actions=action)
        wanted |= {id_} if action in ("updateOn", "updateTargets", "updateRules") and i % 10 != 3 else set()
    only = [
        {"notResources": ["proj/mobile:env/*:flag/*"], "actions": ["updateOn", "updateTargets", "updateRules"]},
        {"effect": "deny", "resources": ["proj/*:env/*:flag/b-3"]},
    ]
    ids, pages = read(vendor, AROUND, only=only)
    assert whole(pages)
    assert len(wanted) > 20
    assert set(ids) == wanted


def test_what_cannot_be_taken_apart_inside_the_filter_is_a_hole_with_numbers(vendor: LaunchDarklySimulator) -> None:
    vendor.burst(T, 60, resources=1)
    wanted = vendor.add(T + 5)
    outside(vendor, T, 30)
    ids, pages = read(vendor, AROUND, only=[FLAGS])
    (hole,) = [page for page in pages if isinstance(page, Hole)]
    assert (hole.window, hole.expected, len(hole.records)) == (Window.of_ms(T, T + 1), 60, 20)
    assert "share millisecond, resource and action" in hole.reason
    assert wanted in ids


def denies_nothing(policy: Policy, accesses: tuple[tuple[str, str], ...]) -> bool:
    return any(s.allow and s.matches(access) for s in policy.statements for access in accesses)


def denies_whole_entries(policy: Policy, accesses: tuple[tuple[str, str], ...]) -> bool:
    denied = any(not s.allow and s.matches(access) for s in policy.statements for access in accesses)
    return not denied and denies_nothing(policy, accesses)


def ignores_the_statements(policy: Policy, accesses: tuple[tuple[str, str], ...]) -> bool:
    return True


@pytest.mark.parametrize("meaning", [denies_nothing, denies_whole_entries, ignores_the_statements])
def test_a_vendor_that_understands_statements_in_another_way_never_makes_a_burst_count_as_read(
    vendor: LaunchDarklySimulator, monkeypatch: pytest.MonkeyPatch, meaning: Callable[..., bool]
) -> None:
    answers._parsed.cache_clear()  # a policy remembers its verdicts
    monkeypatch.setattr(Policy, "admits", meaning)
    wanted = burst_of_several_accesses(vendor)
    ids, pages = read(vendor, AROUND, only=[FLAGS])
    answers._parsed.cache_clear()
    assert not whole(pages) or wanted <= set(ids)


def test_a_count_that_is_higher_than_what_the_search_shows_is_a_hole(vendor: LaunchDarklySimulator) -> None:
    vendor.switches.counts_off_by = 3
    vendor.burst(T, 45)
    _, pages = read(vendor, AROUND, only=[FLAGS])
    (hole,) = [page for page in pages if isinstance(page, Hole)]
    assert (hole.expected, len(hole.records)) == (48, 45)


def test_counts_are_those_of_the_filter_in_as_many_parts_as_asked_for(vendor: LaunchDarklySimulator) -> None:
    vendor.burst(T, 30)
    outside(vendor, T, 50)
    vendor.add(T + 900)

    def told(parts: int, **settings: Any) -> list[int]:
        connector = LaunchDarkly(**vendor.settings(), **settings)
        with connector.connect() as api:
            stream = next(iter(connector.streams(api)))
            return [count.records for count in connector.counts(api, stream, AROUND, parts)]

    assert sum(told(7)) == 81
    assert told(1, only=[FLAGS]) == [31]
    assert [count for count in told(4, only=[FLAGS]) if count] == [30, 1]
    assert len(told(4, only=[FLAGS])) == 4
    assert sum(told(100_000, only=[FLAGS])) == 31
    assert vendor.requests[-1].query["buckets"] == "500"


# Names


def digested(filters: str) -> str:
    """Return the name of a filter, which must stay as it is: coverage stands under it."""
    return f"audit_log[{sha256(filters.encode()).hexdigest()[:12]}]"


def streams(vendor: LaunchDarklySimulator, **settings: Any) -> list[Stream]:
    connector = LaunchDarkly(**vendor.settings(), **settings)
    with connector.connect() as api:
        return list(connector.streams(api))


@pytest.mark.parametrize(
    ("only", "name", "label"),
    [
        (["proj/payments:env/*:flag/*"], "audit_log[proj/payments:env/*:flag/*]", None),
        (["member/*", "acct", "member/*"], "audit_log[acct|member/*]", None),
        (
            [{"resources": ["member/*"], "actions": ["*"], "effect": "allow"}, {"resources": ["acct"]}],
            "audit_log[acct|member/*]",
            None,
        ),
        (["member/*", "*"], "audit_log[*]", None),
        (
            [{"actions": ["updateOn"]}],
            digested('[{"actions":["updateOn"],"effect":"allow","resources":["*"]}]'),
            "updateOn on everything",
        ),
        (
            ["member/*", {"effect": "deny", "notResources": ["member/x"], "actions": ["b*", "a"]}],
            digested(
                '[{"actions":["*"],"effect":"allow","resources":["member/*"]},'
                '{"actions":["a","b*"],"effect":"deny","notResources":["member/x"]}]'
            ),
            "member/*; not a|b* on all but member/x",
        ),
    ],
)
def test_the_name_tells_the_filter_or_the_label_does(
    vendor: LaunchDarklySimulator, only: Any, name: str, label: str | None
) -> None:
    (stream,) = streams(vendor, only=only)
    assert (stream.name, stream.label, stream.log) == (name, label, "audit_log")


def test_a_long_filter_has_a_short_name_and_a_label(vendor: LaunchDarklySimulator) -> None:
    only = [f"proj/project-number-{i}:env/*:flag/*" for i in range(30)]
    (stream,) = streams(vendor, only=only)
    assert len(stream.name) == len("audit_log[]") + 12
    assert stream.label is not None
    assert stream.label.startswith("proj/project-number-0:env/*:flag/*|")
    assert len(stream.label) == 200
    assert streams(vendor, only=only[::-1]) == [stream]
    assert streams(vendor, only=only[1:])[0].name != stream.name


def test_the_order_of_statements_changes_no_name(vendor: LaunchDarklySimulator) -> None:
    only: list[Any] = [{"actions": [action], "resources": ["acct", "member/*"]} for action in "abc"]
    for statement in only[:1]:
        statement["resources"] = ["member/*", "acct", "acct"]
    assert streams(vendor, only=only) == streams(vendor, only=only[::-1])
    assert streams(vendor, only=only)[0].label == "; ".join(f"{action} on acct|member/*" for action in "abc")


def test_without_a_filter_the_log_has_its_plain_name_and_is_listed(vendor: LaunchDarklySimulator) -> None:
    vendor.burst(T, 3)
    assert (streams(vendor)[0].name, streams(vendor)[0].log) == ("audit_log", "audit_log")
    read(vendor, AROUND)
    assert [request.method for request in vendor.requests if request.path == LOG] == ["GET"]


def test_with_a_filter_flag_events_are_read_only_when_they_are_asked_for(vendor: LaunchDarklySimulator) -> None:
    def names(**settings: Any) -> list[str]:
        return [stream.name for stream in streams(vendor, only=["acct"], **settings)]

    assert names() == ["audit_log[acct]"]
    assert names(flag_events=False) == ["audit_log[acct]"]
    assert names(flag_events=["web/test"]) == ["audit_log[acct]", "flag_events[web/test]"]
    assert len(names(flag_events=True)) == 10
    assert len(streams(vendor)) == 10


def test_an_entry_is_the_same_event_whatever_the_filter(vendor: LaunchDarklySimulator) -> None:
    vendor.add(T)
    record = vendor.shown("audit_log", next(iter(vendor.truth()["audit_log"])))
    (filtered,) = streams(vendor, only=[FLAGS])
    connector = LaunchDarkly(**vendor.settings(), only=[FLAGS])
    assert connector.event(filtered, record) == connector.event(Stream("audit_log"), record)


# Mistakes


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ([], "it selects nothing; leave it out to read the whole log"),
        ("proj/x:env/*:flag/*", 'write a list, such as ["proj/payments:env/*:flag/*"]'),
        (
            ["payments"],
            "'payments' is no resource specifier: it is not type/key; write it like \"proj/payments:env/*:flag/*\"",
        ),
        (
            ["proj/payments:env:flag/*"],
            "'proj/payments:env:flag/*' is no resource specifier: 'env' in it is not type/key; write it like",
        ),
        (["proj/payments:/flag/*"], "'proj/payments:/flag/*' is no resource specifier: '/flag/*' in it is not type"),
        (["proj/a b:env/*"], "'proj/a b' in it is not type/key"),
        (["proj/a\n:env/*"], r"'proj/a\n' in it is not type/key"),
        (["proj/x,proj/y"], "is no resource specifier"),
        ([""], "'' is no resource specifier"),
        ([7], "7 is no resource specifier"),
        ([{}], "a statement names resources or actions"),
        ([{"resource": ["acct"]}], "'resource' is nothing that a statement has: actions, effect, notActions"),
        ([{"resources": []}], 'resources is a list that is not empty, such as resources = ["proj/payments'),
        ([{"resources": "acct"}], "resources is a list that is not empty"),
        ([{"resources": ["flag"]}], "'flag' is no resource specifier: it is not type/key"),
        ([{"actions": ["update on"]}], "'update on' is no action; write it like \"updateOn\""),
        ([{"actions": [1]}], "1 is no action"),
        (
            [{"resources": ["acct"], "notResources": ["member/*"]}],
            "a statement has resources or notResources, not both",
        ),
        ([{"actions": ["updateOn"], "effect": "permit"}], 'effect \'permit\' is neither "allow" nor "deny"'),
        ([{"actions": ["updateOn"], "effect": ["allow"]}], "effect ['allow'] is neither"),
        ([{"actions": ["updateOn"], "effect": "deny"}], "it denies only, which selects nothing; allow something too"),
    ],
)
def test_a_mistake_is_told_in_one_line(only: Any, said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        LaunchDarkly(token=SecretStr("api-x"), only=only)
    (error,) = raised.value.errors()
    assert error["loc"] == ("only",)
    assert said in error["msg"]
    assert "\n" not in error["msg"]


@pytest.mark.parametrize(
    "specifier",
    [
        "*", "acct", "member/*", "member/*:token/*", "proj/web;eu,q-1", "proj/*:env/*;qa_*:flag/*",
        "proj/a.b_c-d:env/pro*",
        "service-token/61f0c2a4b7d39e5508ac417b", "domain-verification/fernweh.example", "relay-proxy-config/x==",
    ],
)  # fmt: skip
def test_every_form_of_a_specifier_is_taken(specifier: str) -> None:
    connector = LaunchDarkly(token=SecretStr("api-x"), only=[specifier])
    assert connector.only == [specifier]
    assert LaunchDarkly(token=SecretStr("api-x"), only=None).only is None
    assert "api-x" not in connector.model_dump_json()


# The credential


def test_streams_tell_one_credential_from_another(vendor: LaunchDarklySimulator, monkeypatch: Any) -> None:
    found = {stream.credential for stream in streams(vendor)}
    (first,) = found
    assert first is not None
    assert len(first) == 12
    assert int(first, 16)

    def told(identity: Any) -> str | None:
        answer = type("Answer", (), {"body": identity})()
        api = type("Told", (), {"host": "there", "get": lambda self, path: answer})()
        return next(LaunchDarkly(token=SecretStr("api-x")).streams(api)).credential

    whole = {"tokenId": "t1", "memberId": "m1", "serviceToken": False, "scopes": ["b", "a"], "authKind": "token"}
    assert told(whole) == told({**whole, "scopes": ["a", "b"], "tokenName": "renamed", "accountId": "x"})
    others = [told({**whole, key: "other"}) for key in whole]
    assert len({told(whole), *others}) == len(whole) + 1
    assert told({"accountId": "a"}) is None
    nothings: list[Any] = [{}, {"tokenId": None, "scopes": []}, [], None]
    for nothing in nothings:
        with pytest.raises(UnexpectedResponse, match="whose token it is"):
            told(nothing)
