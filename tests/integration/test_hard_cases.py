"""What a review found to be hard: each is a way to lose entries, or to claim what is not there, that must stay shut."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from flagtrail.cli.showing import print_json
from flagtrail.connector import Stream
from flagtrail.query import Query, event, events
from flagtrail.rows import Reading
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request
from flagtrail.window import Window
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows, shown

ALWAYS = 10_000
FLAG_EVENTS = "/engineering-insights/flag-events"
AUDIT_LOG = "/api/v2/auditlog?"


def source_of(simulator: Any, **more: Any) -> Source:
    return Source("acme", simulator.connect(), **({"start": timedelta(days=31)} | more))


def dated(moment: datetime) -> faults.Fault:
    """Answer with another Date than the vendor's."""

    def play(request: Request, answer: Any) -> Reply:
        reply: Reply = answer()
        reply.headers["date"] = format_datetime(moment, usegmt=True)
        return reply

    return play


def gaps(store: Store) -> list[Any]:
    return [gap for stream in status(store) for gap in stream.gaps]


def test_many_ticks_open_no_more_connections_than_readers(store: Store) -> None:
    with LaunchDarklySimulator() as vendor, Session(source_of(vendor, parallel=3), store) as session:
        for _ in range(12):
            session.fill()
        assert 1 <= len(session.api._lines.idle) <= 3


def test_a_failing_side_stream_does_not_starve_the_audit_log(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(120, 30, seed=4)
        vendor.inject(faults.status(503), match=FLAG_EVENTS, times=ALWAYS)
        with Session(source_of(vendor, parallel=2), store) as session:
            session.api.attempts = 2
            report = session.fill()
        assert report.streams["audit_log"].error is None
        assert held(store, "acme")["audit_log"] == shown(vendor)["audit_log"]
        assert report.errors
        vendor.heal()
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        assert held(store, "acme") == shown(vendor)


def test_a_vendor_that_is_down_is_given_up_soon(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(120, 30, seed=4)
        with Session(source_of(vendor), store) as session:
            session.streams()
            vendor.inject(faults.reset(), times=ALWAYS)
            session.api.attempts = 2
            started = time.monotonic()
            assert session.fill().error is not None
            assert time.monotonic() - started < 10


def test_a_discovery_that_fails_leaves_the_known_streams_readable(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 30, seed=4)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
            session.discovery.look_again()
            session.api.attempts = 1
            vendor.inject(faults.status(503), match="/api/v2/projects", times=1)
            vendor.happen()
            report = session.fill()
            [error] = report.errors
            assert "not all streams are known" in error
            assert report.new >= 1
            assert held(store, "acme") == shown(vendor)
            assert session.fill().errors == []


def test_projects_that_are_refused_do_not_block_the_audit_log(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 30, seed=4)
        vendor.inject(faults.status(403), match="/api/v2/projects", times=ALWAYS)
        with Session(source_of(vendor), store) as session:
            report = session.fill()
        assert [error for error in report.errors if "not all streams are known" in error]
        assert held(store, "acme") == {"audit_log": shown(vendor)["audit_log"]}


def test_a_burst_whose_rest_names_no_resource_is_a_gap_with_numbers(store: Store) -> None:
    with LaunchDarklySimulator(ties="ascending") as vendor:
        moment = vendor.clock.ms() - 86_400_000
        vendor.burst(moment, 20)
        for _ in range(25):
            vendor.add(moment, resources=[], actions=[])
        with Session(source_of(vendor), store) as session:
            session.fill()
        [gap] = gaps(store)
        assert (gap.expected, gap.window) == (45, Window.of_ms(moment, moment + 1))


def test_one_answer_with_a_date_from_the_future_claims_nothing_and_is_forgotten(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 30, seed=4)
        ahead = datetime.now(UTC) + timedelta(hours=2)
        vendor.inject(dated(ahead), match=AUDIT_LOG, times=1)
        with Session(source_of(vendor), store) as session:
            session.fill()
            covered = [window.until for stream in status(store) for window in stream.covered]
            assert max(covered) <= datetime.now(UTC) - timedelta(minutes=15)
            vendor.happen()
            assert session.fill().errors == []
        assert held(store, "acme") == shown(vendor)


def test_a_clock_that_was_wrong_at_first_is_corrected(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 30, seed=4)
        vendor.inject(dated(datetime.now(UTC) + timedelta(days=2)), match="caller-identity", times=1)
        with Session(source_of(vendor), store) as session:
            session.fill()
            assert session.fill().errors == []
            assert gaps(store) == []


def test_what_is_covered_already_does_not_become_a_gap_again(store: Store) -> None:
    window = Window.of_ms(1_700_000_000_000, 1_700_000_100_000)
    store.register("acme", "launchdarkly", Stream("audit_log"), wanted_since=window.since, settled_at=window.until)
    store.add("acme", "launchdarkly", [Reading("audit_log", [], window)])
    inside = Window.of_ms(1_700_000_050_000, 1_700_000_050_001)
    store.add("acme", "launchdarkly", [Reading("audit_log", [], gap=(inside, "burst", 30))])
    assert gaps(store) == []


@pytest.mark.parametrize(
    "odd",
    [
        '"half a pair \\ud83d"',
        "[" * 260 + "]" * 260,
        "123456789012345678901234567890",
        '"nul \\u0000"',
        '"' + "long " * 3000 + '"',
    ],
    ids=["surrogate", "deep", "huge integer", "nul", "long"],
)
def test_odd_but_whole_json_is_stored_and_kept(store: Store, odd: str) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(60, 30, seed=4)

        def spiced(request: Request, answer: Any) -> Reply:
            reply: Reply = answer()
            body = json.dumps(reply.body)
            for name in ("comment", "name", "impact"):
                body = body.replace(f'"{name}": "', f'"odd{name}": {odd}, "{name}": "')
            reply.body = body.replace('"comment": ""', f'"comment": {odd}').replace(
                '"impact": {', f'"impact": {{"odd": {odd}, '
            )
            reply.body = reply.body.encode()
            return reply

        vendor.inject(spiced, match="", times=ALWAYS)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        assert held(store, "acme") == shown(vendor)
        assert len(list(events(store, Query(limit=0)))) >= 60
        for (kept,) in rows(store, "SELECT body FROM record"):
            assert json.loads(str(kept))
        for (id,) in rows(store, "SELECT id FROM event LIMIT 5"):
            [whole] = event(store, str(id))
            print_json(whole)


def test_a_date_before_all_time_is_stored_and_can_be_asked_for(store: Store) -> None:
    # What an unset date becomes in the vendor's language.
    record = {"auditLogId": 1, "auditLogDateTime": "0001-01-01T00:00:00Z", "auditLogTypeEnum": "settingCreated"}
    with ConfigCatSimulator() as vendor:
        connector = vendor.connect()
        with connector.connect() as api:
            stream = next(iter(connector.streams(api)))
    store.add("acme", "configcat", [Reading(stream.name, [(connector.event(stream, record), record)])])
    [found] = events(store, Query())
    assert found["occurred_at"].year == 1


@pytest.mark.parametrize("cap", [7, 30])
def test_smaller_pages_than_asked_for_are_read_to_the_end(store: Store, cap: int) -> None:
    with LaunchDarklySimulator(page_cap=cap) as vendor:
        vendor.fill(200, 30, seed=4, flag_events=150)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        assert held(store, "acme") == shown(vendor)
        assert gaps(store) == []


def test_a_stricter_isolation_of_the_server_is_not_used(store: Store, store_url: str) -> None:
    if store.engine.dialect.name != "postgresql":
        return
    admin = create_engine(store.engine.url)
    with admin.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar()
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"))
        connection.commit()
    admin.dispose()
    with Store(store_url) as strict:
        assert rows(strict, "SHOW transaction_isolation") == [("read committed",)]


def test_the_vendors_limits_are_never_exceeded_once_they_are_known(store: Store) -> None:
    with LaunchDarklySimulator(quotas={"route": (25, 1000)}) as vendor:
        vendor.fill(1500, 30, seed=4, flag_events=20)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        assert held(store, "acme") == shown(vendor)
        refused = [request for request in vendor.requests if request.status == 429]
        assert len(refused) <= 4, "only while the limit was unknown"


def test_a_source_that_never_could_sign_in_is_told_of(store: Store) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.inject(faults.status(401), times=1)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors
        [state] = store.sources()
        assert (state.source, state.vendor, state.succeeded_at) == ("acme", "configcat", None)
        assert "401" in (state.error or "")
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        [state] = store.sources()
        assert state.error is None
        assert state.succeeded_at is not None
