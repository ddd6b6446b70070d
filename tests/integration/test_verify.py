"""Verification: what is late, changed, deleted behind our back or gone at the vendor is found, and nothing else."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from flagtrail.again import Rereader
from flagtrail.connector import Hole, Page, Stream
from flagtrail.report import Verification
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail.trust import NOTHING_ELSE, Trust
from flagtrail.verdicts import Method, Outcome, current, verdicts_of
from flagtrail.verify import verify
from flagtrail.window import Window, subtract
from flagtrail_configcat.simulation.account import LABS, TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows, shown

DAY_MS = 86_400_000
ALWAYS = 100_000
LOG = "audit_log"
COUNTS = "auditlog/counts"
KINDS = [LaunchDarklySimulator, ConfigCatSimulator]


def source_of(vendor: Simulator, **more: Any) -> Source:
    options = {"flag_events": False} if isinstance(vendor, LaunchDarklySimulator) else {}
    connector = vendor.connector(**vendor.settings(), **options)
    return Source("acme", connector, **({"start": timedelta(days=61)} | more))


def loaded(vendor: Simulator, store: Store, **more: Any) -> Session:
    """Return a session that has read everything."""
    session = Session(source_of(vendor, **more), store)
    assert session.fill().errors == []
    return session


def streams_of(vendor: Simulator) -> list[str]:
    return [LOG] if isinstance(vendor, LaunchDarklySimulator) else list(vendor.truth())


def outcomes(report: Verification) -> set[Outcome]:
    return {verdict.outcome for stream in report.streams.values() for verdict in stream.verdicts}


def found(report: Verification) -> int:
    return sum(stream.found for stream in report.streams.values())


def vanished(report: Verification) -> dict[str, str]:
    return {id: why for stream in report.streams.values() for id, why in stream.vanished.items()}


def delete(store: Store, ids: list[str], tables: tuple[str, ...]) -> None:
    """Delete rows behind the store's back."""
    with store.engine.begin() as connection:
        for id in ids:
            number = connection.execute(text("SELECT number FROM event WHERE id = :id"), {"id": id}).scalar()
            for table in tables:
                connection.execute(text(f"DELETE FROM {table} WHERE number = :number"), {"number": number})


def assert_whole(store: Store, vendor: Simulator) -> None:
    wanted = {stream: ids for stream, ids in shown(vendor).items() if stream in streams_of(vendor)}
    assert held(store, "acme") == wanted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", list(Method))
def test_a_whole_table_is_verified_to_the_last_millisecond(store: Store, kind: Any, method: Method) -> None:
    with kind() as vendor:
        vendor.fill(400, 60, seed=1)
        with loaded(vendor, store) as session:
            before = rows(store, "SELECT id, revision FROM event ORDER BY id")
            report = verify(session, method=method)
        assert report.errors == []
        assert outcomes(report) == {Outcome.VERIFIED}
        for stream in streams_of(vendor):
            verified = [verdict.window for verdict in current(verdicts_of(store, "acme", stream), method)]
            assert [hole for window in store.coverage("acme", stream) for hole in subtract(window, verified)] == []
        assert all(stream.verified_share == 1.0 for stream in status(store))
        assert rows(store, "SELECT id, revision FROM event ORDER BY id") == before


@pytest.mark.parametrize("switches", [
    {"bounds": "[)"}, {"bounds": "(]"}, {"bounds": "[]"}, {"counts_aligned": True}, {"counts_empty_buckets": False},
    {"counts_aligned": True, "counts_empty_buckets": False, "bounds": "[]"}, {"ties": "unstable"},
], ids=str)  # fmt: skip
def test_numbers_are_understood_whatever_the_vendor_leaves_open(store: Store, switches: dict[str, Any]) -> None:
    with LaunchDarklySimulator(**switches) as vendor:
        vendor.fill(400, 60, seed=1)
        vendor.burst(vendor.clock.ms() - 3 * DAY_MS, 45)
        with loaded(vendor, store) as session:
            assert outcomes(verify(session)) == {Outcome.VERIFIED}
            vendor.add(vendor.clock.ms() - 5 * DAY_MS)
            report = verify(session)
            assert found(report) == 1
            assert outcomes(report) == {Outcome.VERIFIED, Outcome.HEALED}
        assert_whole(store, vendor)


@pytest.mark.parametrize("kind", KINDS)
def test_entries_that_appear_days_late_are_found_and_stored(store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            now = vendor.clock.ms()
            for days in (1, 1, 3, 30, 59):
                vendor.add(now - days * DAY_MS)
            assert session.fill().new == 0
            report = verify(session)
            assert found(report) == 5
            assert verify(session).differing == 0
        assert_whole(store, vendor)
        assert sum(stream.healed for stream in status(store)) == 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tables", [("event",), ("event", "record")], ids=str)
def test_rows_deleted_behind_our_back_are_found_and_exactly_those(
    store: Store, kind: Any, tables: tuple[str, ...]
) -> None:
    with kind() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            ids = [str(id) for (id,) in rows(store, "SELECT id FROM event ORDER BY id")]
            gone = random.Random(1).sample(ids, 12)
            bodies = rows(store, "SELECT id, summary FROM event ORDER BY id")
            delete(store, gone, tables)
            report = verify(session)
            assert found(report) == 12
            assert vanished(report) == {}
            again = verify(session, method=Method.CONTENTS)
            assert (found(again), outcomes(again)) == (0, {Outcome.VERIFIED})
        assert rows(store, "SELECT id, summary FROM event ORDER BY id") == bodies
        assert_whole(store, vendor)


def test_a_table_that_was_emptied_is_filled_again(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            delete(store, [str(id) for (id,) in rows(store, "SELECT id FROM event")], ("event", "record"))
            assert found(verify(session)) == 300
        assert_whole(store, vendor)


def test_numbers_that_agree_by_chance_are_seen_through_by_reading_everything(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        moment = vendor.clock.ms() - 2 * DAY_MS
        dropped = vendor.add(moment)
        with loaded(vendor, store) as session:
            vendor.remove(dropped)
            late = vendor.add(moment)
            assert found(verify(session)) == 0
            report = verify(session, method=Method.CONTENTS)
            assert found(report) == 1
            assert vanished(report) == {dropped: "unexplained"}
        assert late in held(store, "acme")[LOG]
        assert dropped in held(store, "acme")[LOG]


@pytest.mark.parametrize("kind", KINDS)
def test_other_content_is_a_new_revision_and_the_old_one_is_kept(store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            stream = max(streams_of(vendor), key=lambda name: len(vendor.truth()[name]))
            changed = sorted(vendor.truth()[stream])[40]
            if isinstance(vendor, ConfigCatSimulator):
                vendor.edit(changed, organization=stream[10:-1], why="said later")
            else:
                vendor.edit(changed, comment="said later")
            report = verify(session, method=Method.CONTENTS)
            assert report.streams[stream].changed == 1
        kept = rows(store, "SELECT revision, comment FROM event WHERE comment = 'said later'")
        assert kept == [(2, "said later")]
        assert len(rows(store, "SELECT * FROM record WHERE revision = 2")) == 1
        assert len(rows(store, "SELECT * FROM record WHERE revision = 1")) == 100


def test_numbers_of_something_else_are_never_an_alarm_and_never_a_loop(store: Store) -> None:
    with LaunchDarklySimulator(counts_off_by=3) as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            report = verify(session)
            assert outcomes(report) == {Outcome.NOT_VERIFIABLE}
            assert (found(report), report.differing, report.requests) == (0, 0, pytest.approx(5, abs=5))
            asked = len(vendor.requests)
            assert outcomes(verify(session, patient=False)) == {Outcome.NOT_VERIFIABLE}
            assert len(vendor.requests) == asked
        [stream] = status(store)
        assert stream.verified_share == 0.0
        assert "not those of its list" in str(stream.verdicts[0].reason)


def with_holes(monkeypatch: pytest.MonkeyPatch, vendor: LaunchDarklySimulator, where: Window | None = None) -> None:
    """Let nothing of a vendor's log be readable whole any more, or nothing in a window."""
    pages = vendor.connector.pages

    def torn(self: Any, api: Any, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        yield from pages(self, api, stream, window)
        if part := window.clip(where) if where else window:
            yield Hole(part, "a burst")

    monkeypatch.setattr(vendor.connector, "pages", torn)


def trust_in(session: Session) -> Trust:
    return Trust(Rereader(session.source, session.store, session.api, Stream(LOG), session.stopping))


def test_numbers_are_not_trusted_before_there_was_anything_to_try_them_with(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            with monkeypatch.context() as meanwhile:
                with_holes(meanwhile, vendor)
                verify(session)
            assert rows(store, "SELECT counts, counts_at FROM stream") == [(None, None)]
            verify(session, patient=False)
        assert rows(store, "SELECT counts FROM stream") == [("trusted",)]


def test_numbers_are_tried_with_what_can_be_read_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        now = vendor.clock.ms()
        with loaded(vendor, store) as session:
            asked = Window.of_ms(now - DAY_MS, now)
            with_holes(monkeypatch, vendor, Window.of_ms(now - 15 * DAY_MS, now))
            assert trust_in(session).disagreement_besides(asked) is None
            vendor.switches.counts_off_by = 3
            assert "are not those of its list" in str(trust_in(session).disagreement_besides(asked))
            with_holes(monkeypatch, vendor)
            assert trust_in(session).disagreement_besides(asked) == NOTHING_ELSE


def test_numbers_that_begin_to_mean_something_else_take_back_what_they_verified(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            assert outcomes(verify(session)) == {Outcome.VERIFIED}
            vendor.switches.counts_off_by = 3
            report = verify(session)
            assert outcomes(report) == {Outcome.NOT_VERIFIABLE}
        assert {verdict.outcome for verdict in verdicts_of(store, "acme", LOG)} == {Outcome.NOT_VERIFIABLE}


@pytest.mark.parametrize("counts", ["forbidden", "absent"])
def test_a_vendor_that_tells_no_numbers_is_not_verifiable_by_them_but_by_contents(store: Store, counts: str) -> None:
    with LaunchDarklySimulator(counts=counts) as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            vendor.add(vendor.clock.ms() - 3 * DAY_MS)
            report = verify(session)
            assert (outcomes(report), report.errors, found(report)) == ({Outcome.NOT_VERIFIABLE}, [], 0)
            assert found(verify(session, method=Method.CONTENTS)) == 1
        assert_whole(store, vendor)


def test_configcats_v1_tells_no_numbers(store: Store) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(60, 20, seed=1)
        source = Source("acme", vendor.connector(**vendor.settings(), api="v1"), start=timedelta(days=21))
        with Session(source, store) as session:
            session.fill()
            assert outcomes(verify(session)) == {Outcome.NOT_VERIFIABLE}
            assert outcomes(verify(session, method=Method.CONTENTS)) == {Outcome.VERIFIED}


def test_a_window_whose_count_and_list_disagree_differs_and_a_person_is_told(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        moment = vendor.clock.ms() - 4 * DAY_MS
        vendor.add(moment)

        def one_more(request: Request, answer: Any) -> Reply:
            reply: Reply = answer()
            for bucket in reply.body["buckets"]:
                if bucket["timestamp"] <= moment < bucket["timestamp"] + reply.body["bucketIntervalMs"]:
                    bucket["count"] += 1
            return reply

        with loaded(vendor, store) as session:
            vendor.inject(one_more, match=COUNTS, times=ALWAYS)
            report = verify(session)
        [differing] = [v for v in report.streams[LOG].verdicts if v.outcome is Outcome.DIFFERS]
        assert differing.window.since_ms <= moment < differing.window.until_ms
        assert differing.expected == (differing.stored or 0) + 1
        assert "counts" in str(differing.reason)
        [stream] = status(store)
        assert 0.9 < stream.verified_share < 1.0


def vanish_some(vendor: Any, stream: str, ids: list[str]) -> None:
    for id in ids:
        vendor.remove(id, **({"organization": stream[10:-1]} if isinstance(vendor, ConfigCatSimulator) else {}))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_vendor_no_longer_shows_stays_and_is_marked(store: Store, kind: Any) -> None:
    with kind() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            stream = max(streams_of(vendor), key=lambda name: len(vendor.truth()[name]))
            entries = sorted(vendor.truth()[stream], key=lambda id: vendor.truth()[stream][id])
            gone = entries[100:103]
            bodies = rows(store, "SELECT number, body FROM record ORDER BY number")
            vanish_some(vendor, stream, gone)
            report = verify(session)
            assert set(vanished(report)) == set(gone)
            assert outcomes(report) == {Outcome.VERIFIED}
            assert vanished(verify(session)) == {}
        marked = rows(store, "SELECT vendor_id FROM event WHERE vanished_at IS NOT NULL")
        assert {id for (id,) in marked} == set(gone)
        assert rows(store, "SELECT number, body FROM record ORDER BY number") == bodies
        assert sum(sum(stream.vanished.values()) for stream in status(store)) == 3


def test_what_was_hidden_for_a_while_is_no_longer_marked_when_it_is_shown_again(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store) as session:
            vendor.switches.history_days = 30
            assert len(vanished(verify(session))) > 50
            vendor.switches.history_days = None
            assert found(verify(session)) == 0
        assert rows(store, "SELECT id FROM event WHERE vanished_at IS NOT NULL OR vanished_reason IS NOT NULL") == []
        assert rows(store, "SELECT id FROM event WHERE revision > 1") == []


def test_a_credential_that_sees_less_than_before_is_told_apart(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        secret = "proj/secret:env/production:flag/plan"
        now = vendor.clock.ms()
        hidden = [vendor.add(now - day * DAY_MS, resources=secret) for day in range(2, 50, 4)]
        with loaded(vendor, store) as session:
            vanish_some(vendor, LOG, hidden[:-1])
            first = vanished(verify(session))
            assert set(first.values()) == {"unexplained"}  # one entry of that project is still shown
            vanish_some(vendor, LOG, hidden[-1:])
            mobile = [id for id in vendor.truth()[LOG] if resource(vendor, id).startswith("proj/mobile")]
            vanish_some(vendor, LOG, mobile)
            report = vanished(verify(session))
        assert {report[id] for id in mobile if report[id] != "retention"} == {"hidden"}


def resource(vendor: Any, id: str) -> str:
    return str(vendor.trail.audit_log.entries[id].change.resources[0])


def test_a_deleted_environment_takes_its_log_along_and_the_trail_keeps_it(store: Store) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(400, 60, seed=1)
        with loaded(vendor, store) as session:
            before = held(store, "acme")
            place = vendor._logs[TRAVEL.id]
            environment = next(
                entry.item.place for entry in (place[int(id)] for id in before[f"audit_log[{TRAVEL.id}]"])
                if entry.item.place.ids.get("environmentId")
            )  # fmt: skip
            name = environment.where.split(" / ")[-1]
            vendor.add(place=environment, auditLogTypeEnum="environmentDeleted", actionTarget=name)
            count = vendor.cleanup_environment(environment.ids["environmentId"])
            session.fill()
            report = verify(session)
            assert count > 5
            assert len(vanished(report)) == count
            assert set(vanished(report).values()) == {"environment deleted"}
        assert all(before[stream] <= ids for stream, ids in held(store, "acme").items())


@pytest.mark.parametrize("known", [True, False], ids=["setting", "guessed"])
def test_what_the_vendors_retention_has_dropped_is_told_apart(store: Store, known: bool) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(300, 60, seed=1)
        with loaded(vendor, store):
            vendor.switches.history_days = 30
        retention = {"retention": timedelta(days=30)} if known else {}
        with Session(source_of(vendor, **retention), store) as session:
            report = verify(session)
        old = [id for id, ms in entries_of(vendor).items() if ms < vendor.clock.ms() - 30 * DAY_MS]
        assert set(vanished(report)) == set(old)
        assert set(vanished(report).values()) == {"retention"}
        assert len(held(store, "acme")[LOG]) == 300


def entries_of(vendor: Any) -> dict[str, int]:
    return {id: entry.ms for id, entry in vendor.trail.audit_log.entries.items()}


def test_a_vendor_that_is_down_leaves_the_older_verdicts_and_says_so(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            verify(session)
            before = verdicts_of(store, "acme", LOG)
            session.api.attempts = 1
            vendor.inject(faults.status(503), match="auditlog", times=ALWAYS)
            report = verify(session)
            assert report.errors
            assert verdicts_of(store, "acme", LOG) == before
            vendor.heal()
            assert verify(session).errors == []


def test_a_verification_of_a_window_leaves_the_rest_alone(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            asked = Window.of_ms(vendor.clock.ms() - 20 * DAY_MS, vendor.clock.ms() - 10 * DAY_MS)
            verify(session, asked)
            verified = [verdict.window for verdict in current(verdicts_of(store, "acme", LOG))]
            assert subtract(asked, verified) == []
            assert sum((window.length for window in verified), timedelta()) == asked.length


def test_an_unknown_stop_in_the_middle_is_no_verdict(store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(100, 60, seed=1)
        with loaded(vendor, store) as session:
            vendor.inject(lambda request, answer: (session.stop(), answer())[1], match=COUNTS, times=1, skip=2)
            report = verify(session)
            assert report.stopped
        assert all(verdict.outcome is Outcome.VERIFIED for verdict in verdicts_of(store, "acme", LOG))


def test_another_credential_has_to_verify_everything_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(60, 20, seed=1)
        with loaded(vendor, store) as session:
            verify(session)
            assert all(stream.verified_share == 1.0 for stream in status(store))
        monkeypatch.setattr(vendor.connector, "_fingerprint", lambda self: "another")
        with loaded(vendor, store):
            assert all(stream.verified_share == 0.0 for stream in status(store))
        assert all(state.credential_at is not None for state in store.streams())
        assert {LABS.id, TRAVEL.id} == {state.account for state in store.streams()}
