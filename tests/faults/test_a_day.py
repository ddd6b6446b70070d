"""A whole day of a busy account, looked at every five minutes: peers that poll such logs lose 2 to 90 % of it."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Clock
from flagtrail.verify import verify
from flagtrail.window import Window, from_ms
from flagtrail_configcat.simulation.account import TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held
from tests.faults.conftest import Oracle

HOUR_MS = 3_600_000
STEP_MS = 300_000  # between two looks
ENTRIES, LATE, TIES = 2300, 0.02, 40
BURSTS = (30, 45, 60)
LATEST_MS = 4 * HOUR_MS


class Still(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self, ms: int) -> None:
        super().__init__()
        self.now_ms = ms

    def ms(self) -> int:
        """Return the time that it was moved to."""
        return self.now_ms


def plan(begin_ms: int, rng: random.Random) -> list[tuple[int, int]]:
    """Return a day of entries as (when it happens, when it is shown), in the order in which they are shown."""
    times = [begin_ms + rng.randrange(24 * HOUR_MS) for _ in range(ENTRIES - sum(BURSTS) - 2 * TIES)]
    for _ in range(TIES):
        times += [rng.choice(times)] * 2
    shown = [(ms, ms + rng.randrange(1000, LATEST_MS) if rng.random() < LATE else ms) for ms in times]
    for count in BURSTS:
        moment = begin_ms + rng.randrange(24 * HOUR_MS)
        shown += [(moment, moment)] * count
    return sorted(shown, key=lambda entry: entry[1])


@pytest.mark.fault("A3", "24 hours, 2,300 entries, 2 % up to 4 h late, ties and bursts, a look every 5 min")
@pytest.mark.parametrize("kind", [LaunchDarklySimulator, ConfigCatSimulator])
def test_a3_a_day_of_a_busy_account(oracle: Oracle, tmp_path: Path, kind: type) -> None:
    with kind() as vendor, Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        begin_ms = vendor.clock.ms() // 1000 * 1000
        vendor.clock = Still(begin_ms)
        waiting = plan(begin_ms, random.Random(24))
        late = sum(shown - happened > STEP_MS for happened, shown in waiting)
        audit_log = kind is LaunchDarklySimulator
        options = {"flag_events": False} if audit_log else {"organizations": [TRAVEL.id]}
        source = Source("acme", vendor.connector(**vendor.settings(), **options), start=from_ms(begin_ms - HOUR_MS))
        found = new = 0
        for now in range(begin_ms + STEP_MS, begin_ms + 24 * HOUR_MS + LATEST_MS + HOUR_MS, STEP_MS):
            vendor.clock.now_ms = now
            while waiting and waiting[0][1] <= now:
                flag = {"resources": f"proj/web:env/production:flag/f{len(waiting)}"} if audit_log else {}
                vendor.add(waiting.pop(0)[0], **flag)
            with Session(source, store) as session:
                new += session.fill().new
                if (now - begin_ms) % HOUR_MS == 0:
                    report = verify(session, Window(from_ms(now) - timedelta(days=1), from_ms(now)))
                    assert report.errors == []
                    found += sum(stream.found for stream in report.streams.values())
                    oracle.check(store, vendor)
        assert late > 30
        assert found > 0  # some were later than the settling time, so that only verification could find them
        assert new + found == len(held(store, "acme").popitem()[1]) >= ENTRIES - 2 * TIES
        oracle.whole(store, vendor)
        oracle.holds([stream.gaps for stream in status(store)] == [[]], "nothing is left open")
