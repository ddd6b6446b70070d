"""Numbers of the vendor: they are tried before they are believed, and taken back when they mean something else."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from flagtrail.again import Rereader
from flagtrail.connector import Hole, Page, Stream
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Reply, Request
from flagtrail.trust import NOTHING_ELSE, Trust
from flagtrail.verdicts import Method, Outcome, verdicts_of
from flagtrail.verify import verify
from flagtrail.window import Window
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows
from tests.integration.verifying import ALWAYS, COUNTS, DAY_MS, LOG, assert_whole, found, loaded, outcomes


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
