"""One vendor, one source and one database of a random history: what can happen to them, and what is checked then."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy import text

from flagtrail import sync
from flagtrail.connector import Stream
from flagtrail.report import Report, Verification
from flagtrail.schema.whole import TABLES
from flagtrail.source import Source
from flagtrail.status import NOT_READ, status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Reply, Request
from flagtrail.verdicts import Method, Outcome
from flagtrail.verify import verify
from flagtrail.window import Window, from_ms, subtract, to_ms
from tests.properties import oracle
from tests.properties.breaking import Breaking
from tests.properties.oracle import Broken, Held, Verified, held, inside
from tests.properties.vendors import BEGINNING_MS, Frozen, Pick, Vendor

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOTHING = Held({}, {}, {}, set())


class World(RuleBasedStateMachine):
    """What a history is made of, without its rules."""

    def __init__(self, vendor: type[Vendor], url: str, store: Store) -> None:
        super().__init__()
        self.kind, self.url, self.store = vendor, url, store
        self.ever: dict[str, dict[str, int]] = {}  # every entry that could ever be seen, and when it happened
        self.excused: dict[str, set[str]] = {}  # what nobody could have stored in time, until it is stored
        self.edited: dict[tuple[str, str], str] = {}  # the words that the next sync has to see
        self.last = self.step = NOTHING  # as of the last commit, and of the last rule
        self.streams: dict[str, Stream] = {}
        self.meanwhile: dict[int, list[Callable[[], None]]] = {}  # what happens at which request
        self.asked = 0
        self.number = 0
        self.session: Session | None = None
        self.breaking = Breaking(self.check)
        self.vendor: Any = None

    # The beginning and the end.

    def make(self, pick: Pick) -> None:
        """Make a vendor and a source, and start."""
        self.vendor = self.kind(pick)
        self.simulator = self.vendor.simulator
        self.simulator.clock = Frozen()
        self.settle_ms = pick((1_000, 60_000, 15 * 60_000, 90 * 60_000))
        self.days = pick((0.25, 1, 6, 20))
        start: Any = timedelta(days=self.days)
        if pick((False, True)):
            start = from_ms(BEGINNING_MS) - start
        for count in pick(((), (45,), (20, 130), (21, 45, 101))):
            ago = pick(range(10))
            self.vendor.burst(BEGINNING_MS - HOUR_MS - int(self.days * DAY_MS * ago / 10), count, pick(range(100)))
        if pick((False, True)):
            self.vendor.flag_events(BEGINNING_MS - 5 * HOUR_MS, 130, 0)
        self.simulator.fill(pick((0, 30, 90, 90)), self.days * 1.2, seed=1)
        with self.store.engine.begin() as connection:
            for table in TABLES:
                connection.execute(text(f"DELETE FROM {table.__tablename__}"))
        self.simulator.start()
        self.vendor_answers, self.simulator.answer = self.simulator.answer, self.answer
        connector = self.simulator.connector(**self.simulator.settings(), **self.vendor.options)
        settle = timedelta(milliseconds=self.settle_ms)
        self.source = Source("acme", connector, start=start, settle=settle, parallel=pick((1, 2, 4)))
        self.attempts = pick((1, 2, 3))
        note(f"{self.source} of {self.vendor}")
        self.see()

    def teardown(self) -> None:
        """Let everything work again, and find everything stored."""
        if self.vendor is None:
            return
        try:
            if sys.exc_info()[0] is None:
                self.end()
        finally:
            if self.session is not None:
                self.session.__exit__()
            self.simulator.stop()

    def end(self) -> None:
        """Check I8: once it works and has settled, all is stored, or in a gap that cannot be helped, or marked."""
        self.simulator.heal()
        self.simulator.clock.advance(self.settle_ms / 1000 + 7 * 3600)
        self.hide(None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sync, "RETRY_GAP", timedelta(0))
            self.renew()
            self.fill_to_the_end()
        self.check()
        for stream in status(self.store):
            stored = set(self.last.events.get(stream.state.stream, ()))
            for gap in stream.gaps:
                if stream.wanted is None or gap.window.clip(stream.wanted) is None:
                    continue  # it is not wanted any more, so nothing tried it again
                if gap.window.since_ms >= self.now_ms // 1000 * 1000 - self.settle_ms:
                    continue  # a session lets the vendor's clock run on, though it stands still here
                if gap.reason.startswith(NOT_READ) or not self.vendor.may_be_gap(gap.window, gap.reason, stored):
                    raise Broken(f"I8: {stream.state.stream} keeps the gap {gap}")
        for (stream, id), words in self.edited.items():
            ms = self.truth()[stream].get(id)
            if ms is not None and self.last.covers(stream, ms) and words not in self.newest_body(stream, id):
                raise Broken(f"{stream} {id} was edited before it was covered, and the edit is not stored")
        self.verify_to_the_end()

    def fill_to_the_end(self) -> None:
        """Fill without an error, and once more, which finds nothing more."""
        first, report = self.fill(), self.fill()
        gaps = held(self.store).gaps  # each look at a burst that cannot be divided may show others of it
        if (report.new and not gaps) or first.errors or report.errors:
            raise Broken(f"I8: a vendor that works again gives {report.new} more, {first.errors} and {report.errors}")

    def verify_to_the_end(self) -> None:
        """Verify in one way or the other, then by contents, and once more by numbers, which finds nothing more."""
        for method in (Method.COUNTS, Method.CONTENTS, Method.COUNTS)[self.number % 2 :]:
            report = self.verify(None, method)
            if report.errors or report.stopped:
                raise Broken(f"a vendor that works again cannot be verified: {report.errors}")
        for stream, told in report.streams.items():
            surprises = [v for v in told.verdicts if v.found or (v.outcome is Outcome.DIFFERS)]
            if told.vanished or any(not self.vendor.unreadable(stream, v.window) for v in surprises):
                raise Broken(f"what was read again differs by numbers: {surprises} {told.vanished}")

    def newest_body(self, stream: str, id: str) -> str:
        """Return the newest record of an entry; empty when it is not stored."""
        query = text(
            "SELECT body FROM record JOIN event ON event.number = record.number AND event.revision = record.revision"
            " WHERE stream = :stream AND vendor_id = :id"
        )
        with self.store.engine.connect() as connection:
            body = connection.execute(query, {"stream": stream, "id": id}).scalar()
            return self.store.packing.unpack(connection, body).decode() if body else ""

    # What is seen.

    @property
    def now_ms(self) -> int:
        """The vendor's time."""
        return int(self.simulator.clock.ms())

    @property
    def settled_ms(self) -> int:
        """The time before which a sync may have covered everything."""
        return self.now_ms - self.settle_ms

    def truth(self) -> dict[str, dict[str, int]]:
        """Return what can be seen now in the streams that are read."""
        return {name: ids for name, ids in self.simulator.truth().items() if name in self.vendor.streams}

    def see(self) -> None:
        """Remember what can be seen."""
        for stream, ids in self.truth().items():
            self.ever.setdefault(stream, {}).update(ids)

    def excuse(self, before: dict[str, dict[str, int]]) -> None:
        """Let all that can be seen only now be missing until it is stored: it may lie in covered time."""
        for stream, ids in self.truth().items():
            self.excused.setdefault(stream, set()).update(ids.keys() - before[stream].keys())
        self.see()

    def hide(self, days: float | None) -> None:
        """Let the vendor hide what is older than so many days, or show everything again."""
        self.see()
        before = self.truth()
        self.vendor.hide(days)
        self.excuse(before)

    def picked(self, place: int) -> Iterator[tuple[str, str, int]]:
        """Yield one of the entries that can be seen, if there is any; the newer half is likelier."""
        seen = sorted(
            ((ms, stream, id) for stream, ids in self.truth().items() for id, ms in ids.items()), reverse=True
        )
        if seen:
            ms, stream, id = seen[place % (len(seen) if place % 2 else max(1, len(seen) // 2))]
            yield stream, id, ms

    # What is done.

    def renew(self) -> None:
        """Begin a new session."""
        if self.session is not None:
            self.session.__exit__()
        self.session = self.connected(self.store)

    def connected(self, store: Store) -> Session:
        """Return a new session that tries as often as this history wants."""
        session = Session(self.source, store)
        session.api.attempts = self.attempts
        return session

    def fill(self, asked: Window | None = None) -> Report:
        """Fill, and check what a fill promises that no fault disturbed and that tells no error."""
        if self.session is None:
            self.renew()
        assert self.session is not None
        quiet = not self.simulator._injections
        began_ms, before = self.now_ms, self.truth()
        try:
            with self.breaking.watched(self.store):
                report = self.session.fill(asked)
        finally:
            self.meanwhile.clear()
        self.streams |= {name: told.stream for name, told in report.streams.items()}
        if quiet and not report.errors and not report.stopped:
            self.check_whole(asked, began_ms, before)
        return report

    def check_whole(self, asked: Window | None, began_ms: int, before: dict[str, dict[str, int]]) -> None:
        """Check that a fill without an error has read, and claimed, all that was to be had."""
        now, found = self.truth(), held(self.store)
        wanted_since = {state.stream: state.wanted_since for state in self.store.streams()}
        for stream in self.vendor.streams:
            since = wanted_since[stream]
            assert since is not None
            wanted = asked or Window(since, from_ms(began_ms + DAY_MS - 1000))
            gaps = [window for name, window in found.gaps if name == stream]
            for id, ms in before[stream].items():
                missing = id in now[stream] and not found.has(stream, id) and id not in self.excused.get(stream, ())
                if missing and inside(ms, [wanted]) and not inside(ms, gaps):
                    raise Broken(f"a fill without an error left out {id} of {stream} at {ms}")
            settled = wanted.before(from_ms(began_ms // 1000 * 1000 - self.settle_ms))
            if settled and (holes := subtract(settled, [*found.coverage.get(stream, []), *gaps])):
                raise Broken(f"I8: a fill without an error left {stream} open: {holes[0]}")

    def verify(self, asked: Window | None, method: Method) -> Verification:
        """Verify, and check what a verification promises that nothing happened meanwhile at the vendor."""
        if self.session is None:
            self.renew()
        assert self.session is not None
        began, before, truth = from_ms(to_ms(datetime.now(UTC))), held(self.store), self.truth()
        quiet, still = not self.simulator._injections, not self.meanwhile
        report = Verification(self.source.name)
        try:
            with self.breaking.watched(self.store):
                report = verify(self.session, asked, method)
        finally:
            self.meanwhile.clear()
            if still:
                verified = Verified(began, before, held(self.store), truth, self.ever, report)
                verified.check(self.store, self.vendor)
        if still and quiet and not report.errors and not report.stopped:
            verified.check_undisturbed(self.store, self.vendor, method, asked)
        return report

    def at_once(self, acts: Sequence[Callable[[Session], Any]]) -> None:
        """Let several sessions with stores of their own work at the same time."""
        wrong: list[BaseException] = []

        def go(act: Callable[[Session], Any]) -> None:
            try:
                with Store(self.url) as store, self.breaking.watched(store), self.connected(store) as session:
                    act(session)
            except BaseException as error:  # noqa: BLE001 - it is told to the thread that waits
                wrong.append(error)

        threads = [threading.Thread(target=go, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        if any(thread.is_alive() for thread in threads):
            raise Broken("two at once never end")
        self.meanwhile.clear()
        if wrong:
            raise wrong[0]

    # How it is watched.

    def answer(self, request: Request) -> Reply:
        """Answer as the vendor, after what was to happen before it; its Date is of the moment that it shows."""
        with self.simulator.lock:
            turn, self.asked = self.asked, self.asked + 1
            for act in self.meanwhile.pop(turn, []):
                act()
            reply: Reply = self.vendor_answers(request)
            if reply.date and "date" not in reply.headers:
                reply.headers["date"] = format_datetime(from_ms(self.now_ms).replace(microsecond=0), usegmt=True)
            return reply

    def check(self, store: Store | None = None) -> None:
        """Check I1 to I6 against what can be seen now; nothing moves at the vendor meanwhile."""
        with self.simulator.lock:
            found = held(store or self.store)
            for stream in self.excused:
                self.excused[stream] -= found.events.get(stream, {}).keys()
            oracle.check_growth(found, self.last, self.ever)
            oracle.check_claims(found, self.truth(), self.settled_ms, self.excused)
            self.last = found

    def check_all(self) -> None:
        """Check what has to be true between two rules."""
        self.check()
        oracle.check_marks(self.last, self.step, self.truth())
        oracle.check_nothing_is_silent(self.store)
        self.step = self.last
