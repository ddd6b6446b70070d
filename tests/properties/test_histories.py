"""Random histories of a vendor, its failures and ours, against the promises that a sync keeps after every commit.

A `Histories` machine drives real sessions, the real store and the real connectors over real HTTP. Its vendor's clock
stands still until a rule moves it, so the oracle is exact: whatever can be seen now, and lies in covered time, is
stored. The vendor may show an entry as late as the settling time allows, to the millisecond, and never later.

`FLAGTRAIL_HISTORIES=500` runs so many histories of each kind instead of a few. A history that fails is printed as it
was, not made smaller: it has a dozen steps, and threads that may take another turn the next time.
"""

import os
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import event, text

from flagtrail import api, sync
from flagtrail.errors import StoreError
from flagtrail.schema import COVERAGE, EVENT, GAP, RECORD, TABLES
from flagtrail.source import Source
from flagtrail.status import NOT_READ, status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Clock, Fault, Reply, Request
from flagtrail.window import Window, from_ms, merge, subtract
from flagtrail_configcat.simulation.account import LABS, TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

HISTORIES = int(os.environ.get("FLAGTRAIL_HISTORIES", "12"))
STEPS = 12
BEGINNING_MS = 1_772_366_400_500  # the vendor's clock at first, 2026-03-01T12:00:00.5Z: far from this machine's
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PAGE = 20  # of LaunchDarkly's audit log
ACCESSES = 12  # different actions that a burst may have
ELSEWHERE = "http://127.0.0.1:1/"

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
MEANWHILE = ("entry", "late", "tie", "burst", "flag events", "removal", "second", "minutes")
meanwhile = st.one_of(
    st.just([]), st.lists(st.tuples(turns, st.sampled_from(MEANWHILE), ages, places), min_size=1, max_size=6)
)


Pick = Callable[[Sequence[Any]], Any]
"""Returns one of several values."""


class Broken(AssertionError):
    """A promise that was not kept."""


class Frozen(Clock):
    """A vendor's clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = BEGINNING_MS

    def ms(self) -> int:
        """Return what it shows."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move it forward."""
        self.at += int(seconds * 1000)


class Held(NamedTuple):
    """What the database holds: coverage by stream, ids by stream, digests by revision, noted gaps."""

    coverage: dict[str, list[Window]]
    ids: dict[str, set[str]]
    records: dict[tuple[str, int], bytes]
    gaps: set[tuple[str, Window]]


def held(store: Store) -> Held:
    """Return what a database holds; coverage is read first, because events may only come before it."""
    with store.engine.connect() as connection:
        coverage: dict[str, list[Window]] = {}
        for row in connection.execute(COVERAGE.select().order_by(COVERAGE.c.stream, COVERAGE.c.since)):
            coverage.setdefault(row.stream, []).append(Window(row.since, row.until))
        gaps = {(row.stream, Window(row.since, row.until)) for row in connection.execute(GAP.select())}
        found = connection.execute(EVENT.select().with_only_columns(EVENT.c.stream, EVENT.c.vendor_id)).all()
        bodies = RECORD.select().with_only_columns(RECORD.c.event_id, RECORD.c.revision, RECORD.c.digest)
        records = {(row.event_id, row.revision): row.digest for row in connection.execute(bodies)}
    ids: dict[str, set[str]] = {}
    for stream, vendor_id in found:
        if vendor_id in ids.setdefault(stream, set()):
            raise Broken(f"I2 duplicate: {vendor_id} of {stream}")
        ids[stream].add(vendor_id)
    return Held(coverage, ids, records, gaps)


class LaunchDarklyVendor:
    """LaunchDarkly with switches that are drawn, and what only its simulator can do."""

    lists = "/auditlog?"

    def __init__(self, pick: Pick) -> None:
        flag_events = pick((False, True))
        next_link = pick(["exact", "exact", "always"] + ["never"] * (not flag_events))
        capped = not flag_events and next_link != "never"
        self.simulator = LaunchDarklySimulator(
            bounds=pick(["()", "[)", "(]", "[]"]),
            # A cursor along an order that changes from page to page leads nowhere.
            ties=pick(["descending", "ascending"] + ["unstable"] * (not flag_events)),
            next_link=next_link,
            page_cap=pick([None, None, 7]) if capped else None,
            counts=pick(["offered", "forbidden", "absent"]),
            counts_off_by=pick([0, 0, 3]),
            counts_aligned=pick((False, True)),
            counts_empty_buckets=pick((False, True)),
            insights_bounds=pick(["()", "[)", "(]", "[]"]),
            insights_next=pick(["cursor", "full"]),
            insights_oldest_first=pick((False, True)),
            insights_longest_days=pick([None, 7]),
        )
        self.streams = {"audit_log"} | ({"flag_events[web/production]"} if flag_events else set())
        self.options: dict[str, Any] = {"flag_events": ["web/production"] if flag_events else False}
        self.page = self.simulator.switches.page_cap or PAGE

    def __str__(self) -> str:
        return str(self.simulator.switches)

    def add(self, ms: int, visible_from_ms: int, number: int) -> None:
        """Show one more entry."""
        self.simulator.add(
            ms, visible_from_ms=visible_from_ms, resources=f"proj/web:env/production:flag/f{number % 30}"
        )

    def burst(self, ms: int, count: int, number: int) -> None:
        """Show many entries of one millisecond, about few or many things, in few or many ways."""
        about = (None, 1, 2, 5, max(1, count // 3))[number % 5]
        self.simulator.burst(ms, count, resources=about, actions=(1, 2, 5, ACCESSES)[number // 5 % 4])

    def flag_events(self, ms: int, count: int, visible_from_ms: int) -> None:
        """Show many flag events, a few in each millisecond."""
        for number in range(count):
            at = ms + number // 3 if ms + count < self.simulator.clock.ms() else ms
            self.simulator.add_flag_event(ms=at, visible_from_ms=visible_from_ms)

    def remove(self, stream: str, vendor_id: str) -> None:
        """Show an entry no longer."""
        self.simulator.remove(vendor_id)

    def edit(self, stream: str, vendor_id: str, words: str) -> None:
        """Show an entry with other words in it."""
        self.simulator.edit(vendor_id, comment=words)

    def faults(self) -> dict[str, Fault]:
        """Return what only LaunchDarkly's answers can have wrong with them."""
        return {
            "an empty list": faults.body([]),
            "no links": _changed("_links", None),
            "no items": _changed("items", None),
            "other order": self.oldest_first,
            "an entry twice": faults.edited(_doubled),
            "one event less": faults.edited(_one_event_less),
        }

    def oldest_first(self, request: Request, answer: Callable[[], Reply]) -> Reply:
        """Answer with the oldest entries of the list, oldest first, unless they all have one time."""
        if request.method != "GET" or not request.path.endswith("/auditlog"):
            return answer()
        after, before = int(request.query["after"]), int(request.query["before"])
        times = sorted(ms for ms in self.simulator.truth()["audit_log"].values() if after < ms < before)[:PAGE]
        if not times or times[0] == times[-1]:
            return answer()
        reply: Reply = self.simulator.reply(replace(request, query=request.query | {"before": str(times[-1] + 1)}))
        items = reply.body["items"][::-1]
        return replace(reply, body=reply.body | {"items": items}) if items[0]["date"] < items[-1]["date"] else answer()

    def may_be_gap(self, window: Window, reason: str, stored: set[str]) -> bool:
        """Tell whether a quiet vendor's answers leave a window no other way than a gap."""
        entries = self.simulator.trail.audit_log.entries
        here = [id for id, ms in self.simulator.truth()["audit_log"].items() if window.since_ms <= ms < window.until_ms]
        if window.length > timedelta(milliseconds=1):
            return False
        if "counts more entries" in reason:  # a doubt only: the vendor's counts may mean something else
            return set(here) <= stored
        if len(here) < self.page:  # a link to a next page that is not there looks like a page that is cut short
            return self.simulator.switches.next_link == "always" and set(here) <= stored
        alike = max(Counter(access for id in here for access in set(entries[id].change.accesses)).values())
        return self.simulator.switches.next_link == "always" or alike >= PAGE or alike > self.page


class ConfigCatVendor:
    """ConfigCat with switches that are drawn, and what only its simulator can do."""

    lists = "/auditlogs?"

    def __init__(self, pick: Pick) -> None:
        version = pick(["v2", "v2", "v1"])
        self.simulator = ConfigCatSimulator(
            v1=pick(["array", "redirect", "v2_object"]),
            redirect_status=pick([301, 302, 307, 308]),
            from_inclusive=pick((False, True)),
            to_inclusive=pick((False, True)),
            fractions=pick((False, True)),
            order=pick(["newest", "oldest", "shuffled"]),
            dates=pick(["Z", "offset", "ticks", "trimmed", "naive"]),
        )
        self.version = version
        self.streams = {f"audit_log[{place.id}]" for place in (TRAVEL, LABS)}
        self.options: dict[str, Any] = {"api": version}

    def __str__(self) -> str:
        known = vars(self.simulator).items()
        return str({name: value for name, value in known if isinstance(value, str | bool)} | self.options)

    def add(self, ms: int, visible_from_ms: int, number: int) -> None:
        """Show one more item."""
        self.simulator.add(
            ms, visible_from_ms=visible_from_ms or None, organization=(TRAVEL, TRAVEL, LABS)[number % 3].id
        )

    def burst(self, ms: int, count: int, number: int) -> None:
        """Show many items of one millisecond, or of one or two seconds."""
        spread = (0, 0, 500, 2000)[number % 4]
        self.simulator.burst(ms, count, spread_ms=spread if ms + spread <= self.simulator.clock.ms() else 0)

    def flag_events(self, ms: int, count: int, visible_from_ms: int) -> None:
        """Show as many items at the small organization: this vendor has no flag events."""
        for _ in range(count):
            self.simulator.add(ms, visible_from_ms=visible_from_ms or None, organization=LABS.id)

    def remove(self, stream: str, vendor_id: str) -> None:
        """Show an item no longer."""
        self.simulator.remove(vendor_id, organization=stream[10:-1])

    def edit(self, stream: str, vendor_id: str, words: str) -> None:
        """Show an item with other words in it."""
        self.simulator.edit(vendor_id, organization=stream[10:-1], why=words)

    def faults(self) -> dict[str, Fault]:
        """Return what only ConfigCat's answers can have wrong with them."""
        return {
            "no paging": _changed("paging", None),
            "no data": _changed("data", None),
            "an item twice": faults.edited(_doubled),
            "one item less": faults.edited(_one_item_less),
        }

    def may_be_gap(self, window: Window, reason: str, stored: set[str]) -> bool:
        """Tell whether a quiet vendor's answers leave a window no other way than a gap."""
        return self.version == "v1" and window.length <= timedelta(seconds=1)


Vendor = LaunchDarklyVendor | ConfigCatVendor


def _changed(name: str, value: Any) -> Fault:
    """Answer with something else in one place, where the answer has that place."""
    return faults.edited(lambda body: body | {name: value} if isinstance(body, dict) and name in body else body)


def _doubled(body: Any) -> Any:
    """Show the first item twice in an audit log."""
    for name in ("items", "data"):
        if isinstance(body, dict) and "totalCount" not in body and body.get(name):
            return body | {name: [body[name][0], *body[name]]}
    return body


def _one_event_less(body: Any) -> Any:
    """Leave out one flag event, of as many as before."""
    if isinstance(body, dict) and "totalCount" in body and body.get("items"):
        return body | {"items": body["items"][1:]}
    return body


def _one_item_less(body: Any) -> Any:
    """Leave out one item, of as many as before; a bare list tells no total, so nobody could know."""
    if isinstance(body, dict) and body.get("paging") and body.get("data"):
        return body | {"data": body["data"][1:]}
    return body


def _dated(moment: datetime) -> Fault:
    """Answer with another Date than the vendor's."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        reply.headers["date"] = format_datetime(moment, usegmt=True)
        return reply

    return play


FAULTS: dict[str, Fault] = {
    "500": faults.status(500),
    "503": faults.status(503),
    "429": faults.status(429),
    "429 for no time": faults.status(429, None, {"retry-after": "0"}),
    "401": faults.status(401),
    "403": faults.status(403),
    "404": faults.status(404),
    "a web page": faults.html(),
    "an empty object": faults.body({}),
    "null": faults.body(b"null"),
    "nothing": faults.body(b""),
    "cut off": faults.cut(50),
    "shortened": faults.shortened(60),
    "hung up": faults.reset(),
    "no Date": faults.without_date(),
    "sent away": faults.redirect(ELSEWHERE),
    "sent on": faults.redirect("/elsewhere"),
}
WRONG_DATE = "wrong Date"


class Histories(RuleBasedStateMachine):
    """One history of one vendor, whose every commit is checked."""

    def __init__(self, vendor: type[Vendor], url: str, store: Store) -> None:
        super().__init__()
        self.kind, self.url, self.store = vendor, url, store
        self.ever: dict[str, set[str]] = {}  # every id that could ever be seen
        self.edited: dict[tuple[str, str], str] = {}  # the words that the next sync has to see
        self.last = Held({}, {}, {}, set())
        self.meanwhile: dict[int, list[Callable[[], None]]] = {}  # what happens at which request
        self.asked = 0
        self.number = 0
        self.session: Session | None = None
        self.breaking: tuple[int, str, int] | None = None  # which transaction fails, where, at which statement
        self.inside = False  # of the transaction that fails
        self.vendor: Any = None

    # The beginning and the end.

    @initialize(world=st.binary(min_size=8, max_size=8))
    def begin(self, world: bytes) -> None:
        """Make a vendor and a source, and start; each world is as different from the next as can be."""
        pick = Random(world).choice
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
        if pick((False, True, True)):
            self.answers_will_mislead(pick(range(60)), pick((1, 3, 30)), pick(range(4)))
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
        """Check I8: once it works and has settled, everything is stored or lies in a gap that cannot be helped."""
        self.simulator.heal()
        self.simulator.clock.advance(self.settle_ms / 1000 + 7 * 3600)
        self.see()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sync, "RETRY_GAP", timedelta(0))
            self.renew()
            self.fill_to_the_end()
        self.check()
        for stream in status(self.store):
            stored = self.last.ids.get(stream.state.stream, set())
            for gap in stream.gaps:
                if gap.window.since_ms >= self.now_ms // 1000 * 1000 - self.settle_ms:
                    continue  # a session lets the vendor's clock run on, though it stands still here
                if gap.reason.startswith(NOT_READ) or not self.vendor.may_be_gap(gap.window, gap.reason, stored):
                    raise Broken(f"I8: {stream.state.stream} keeps the gap {gap}")
        for (stream, id), words in self.edited.items():
            ms = self.simulator.truth()[stream].get(id)
            covered = self.last.coverage.get(stream, [])
            if ms is None or not any(window.since_ms <= ms < window.until_ms for window in covered):
                continue
            if words not in self.newest_body(stream, id):
                raise Broken(f"{stream} {id} was edited before it was covered, and the edit is not stored")

    def fill_to_the_end(self) -> None:
        """Fill without an error, and once more, which finds nothing more."""
        first, report = self.fill(), self.fill()
        gaps = held(self.store).gaps  # each look at a burst that cannot be divided may show others of it
        if (report.new and not gaps) or first.errors or report.errors:
            raise Broken(f"I8: a vendor that works again gives {report.new} more, {first.errors} and {report.errors}")

    def newest_body(self, stream: str, id: str) -> str:
        """Return the newest record of an entry; empty when it is not stored."""
        query = text(
            "SELECT body FROM record JOIN event ON id = event_id AND event.revision = record.revision"
            " WHERE stream = :stream AND vendor_id = :id"
        )
        with self.store.engine.connect() as connection:
            return str(connection.execute(query, {"stream": stream, "id": id}).scalar() or "")

    def since_ms(self, stream: str) -> int:
        """Return the start of what is wanted, as the last sync noted it."""
        [state] = [state for state in self.store.streams() if state.stream == stream]
        assert state.wanted_since is not None
        return Window(state.wanted_since, datetime.max.replace(tzinfo=UTC)).since_ms

    # What the vendor does.

    @property
    def now_ms(self) -> int:
        """The vendor's time."""
        return int(self.simulator.clock.ms())

    def moment(self, age: int) -> int:
        """Return a time that no sync can have covered: at most the settling time ago, to the millisecond."""
        return self.now_ms - self.settle_ms * age // 10**6

    def truth(self) -> dict[str, dict[str, int]]:
        """Return what can be seen now in the streams that are read."""
        return {name: ids for name, ids in self.simulator.truth().items() if name in self.vendor.streams}

    def see(self) -> None:
        """Remember what can be seen."""
        for stream, ids in self.truth().items():
            self.ever.setdefault(stream, set()).update(ids)

    def happen(self, what: str, age: int, place: int) -> None:
        """Let one thing happen at the vendor, in the middle of a sync too."""
        self.number += 1
        with self.simulator.lock:
            ms = self.moment(age)
            late = self.now_ms + (ms + self.settle_ms - self.now_ms) * (place % 5) // 4
            acts: dict[str, Callable[[], None]] = {
                "entry": lambda: self.vendor.add(ms, 0, place),
                "tie": lambda: self.vendor.add(self.time_of_another(ms, place), 0, place),
                "late": lambda: self.vendor.add(ms, late, place),
                "ahead": lambda: self.vendor.add(self.now_ms + 1 + place * HOUR_MS // 10_000, 0, place),
                "burst": lambda: self.vendor.burst(ms, (2, 21, 45, 101)[place % 4], place),
                "flag events": lambda: self.vendor.flag_events(ms, (1, 3, 101)[place % 3], 0),
                "removal": lambda: self.remove_one(place),
                "second": lambda: self.simulator.clock.advance(1.0),
                "minutes": lambda: self.simulator.clock.advance(0.0005 * self.settle_ms * (place % 3 + 1)),
            }
            acts[what]()
            self.see()

    def time_of_another(self, ms: int, place: int) -> int:
        """Return the time of an entry that cannot be covered yet, or one that is given when there is none."""
        times = sorted({t for ids in self.truth().values() for t in ids.values() if t >= self.moment(10**6)})
        return times[place % len(times)] if times else ms

    def remove_one(self, place: int) -> None:
        """Let the vendor forget an entry, if there is any."""
        for stream, id, _ in self.picked(place):
            self.vendor.remove(stream, id)

    def picked(self, place: int) -> Iterator[tuple[str, str, int]]:
        """Yield one of the entries that can be seen, if there is any; the newer half is likelier."""
        seen = sorted(
            ((ms, stream, id) for stream, ids in self.truth().items() for id, ms in ids.items()), reverse=True
        )
        if seen:
            ms, stream, id = seen[place % (len(seen) if place % 2 else max(1, len(seen) // 2))]
            yield stream, id, ms

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
        for stream, id, ms in self.picked(place):
            self.number += 1
            words = f"edit {self.number}."
            self.vendor.edit(stream, id, words)
            covered = self.last.coverage.get(stream, [])
            self.edited.pop((stream, id), None)
            if not any(window.since_ms <= ms < window.until_ms for window in covered):
                self.edited[stream, id] = words

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
            fault, times = _dated(moment), 1
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
        self.fill(self.some_window(since, length))

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
        self.breaking = (at, where, statement)
        try:
            self.fill()
        except StoreError as error:
            if "on purpose" not in str(error):
                raise
        finally:
            self.breaking, self.inside = None, False
            self.renew()

    @rule(windows=st.lists(st.none() | st.integers(0, 1000), min_size=2, max_size=2), happenings=meanwhile)
    def two_syncs_at_once(self, windows: Sequence[int | None], happenings: Sequence[Any]) -> None:
        """Let two sessions with stores of their own read at the same time."""
        self.let(happenings)
        wrong: list[BaseException] = []

        def go(since: int | None) -> None:
            try:
                with Store(self.url) as store, self.watched(store), Session(self.source, store) as session:
                    session.api.attempts = self.attempts
                    session.fill(None if since is None else self.some_window(since, 9))
            except BaseException as error:  # noqa: BLE001 - it is told to the thread that waits
                wrong.append(error)

        threads = [threading.Thread(target=go, args=(since,)) for since in windows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        if any(thread.is_alive() for thread in threads):
            raise Broken("two syncs at once never end")
        self.meanwhile.clear()
        if wrong:
            raise wrong[0]

    def some_window(self, since: int, length: float) -> Window:
        """Return a window of so many days, from before the start to a day ahead; often an entry lies at its end."""
        begin = BEGINNING_MS - int(self.days * 1.3 * DAY_MS) + int((self.days * 1.3 + 1) * DAY_MS) * since // 1000
        span = int(length * DAY_MS)
        for _, _, ms in self.picked(since):
            begin = (begin, ms, ms + 1, ms - span, ms + 1 - span)[since % 5]
        return Window.of_ms(begin, begin + span)

    def renew(self) -> None:
        """Begin a new session."""
        if self.session is not None:
            self.session.__exit__()
        self.session = Session(self.source, self.store)
        self.session.api.attempts = self.attempts

    def let(self, happenings: Sequence[tuple[int, str, int, int]]) -> None:
        """Let things happen at later requests."""
        for turn, what, age, place in happenings:
            act = self.meanwhile.setdefault(self.asked + turn, [])
            act.append(lambda what=what, age=age, place=place: self.happen(what, age, place))  # type: ignore[misc]

    def fill(self, asked: Window | None = None) -> Any:
        """Fill, and check what a fill promises that no fault disturbed and that tells no error."""
        if self.session is None:
            self.renew()
        assert self.session is not None
        quiet = not self.simulator._injections
        began_ms, before = self.now_ms, self.truth()
        try:
            with self.watched(self.store):
                report = self.session.fill(asked)
        finally:
            self.meanwhile.clear()
        if quiet and not report.errors and not report.stopped:
            self.check_whole(asked, began_ms, before)
        return report

    def check_whole(self, asked: Window | None, began_ms: int, before: dict[str, dict[str, int]]) -> None:
        """Check that a fill without an error has read, and claimed, all that was to be had."""
        now, held_now = self.truth(), held(self.store)
        for stream in self.vendor.streams:
            wanted = asked or Window.of_ms(self.since_ms(stream), began_ms + DAY_MS - 1000)
            gaps = [window for name, window in held_now.gaps if name == stream]
            for id, ms in before[stream].items():
                missing = id in now[stream] and id not in held_now.ids.get(stream, ())
                inside = wanted.since_ms <= ms < wanted.until_ms
                if missing and inside and not any(gap.since_ms <= ms < gap.until_ms for gap in gaps):
                    raise Broken(f"a fill without an error left out {id} of {stream} at {ms}")
            settled = wanted.before(from_ms(began_ms // 1000 * 1000 - self.settle_ms))
            if settled and (holes := subtract(settled, [*held_now.coverage.get(stream, []), *gaps])):
                raise Broken(f"I8: a fill without an error left {stream} open: {holes[0]}")

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

    @contextmanager
    def watched(self, store: Store) -> Iterator[None]:
        """Check every commit of a store, and let it fail where that was asked for."""
        add = store.add

        def execute(*args: Any) -> None:
            if self.inside and self.breaking is not None:
                at, where, left = self.breaking
                self.breaking = (at, where, left - 1)
                if left <= 0:
                    raise StoreError("inside the transaction, on purpose")

        def commit(*args: Any) -> None:
            if self.inside:
                self.inside = False
                raise StoreError("instead of the commit, on purpose")

        store.add = partial(self.add, store, add)  # type: ignore[method-assign]
        event.listen(store.engine, "before_cursor_execute", execute)
        event.listen(store.engine, "commit", commit)
        try:
            yield
        finally:
            del store.add
            event.remove(store.engine, "before_cursor_execute", execute)
            event.remove(store.engine, "commit", commit)

    def add(self, store: Store, add: Callable[..., Any], *args: Any) -> Any:
        """Store pages as a store does, with a failure where that was asked for, and check the commit."""
        where = self.failing()
        if where == "before":
            raise StoreError("before the transaction, on purpose")
        before = held(store) if where else None
        try:
            added = add(*args)
        except StoreError:
            if before is not None and held(store) != before:
                raise Broken("I10: a transaction that failed has left something") from None
            raise
        finally:
            self.inside = False
        self.check(store)
        if where == "after":
            raise StoreError("after the commit, on purpose")
        return added

    def failing(self) -> str | None:
        """Return where the transaction that begins is to fail; None when it is not."""
        if self.breaking is None:
            return None
        at, where, statement = self.breaking
        self.breaking = (at - 1, where, statement)
        if at != 0:
            return None
        if where in ("inside", "commit"):
            self.breaking = (-1, where, statement if where == "inside" else sys.maxsize)
            self.inside = True
        else:
            self.breaking = None
        return where

    def check(self, store: Store | None = None) -> None:
        """Check I1 to I6 against what can be seen now; nothing moves at the vendor meanwhile."""
        with self.simulator.lock:
            now, truth = self.now_ms, self.truth()
            found = held(store or self.store)
            self.check_ids(found)
            for stream, windows in found.coverage.items():
                if any(later.since <= earlier.until for earlier, later in pairwise(windows)):
                    raise Broken(f"I5: coverage of {stream} is not canonical: {windows}")
                if windows[-1].until_ms > now - self.settle_ms:
                    raise Broken(f"I6: {stream} is claimed up to {windows[-1].until}, {now} less settling is earlier")
                for id, ms in truth[stream].items():
                    claimed = any(window.since_ms <= ms < window.until_ms for window in windows)
                    if claimed and id not in found.ids.get(stream, ()):
                        raise Broken(f"I3: {id} of {stream} at {ms} is not stored, though its time is covered")
            self.last = found

    def check_ids(self, found: Held) -> None:
        """Check that nothing is stored that was never shown (I1), and that nothing has gone (I4)."""
        for stream, ids in found.ids.items():
            if phantoms := ids - self.ever.get(stream, set()):
                raise Broken(f"I1: {stream} holds {sorted(phantoms)[:3]}, which were never shown")
        for stream, ids in self.last.ids.items():
            if gone := ids - found.ids.get(stream, set()):
                raise Broken(f"I4: {stream} has lost {sorted(gone)[:3]}")
        if any(found.records.get(key) != digest for key, digest in self.last.records.items()):
            raise Broken("I4: a record is gone, or another than it was")
        for stream, windows in self.last.coverage.items():
            covered = found.coverage.get(stream, [])
            if any(subtract(window, covered) for window in windows):
                raise Broken(f"I4: coverage of {stream} has shrunk from {windows} to {covered}")

    @invariant()
    def every_promise_is_kept(self) -> None:
        """Check I1 to I6, and I9: what is wanted is covered, or a gap with a reason."""
        if self.vendor is None:
            return
        self.check()
        for stream in status(self.store):
            if stream.wanted is None:
                continue
            told = [*stream.covered, *(gap.window for gap in stream.gaps)]
            if subtract(stream.wanted, told):
                raise Broken(f"I9: {stream.state.stream} is silent about {subtract(stream.wanted, told)}")
            if not all(gap.reason for gap in stream.gaps):
                raise Broken(f"I9: {stream.state.stream} has a gap without a reason")
            if len(merge(told)) > 1 and any(a.until > b.since for a, b in pairwise(sorted(told))) and stream.gaps:
                inside = [gap for gap in stream.gaps if not subtract(gap.window, stream.covered)]
                if inside:
                    raise Broken(f"I9: {stream.state.stream} calls {inside[0]} a gap, which is covered")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: how long to wait is tested elsewhere."""
    monkeypatch.setattr(api, "_wait", lambda state: 0.001)


@pytest.mark.parametrize("vendor", [LaunchDarklyVendor, ConfigCatVendor])
def test_no_history_breaks_a_promise(vendor: type[Vendor], store_url: str) -> None:
    with Store(store_url) as store:

        def history() -> Histories:
            return Histories(vendor, store_url, store)

        kind = f"{vendor.__name__} {store.engine.dialect.name}"
        run_state_machine_as_test(seed(zlib.crc32(kind.encode()))(history), settings=SETTINGS)
