"""Random histories of a vendor, its failures and ours, against the promises that are kept after every commit.

A `Histories` machine drives real sessions, the real store and the real connectors over real HTTP: it syncs, backfills
and verifies, is stopped, breaks down and begins anew. Its vendor's clock stands still until a rule moves it, so the
oracle is exact (see `oracle`): what is shown late, edited or removed, and what is deleted from the table, is known.

`FLAGTRAIL_HISTORIES=500` runs so many histories of each kind instead of a few. A history that fails is printed as it
was, not made smaller: it has a dozen steps, and threads that may take another turn the next time.
"""

import os
import zlib
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from flagtrail import retries
from flagtrail.errors import StoreError
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.verdicts import Method
from flagtrail.verify import verify
from flagtrail.window import Window, from_ms
from tests.properties.happenings import BEHIND, LOST, MEANWHILE, Happenings
from tests.properties.vendors import ConfigCatVendor, LaunchDarklyVendor, Vendor
from tests.properties.wrong_answers import FAULTS, WRONG_DATE, dated

HISTORIES = int(os.environ.get("FLAGTRAIL_HISTORIES", "2"))
STEPS = 14

SETTINGS = settings(
    max_examples=HISTORIES,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=[Phase.generate],
    verbosity=Verbosity.normal,
    suppress_health_check=list(HealthCheck),
)

ages = st.one_of(
    st.sampled_from([0, 1, 2, 999, 1000, 500_000]), st.integers(0, 10**6)
)  # millionths of the settling time, from now back
counts = st.sampled_from([2, 5, 19, 20, 21, 22, 40, 41, 45, 70, 99, 100, 101, 130])
places = st.integers(0, 10_000)  # picks one of however many there are
turns = st.one_of(st.integers(0, 6), st.integers(0, 40))  # the number of a request, a transaction or a statement
lengths = st.sampled_from([0.0001, 0.02, 0.5, 9])  # of windows, in days
methods = st.sampled_from(list(Method))


def some(what: Sequence[str]) -> Any:
    """Return the strategy for what happens meanwhile, which is often nothing."""
    happening = st.tuples(turns, st.sampled_from(what), ages, places)
    return st.one_of(st.just([]), st.lists(happening, min_size=1, max_size=6))


meanwhile, behind = some(MEANWHILE), some(BEHIND)


class Histories(Happenings):
    """One history of one vendor, whose every commit is checked."""

    @initialize(world=st.binary(min_size=8, max_size=8))
    def begin(self, world: bytes) -> None:
        """Make a vendor and a source, and start; each world is as different from the next as can be."""
        pick = Random(world).choice
        self.make(pick)
        if pick((False, True, True)):
            self.answers_will_mislead(pick(range(60)), pick((1, 3, 30)), pick(range(4)))

    # What the vendor does.

    @rule(what=st.sampled_from(["entry", "entry", "tie", "ahead", "flag events"]), age=ages, place=places)
    def an_entry_is_made(self, what: str, age: int, place: int) -> None:
        """Let something be shown at once."""
        self.happen(what, age, place)

    @rule(age=ages, place=places)
    def an_entry_comes_late(self, age: int, place: int) -> None:
        """Let something be shown when its settling time is over, or earlier."""
        self.happen("late", age, place)

    @rule(age=ages, count=counts, number=places)
    def a_script_runs(self, age: int, count: int, number: int) -> None:
        """Let many entries have one millisecond."""
        with self.simulator.lock:
            self.vendor.burst(self.moment(age), count, number)
            self.see()

    @rule(place=places)
    def an_entry_is_removed(self, place: int) -> None:
        """Let something be shown no longer."""
        self.happen("removal", 0, place)

    @rule(place=places)
    def an_entry_is_edited(self, place: int) -> None:
        """Let something be shown with other words."""
        self.number += 1
        self.edit_one(place, to_be_seen=True)

    @rule(place=places, count=st.sampled_from([1, 1, 3]))
    def entries_come_too_late(self, place: int, count: int) -> None:
        """Let something be shown after the settling time, maybe days later."""
        for number in range(count):
            self.happen("too late", 0, place + 37 * number)

    @rule(days=st.none() | st.sampled_from([0.1, 0.5, 3]))
    def the_old_is_hidden_or_shown(self, days: float | None) -> None:
        """Let the vendor hide what is old, or show it again."""
        self.hide(days)

    @rule(tables=st.sampled_from(LOST), place=places, count=st.sampled_from([1, 1, 2, 12, 1000]))
    def rows_are_lost(self, tables: Sequence[str], place: int, count: int) -> None:
        """Let somebody delete rows of the table."""
        self.lose_rows(tables, place, count)

    @rule(
        seconds=st.sampled_from([0.001, 0.499, 1, 30, 61, 900, 5400, 90_000]),
        settling=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
    )
    def time_passes(self, seconds: float, settling: float) -> None:
        """Move the vendor's clock."""
        self.simulator.clock.advance(seconds + settling * self.settle_ms / 1000)
        self.see()

    @rule(
        name=st.sampled_from([*FAULTS, WRONG_DATE]),
        match=st.sampled_from(["auditlog", "auditlog", "", "flag-events", "pageNumber=2", "counts"]),
        times=st.sampled_from([1, 1, 2, 4]),
        skip=turns,
    )
    def answers_will_be_wrong(self, name: str, match: str, times: int, skip: int) -> None:
        """Let a fault wait for a request."""
        fault = FAULTS.get(name)
        if fault is None:
            # Each is wrong in its own way: two that agree with each other are believed, as they have to be.
            self.number += 1
            moment = from_ms(self.now_ms) + timedelta(days=self.number, seconds=self.number * 500)
            fault, times = dated(moment), 1
        self.simulator.inject(fault, match=match, times=times, skip=skip)

    @rule(number=places, times=st.sampled_from([1, 3, 30]), skip=st.integers(0, 5))
    def answers_will_mislead(self, number: int, times: int, skip: int) -> None:
        """Let answers be well-formed, and wrong in a way that can be noticed."""
        known = self.vendor.faults()
        name = sorted(known)[number % len(known)]
        match = "flag-events" if name == "one event less" else self.vendor.lists
        self.simulator.inject(known[name], match=match, times=times, skip=skip)

    @rule()
    def answers_are_right_again(self) -> None:
        """Forget the faults that wait."""
        self.simulator.heal()

    # What we do.

    @rule(fresh=st.booleans(), happenings=meanwhile)
    def sync(self, fresh: bool, happenings: Sequence[Any]) -> None:
        """Fill every gap, with a new session or that of before."""
        if fresh:
            self.renew()
        self.let(happenings)
        self.fill()

    @rule(since=st.integers(0, 1000), length=st.sampled_from([0.0001, 0.02, 0.5, 9]), happenings=meanwhile)
    def backfill(self, since: int, length: float, happenings: Sequence[Any]) -> None:
        """Fill the gaps of a window that begins anywhere, before the wanted start or ahead too."""
        self.let(happenings)
        self.fill(self.window(since, length))

    @rule(at=turns, happenings=meanwhile)
    def stop_a_sync(self, at: int, happenings: Sequence[Any]) -> None:
        """Stop a sync at some request, as a signal does."""
        self.renew()
        self.let(happenings)
        session = self.session
        assert session is not None
        self.meanwhile.setdefault(self.asked + at, []).append(session.stop)
        self.fill()
        self.renew()

    @rule(
        at=st.integers(0, 5),
        where=st.sampled_from(["before", "inside", "inside", "inside", "commit", "after"]),
        statement=st.integers(0, 8),
        happenings=meanwhile,
    )
    def the_database_fails(self, at: int, where: str, statement: int, happenings: Sequence[Any]) -> None:
        """Let one transaction of a sync fail, and find all of it or nothing; then the sync begins anew."""
        self.renew()
        self.let(happenings)
        self.breaking.transaction = (at, where, statement)
        try:
            self.fill()
        except StoreError as error:
            if "on purpose" not in str(error):
                raise
        finally:
            self.breaking.heal()
            self.renew()

    @rule(windows=st.lists(st.none() | st.integers(0, 1000), min_size=2, max_size=2), happenings=meanwhile)
    def two_syncs_at_once(self, windows: Sequence[int | None], happenings: Sequence[Any]) -> None:
        """Let two sessions with stores of their own read at the same time."""
        self.let(happenings)
        asked = [None if since is None else self.window(since, 9) for since in windows]
        self.at_once([lambda session, window=window: session.fill(window) for window in asked])  # type: ignore[misc]

    # How we verify.

    @rule(method=methods, fresh=st.booleans(), happenings=st.just([]) | behind)
    def verify_everything(self, method: Method, fresh: bool, happenings: Sequence[Any]) -> None:
        """Compare everything that is covered, with a new session or that of before."""
        if fresh:
            self.renew()
        self.let(happenings)
        self.verify(None, method)

    @rule(method=methods, since=st.integers(0, 1000), length=lengths, happenings=st.just([]) | behind)
    def verify_a_window(self, method: Method, since: int, length: float, happenings: Sequence[Any]) -> None:
        """Compare what is covered of a window."""
        self.let(happenings)
        self.verify(self.window(since, length), method)

    @rule(method=methods, at=turns, happenings=behind)
    def stop_a_verification(self, method: Method, at: int, happenings: Sequence[Any]) -> None:
        """Stop a verification at some request, as a signal does."""
        self.renew()
        self.let(happenings)
        session = self.session
        assert session is not None
        self.simulator.inject(lambda request, answer: (session.stop(), answer())[1], skip=at)
        self.verify(None, method)
        self.simulator.heal()
        self.renew()

    @rule(method=methods, statement=st.integers(0, 20) | st.integers(0, 200))
    def the_database_fails_a_verification(self, method: Method, statement: int) -> None:
        """Let one statement of a verification fail, whichever it is; then it begins anew."""
        self.renew()
        self.breaking.statement = statement
        try:
            self.verify(None, method)
        except StoreError as error:
            if "on purpose" not in str(error):
                raise
        finally:
            self.breaking.heal()
            self.renew()

    @rule(method=methods, other=st.none() | methods, happenings=behind)
    def verify_meanwhile(self, method: Method, other: Method | None, happenings: Sequence[Any]) -> None:
        """Verify while another session fills, or verifies too."""
        self.let([each for each in happenings if each[1] != "row lost"])

        def work(session: Session) -> object:
            return session.fill() if other is None else verify(session, None, other)

        self.at_once([work, lambda session: verify(session, None, method)])

    def window(self, since: int, length: float) -> Window:
        """Return a window of so many days."""
        return Window.of_ms(*self.some_window(since, length))

    @invariant()
    def every_promise_is_kept(self) -> None:
        """Check I1 to I6, I9, and that nothing is marked as vanished that is shown."""
        if self.vendor is not None:
            self.check_all()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: how long to wait is tested elsewhere."""
    monkeypatch.setattr(retries, "wait", lambda state: 0.001)


@pytest.mark.parametrize("vendor", [LaunchDarklyVendor, ConfigCatVendor])
def test_no_history_breaks_a_promise(vendor: type[Vendor], store_url: str) -> None:
    with Store(store_url) as store:

        def history() -> Histories:
            return Histories(vendor, store_url, store)

        kind = f"{vendor.__name__} {store.engine.dialect.name}"
        run_state_machine_as_test(seed(zlib.crc32(kind.encode()))(history), settings=SETTINGS)
