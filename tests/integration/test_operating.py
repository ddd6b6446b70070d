"""What a process tells of itself: readiness and metrics over both databases, what is stuck, another config, traces."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from flagtrail import __version__, discovery, traces
from flagtrail.connector import Stream
from flagtrail.daemon import Daemon
from flagtrail.errors import ConfigError
from flagtrail.metrics import exposed
from flagtrail.pulse import Pulse
from flagtrail.readiness import Why, readiness
from flagtrail.rows import Reading
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request
from flagtrail.tokens import create
from flagtrail.verdicts import Method, Outcome, Verdict, note_verdicts
from flagtrail.window import Window
from flagtrail_configcat.simulator import ConfigCatSimulator
from tests.conftest import told
from tests.faults.running import ALWAYS, is_whole, source_of, wait_until
from tests.serving import event, fill, served

LOG = "audit_log"
HOUR = timedelta(hours=1)


def reasons(store: Store, *configured: str, pulse: Pulse | None = None) -> list[tuple[Why, str | None]]:
    return [(each.why, each.source) for each in readiness(store, configured, pulse)]


def test_readiness_tells_why_not(store: Store) -> None:
    assert reasons(store, "acme") == [(Why.UNREAD, None)]
    store.note_source("other", "launchdarkly", None)
    assert reasons(store, "acme") == [(Why.UNREAD, None)], "another config's source says nothing of ours"
    store.note_source("acme", "launchdarkly", "it is down")
    assert reasons(store, "acme") == [(Why.UNREAD, None)]
    store.note_source("acme", "launchdarkly", None)
    assert reasons(store, "acme") == []
    pulse = Pulse()
    pulse.refused["acme"] = "refuses (401)"
    with pulse.turn("acme", "tick") as turn:
        turn.moved_at -= 1000
        assert reasons(store, "acme", pulse=pulse) == [(Why.REFUSED, "acme"), (Why.STUCK, "acme")]
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    [outdated] = readiness(store, ["acme"], None)
    assert outdated.why is Why.SCHEMA
    assert "schema 0001" in outdated.detail
    with store.engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    assert reasons(store, "acme") == [(Why.SCHEMA, None)]


def test_a_database_that_is_gone_is_told_over_http_and_what_the_process_knows_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "trail.db"
    with Store(f"sqlite:///{file}") as store:
        fill(store)
    with served(f"sqlite:///{file}", ("acme",)) as api:
        assert api.get("/readyz").json() == {"ready": True, "daemon": False, "reasons": []}
        assert "flagtrail_daemon 0.0\n" in api.get("/metrics").text
        file.rename(tmp_path / "elsewhere.db")
        answer = api.get("/readyz")
        assert answer.status_code == 503
        [why] = answer.json()["reasons"]
        assert why["why"] == "database_unusable"
        assert "moved, deleted or replaced" in why["detail"]
        told = api.get("/metrics").text
        assert "flagtrail_database_up 0.0\n" in told
        assert 'flagtrail_not_ready{reason="database_unusable"} 1.0\n' in told
        assert "flagtrail_events{" not in told
        assert api.get("/healthz").status_code == 200


def test_who_may_ask_what(store: Store, store_url: str) -> None:
    fill(store)
    scrape, read, export = (create(store, scope, [scope]) for scope in ("metrics", "read", "export"))
    with served(store_url, ("unread",), tokens=True) as api:
        assert api.get("/healthz").text == "ok\n"
        assert api.get("/readyz").json()["reasons"] == [{"why": "no_source_read"}]
        assert api.get("/metrics").status_code == 401
        assert api.get("/metrics").headers["content-type"] == "application/problem+json"
        for token, status in ((scrape, 200), (read, 200), (export, 403)):
            bearer = {"Authorization": f"Bearer {token}"}
            assert api.get("/metrics", headers=bearer).status_code == status
            assert ("detail" in api.get("/readyz", headers=bearer).json()["reasons"][0]) == (status == 200)
        assert api.get("/api/v1/events", headers={"Authorization": f"Bearer {scrape}"}).status_code == 403
        openmetrics = {"Authorization": f"Bearer {scrape}", "Accept": "application/openmetrics-text; version=1.0.0"}
        assert api.get("/metrics", headers=openmetrics).text.endswith("# EOF\n")


def metrics(store: Store, *configured: str, pulse: Pulse | None = None) -> dict[str, float]:
    """Return what is told, by the name with its labels."""
    lines = exposed(store, configured, pulse)[0].decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_the_numbers_are_those_of_the_store(store: Store) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    since = now - 30 * 24 * HOUR
    page = [(event(number, occurred_at=now - 5 * HOUR, action="turned_on"), {"_id": number}) for number in range(3)]
    page += [(event(number, occurred_at=now - 5 * HOUR, action=f"odd-{number}"), {"_id": number}) for number in (7, 8)]
    for name in (LOG, "gone", "failing"):
        store.register("acme", "launchdarkly", Stream(name), wanted_since=since, retention=timedelta(days=35))
        store.note("acme", name, settled_at=now - HOUR, succeeded_at=now)
        covered = [Reading(name, [], covers=Window(since, now - 12 * HOUR))]
        store.add("acme", "launchdarkly", [*covered, Reading(name, [], covers=Window(now - 10 * HOUR, now - 2 * HOUR))])
    store.add(
        "acme", "launchdarkly", [Reading(LOG, page, gap=(Window(now - 11 * HOUR, now - 10 * HOUR), "a burst", 9))]
    )
    store.note("acme", "gone", succeeded_at=now - 2 * HOUR)
    store.note("acme", "failing", error="it breaks", succeeded_at=now - 2 * HOUR)
    store.note_lost("acme", LOG, [Window(since - HOUR, since)], "the vendor keeps entries for 30 days only")
    store.note_source("acme", "launchdarkly", None)
    store.note_source("other", "launchdarkly", None)
    checked = Verdict(Window(now - 6 * HOUR, now - 5 * HOUR), Outcome.DIFFERS, now, Method.COUNTS, 9, 5)
    note_verdicts(store, "acme", LOG, [checked])
    found = metrics(store, "acme", "never")
    of_log = 'source="acme",stream="audit_log",vendor="launchdarkly"'
    for reason, count in (("lost", 1), ("unreadable", 1), ("not_read", 2), ("failing", 0)):
        assert found[f'flagtrail_stream_gaps{{reason="{reason}",{of_log}}}'] == count, reason
    of_failing = of_log.replace(LOG, "failing")
    assert found[f'flagtrail_stream_gaps{{reason="failing",{of_failing}}}'] == 2
    assert found[f"flagtrail_stream_count_mismatches{{{of_log}}}"] == 1
    assert 7200 <= found[f"flagtrail_stream_settled_lag_seconds{{{of_log}}}"] < 7300
    headroom = timedelta(days=35) - 12 * HOUR
    assert 0 < headroom.total_seconds() - found[f"flagtrail_stream_retention_headroom_seconds{{{of_log}}}"] < 100
    states = {state: found[f'flagtrail_streams{{source="acme",state="{state}",vendor="launchdarkly"}}']
              for state in ("read", "failing", "gone")}  # fmt: skip
    assert states == {"read": 1, "failing": 1, "gone": 1}
    assert not [name for name in found if 'stream="gone"' in name]
    assert not [name for name in found if 'source="other"' in name]
    assert found['flagtrail_source_last_success_age_seconds{source="never",vendor=""}'] == float("inf")
    assert found['flagtrail_events{action="turned_on",vendor="launchdarkly"}'] == 3
    assert found['flagtrail_events{action="other",vendor="launchdarkly"}'] == 2
    assert not [name for name in found if "odd-" in name]


@contextmanager
def running(daemon: Daemon) -> Iterator[None]:
    """Run a daemon in a thread until the block ends."""
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        yield
    finally:
        daemon.stop()
        thread.join(30)
        for session in daemon.roster.everybody:
            session.__exit__(None, None, None)
    assert not thread.is_alive()


def test_a_source_that_does_not_move_is_told_until_it_does(tmp_path: Path, logged: list[Any]) -> None:
    hold = threading.Event()

    def held(request: Request, answer: Callable[[], Reply]) -> Reply:
        hold.wait(10)
        return answer()

    with ConfigCatSimulator() as vendor, Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        vendor.fill(20, 5, seed=1)
        vendor.inject(held)
        pulse = Pulse(timedelta(seconds=1))
        with running(Daemon([source_of(vendor, every=timedelta(seconds=1))], store, pulse=pulse)):
            wait_until(lambda: told(logged, "source_stuck"), "it is noticed")
            assert (Why.STUCK, "acme") in reasons(store, "acme", pulse=pulse)
            of_it = 'source="acme",vendor="configcat"'
            store.note_source("acme", "configcat", "only so that it is known")
            assert metrics(store, "acme", pulse=pulse)[f"flagtrail_source_stuck{{{of_it}}}"] == 1
            assert pulse.is_alive, "the loop is another matter"
            hold.set()
            wait_until(lambda: told(logged, "source_moves") and is_whole(store, vendor), "it moves again")
            wait_until(lambda: reasons(store, "acme", pulse=pulse) == [], "it is ready")
        stuck = told(logged, "source_stuck")  # by then, what waits for the vendor may stand in any of its threads
        assert any(call.startswith("flagtrail.") for line in stuck for call in line["at"])


def test_what_is_under_way_of_a_changed_source_is_stored_and_sources_of_one_credential_go_on(tmp_path: Path) -> None:
    with ConfigCatSimulator() as vendor, Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        vendor.fill(400, 30, seed=1)
        vendor.latency = 0.05
        acme = source_of(vendor, every=timedelta(seconds=1), parallel=1)
        other = replace(acme, name="other")
        daemon = Daemon([acme, other], store)
        assert daemon.sessions[0].api.limiter is daemon.sessions[1].api.limiter
        with running(daemon):
            wait_until(lambda: len(vendor.requests) > 6, "it reads")
            [first, staying] = daemon.sessions
            daemon.told.put([replace(acme, parallel=4), other])
            wait_until(lambda: first not in daemon.roster.everybody, "what was under way has ended")
            vendor.latency = 0.0
            assert daemon.sessions[1] is staying
            assert staying.source.name == "other"
            wait_until(lambda: is_whole(store, vendor) and is_whole(store, vendor, source="other"), "all is read")
            assert not daemon.sessions[1].api.limiter.closed
            daemon.told.put([other])
            wait_until(lambda: daemon.roster.everybody == [staying], "the other is gone")


def test_a_config_that_cannot_be_read_changes_nothing_and_is_told(tmp_path: Path, logged: list[Any]) -> None:
    answers: list[Any] = [ConfigError("source 'acme': wrong"), RuntimeError("a bug"), []]

    def reread() -> list[Source]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [source]

    with ConfigCatSimulator() as vendor, Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        source = source_of(vendor, every=timedelta(seconds=1))
        daemon = Daemon([source], store, reread=reread)
        [session] = daemon.sessions
        with running(daemon):
            for event_name, failed in (("config_refused", True), ("reload_crashed", True), ("config_reloaded", False)):
                daemon.reload()
                wait_until(lambda: told(logged, event_name), event_name)  # noqa: B023
                assert bool(daemon.pulse.reload_failed) == failed
            assert daemon.sessions == [session], "what has not changed keeps its session"


def test_an_organization_that_appears_is_read_without_a_word_in_any_log(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(100, 20, seed=1)
        vendor.inject(faults.edited(lambda body: body[:1]), match="/v1/organizations", times=ALWAYS)
        with Session(source_of(vendor), store) as session:
            session.look()
            assert len(store.streams()) == 1
            vendor.heal()
            session.look()
            assert len(store.streams()) == 1, "it is not asked for at every look"
            later = time.monotonic() + discovery.DISCOVER_EVERY + 1
            monkeypatch.setattr(discovery, "time", type("later", (), {"monotonic": staticmethod(lambda: later)}))
            session.look()
            assert len(store.streams()) == 2


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a collector of traces, and what it was sent."""
    sent: list[bytes] = []

    class Collecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Collecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()


def test_a_round_its_windows_and_what_is_stored_are_one_trace(
    tmp_path: Path, collector: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    address, sent = collector
    with ConfigCatSimulator() as vendor, Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        vendor.fill(20, 5, seed=1)
        daemon = Daemon([source_of(vendor)], store)
        [session] = daemon.sessions
        with session:
            end = traces.begin(address, __version__)
            daemon.tick(session)
            daemon.catch_up(session)
            vendor.inject(faults.status(403), match="auditlogs", times=ALWAYS)
            daemon.tick(session)
            end()
            daemon.tick(session)
    spans = [span for one in sent for resource in ExportTraceServiceRequest.FromString(one).resource_spans
             for scope in resource.scope_spans for span in scope.spans]  # fmt: skip
    rounds = {span.span_id: span for span in spans if span.name == "round"}
    assert len(rounds) == 3
    inner = [span for span in spans if span.name != "round"]
    assert {span.name for span in inner} == {"window", "store"}
    assert all(span.parent_span_id in rounds for span in inner)
    told_of = {each.key: each.value.string_value for each in next(s for s in inner if s.name == "window").attributes}
    assert told_of["flagtrail.source"] == "acme"
    assert told_of["flagtrail.stream"].startswith("audit_log[")
    failed = [span for span in spans if span.status.code == 2]
    assert failed
    assert "403" in failed[0].status.message


def test_a_platform_that_asks_for_traces_without_the_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match="pip install"):
        traces.begin("http://127.0.0.1:1", __version__)
    assert not traces.wanted(None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert traces.wanted(None)
    assert logging.getLogger("opentelemetry").handlers == []
