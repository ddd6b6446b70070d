"""What the vendor drops with time: never claimed, never claimed later, told with exact bounds, and warned of before."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flagtrail.connector import Stream
from flagtrail.daemon import Daemon
from flagtrail.rows import Reading
from flagtrail.source import Source
from flagtrail.status import aging, status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Clock, Reply, Request
from flagtrail.upkeep import verify_due
from flagtrail.window import MILLISECOND, Window, from_ms, iso, merge, subtract
from flagtrail_configcat.simulation.account import TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, rows, told

DAY_MS = 86_400_000
ALWAYS = 100_000
KEPT = timedelta(days=35)
LOG = "audit_log"
STREAM = f"audit_log[{TRAVEL.id}]"


class Still(Clock):
    """A vendor's clock that stands, so many milliseconds after a whole second, until it is moved."""

    def __init__(self, beyond: int = 0) -> None:
        super().__init__()
        self.at = super().ms() // 1000 * 1000 + beyond

    def ms(self) -> int:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += int(seconds * 1000)


@pytest.fixture
def vendor() -> Iterator[ConfigCatSimulator]:
    """ConfigCat, which keeps 35 days and has not begun to forget: its clock stands."""
    with ConfigCatSimulator(retention_days=35) as simulator:
        simulator.clock = Still()
        yield simulator


def source_of(vendor: Any, **more: Any) -> Source:
    connector = vendor.connector(**vendor.settings())
    return Source("acme", connector, **({"start": datetime(2026, 1, 1, tzinfo=UTC), "retention": KEPT} | more))


def sync(vendor: Any, store: Store, **more: Any) -> None:
    """Look twice, as a daemon does, ten seconds apart; a new process each time."""
    for _ in range(2):
        with Session(source_of(vendor, **more), store) as session:
            assert session.fill().errors == []
        vendor.clock.advance(10)


def covered(store: Store, stream: str = STREAM) -> list[Window]:
    return store.coverage("acme", stream)


def lost(store: Store, stream: str = STREAM) -> list[Window]:
    return [gap.window for gap in store.gaps("acme", stream) if gap.permanent]


def kept_since(vendor: ConfigCatSimulator) -> datetime:
    return from_ms(vendor.clock.ms()) - KEPT


def test_nothing_is_read_or_claimed_that_the_vendor_does_not_keep(store: Store, vendor: ConfigCatSimulator) -> None:
    now = vendor.clock.ms()
    since = kept_since(vendor)
    old, kept = (vendor.add(now - days * DAY_MS) for days in (36, 34))
    sync(vendor, store)
    [window] = covered(store)
    assert since <= window.since < since + timedelta(seconds=9)
    assert held(store, "acme") == {STREAM: {str(kept)}}
    [gone] = lost(store)
    assert gone == Window(datetime(2026, 1, 1, tzinfo=UTC), window.since)
    assert gone.since_ms <= now - 36 * DAY_MS < gone.until_ms
    assert str(old) not in held(store, "acme")[STREAM]


@pytest.mark.parametrize("shown", [True, False], ids=["still shown", "dropped"])
def test_what_the_vendor_still_shows_beyond_its_retention_is_not_asked_for(
    store: Store, vendor: ConfigCatSimulator, shown: bool
) -> None:
    vendor.retention_days = None if shown else 35
    vendor.add(vendor.clock.ms() - 40 * DAY_MS)
    since = kept_since(vendor)
    sync(vendor, store)
    starts = [r.query["fromUtcDateTime"] for r in vendor.requests if "fromUtcDateTime" in r.query]
    assert starts
    assert min(map(datetime.fromisoformat, starts)) >= since - timedelta(seconds=5)
    assert len(lost(store)) == 1


def test_nothing_is_claimed_that_was_dropped_within_the_second_of_the_answer(store: Store) -> None:
    with ConfigCatSimulator(retention_days=35) as vendor:
        vendor.clock = Still(950)
        horizon = vendor.clock.ms() - 35 * DAY_MS
        vendor.add(horizon - 200)  # dropped, and never seen
        sync(vendor, store)
        assert held(store, "acme") == {}
        assert covered(store)[0].since_ms >= horizon


def test_what_is_dropped_while_the_rest_is_read_is_not_claimed(store: Store, vendor: ConfigCatSimulator) -> None:
    answered: list[tuple[str, int]] = []

    def slowly(request: Request, answer: Any) -> Reply:
        vendor.clock.advance(50)
        answered.append((request.query["fromUtcDateTime"], vendor.clock.ms() - 35 * DAY_MS))
        reply: Reply = answer()
        return reply

    vendor.inject(slowly, match=f"{TRAVEL.id}/auditlogs?", times=ALWAYS)
    with Session(source_of(vendor, parallel=1), store) as session:
        assert session.fill().errors == []
    oldest = min(since for since, _ in answered)
    horizon = max(horizon for since, horizon in answered if since == oldest)
    [window] = covered(store)
    assert window.since_ms >= horizon


def test_a_source_without_retention_claims_everything(store: Store, vendor: ConfigCatSimulator) -> None:
    vendor.retention_days = None
    sync(vendor, store, retention=None)
    assert covered(store)[0].since == datetime(2026, 1, 1, tzinfo=UTC)
    assert lost(store) == []


@pytest.fixture
def away(store: Store, vendor: ConfigCatSimulator) -> tuple[Window, list[int]]:
    """A daemon that was off for 40 days: what was covered before, and the ids of what happened meanwhile."""
    vendor.add(vendor.clock.ms() - 3 * DAY_MS)
    sync(vendor, store)
    [before] = covered(store)
    vendor.clock.advance(40 * 86_400)
    happened = [vendor.add(vendor.clock.ms() - days * DAY_MS + DAY_MS // 2) for days in range(39, 0, -1)]
    sync(vendor, store)
    return before, happened


def test_a_daemon_that_was_off_for_forty_days_tells_exactly_what_it_lost(
    store: Store, vendor: ConfigCatSimulator, away: tuple[Window, list[int]]
) -> None:
    before, happened = away
    [early, late] = covered(store)
    assert early == before  # what was read stays covered, whatever the vendor drops
    [_, gone] = lost(store)
    assert (gone.since, gone.until) == (before.until, late.since)
    assert abs(gone.until - kept_since(vendor)) < timedelta(seconds=60)
    times = {id_: vendor._logs[TRAVEL.id][id_].ticks // 10_000 for id_ in happened}
    assert {id_ for id_, ms in times.items() if gone.since_ms <= ms < gone.until_ms} == set(happened[:4])
    assert held(store, "acme")[STREAM] >= {str(id_) for id_ in happened[4:]}
    [_, gap] = [gap for gap in store.gaps("acme", STREAM) if gap.permanent]
    assert (gap.reason, gap.stored) == ("the vendor keeps entries for 35d only", 0)


def test_covered_time_and_lost_time_add_up_to_the_millisecond(store: Store, away: tuple[Window, list[int]]) -> None:
    wanted = Window(datetime(2026, 1, 1, tzinfo=UTC), covered(store)[-1].until)
    assert merge([*covered(store), *lost(store)]) == [wanted]
    assert sum((window.length for window in [*covered(store), *lost(store)]), timedelta()) == wanted.length


@pytest.mark.parametrize("retention", [timedelta(days=50), timedelta(days=3650), None], ids=["50d", "10y", "for ever"])
def test_what_is_lost_is_never_claimed_later_even_when_the_vendor_keeps_more(
    store: Store, vendor: ConfigCatSimulator, away: tuple[Window, list[int]], retention: timedelta | None
) -> None:
    gone, claimed = lost(store), covered(store)
    vendor.retention_days = None if retention is None else retention.days
    before = Window(claimed[0].since, claimed[-1].until)
    asked = Window(gone[0].since, gone[-1].until)
    for _ in range(2):
        with Session(source_of(vendor, retention=retention), store) as session:
            assert session.fill().errors == []
            assert session.fill(asked).errors == []
            verify_due(session)
    assert lost(store) == gone
    assert [part for window in covered(store) if (part := window.clip(before))] == claimed
    assert not any(window.clip(hole) for window in covered(store) for hole in gone)
    assert any(one.share < 1.0 for one in status(store))


def test_looking_again_loses_nothing_more(
    store: Store, vendor: ConfigCatSimulator, away: tuple[Window, list[int]], logged: list[Any]
) -> None:
    gone = lost(store)
    sync(vendor, store)
    assert lost(store) == gone
    assert told(logged, "entries_lost") == []


def test_what_is_lost_is_logged(store: Store, vendor: ConfigCatSimulator, logged: list[Any]) -> None:
    sync(vendor, store)
    logged.clear()
    vendor.clock.advance(40 * 86_400)
    sync(vendor, store)
    line = next(line for line in told(logged, "entries_lost") if line["stream"] == STREAM)
    assert line["log_level"] == "warning"
    assert line["window"].startswith(f"[{iso(lost(store)[-1].since)}, ")
    assert "35d" in line["reason"]


def test_coverage_that_was_read_in_time_is_not_lost_with_the_entries(store: Store, vendor: ConfigCatSimulator) -> None:
    sync(vendor, store)
    [before] = covered(store)
    for _ in range(8):
        vendor.clock.advance(10 * 86_400)
        sync(vendor, store)
    [window] = covered(store)
    assert window.since == before.since
    assert window.length > timedelta(days=35 + 79)
    assert lost(store) == [Window(datetime(2026, 1, 1, tzinfo=UTC), before.since)]


def test_an_unreadable_window_that_ages_out_is_lost_under_one_reason(store: Store, vendor: ConfigCatSimulator) -> None:
    sync(vendor, store)
    start = covered(store)[0].until + timedelta(days=1)
    burst = Window(start, start + MILLISECOND)
    vendor.clock.advance(40 * 86_400)
    store.add("acme", "configcat", [Reading(STREAM, [], None, (burst, "a burst", 200))])
    sync(vendor, store)
    gone = lost(store)[-1]
    assert subtract(burst, [gone]) == []
    assert [gap for gap in store.gaps("acme", STREAM) if not gap.permanent] == []
    [stream] = [one for one in status(store) if one.state.stream == STREAM]
    assert [gap.permanent for gap in stream.gaps if gap.window == gone] == [True]


def test_lost_time_is_noted_in_parts_and_kept_as_one(store: Store) -> None:
    day = timedelta(days=1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    store.register("acme", "configcat", Stream(LOG))
    store.add("acme", "configcat", [Reading(LOG, [], Window(start + 4 * day, start + 5 * day))])
    assert store.note_lost("acme", LOG, [Window(start, start + 2 * day)], "old") == [Window(start, start + 2 * day)]
    assert store.note_lost("acme", LOG, [Window(start, start + 6 * day)], "old") == [
        Window(start + 2 * day, start + 4 * day),
        Window(start + 5 * day, start + 6 * day),
    ]
    assert store.note_lost("acme", LOG, [Window(start, start + 6 * day)], "old") == []
    assert lost(store, LOG) == [Window(start, start + 4 * day), Window(start + 5 * day, start + 6 * day)]


def test_launchdarklys_small_plans_lose_in_the_same_way(store: Store) -> None:
    with LaunchDarklySimulator(history_days=30) as vendor:
        vendor.clock = Still()
        now = vendor.clock.ms()
        kept = [vendor.add(now - days * DAY_MS) for days in (40, 31, 29, 1)][2:]
        more = {"retention": timedelta(days=30), "start": timedelta(days=60)}
        connector = vendor.connector(**vendor.settings(), flag_events=False)
        for _ in range(2):
            with Session(Source("acme", connector, **more), store) as session:
                assert session.fill().errors == []
            vendor.clock.advance(10)
        assert held(store, "acme") == {LOG: set(kept)}
        [window], [gone] = covered(store, LOG), lost(store, LOG)
        assert gone.until == window.since >= from_ms(now) - timedelta(days=30)


# Warned of before.


def registered(store: Store, read_days_ago: float, retention: timedelta | None = KEPT) -> None:
    """Make a stream known that is covered up to so many days ago."""
    now = datetime.now(UTC)
    times = {"wanted_since": now - timedelta(days=30), "settled_at": now - timedelta(minutes=15)}
    store.register("acme", "configcat", Stream(LOG), retention=retention, **times)
    window = Window(now - timedelta(days=30), now - timedelta(days=read_days_ago))
    store.add("acme", "configcat", [Reading(LOG, [], window)])


@pytest.mark.parametrize(("days", "soon"), [(0.5, False), (17, False), (18, True), (29, True)])
def test_what_was_not_read_for_half_of_the_time_that_it_is_kept_is_warned_of(
    store: Store, days: float, soon: bool
) -> None:
    registered(store, days)
    [found] = status(store)
    assert found.ages_out_soon is soon
    assert bool(aging(store, "acme")) is soon
    assert found.ages_out_at is not None
    expected = datetime.now(UTC) - timedelta(days=days) + KEPT
    assert abs(found.ages_out_at - expected) < timedelta(seconds=60)


def test_a_vendor_that_keeps_everything_is_never_warned_of(store: Store) -> None:
    registered(store, 29, None)
    [found] = status(store)
    assert (found.ages_out_at, found.ages_out_soon) == (None, False)
    assert aging(store, "acme") == []


def test_what_is_lost_already_is_not_warned_of_any_more(store: Store) -> None:
    now = datetime.now(UTC)
    registered(store, 0.01)
    store.note_lost("acme", LOG, [Window(now - timedelta(days=90), now - timedelta(days=31))], "old")
    [found] = status(store)
    assert [gap for gap in found.gaps if gap.permanent]
    assert not found.ages_out_soon


def test_another_source_is_not_warned_of(store: Store) -> None:
    registered(store, 29)
    assert aging(store, "other") == []


def test_the_daemon_logs_what_ages_out_until_it_is_read(store: Store, logged: list[Any]) -> None:
    with ConfigCatSimulator() as vendor:
        source = source_of(vendor, start=timedelta(days=20))
        vendor.inject(faults.status(404), match=f"{TRAVEL.id}/auditlogs", times=ALWAYS)
        daemon = Daemon([source], store)
        [session] = daemon.sessions
        with session:
            daemon.tick(session)
            daemon.catch_up(session)
            daemon.upkeep(session)
        [warned] = told(logged, "entries_age_out")
        assert (warned["source"], warned["stream"], warned["log_level"]) == ("acme", STREAM, "warning")
        expected = datetime.now(UTC) - timedelta(days=20) + KEPT
        assert abs(datetime.fromisoformat(warned["at"]) - expected) < timedelta(hours=2)
        logged.clear()
        vendor.heal()
        daemon = Daemon([source], store)
        [session] = daemon.sessions
        with session:
            daemon.tick(session)
            daemon.catch_up(session)
            daemon.upkeep(session)
        assert told(logged, "verified")
        assert told(logged, "entries_age_out") == []


def test_a_gap_tells_whether_it_can_still_be_read(store: Store, vendor: ConfigCatSimulator) -> None:
    sync(vendor, store)
    assert [gap.permanent for gap in store.gaps("acme", STREAM)] == [True]
    assert rows(store, "SELECT count(*) FROM gap WHERE permanent") == [(2,)]  # one for each organization
