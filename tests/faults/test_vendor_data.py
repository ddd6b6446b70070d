"""Faults of what the vendors send: reliability rows B."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from flagtrail.schema import EVENT
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Fault, Reply, Request
from flagtrail.window import from_ms, iso
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows
from tests.faults.conftest import Oracle
from tests.faults.scene import ALWAYS, AUDIT_LOG, DAY_MS, FLAG_EVENTS, LISTS, covered, gaps, source_of, sync

MISSING = object()
HUGE = 10**400
IDS = {"launchdarkly": "_id", "configcat": "auditLogId"}
DATES = {"launchdarkly": "date", "configcat": "auditLogDateTime"}
KINDS = {"launchdarkly": "kind", "configcat": "auditLogTypeEnum"}


def items_of(body: Any) -> list[Any]:
    """Return the entries of an answer of either vendor; none when it is no list of entries."""
    found = body.get("items", body.get("data")) if isinstance(body, dict) else None
    return found if isinstance(found, list) and found and ({"date", "auditLogDateTime"} & found[0].keys()) else []


def each_item(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Fault:
    """Change every entry of every list."""

    def change(body: Any) -> Any:
        items = items_of(body)
        return body | {("items" if "items" in body else "data"): [edit(item) for item in items]} if items else body

    return faults.edited(change)


def one_item(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Fault:
    """Change the fourth entry of every list."""

    def change(body: Any) -> Any:
        items = items_of(body)
        if len(items) > 3:
            items[3] = edit(items[3])
        return body

    return faults.edited(change)


def raw(edit: Callable[[bytes], bytes]) -> Fault:
    """Change the bytes of an answer."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        reply.body = edit(json.dumps(reply.body).encode())
        return reply

    return play


def with_value(name: str, value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return an edit that gives a field another value, or takes it away."""

    def edit(item: dict[str, Any]) -> dict[str, Any]:
        kept = {key: old for key, old in item.items() if key != name}
        return kept if value is MISSING else kept | {name: value}

    return edit


def times_agree(store: Store, vendor: Any) -> bool:
    """Return whether every stored event has the time that the vendor gives it."""
    true = {(stream, id): from_ms(ms) for stream, ids in vendor.truth().items() for id, ms in ids.items()}
    query = select(EVENT.c.stream, EVENT.c.vendor_id, EVENT.c.occurred_at)
    with store.engine.connect() as connection:
        return all(true[stream, id] == at for stream, id, at in connection.execute(query))


@pytest.mark.fault("B3", "an entry changes after it was read")
def test_b3_a_changed_entry_is_kept_in_both_forms(oracle: Oracle, store: Store, vendor: Any) -> None:
    field = "comment" if vendor.connector.vendor == "launchdarkly" else "why"
    entry = vendor.add(vendor.clock.ms() - 60_000, **{field: "first"})
    with Session(source_of(vendor), store) as session:
        session.fill()
        for words in ("second", "second", "third"):
            vendor.edit(entry, **{field: words})
            assert session.fill().errors == []
            oracle.whole(store, vendor)
    query = f"SELECT record.revision, body FROM record JOIN event USING (number) WHERE vendor_id = '{entry}'"
    kept = {number: json.loads(str(body))[field] for number, body in rows(store, query)}
    oracle.holds(kept == {1: "first", 2: "second", 3: "third"}, "every form is kept once")
    current = rows(store, f"SELECT comment, revision FROM event WHERE vendor_id = '{entry}'")
    oracle.holds(current == [("third", 3)], "the newest is the one that is shown")


@pytest.mark.fault("B3", "the impact of a flag event comes later")
def test_b3_an_impact_that_comes_later_is_a_second_form(oracle: Oracle, lite: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        entry = vendor.add_flag_event(ms=vendor.clock.ms() - 60_000)
        sync(vendor, lite)
        oracle.whole(lite, vendor)
        vendor.clock.advance(700)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        query = f"SELECT body FROM record JOIN event USING (number) WHERE vendor_id = '{entry}'"
        reasons = sorted(json.loads(str(body))["impact"]["reason"] for (body,) in rows(lite, query))
        oracle.holds(reasons == ["evaluations", "waiting"], "both are kept")


ODD: dict[str, Any] = {
    "missing": MISSING,
    "null": None,
    "a number": 7,
    "a huge number": HUGE,
    "a fraction": 0.1,
    "a list": [["deeper", {"still": [None]}]],
    "an object": {"name": {"first": "Ada"}},
    "true": True,
    "an unknown word": "somethingOfTomorrow",
    "a long text": "x" * 5000,
    "half a pair": "half \ud83d",
    "nul": "nul \0 inside",
}


@pytest.mark.fault("B5", "any other field has an unknown form")
@pytest.mark.parametrize("odd", ODD)
def test_b5_no_field_but_id_and_time_can_stop_an_entry(oracle: Oracle, lite: Store, vendor: Any, odd: str) -> None:
    kept = {IDS[vendor.connector.vendor], DATES[vendor.connector.vendor], "id", "eventTime"}

    def change(item: dict[str, Any]) -> dict[str, Any]:
        changed = {key: value if key in kept else ODD[odd] for key, value in item.items()}
        return {key: value for key, value in changed.items() if value is not MISSING}

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        items = items_of(reply.body)
        if items:
            name = "items" if "items" in reply.body else "data"
            # The standard library writes what the simulator's own JSON refuses.
            reply.body = json.dumps(reply.body | {name: [change(item) for item in items]}).encode()
        return reply

    vendor.inject(play, times=ALWAYS)
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)
    oracle.holds(gaps(lite) == [], "an entry that is not understood is an entry all the same")
    oracle.holds(times_agree(lite, vendor), "the time is the vendor's")


@pytest.mark.fault("B5", "a kind that nobody knows yet")
def test_b5_an_unknown_kind_keeps_the_vendors_word(oracle: Oracle, lite: Store, vendor: Any) -> None:
    entry = vendor.add(**{KINDS[vendor.connector.vendor]: "teleporter"})
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)
    words = rows(lite, f"SELECT object_kind, vendor_action FROM event WHERE vendor_id = '{entry}'")
    oracle.holds("teleporter" in words[0], "the vendor's word is in the table")


@pytest.mark.fault("B5", "the time has another form that is understood")
@pytest.mark.parametrize("form", ["string", "iso"])
def test_b5_launchdarkly_dates_in_other_forms_mean_the_same(oracle: Oracle, lite: Store, form: Any) -> None:
    with LaunchDarklySimulator(dates=form) as vendor:
        vendor.fill(80, 5, seed=21)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(times_agree(lite, vendor), "the time is the vendor's")


@pytest.mark.fault("B5", "the time has another form that is understood")
@pytest.mark.parametrize("form", ["Z", "offset", "ticks", "trimmed", "naive"])
def test_b5_configcat_dates_in_other_forms_mean_the_same(oracle: Oracle, lite: Store, form: Any) -> None:
    with ConfigCatSimulator(dates=form) as vendor:
        vendor.fill(250, 5, seed=21)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(times_agree(lite, vendor), "the time is the vendor's")


@pytest.mark.fault("B5", "the time has another form that is understood")
@pytest.mark.parametrize(
    "write",
    [float, lambda ms: f"{iso(from_ms(ms))[:-1]}0000Z", lambda ms: iso(from_ms(ms))[:-1], lambda ms: f"{ms:015d}"],
    ids=["float", "seven digits", "no zone", "leading zeros"],
)
def test_b5_launchdarkly_writes_a_time_in_yet_another_form(
    oracle: Oracle, lite: Store, write: Callable[[int], Any]
) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(80, 5, seed=21)
        vendor.inject(each_item(lambda item: item | {"date": write(item["date"])}), match=AUDIT_LOG, times=ALWAYS)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(times_agree(lite, vendor), "the time is the vendor's")


UNUSABLE: dict[str, Any] = {
    "missing": MISSING,
    "null": None,
    "empty": "",
    "words": "yesterday",
    "no such day": "2026-02-31T00:00:00Z",
    "true": True,
    "a list": [],
    "an object": {},
    "a fraction": 1.5,
    "negative": -1,
    "beyond all time": 10**15,
    "a huge number": HUGE,
}


@pytest.mark.fault("B5", "an entry whose id or time cannot be used")
@pytest.mark.parametrize("odd", UNUSABLE)
@pytest.mark.parametrize("field", ["id", "time"])
def test_b5_an_entry_without_a_usable_id_or_time_is_a_small_gap_and_the_others_are_stored(
    oracle: Oracle, lite: Store, vendor: Any, field: str, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagtrail.sync.RETRY_GAP", timedelta(0))
    name = (IDS if field == "id" else DATES)[vendor.connector.vendor]
    value = UNUSABLE[odd]
    if vendor.connector.vendor == "launchdarkly" and field == "id" and odd in ("words", "no such day"):
        value = "two\nlines"
    if vendor.connector.vendor == "configcat" and field == "id" and isinstance(value, int) and value is not True:
        value = f"-{abs(value)}"

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        items = items_of(reply.body)
        for index, item in enumerate(items):
            if str(item[known]) == str(chosen):
                items[index] = with_value(name, value)(item)
                reply.body = json.dumps(reply.body).encode()
                break
        return reply

    known = IDS[vendor.connector.vendor]
    stream = next(stream for stream, ids in vendor.truth().items() if stream.startswith("audit_log") and len(ids) > 30)
    chosen = sorted(vendor.truth()[stream])[20]
    vendor.inject(play, match=LISTS[vendor.connector.vendor], times=ALWAYS)
    assert sync(vendor, lite).errors == []
    oracle.check(lite, vendor)
    oracle.holds(gaps(lite), "it is a gap")
    oracle.holds(all(f"usable {name}" in gap.reason for gap in gaps(lite)), "which names the field")
    length = sum((gap.window.length for gap in gaps(lite)), timedelta())
    oracle.holds(length < timedelta(days=2), "and is no longer than it must be")
    missing = set(vendor.truth()[stream]) - held(lite, "acme")[stream]
    oracle.holds(missing == {chosen}, "everything else is stored")
    vendor.heal()
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


@pytest.mark.fault("B5", "ids of another type")
def test_b5_configcat_ids_as_text_are_the_same_ids(oracle: Oracle, lite: Store) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(150, 5, seed=22)
        assert sync(vendor, lite).errors == []
        vendor.happen()
        as_text = each_item(lambda item: item | {"auditLogId": str(item["auditLogId"])})
        vendor.inject(as_text, match="auditlogs", times=ALWAYS)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("B5", "ids of another type")
def test_b5_launchdarkly_ids_as_numbers_are_refused_by_name(oracle: Oracle, lite: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=22)
        as_number = each_item(lambda item: item | {"_id": int(item["_id"], 16) % 2**53})
        vendor.inject(as_number, match=AUDIT_LOG, times=ALWAYS)
        report = sync(vendor, lite)
        oracle.holds("usable _id" in str(report.errors), "the error names the field")
        oracle.holds(covered(lite, "audit_log") == [], "nothing is claimed")
        oracle.check(lite, vendor)


@pytest.mark.fault("B5", "the answer is nested otherwise")
@pytest.mark.parametrize(
    "nest",
    [
        lambda body: {"result": body},
        lambda body: [body],
        lambda body: {key: {"value": value} for key, value in body.items()},
        lambda body: {key: [value] for key, value in body.items()},
        lambda body: {key.upper(): value for key, value in body.items()},
    ],
    ids=["in an object", "in a list", "parts in objects", "parts in lists", "other names"],
)
def test_b5_an_answer_that_is_nested_otherwise_claims_nothing(
    oracle: Oracle, lite: Store, vendor: Any, nest: Callable[[Any], Any]
) -> None:
    vendor.inject(faults.edited(nest), match=LISTS[vendor.connector.vendor], times=ALWAYS)
    report = sync(vendor, lite)
    oracle.holds("answers without" in str(report.errors), "it is told of")
    streams = [stream for stream in vendor.truth() if stream.startswith("audit_log")]
    oracle.holds([one for stream in streams for one in covered(lite, stream)] == [], "nothing is claimed")
    oracle.check(lite, vendor)
    vendor.heal()
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


WHOLE = {
    "duplicate keys": b'"odd": 1, "odd": 2,',
    "a duplicate object": b'"odd": {"a": 1, "a": {"b": [1, 1]}},',
    "lone surrogates": b'"odd": "\\ud83d \\udfff", "\\ud800": 1,',
    "nul": b'"odd": "a\\u0000b", "c\\u0000d": "\\u0000",',
    "huge numbers": b'"odd": [1' + b"0" * 400 + b", -9223372036854775809, 18446744073709551616],",
    "deep": b'"odd": ' + b"[" * 150 + b"]" * 150 + b",",
    "odd keys": '"": {"": ""}, " ": 1, "ключ 🔑": "\u202e",'.encode(),
}


@pytest.mark.fault("B6", "whole JSON with odd things in it")
@pytest.mark.parametrize("odd", WHOLE)
def test_b6_odd_json_is_stored_and_kept(oracle: Oracle, store: Store, vendor: Any, odd: str) -> None:
    name = IDS[vendor.connector.vendor].encode()
    vendor.inject(raw(lambda body: body.replace(b'"' + name + b'"', WHOLE[odd] + b'"' + name + b'"')), times=ALWAYS)
    assert sync(vendor, store).errors == []
    oracle.whole(store, vendor)
    oracle.holds(gaps(store) == [], "it is no reason for a gap")
    bodies = [str(body) for (body,) in rows(store, "SELECT body FROM record")]
    oracle.holds(all(isinstance(json.loads(body), dict) for body in bodies), "the kept records can be read")


BROKEN = {
    "NaN": b'"odd": NaN,',
    "Infinity": b'"odd": -Infinity,',
    "a half escape": b'"odd": "\\ud8",',
    "a raw control": b'"odd": "\x01",',
    "not UTF-8": b'"odd": "\xff\xfe",',
    "a comment": b'"odd": 1, /* why not */',
    "single quotes": b"'odd': 1,",
    "too deep": b'"odd": ' + b"[" * 100_000 + b"]" * 100_000 + b",",
}


@pytest.mark.fault("B6", "what is no JSON")
@pytest.mark.parametrize("odd", BROKEN)
@pytest.mark.usefixtures("impatient")
def test_b6_what_is_no_json_claims_nothing(oracle: Oracle, lite: Store, vendor: Any, odd: str) -> None:
    name = IDS[vendor.connector.vendor].encode()
    broken = raw(lambda body: body.replace(b'"' + name + b'"', BROKEN[odd] + b'"' + name + b'"'))
    match = LISTS[vendor.connector.vendor]
    vendor.inject(broken, match=match, times=ALWAYS)
    report = sync(vendor, lite)
    oracle.holds("not whole JSON" in str(report.errors), "it is told of")
    oracle.check(lite, vendor)
    vendor.heal()
    vendor.inject(broken, match=match, times=1)
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


def of_account(account: str) -> Fault:
    """Answer as if the credential belonged to another account."""
    return faults.edited(lambda body: body | {"accountId": account})


@pytest.mark.fault("B7", "the credential is swapped for one of another account")
def test_b7_the_logs_of_two_accounts_are_never_mixed(oracle: Oracle, store: Store) -> None:
    with LaunchDarklySimulator() as vendor, LaunchDarklySimulator() as other:
        vendor.fill(60, 5, seed=23)
        other.fill(40, 5, seed=24)
        assert sync(vendor, store).errors == []
        before = rows(store, "SELECT id FROM event ORDER BY id")
        other.inject(of_account("another-account"), match="caller-identity", times=ALWAYS)
        report = sync(other, store)
        oracle.holds("another-account" in str(report.errors), "the account is named")
        oracle.holds(rows(store, "SELECT id FROM event ORDER BY id") == before, "no row is mixed in")
        asked = [request for request in other.requests if "auditlog" in request.path]
        oracle.holds(asked == [], "its log is not even asked for")
        oracle.whole(store, vendor)


@pytest.mark.fault("B7", "the credential is swapped for one of another account")
def test_b7_configcat_organizations_have_logs_of_their_own(oracle: Oracle, lite: Store) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(150, 5, seed=23)
        one, other = sorted(vendor.truth())

        def only(stream: str) -> Fault:
            return faults.edited(lambda body: [each for each in body if each["organizationId"] in stream])

        for stream in (one, other):
            vendor.inject(only(stream), match="/v1/organizations?", times=1)
            assert sync(vendor, lite).errors == []
            oracle.check(lite, vendor)
        oracle.whole(lite, vendor)


@pytest.mark.fault("B8", "the time inside the id is not the time of the entry")
@pytest.mark.parametrize("apart", [1_001, 3_600_000, 9 * DAY_MS])
def test_b8_an_entry_stands_at_its_date_whatever_its_id_says(oracle: Oracle, lite: Store, apart: int) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=25)
        log = vendor.trail.audit_log
        entry = log.entries[vendor.add(vendor.clock.ms() - DAY_MS)]
        vendor.remove(entry.id)
        log.add(replace(entry, id=f"{(entry.ms - apart) // 1000:08x}{'0' * 16}"))
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(times_agree(lite, vendor), "the time is that of the entry")


@pytest.mark.fault("B9", "no entries, one, and as many as a page holds")
@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 39, 40, 41])
def test_b9_any_number_of_launchdarkly_entries(oracle: Oracle, lite: Store, count: int) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(count, 5, seed=26, flag_events=0)
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
        oracle.holds(len(rows(lite, "SELECT id FROM event")) == count, "as many as there are")
        oracle.holds(gaps(lite) == [] and covered(lite), "and all of the time is covered")


@pytest.mark.fault("B9", "no entries, one, and as many as a page holds")
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 199, 200, 201])
def test_b9_any_number_of_flag_events_and_configcat_items(oracle: Oracle, lite: Store, count: int) -> None:
    with LaunchDarklySimulator() as flags, ConfigCatSimulator() as items:
        for number in range(count):
            flags.add_flag_event(ms=flags.clock.ms() - 2 * DAY_MS + number)
            items.add(items.clock.ms() - 2 * DAY_MS + 700 * number)
        for vendor in (flags, items):
            name = vendor.connector.vendor
            with Session(Source(name, vendor.connect(), start=timedelta(days=6)), lite) as session:
                assert session.fill().errors == []
            oracle.whole(lite, vendor, name)
            stored = rows(lite, f"SELECT id FROM event WHERE source = '{name}'")
            oracle.holds(len(stored) == count, "as many as there are")
        oracle.holds(gaps(lite) == [], "and all of the time is covered")
        oracle.holds(any(FLAG_EVENTS in request.path for request in flags.requests), "flag events were asked for")
