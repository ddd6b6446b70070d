"""What is older than a source's `keep` is deleted, is never told as complete, and is not read again."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from flagtrail import hold
from flagtrail.assistants.trusting import said as confidence
from flagtrail.cli.asking import trust
from flagtrail.completeness import completeness
from flagtrail.question import Query
from flagtrail.recount import miscounted
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.unread import NOT_KEPT, unread
from flagtrail.upkeep import delete_old
from flagtrail.web.page.shell import Reader
from flagtrail.web.page.trust import of_answer
from flagtrail.window import Window
from flagtrail_configcat.simulator import ConfigCatSimulator
from tests.conftest import rows

KEEP = timedelta(days=30)


@pytest.fixture
def vendor() -> Iterator[ConfigCatSimulator]:
    with ConfigCatSimulator() as simulator:
        simulator.fill(200, 60, seed=5)
        yield simulator


def session_of(vendor: ConfigCatSimulator, store: Store, keep: timedelta | None) -> Session:
    connector = vendor.connector(**vendor.settings())
    return Session(Source("acme", connector, start=timedelta(days=90), keep=keep), store)


def older(store: Store, than: datetime) -> int:
    moment = than.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    [(count,)] = rows(store, f"SELECT count(*) FROM event WHERE occurred_at < '{moment}'")
    return int(str(count))


def test_what_is_too_old_is_deleted_told_as_such_and_not_read_again(
    store: Store, vendor: ConfigCatSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["flagtrail.keep"], "BATCH", 30)
    with session_of(vendor, store, None) as session:
        assert session.fill().errors == []
        assert delete_old(session) == 0
        store.gathering.catch_up()
    [(before,)] = rows(store, "SELECT count(*) FROM event")
    with session_of(vendor, store, KEEP) as session:
        assert session.look().errors == []
        horizon = session.source.kept_here_since(session.now())
        assert horizon is not None
        old = older(store, horizon)
        assert old > 60
        hold.begin(store, "case 12")
        assert delete_old(session) is None
        assert older(store, horizon) == old
        hold.end(store, "closed")
        assert delete_old(session) == old
        assert rows(store, "SELECT count(*) FROM event") == [(int(str(before)) - old,)]
        orphans = "(SELECT number FROM event)"
        for table in ("record", "detail"):
            assert rows(store, f"SELECT count(*) FROM {table} WHERE number NOT IN {orphans}") == [(0,)]
        with store.engine.connect() as connection:
            assert not miscounted(connection)

        for stream in status(store):
            assert all(window.since >= horizon for window in stream.covered)
            assert stream.state.kept_since == horizon
        month_before = Query(since=horizon - KEEP, until=horizon)
        told = completeness(store, month_before)
        assert {gap.reason for each in told.streams for gap in each.gaps} == {NOT_KEPT}
        assert (told.is_complete, told.covered_share) == (False, 0.0)
        assert {one.reason for one in unread(store, Window(horizon - KEEP, horizon))} == {NOT_KEPT}
        told = completeness(store, Query())
        assert told.is_trusted, "nothing is missing of what is wanted"
        reader = Reader(UTC, "UTC", None)
        for sentence in (trust(told), of_answer(told, reader).more, confidence(told)):
            assert "was deleted here" in sentence
            assert "nothing was asked for" not in sentence

        assert session.fill(Window(horizon - KEEP, datetime.now(UTC))).errors == []
        assert session.fill().errors == []
        assert (older(store, horizon), delete_old(session)) == (0, 0)
    with session_of(vendor, store, KEEP * 2) as session:  # who keeps more from now on reads what the vendor still has
        assert session.fill().errors == []
        assert older(store, horizon) > 60
    assert [stream.kept_since for stream in status(store)] == [None] * len(status(store)), "it was read again"
    assert completeness(store, Query()).kept_since is None


def test_a_clock_that_is_far_ahead_deletes_nothing(store: Store, vendor: ConfigCatSimulator) -> None:
    with session_of(vendor, store, KEEP) as session:
        assert delete_old(session) == 0, "the vendor has not said yet what time it is"
        assert session.fill().errors == []
        [(before,)] = rows(store, "SELECT count(*) FROM event")
        vendor.clock.advance(400 * 86_400)
        assert session.look() is not None
        delete_old(session)
        assert rows(store, "SELECT count(*) FROM event") == [(before,)]
