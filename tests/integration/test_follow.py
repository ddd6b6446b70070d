"""Following the trail: each event once and none left out, also when somebody takes a number and commits much later."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from flagtrail.bulk import insert_all, take_numbers
from flagtrail.database import enter, writing
from flagtrail.event import Event, Ref
from flagtrail.follow import AT_ONCE, follow, number_of, position_of, start
from flagtrail.query import Query
from flagtrail.rows import Reading, prepared
from flagtrail.schema import EVENT
from flagtrail.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = 0.02  # seconds between two looks


def made(*ids: str, **values: Any) -> Reading:
    events = [Event(vendor_id=id, occurred_at=NOON, action="updated", vendor_action="update", **values) for id in ids]
    return Reading("audit_log", [(event, {"id": event.vendor_id, **values}) for event in events])


def add(store: Store, *ids: str, source: str = "acme", **values: Any) -> None:
    store.add(source, "launchdarkly", [made(*ids, **values)])


class Follower:
    """Follows in a thread of its own, and keeps what it was given."""

    def __init__(self, store: Store, query: Query | None = None, after: str | None = None) -> None:
        self.stop, self.ids, self.position, self.looks = threading.Event(), list[str](), after, 0
        self.thread = threading.Thread(target=self._run, args=(store, query or Query(), after), daemon=True)
        self.thread.start()

    def _run(self, store: Store, query: Query, after: str | None) -> None:
        for row in follow(store, query, after, self.stop, SOON):
            if row is None:
                self.looks += 1
            else:
                self.ids.append(row["vendor_id"])
                self.position = position_of(row)

    def looked(self, more: int = 3) -> list[str]:
        """Return what was given after some more looks."""
        until = self.looks + more
        wait_for(lambda: self.looks >= until)
        return self.ids

    def end(self) -> list[str]:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.ids


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def test_events_are_shown_as_they_are_stored_each_once_and_can_be_resumed(store: Store) -> None:
    add(store, "before")
    follower = Follower(store)
    assert follower.looked() == []
    add(store, "b", "a")
    add(store, "c")
    add(store, "c", comment="changed")  # a changed event is not shown again
    assert follower.looked() == ["a", "b", "c"]
    assert follower.end() == ["a", "b", "c"]
    add(store, "d")
    resumed = Follower(store, after=follower.position)
    assert resumed.looked() == ["d"]
    resumed.end()


def test_a_question_is_met_and_an_old_change_that_is_read_late_is_shown(store: Store) -> None:
    beginning = start(store)
    add(store, "other", source="else")
    add(store, "entry", project="web", actor_name="Ada", summary="turned on checkout")
    of_entry = Ref("audit_log", "entry")
    effect = Event(vendor_id="effect", occurred_at=NOON, action="x", vendor_action="x", related_event=of_entry)
    store.add("acme", "launchdarkly", [Reading("flag_events", [(effect, {"id": "effect"})])])
    for query, ids in (
        (Query(), ["other", "entry"]),
        (Query(linked=True), ["other", "entry", "effect"]),
        (Query(source="acme", actor="ada", text="check", limit=1), ["entry"]),
        (Query(since=NOON + timedelta(hours=1)), []),
    ):
        follower = Follower(store, query, beginning)
        assert follower.looked() == ids
        follower.end()


def test_many_events_come_in_several_transactions(store: Store) -> None:
    beginning = start(store)
    ids = [f"{number:04}" for number in range(2 * AT_ONCE + 3)]
    add(store, *reversed(ids))
    found = [row["vendor_id"] for row in islice(follow(store, Query(), beginning), len(ids)) if row]
    assert found == ids


@pytest.mark.parametrize("position", ["", "x", "MTIzLjQ", "é"])
def test_what_is_no_position_is_refused(position: str, tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store, pytest.raises(ValueError, match="is no position"):
        next(follow(store, Query(), position))


def test_a_position_of_another_database_is_refused(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'full.db'}") as full, Store(f"sqlite:///{tmp_path / 'empty.db'}") as empty:
        add(full, "a")
        position = start(full)
        assert number_of(str(position)) == 1
        with pytest.raises(ValueError, match="another database"):
            next(follow(empty, Query(), position))


@pytest.fixture(scope="module")
def server(postgres: Callable[[], str]) -> Iterator[Store]:
    with Store(postgres()) as opened:
        yield opened


class Held:
    """A writer that has taken its numbers, as `Writing` does, and does not commit until it is let."""

    def __init__(self, store: Store, *ids: str) -> None:
        self.store, self.ids = store, ids
        self.taken, self.commit, self.fails = threading.Event(), threading.Event(), False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.taken.wait(10)

    def _run(self) -> None:
        rows = prepared("held", "launchdarkly", made(*self.ids)).rows
        with writing(self.store.engine) as connection:
            enter(connection)
            extra = {"first_seen_at": NOON, "vanished_at": None, "vanished_reason": None, "revision": 1}
            numbers = take_numbers(connection, EVENT, len(rows))
            insert_all(
                connection, EVENT, [r.values | extra | {"number": n} for r, n in zip(rows, numbers, strict=True)]
            )
            self.taken.set()
            self.commit.wait(20)
            if self.fails:
                connection.rollback()

    def end(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.commit.set()
        self.thread.join(10)


@pytest.mark.parametrize("fails", [False, True])
def test_a_lower_number_that_is_committed_later_is_not_skipped(server: Store, fails: bool) -> None:
    follower = Follower(server)
    follower.looked()
    first, name = Held(server, f"low {fails}"), f"high {fails}"
    second = Held(server, f"middle {fails}")
    add(server, name)
    with server.engine.connect() as connection:
        seen = connection.execute(text("SELECT count(*) FROM event WHERE vendor_id = :id"), {"id": name}).scalar()
    assert seen == 1, "it is stored, and anybody can see it"
    assert follower.looked(5) == [], "but what was numbered before it is not there yet"
    second.end()
    assert follower.looked(5) == []
    first.end(fails=fails)
    low = [] if fails else [f"low {fails}"]
    wait_for(lambda: follower.ids == [*low, f"middle {fails}", name])
    assert follower.end() == [*low, f"middle {fails}", name]


def test_nobody_who_stores_waits_for_a_follower_and_writers_without_a_pause_hold_nothing_back(server: Store) -> None:
    follower = Follower(server)
    follower.looked()
    before = Held(server, "first of a chain")
    wanted = ["first of a chain"]
    for number in range(5):  # there is always one that stores
        after = Held(server, f"chain {number}")
        before.end()
        wanted.append(f"chain {number}")
        wait_for(lambda: len(follower.looked()) >= number)  # noqa: B023 - it is one transaction behind, not all of them
        before = after
    before.end()
    follower.looked()
    assert follower.end() == wanted


def test_a_start_waits_for_those_who_are_storing(server: Store) -> None:
    held = Held(server, "under way")
    add(server, "stored after it")
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert start(server, stop, SOON) is None
    follower = Follower(server)
    time.sleep(0.1)
    held.end()
    follower.looked()
    add(server, "new")
    wait_for(lambda: follower.ids == ["new"])
    follower.end()


def test_random_writers_at_once_and_several_followers(store_url: str) -> None:
    """Many writers, each with a store as a process of its own would have, and followers that come and go."""
    with Store(store_url) as store:
        beginning = str(start(store))
        whole = Follower(store, after=beginning)

        def write(writer: int) -> None:
            with Store(store_url) as own:
                for number in range(12):
                    add(own, *(f"{writer} {number} {each}" for each in range(writer + 1)), source=f"s{writer}")

        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
        for writer in writers:
            writer.start()
        pieces: list[str] = []
        position: str | None = beginning
        while any(writer.is_alive() for writer in writers):
            piece = Follower(store, after=position)
            piece.looked(2)
            pieces += piece.end()
            position = piece.position
        last = Follower(store, after=position)
        last.looked()
        pieces += last.end()
        whole.looked()
        wanted = sorted(f"{w} {n} {each}" for w in range(4) for n in range(12) for each in range(w + 1))
        assert sorted(whole.end()) == wanted
        assert sorted(pieces) == wanted
