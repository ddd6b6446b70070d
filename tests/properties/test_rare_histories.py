"""Histories that chance seldom draws, told out: what a verification has to get right though several things coincide."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from flagtrail import compare
from flagtrail.report import Verification
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Simulator
from flagtrail.verdicts import Method, Outcome
from flagtrail.verify import verify
from flagtrail.window import Window
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

HOUR_MS = 3_600_000


@pytest.fixture
def one_store(tmp_path: Path) -> Iterator[Store]:
    """A new store of one kind: nothing here is about the database."""
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        yield store


def session_of(vendor: Simulator, store: Store) -> Session:
    options = {"flag_events": False} if isinstance(vendor, LaunchDarklySimulator) else {}
    connector = vendor.connector(**vendor.settings(), **options)
    return Session(Source("acme", connector, start=timedelta(days=20)), store)


def told(report: Verification) -> tuple[set[Outcome], int, set[str]]:
    """Return what a verification has told: the outcomes, how many were missing, and which have vanished."""
    streams = list(report.streams.values())
    outcomes = {verdict.outcome for stream in streams for verdict in stream.verdicts}
    return outcomes, sum(stream.found for stream in streams), {id for stream in streams for id in stream.vanished}


def test_differences_that_cancel_out_are_found_by_the_numbers_of_the_parts(one_store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(200, 19, seed=1)
        dropped = vendor.add(vendor.clock.ms() - 300 * HOUR_MS)
        with session_of(vendor, one_store) as session:
            session.fill()
            vendor.remove(dropped)
            vendor.add(vendor.clock.ms() - 100 * HOUR_MS)
            assert told(verify(session)) == ({Outcome.VERIFIED, Outcome.HEALED}, 1, {dropped})


def test_a_late_entry_at_the_very_end_of_a_window_is_found_though_numbers_say_nothing_of_it(one_store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        moment = vendor.clock.ms() - 20 * HOUR_MS
        for minutes in range(30):
            vendor.add(moment - minutes * 60_000)
        with session_of(vendor, one_store) as session:
            session.fill()
            vendor.add(moment)
            asked = Window.of_ms(moment - HOUR_MS, moment + 1)
            assert told(verify(session, asked)) == ({Outcome.VERIFIED, Outcome.HEALED}, 1, set())


@pytest.mark.parametrize("after", [1, 2], ids=["the first reading", "the second reading"])
def test_what_appears_and_is_stored_after_a_reading_has_not_vanished(
    one_store: Store, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    with LaunchDarklySimulator() as vendor:
        moment = vendor.clock.ms() - 20 * HOUR_MS
        dropped = vendor.add(moment)
        looks: list[str] = []
        held = compare.held
        with session_of(vendor, one_store) as session, session_of(vendor, one_store) as another:

            def held_later(*args: object) -> object:
                looks.append("")
                if len(looks) == after:  # it was read, and is about to be compared with the table
                    vendor.add(moment + 1000)
                    monkeypatch.setattr(compare, "held", held)
                    verify(another, method=Method.CONTENTS)
                return held(*args)  # type: ignore[arg-type]

            session.fill()
            vendor.remove(dropped)
            monkeypatch.setattr(compare, "held", held_later)
            _, _, vanished = told(verify(session, method=Method.CONTENTS))
        assert vanished <= {dropped}


def test_a_late_entry_right_beside_what_numbers_are_tried_with_does_not_discredit_them(one_store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        moment = vendor.clock.ms() - 20 * HOUR_MS
        vendor.add(moment)
        with session_of(vendor, one_store) as session:
            session.fill()
            vendor.add(moment - 2)
            outcomes, found, _ = told(verify(session))
        assert Outcome.NOT_VERIFIABLE not in outcomes
        assert found == 1


def test_a_burst_that_cannot_be_divided_neither_discredits_numbers_nor_counts_as_healed(one_store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        moment = vendor.clock.ms() - 20 * HOUR_MS
        vendor.add(moment)
        with session_of(vendor, one_store) as session:
            session.fill()
            vendor.burst(moment, 45, resources=1)
            outcomes, _, _ = told(verify(session))
        assert Outcome.DIFFERS in outcomes
        assert outcomes <= {Outcome.DIFFERS, Outcome.VERIFIED}


@pytest.mark.parametrize("method", list(Method))
def test_an_entry_beyond_the_end_of_what_is_covered_was_not_missing(one_store: Store, method: Method) -> None:
    with ConfigCatSimulator() as vendor, session_of(vendor, one_store) as session:
        session.fill()
        name = next(iter(vendor.truth()))
        until = one_store.coverage("acme", name)[-1].until_ms
        vendor.add(until + 500, organization=name[10:-1])  # in time: it has not settled yet
        assert told(verify(session, method=method)) == ({Outcome.VERIFIED}, 0, set())
