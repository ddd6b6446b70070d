"""Full forms: queued with the event, fetched newest first from what the limits leave over, and never forgotten."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as database_event
from sqlalchemy import text

from flagtrail.details import SLOWEST, Fetched
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Clock
from flagtrail.upkeep import fetch_details
from flagtrail.verdicts import Method
from flagtrail.verify import verify
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.conftest import COMMAND, environment
from tests.conftest import held, rows, shown

DAY_MS = 86_400_000
ALWAYS = 100_000
LOG = "audit_log"
DETAIL = "/api/v2/auditlog/"  # and an id; the counts are asked for by POST
SEGMENT = "proj/web:env/test:segment/staff"
ON = "environments.production.on"


class Still(Clock):
    """A vendor's clock that stands: no limit starts afresh while a test looks."""

    def __init__(self) -> None:
        super().__init__()
        self.at = super().ms() // 600_000 * 600_000 + 300_000

    def ms(self) -> int:
        return self.at


@pytest.fixture
def vendor() -> Iterator[LaunchDarklySimulator]:
    """A vendor where a flag was turned on once a day, twelve times."""
    with LaunchDarklySimulator() as simulator:
        for days in range(1, 13):
            simulator.add(simulator.clock.ms() - days * DAY_MS, verb="turned on the flag")
        yield simulator


def source_of(vendor: LaunchDarklySimulator, *, details: str = "flags", **more: Any) -> Source:
    connector = vendor.connector(**vendor.settings(), flag_events=False, details=details)
    return Source("acme", connector, **({"start": timedelta(days=21)} | more))


def loaded(vendor: LaunchDarklySimulator, store: Store, **more: Any) -> Session:
    """Return a session that has read everything, and tries each request once."""
    session = Session(source_of(vendor, **more), store)
    assert session.fill().errors == []
    session.api.attempts = 1
    return session


def fetched(session: Session, seconds: float = 60.0, **more: Any) -> Fetched:
    return fetch_details(session, seconds, **more)


def asked(vendor: LaunchDarklySimulator) -> list[str]:
    """Return the ids whose full form was asked for, in order."""
    found = [r.path.removeprefix(DETAIL) for r in vendor.requests if r.method == "GET" and r.path.startswith(DETAIL)]
    return [id_ for id_ in found if id_]


def newest_first(vendor: LaunchDarklySimulator) -> list[str]:
    ids = vendor.truth()[LOG]
    return sorted(ids, key=lambda id_: ids[id_], reverse=True)


def states(store: Store) -> Counter[object]:
    return Counter(state for (state,) in rows(store, "SELECT state FROM detail"))


def changes(store: Store) -> dict[str, Any]:
    """Return what is stored of changes, by vendor id."""
    found = rows(store, "SELECT vendor_id, changes FROM event")
    return {str(id_): json.loads(told) if isinstance(told, str) else told for id_, told in found}


def turned_on(store: Store) -> set[str]:
    """Return the vendor ids of events of which it is stored that they turned a flag on."""
    told = {id_: changes_ for id_, changes_ in changes(store).items() if changes_}
    return {id_ for id_, [change] in told.items() if (change["path"], change["after"]) == (ON, True)}


def run(store: Store, statement: str, **values: object) -> None:
    with store.engine.begin() as connection:
        connection.execute(text(statement), values)


def later(store: Store, minutes: float) -> None:
    """Let so much time have passed since every try."""
    with store.engine.begin() as connection:
        from flagtrail.schema import DETAIL as TABLE

        for row in connection.execute(TABLE.select().where(TABLE.c.tried_at.is_not(None))).all():
            mine = TABLE.c.number == row.number
            connection.execute(TABLE.update().where(mine).values(tried_at=row.tried_at - timedelta(minutes=minutes)))


def stop_after(vendor: LaunchDarklySimulator, session: Session, details: int) -> None:
    """Stop a session while the vendor answers with so many full forms."""
    vendor.inject(lambda request, answer: (session.stop(), answer())[1], match=DETAIL, skip=details - 1)


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_an_entry_is_queued_for_its_full_form_together_with_its_event(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    other = vendor.add(vendor.clock.ms() - DAY_MS, resources=SEGMENT)
    with loaded(vendor, store):
        pass
    queued = rows(
        store,
        "SELECT e.vendor_id FROM detail d JOIN event e ON e.number = d.number AND e.source = d.source "
        "AND e.stream = d.stream AND e.occurred_at = d.occurred_at WHERE d.state = 'open' AND d.attempts = 0",
    )
    assert {id_ for (id_,) in queued} == set(vendor.truth()[LOG]) - {other}
    assert status(store)[0].details_open == 12


def test_the_queue_is_written_in_the_transaction_of_the_event(store: Store, vendor: LaunchDarklySimulator) -> None:
    done: list[tuple[int, int]] = []

    def count(connection: Any) -> None:
        events, details = (
            connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() for table in ("event", "detail")
        )
        done.append((events, details))

    database_event.listen(store.engine, "commit", count)
    try:
        with loaded(vendor, store):
            pass
    finally:
        database_event.remove(store.engine, "commit", count)
    assert done[-1] == (12, 12)
    assert all(events == details for events, details in done)


def test_full_forms_are_fetched_newest_first_once_each_and_told_as_changes(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    with loaded(vendor, store, parallel=1) as session:
        assert fetched(session) == Fetched(stored=12)
        assert asked(vendor) == newest_first(vendor)
        assert fetched(session) == Fetched()
        assert len(asked(vendor)) == 12
    assert turned_on(store) == set(vendor.truth()[LOG])
    assert states(store) == {"done": 12}
    [(body,)] = rows(store, "SELECT body FROM detail ORDER BY occurred_at DESC LIMIT 1")
    assert json.loads(str(body))["currentVersion"]["environments"]["production"]["on"] is True
    assert status(store)[0].details_open == 0


def test_many_readers_fetch_everything_once(store: Store, vendor: LaunchDarklySimulator) -> None:
    vendor.fill(60, 10, seed=3)
    with loaded(vendor, store, parallel=8, details="all") as session:
        assert fetched(session) == Fetched(stored=72)
    assert sorted(asked(vendor)) == sorted(vendor.truth()[LOG])


def test_what_is_new_since_then_is_fetched_before_the_rest(store: Store, vendor: LaunchDarklySimulator) -> None:
    with loaded(vendor, store, parallel=1) as session:
        stop_after(vendor, session, 3)
        assert fetched(session).stored == 3
    newest = vendor.add(verb="turned on the flag")
    with loaded(vendor, store, parallel=1) as session:
        before = len(asked(vendor))
        assert fetched(session).stored == 10
    assert asked(vendor)[before:] == [newest, *newest_first(vendor)[4:]]


def test_a_restart_forgets_nothing_and_asks_nothing_twice(store_url: str, vendor: LaunchDarklySimulator) -> None:
    with Store(store_url) as store, loaded(vendor, store, parallel=1) as session:
        stop_after(vendor, session, 4)
        fetched(session)
        stored = states(store)["done"]
        assert 4 <= stored < 12
    with Store(store_url) as store, Session(source_of(vendor), store) as session:
        assert fetched(session).stored == 12 - stored
        assert states(store) == {"done": 12}
    assert set(asked(vendor)) == set(vendor.truth()[LOG])
    assert len(asked(vendor)) <= 13  # the request under way at the end may have been in vain


def test_a_process_that_was_killed_before_it_stored_asks_again(store: Store, vendor: LaunchDarklySimulator) -> None:
    with loaded(vendor, store) as session:
        fetched(session)
        run(store, "UPDATE detail SET state = 'open', body = NULL, tried_at = NULL")
    with Session(source_of(vendor), store) as session:
        assert fetched(session) == Fetched(stored=12)
    assert turned_on(store) == set(vendor.truth()[LOG])


def test_what_the_vendor_does_not_show_is_noted_and_not_asked_for_again(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    missing = newest_first(vendor)[5]
    with loaded(vendor, store) as session:
        vendor.inject(faults.status(404), match=missing, times=ALWAYS)
        assert fetched(session) == Fetched(stored=11, gone=1)
        later(store, 60 * 24 * 30)
        assert fetched(session) == Fetched()
    assert asked(vendor).count(missing) == 1
    assert states(store) == {"done": 11, "gone": 1}
    assert changes(store)[missing] is None
    assert status(store)[0].details_open == 0


def test_a_permission_that_is_missing_for_a_while_gives_nothing_up(store: Store, vendor: LaunchDarklySimulator) -> None:
    with loaded(vendor, store, parallel=1) as session:
        vendor.inject(faults.status(403), match=DETAIL, times=ALWAYS)
        for _ in range(3):
            assert "403" in str(fetched(session).error)
        assert len(asked(vendor)) == 3  # the others would be refused as well
        vendor.heal()
        later(store, 60)
        assert fetched(session).error is None
    assert states(store) == {"done": 12}


def test_a_refused_credential_ends_the_work_and_gives_nothing_up(store: Store, vendor: LaunchDarklySimulator) -> None:
    with loaded(vendor, store, parallel=1) as session:
        vendor.inject(faults.status(401), match=DETAIL, times=ALWAYS, skip=2)
        result = fetched(session)
        assert "401" in str(result.error)
        assert result.gone == 0
        vendor.heal()
        assert fetched(session).error is None
    assert states(store) == {"done": 12}


@pytest.mark.parametrize(
    "garbage",
    [faults.body({"_id": "another"}), faults.body([]), faults.html(), faults.status(400)],
    ids=["another", "list", "html", "400"],
)
def test_an_answer_that_is_not_understood_is_tried_again_later_and_stops_nothing(
    store: Store, vendor: LaunchDarklySimulator, garbage: faults.Fault
) -> None:
    odd = newest_first(vendor)[3]
    with loaded(vendor, store) as session:
        vendor.inject(garbage, match=odd, times=ALWAYS)
        assert fetched(session) == Fetched(stored=11)
        assert rows(store, "SELECT state, attempts FROM detail WHERE attempts > 0") == [("open", 1)]
        assert fetched(session) == Fetched()
        later(store, 19)
        assert fetched(session) == Fetched()
        assert asked(vendor).count(odd) == 1
        later(store, 2)
        assert fetched(session) == Fetched()
        assert rows(store, "SELECT attempts FROM detail WHERE attempts > 0") == [(2,)]
        later(store, 21)
        assert fetched(session) == Fetched()
        assert asked(vendor).count(odd) == 2  # each time it waits longer
        vendor.heal()
        later(store, 21)
        assert fetched(session) == Fetched(stored=1)
    assert odd in turned_on(store)


def test_a_full_form_that_tells_nothing_usable_does_not_say_that_nothing_changed(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    odd, *others = newest_first(vendor)
    with loaded(vendor, store) as session:
        vendor.inject(faults.body({"_id": odd}), match=odd, times=ALWAYS)
        assert fetched(session) == Fetched(stored=12)
    assert changes(store)[odd] is None
    assert turned_on(store) == set(others)
    assert states(store) == {"done": 12}  # it is kept as the vendor shows it


def test_an_answer_that_is_never_understood_is_asked_for_seldom_and_never_given_up(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    odd = newest_first(vendor)[3]
    with loaded(vendor, store) as session:
        vendor.inject(faults.body([]), match=odd, times=ALWAYS)
        for _ in range(SLOWEST):
            fetched(session)
            later(store, 60 * 24)
        count = asked(vendor).count(odd)
        for _ in range(3):
            fetched(session)
            later(store, 60)
        assert asked(vendor).count(odd) == count + 1
        assert status(store)[0].details_open == 1
        vendor.heal()
        later(store, 60 * 24)
        assert fetched(session) == Fetched(stored=1)


@pytest.mark.parametrize("code", [429, 503])
def test_a_vendor_that_wants_a_pause_is_left_alone_until_the_next_time(
    store: Store, vendor: LaunchDarklySimulator, code: int
) -> None:
    with loaded(vendor, store, parallel=2) as session:
        vendor.inject(faults.status(code, headers={"retry-after": "1"}), match=DETAIL, times=ALWAYS, skip=4)
        result = fetched(session)
        assert str(code) in str(result.error)
        assert result.stored <= 4
        assert len(asked(vendor)) <= 4 + 2
        assert states(store) == {"done": result.stored, "open": 12 - result.stored}


def test_what_was_not_asked_for_because_of_an_error_is_not_tried_in_vain(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    with loaded(vendor, store, parallel=1) as session:
        vendor.inject(faults.status(503), match=DETAIL)
        assert "503" in str(fetched(session).error)
        assert rows(store, "SELECT number FROM detail WHERE attempts > 0") == []
        assert fetched(session) == Fetched(stored=12)


def test_it_ends_when_its_time_is_over(store: Store, vendor: LaunchDarklySimulator) -> None:
    vendor.fill(60, 10, seed=3)
    with loaded(vendor, store, details="all") as session:
        vendor.latency = 0.01
        assert fetched(session, seconds=0.0).stored <= 40  # one batch of them
        assert states(store)["open"] >= 32


def test_it_ends_soon_when_it_is_told_to_and_keeps_what_came(store: Store, vendor: LaunchDarklySimulator) -> None:
    vendor.fill(60, 10, seed=3)
    with loaded(vendor, store, details="all", parallel=4) as session:
        vendor.inject(faults.hang(0.5), match=DETAIL, times=ALWAYS, skip=8)
        worker = threading.Thread(target=fetched, args=(session,))
        worker.start()
        until(lambda: len(asked(vendor)) >= 8)
        session.stop()
        worker.join(20)
        assert not worker.is_alive()
        assert len(asked(vendor)) <= 8 + 2 * 4
        assert states(store)["done"] >= 8
        assert states(store)["done"] + states(store)["open"] == 72


def waiting(session: Session) -> bool:
    """Return whether somebody waits for a limit to start afresh."""
    return bool(session.api._limiter._changed._waiters)  # type: ignore[attr-defined]


def test_the_listing_goes_on_at_once_while_full_forms_wait_for_the_limit(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    vendor.clock = Still()
    vendor.fill(60, 10, seed=3)
    vendor.switches.quotas = {"global": (50, 600_000)}
    with loaded(vendor, store, details="all", parallel=1) as session:
        worker = threading.Thread(target=fetched, args=(session,))
        worker.start()
        until(lambda: waiting(session))
        used = len(vendor.requests)
        assert used <= 25  # half of the limit is left to what is more urgent
        assert asked(vendor), "nothing was fetched at all"
        started = time.monotonic()
        for _ in range(3):
            new = vendor.add()
            assert session.fill().new == 1
            assert new in held(store, "acme")[LOG]
        assert time.monotonic() - started < 15  # the limit starts afresh much later
        assert len(asked(vendor)) < 25
        session.stop()
        worker.join(20)
        assert not worker.is_alive()
    assert {request.status for request in vendor.requests} == {200}


def test_listing_and_full_forms_together_never_ask_too_much(store: Store, vendor: LaunchDarklySimulator) -> None:
    vendor.switches.quotas = {"global": (30, 400), "route": (14, 400)}
    with loaded(vendor, store) as session:
        worker = threading.Thread(target=fetched, args=(session,))
        worker.start()
        for _ in range(8):
            vendor.add(verb="turned on the flag")
            assert session.fill().errors == []
        worker.join(60)
        assert fetched(session).error is None
    assert states(store) == {"done": 20}
    assert {request.status for request in vendor.requests} == {200}
    assert held(store, "acme") == {LOG: shown(vendor)[LOG]}


@pytest.mark.parametrize("ended", ["done", "gone", "tried"])
def test_other_content_opens_it_again_and_keeps_the_changes_until_then(
    store: Store, vendor: LaunchDarklySimulator, ended: str
) -> None:
    edited = newest_first(vendor)[2]
    with loaded(vendor, store) as session:
        fetched(session)
        if ended == "tried":
            run(store, "UPDATE detail SET state = 'open', attempts = 6")
        else:
            run(store, "UPDATE detail SET state = :state", state=ended)
        vendor.edit(edited, comment="said later")
        assert verify(session, method=Method.CONTENTS).streams[LOG].changed == 1
        assert rows(store, "SELECT vendor_id, revision FROM event WHERE comment = 'said later'") == [(edited, 2)]
        assert edited in turned_on(store)
        open_ = "SELECT e.vendor_id FROM detail d JOIN event e ON e.number = d.number WHERE d.state = 'open' "
        assert rows(store, open_ + "AND d.attempts = 0") == [(edited,)]
        assert fetched(session) == Fetched(stored=1)
    assert asked(vendor)[12:] == [edited]
    [(body,)] = rows(store, "SELECT body FROM detail d JOIN event e ON e.number = d.number WHERE e.revision = 2")
    assert json.loads(str(body))["comment"] == "said later"


def test_reading_the_same_again_opens_nothing(store: Store, vendor: LaunchDarklySimulator) -> None:
    with loaded(vendor, store) as session:
        fetched(session)
        verify(session, method=Method.CONTENTS)
        assert fetched(session) == Fetched()
    assert states(store) == {"done": 12}
    assert turned_on(store) == set(vendor.truth()[LOG])


def test_an_event_that_was_deleted_behind_our_back_gets_its_changes_again(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    with loaded(vendor, store) as session:
        fetched(session)
        run(store, "DELETE FROM event")
        assert verify(session).streams[LOG].found == 12
        assert fetched(session) == Fetched(stored=12)
    assert turned_on(store) == set(vendor.truth()[LOG])


def test_off_later_asks_for_nothing_drops_the_queue_and_keeps_what_there_is(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    vendor.fill(60, 10, seed=3)
    with loaded(vendor, store, details="all", parallel=1) as session:
        stop_after(vendor, session, 5)
        assert fetched(session).stored == 5
    before = len(asked(vendor))
    with Session(source_of(vendor, details="off"), store) as session:
        assert fetched(session) == Fetched()
        vendor.add()
        session.fill()
        assert fetched(session) == Fetched()
    assert len(asked(vendor)) == before
    assert states(store) == {"done": 5}
    assert sum(told is not None for told in changes(store).values()) > 0


def test_fewer_wanted_later_drops_only_what_is_not_wanted(store: Store, vendor: LaunchDarklySimulator) -> None:
    segment = vendor.add(resources=SEGMENT)
    with loaded(vendor, store, details="all"):
        assert states(store) == {"open": 13}
    with Session(source_of(vendor), store) as session:
        assert fetched(session) == Fetched(stored=12)
    assert segment not in asked(vendor)
    assert states(store) == {"done": 12}


def test_more_wanted_later_is_queued_when_the_entries_are_read_again(
    store: Store, vendor: LaunchDarklySimulator
) -> None:
    segment = vendor.add(vendor.clock.ms() - DAY_MS, resources=SEGMENT)
    with loaded(vendor, store) as session:
        fetched(session)
    with Session(source_of(vendor, details="all"), store) as session:
        verify(session, method=Method.CONTENTS)
        assert fetched(session) == Fetched(stored=1)
    assert asked(vendor)[12:] == [segment]


def test_sources_fetch_their_own_only(store: Store, vendor: LaunchDarklySimulator) -> None:
    with loaded(vendor, store), LaunchDarklySimulator() as other:
        other.add(verb="turned on the flag")
        connector = other.connector(**other.settings(), flag_events=False)
        with Session(Source("other", connector, start=timedelta(days=2)), store) as session:
            session.fill()
            assert fetched(session) == Fetched(stored=1)
    assert states(store) == {"open": 12, "done": 1}


def test_a_filtered_log_has_its_full_forms_too(store: Store, vendor: LaunchDarklySimulator) -> None:
    connector = vendor.connector(**vendor.settings(), only=["proj/web:env/*:flag/*"])
    with Session(Source("acme", connector, start=timedelta(days=21)), store) as session:
        assert session.fill().errors == []
        assert states(store) == {"open": 12}
        assert fetched(session) == Fetched(stored=12)
    assert turned_on(store) == set(vendor.truth()[LOG])


def test_status_tells_what_waits_in_a_filtered_log(store: Store, vendor: LaunchDarklySimulator) -> None:
    connector = vendor.connector(**vendor.settings(), only=["proj/web:env/*:flag/*"])
    with Session(Source("acme", connector, start=timedelta(days=21)), store) as session:
        assert session.fill().errors == []
    assert status(store)[0].details_open == 12


def test_a_failing_vendor_is_told_and_never_raised(store: Store, vendor: LaunchDarklySimulator) -> None:
    with Session(source_of(vendor), store) as session:
        session.api.attempts = 1
        vendor.inject(faults.status(503), times=ALWAYS)
        assert "503" in str(fetched(session).error)


# As a person uses it.


def flagtrail(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_sync_with_details_fetches_everything_and_show_prints_the_changes(
    tmp_path: Path, vendor: LaunchDarklySimulator
) -> None:
    write_config(tmp_path, {"acme": vendor}, "sqlite:///trail.db", start="21d", flag_events=False)
    assert flagtrail(tmp_path, "sync").returncode == 0
    assert asked(vendor) == []
    assert "12 entries wait for the full form" in flagtrail(tmp_path, "status").stdout
    synced = flagtrail(tmp_path, "sync", "--details")
    assert (synced.returncode, synced.stderr) == (0, "")
    assert sorted(asked(vendor)) == sorted(vendor.truth()[LOG])
    assert "wait" not in flagtrail(tmp_path, "status").stdout
    [newest] = json.loads(flagtrail(tmp_path, "events", "-n", "1", "-o", "json").stdout)
    assert newest["changes"] == [{"path": ON, "before": False, "after": True}]
    shown_ = flagtrail(tmp_path, "show", newest["id"]).stdout
    assert "environments.production.on: false → true" in shown_


def refusing(folder: Path, vendor: LaunchDarklySimulator) -> "subprocess.CompletedProcess[str]":
    """Return what came of fetching full forms that the vendor refuses, after a sync that went well."""
    write_config(folder, {"acme": vendor}, "sqlite:///trail.db", start="21d", flag_events=False)
    assert flagtrail(folder, "sync").returncode == 0
    vendor.inject(faults.status(401), match=DETAIL, times=ALWAYS)
    return flagtrail(folder, "sync", "--details")


def test_sync_with_details_says_what_went_wrong(tmp_path: Path, vendor: LaunchDarklySimulator) -> None:
    [line] = refusing(tmp_path, vendor).stderr.splitlines()
    assert line.startswith("error: acme: ")
    assert "401" in line


def test_sync_with_details_that_failed_is_no_success(tmp_path: Path, vendor: LaunchDarklySimulator) -> None:
    assert refusing(tmp_path, vendor).returncode == 1
