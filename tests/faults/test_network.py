"""Answers that fail, break off, drip, or tell the wrong time: reliability rows C1, C2, C5, C6, C7 and C13."""

import gzip
import random
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import orjson
import pytest

from flagtrail import api, lines, retries
from flagtrail.store import Store
from flagtrail.testing import faults
from flagtrail.testing.simulator import Fault, Reply, Request, Simulator
from flagtrail.window import from_ms
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows
from tests.faults.conftest import Oracle
from tests.faults.scene import (
    ALWAYS,
    FLAG_EVENTS,
    LISTS,
    Mangle,
    Middle,
    audit_log_only,
    covered,
    dated,
    drip,
    gaps,
    reset_after,
    sync,
    with_header,
)

NO_DATA: dict[str, Fault] = {
    "429": faults.status(429),
    "500": faults.status(500, b"oops", {"content-type": "text/plain"}),
    "502": faults.html(502),
    "503": faults.status(503),
    "204": faults.status(204),
    "206": faults.status(206, {"items": [], "data": [], "_links": {}}),
    "404 in a 200": faults.body({"code": "not_found", "message": "no"}),
    "web page": faults.html(),
    "web page that says it is JSON": faults.body(b"<!doctype html><title>Sign in</title>"),
    "empty": faults.body(b""),
    "blank": faults.body(b" \n"),
    "empty object": faults.body({}),
    "null": faults.body(b"null"),
    "false": faults.body(b"false"),
    "zero": faults.body(b"0"),
    "text": faults.body("no entries"),
    "null lists": faults.body({"items": None, "data": None, "paging": None, "_links": {}}),
    "lists of null": faults.body({"items": [None], "data": [None], "_links": {}, "totalCount": 1}),
    "list of lists": faults.body([[]]),
}
ENDPOINTS = {
    "launchdarkly": ("/api/v2/projects?", LISTS["launchdarkly"], FLAG_EVENTS),
    "configcat": ("/v1/organizations?", LISTS["configcat"]),
}


@pytest.mark.fault("C1", "an error that looks like no data, at every address")
@pytest.mark.parametrize("kind", NO_DATA)
@pytest.mark.usefixtures("impatient")
def test_c1_an_error_is_never_taken_for_no_data(oracle: Oracle, lite: Store, vendor: Simulator, kind: str) -> None:
    for endpoint in ENDPOINTS[vendor.connector.vendor]:
        vendor.inject(NO_DATA[kind], match=endpoint, times=ALWAYS)
        name = endpoint.strip("/?").rpartition("/")[2]
        report = sync(vendor, lite, source=name)
        oracle.holds(report.errors, f"{endpoint}: it is told of")
        asked_for = [
            stream for stream in vendor.truth() if stream.startswith("flag_events") == (endpoint == FLAG_EVENTS)
        ]
        if endpoint in (*LISTS.values(), FLAG_EVENTS):
            claims = [one for stream in asked_for for one in lite.coverage(name, stream)]
            oracle.holds(claims == [], f"{endpoint}: nothing is claimed")
        oracle.check(lite, vendor, name)
        vendor.heal()
        assert sync(vendor, lite, source=name).errors == []
        oracle.whole(lite, vendor, name)


@pytest.mark.fault("C1", "an account that is not told")
@pytest.mark.parametrize("kind", ["429", "500", "204", "206", "web page", "empty"])
@pytest.mark.usefixtures("impatient")
def test_c1_an_error_instead_of_the_account_reads_nothing(oracle: Oracle, lite: Store, kind: str) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=30)
        vendor.inject(NO_DATA[kind], match="caller-identity", times=ALWAYS)
        oracle.holds(sync(vendor, lite).errors, "it is told of")
        oracle.holds(rows(lite, "SELECT * FROM event") == [], "nothing is read")
        vendor.heal()
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("C1", "an account that is not told")
@pytest.mark.parametrize("kind", ["empty object", "null", "404 in a 200", "list of lists"])
def test_c1_an_identity_that_names_no_account_is_not_understood(oracle: Oracle, lite: Store, kind: str) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.inject(NO_DATA[kind], match="caller-identity", times=ALWAYS)
        oracle.holds(sync(vendor, lite).errors, "it is told of")


def no_length(cut: int | None) -> Fault:
    """Send the body without telling its length; the end of the connection is the end of the body."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        reply.headers |= {"content-length": "", "connection": "close"}
        reply.cut = ALWAYS * 100 if cut is None else cut
        return reply

    return play


def chunked(cut: int) -> Fault:
    """Send the body in chunks, and hang up inside of one."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        whole = answer()
        body = orjson.dumps(whole.body)
        parts = [body[at : at + 50] for at in range(0, len(body), 50)]
        packed = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)
        headers = whole.headers | {"content-length": "", "transfer-encoding": "chunked"}
        return Reply(whole.status, packed, headers, cut=cut)

    return play


def packed(change: Callable[[bytes], bytes]) -> Fault:
    """Send the body packed, and something wrong with the packing."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        reply.body = change(gzip.compress(orjson.dumps(reply.body)))
        reply.headers["content-encoding"] = "gzip"
        return reply

    return play


CUT: dict[str, Fault] = {
    "no byte of the body": faults.cut(0),
    "one byte": faults.cut(1),
    "most of it": faults.cut(900),
    "a shorter body than it was": faults.shortened(200),
    "no length": no_length(300),
    "chunks": chunked(400),
    "gzip cut": packed(lambda body: body[:-20]),
    "gzip flipped": packed(lambda body: body[:60] + bytes([body[60] ^ 255]) + body[61:]),
    "no gzip": packed(lambda body: b"not packed at all"),
}


@pytest.mark.fault("C2", "a body that is cut, in each way that HTTP knows")
@pytest.mark.parametrize("kind", CUT)
@pytest.mark.usefixtures("impatient")
def test_c2_half_a_body_claims_nothing(oracle: Oracle, lite: Store, vendor: Simulator, kind: str) -> None:
    match = LISTS[vendor.connector.vendor]
    vendor.inject(CUT[kind], match=match, times=ALWAYS)
    oracle.holds(sync(vendor, lite).errors, "it is told of")
    streams = [stream for stream in vendor.truth() if stream.startswith("audit_log")]
    oracle.holds([one for stream in streams for one in covered(lite, stream)] == [], "nothing is claimed")
    oracle.check(lite, vendor)
    vendor.heal()
    vendor.inject(CUT[kind], match=match, times=2)
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


@pytest.mark.fault("C2", "the connection is reset after so many bytes")
@pytest.mark.parametrize("length", [1, 40, 150, 400, 2000, 10**9])
@pytest.mark.usefixtures("impatient")
def test_c2_a_reset_in_the_middle_claims_nothing(oracle: Oracle, lite: Store, vendor: Simulator, length: int) -> None:
    with Middle(vendor) as middle:
        connector = vendor.connect().model_copy(update={"base_url": middle.url})
        middle.mangle = reset_after(length)
        oracle.holds(sync(vendor, lite, connector=connector).errors, "it is told of")
        oracle.holds(rows(lite, "SELECT * FROM coverage") == [], "nothing is claimed")
        oracle.check(lite, vendor)
        middle.mangle = now_and_then(reset_after(length))
        assert sync(vendor, lite, connector=connector).errors == []
        oracle.whole(lite, vendor)


def now_and_then(mangle: Mangle) -> Mangle:
    """Leave two answers of three alone."""
    numbers = count()
    return lambda answer: iter([answer]) if next(numbers) % 3 else mangle(answer)


@pytest.mark.fault("C5", "the vendor fails half of the time")
@pytest.mark.parametrize("code", [500, 502, 503, 504])
@pytest.mark.usefixtures("impatient")
def test_c5_a_brown_out_costs_requests_and_nothing_else(
    oracle: Oracle, store: Store, vendor: Simulator, code: int
) -> None:
    chance = random.Random(code)

    def half(request: Request, answer: Callable[[], Reply]) -> Reply:
        return Reply(code) if chance.random() < 0.5 else answer()

    vendor.inject(half, times=ALWAYS)
    for _ in range(8):
        errors = sync(vendor, store).errors
        oracle.check(store, vendor)
        if not errors:
            break
    oracle.holds(errors == [], "a few looks are enough")
    oracle.whole(store, vendor)
    good = sum(request.status == 200 for request in vendor.requests)
    oracle.holds(len(vendor.requests) <= 3 * good, "about one try for each failure")


@pytest.mark.fault("C5", "the vendor is down for a while")
@pytest.mark.usefixtures("impatient")
def test_c5_a_vendor_that_is_down_is_caught_up_with(oracle: Oracle, lite: Store, vendor: Simulator) -> None:
    sync(vendor, lite)
    vendor.inject(faults.status(503), times=ALWAYS)
    for _ in range(3):
        vendor.happen()
        asked = len(vendor.requests)
        oracle.holds(sync(vendor, lite).errors, "it is told of")
        oracle.holds(len(vendor.requests) - asked <= retries.ATTEMPTS, "it is given up soon")
        oracle.check(lite, vendor)
    vendor.heal()
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


LARGE: dict[str, tuple[Fault, str]] = {
    "gzip bomb": (faults.gzip_bomb(4 * api.LARGEST_BODY), "more than 20 MiB"),
    "a long body": (faults.body(b" " * (api.LARGEST_BODY + 1)), "more than 20 MiB"),
    "a million items": (faults.body(b'{"items": [' + b"0," * 10**6 + b"0]}"), "answers without a list"),
    "a deep body": (faults.body(b"[" * 10**5 + b"]" * 10**5), "not whole JSON"),
}


@pytest.mark.fault("C6", "gzip bombs, endless, deep and crowded bodies")
@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.usefixtures("impatient")
def test_c6_what_is_too_large_ends_its_stream_only(oracle: Oracle, lite: Store, kind: str) -> None:
    fault, words = LARGE[kind]
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 5, seed=31, flag_events=10)
        vendor.inject(fault, match=LISTS["launchdarkly"], times=ALWAYS)
        report = sync(vendor, lite, attempts=2)
        oracle.holds(words in str(report.streams["audit_log"].error), "it is called by its name")
        oracle.holds(covered(lite, "audit_log") == [], "nothing is claimed")
        others = [state for name, state in report.streams.items() if name != "audit_log"]
        oracle.holds(not any(state.error for state in others), "the other streams go on")
        oracle.check(lite, vendor)
        vendor.heal()
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("C7", "answers that drip, from their first byte or later")
@pytest.mark.parametrize("start", [0, 9, 60, 400])
def test_c7_an_answer_that_drips_meets_the_deadline(
    oracle: Oracle, lite: Store, vendor: Simulator, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "TOTAL_SECONDS", 0.5)
    with Middle(vendor) as middle:
        connector = vendor.connect().model_copy(update={"base_url": middle.url})
        middle.mangle = drip(start, 0.02)
        started = time.monotonic()
        report = sync(vendor, lite, connector=connector, attempts=1)
        oracle.holds(time.monotonic() - started < 3, "it is given up soon")
        oracle.holds("takes longer" in str(report.errors), "it is called by its name")
        oracle.holds(rows(lite, "SELECT * FROM coverage") == [], "nothing is claimed")
        middle.mangle = None
        assert sync(vendor, lite, connector=connector).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("C7", "one stream that drips beside others")
def test_c7_a_stream_that_drips_holds_up_no_other(oracle: Oracle, lite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "TOTAL_SECONDS", 0.5)
    with LaunchDarklySimulator() as vendor:
        del vendor.trail.projects[1:]
        vendor.fill(60, 5, seed=32, flag_events=10)
        vendor.inject(faults.drip(0.02), match=FLAG_EVENTS, times=ALWAYS)
        started = time.monotonic()
        report = sync(vendor, lite, attempts=1)
        oracle.holds(time.monotonic() - started < 15, "it is given up soon")
        oracle.holds(report.streams["audit_log"].error is None, "the audit log is on time")
        oracle.holds(covered(lite, "audit_log"), "and claimed")
        oracle.check(lite, vendor)


@pytest.mark.fault("C7", "silence before, in and after an answer")
@pytest.mark.parametrize("start", [0, 20, 200])
def test_c7_a_silence_is_not_waited_for(
    oracle: Oracle, lite: Store, vendor: Simulator, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "READ_SECONDS", 0.3)
    with Middle(vendor) as middle:
        connector = vendor.connect().model_copy(update={"base_url": middle.url})
        middle.mangle = drip(start, 2.0)
        started = time.monotonic()
        report = sync(vendor, lite, connector=connector, attempts=1)
        oracle.holds(time.monotonic() - started < 3, "it is given up soon")
        oracle.holds("does not answer in time" in str(report.errors), "it is called by its name")
        middle.mangle = None
        assert sync(vendor, lite, connector=connector).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("C7", "a connection that is never accepted")
def test_c7_a_connection_that_hangs_is_given_up(
    oracle: Oracle, lite: Store, vendor: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        crowd = [socket.socket() for _ in range(8)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        hanging = vendor.connect().model_copy(update={"base_url": f"http://127.0.0.1:{deaf.getsockname()[1]}"})
        started = time.monotonic()
        report = sync(vendor, lite, connector=hanging, attempts=1)
        oracle.holds(time.monotonic() - started < 3, "it is given up soon")
        oracle.holds("does not answer in time" in str(report.errors), "it is called by its name")
        for one in crowd:
            one.close()
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


DATES: dict[str, Callable[[Simulator], Fault]] = {
    "a day old": lambda vendor: dated(lambda: from_ms(vendor.clock.ms()) - timedelta(days=1)),
    "five minutes old": lambda vendor: dated(lambda: from_ms(vendor.clock.ms()) - timedelta(minutes=5)),
    "two hours ahead": lambda vendor: dated(lambda: from_ms(vendor.clock.ms()) + timedelta(hours=2)),
    "a year ahead": lambda vendor: dated(lambda: from_ms(vendor.clock.ms()) + timedelta(days=365)),
    "none": lambda vendor: faults.without_date(),
    "words": lambda vendor: with_header("date", lambda: "just now"),
    "a number": lambda vendor: with_header("date", lambda: "1772366400"),
    "the beginning of time": lambda vendor: dated(lambda: datetime(1970, 1, 1, tzinfo=UTC)),
    "the end of time": lambda vendor: with_header("date", lambda: "Fri, 31 Dec 9999 23:59:59 GMT"),
}


@pytest.mark.fault("C13", "a wrong Date, as of a cache or a broken box")
@pytest.mark.parametrize("kind", DATES)
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_c13_one_wrong_date_claims_nothing_that_has_not_settled(
    oracle: Oracle, lite: Store, vendor: Simulator, kind: str, skip: int
) -> None:
    vendor.inject(DATES[kind](vendor), match=LISTS[vendor.connector.vendor], skip=skip)
    sync(vendor, lite)
    limit = from_ms(vendor.clock.ms()) - timedelta(minutes=15)
    oracle.holds(all(window.until <= limit for window in covered(lite)), "the tail is not claimed")
    vendor.happen()
    for _ in range(2):
        sync(vendor, lite)
    oracle.whole(lite, vendor)
    oracle.holds(gaps(lite) == [], "nothing is left open")


@pytest.mark.fault("C13", "every Date is wrong")
@pytest.mark.parametrize("kind", ["a day old", "none", "words", "the beginning of time"])
def test_c13_dates_that_are_always_wrong_claim_at_most_too_little(
    oracle: Oracle, lite: Store, vendor: Simulator, kind: str
) -> None:
    vendor.inject(DATES[kind](vendor), times=ALWAYS)
    sync(vendor, lite)
    limit = from_ms(vendor.clock.ms()) - timedelta(minutes=15)
    oracle.holds(all(window.until <= limit for window in covered(lite)), "the tail is not claimed")
    oracle.check(lite, vendor)
    vendor.heal()
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


@pytest.mark.fault("C13", "an old answer comes out of a cache")
@pytest.mark.parametrize("headers", ["as they were", "with a new Date"])
def test_c13_an_old_answer_hides_no_entry_for_ever(oracle: Oracle, lite: Store, headers: str) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(15, 5, seed=33, flag_events=0)
        connector = audit_log_only(vendor)
        sync(vendor, lite, connector=connector)
        then = from_ms(vendor.clock.ms())
        vendor.happen()
        vendor.clock.advance(120)
        fault = faults.body({"items": [], "_links": {}})
        if headers == "as they were":
            fault = stacked(dated(lambda: then), fault)
        vendor.inject(fault, match=LISTS["launchdarkly"], times=1)
        sync(vendor, lite, connector=connector)
        oracle.check(lite, vendor)
        sync(vendor, lite, connector=connector)
        stored = rows(lite, "SELECT id FROM event WHERE stream = 'audit_log'")
        oracle.holds(len(stored) == 16, "the next look sees it")
        asked = [request.headers.get("cache-control") for request in vendor.requests]
        oracle.holds(set(asked) == {"no-cache"}, "a cache is asked to stay out of it")


def stacked(outer: Fault, inner: Fault) -> Fault:
    """Play one fault upon another."""
    return lambda request, answer: outer(request, lambda: inner(request, answer))
