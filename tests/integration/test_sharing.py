"""What workers share in PostgreSQL: the queue, what is known of streams, and what they take of a vendor's limits."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from sqlalchemy import text

from flagtrail.daemon import Daemon
from flagtrail.discovery import Known
from flagtrail.limit import Told
from flagtrail.operating import EngineSettings
from flagtrail.pulse import Pulse
from flagtrail.reach import Reach
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.turns import Turns
from flagtrail.workers.crew import Crew
from flagtrail.workers.ledger import PROBING, SharedLedger
from flagtrail.workers.queue import Priority, Queue
from flagtrail.workers.shelf import Behind, Listing, Shelf
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, shown, told
from tests.faults.running import ALWAYS, is_whole, source_of, wait_until
from tests.integration.test_operating import running

SETTINGS = EngineSettings(kind="procrastinate", concurrency=4, stalled=timedelta(seconds=2))
QUICK = timedelta(seconds=1)


@pytest.fixture
def store(postgres: Callable[[], str]) -> Iterator[Store]:
    with Store(postgres()) as opened:
        yield opened


@pytest.fixture
def shelf(store: Store) -> Shelf:
    made = Shelf(store)
    with made.alone():
        return made


@pytest.fixture
def vendor() -> Iterator[LaunchDarklySimulator]:
    with LaunchDarklySimulator() as simulator:
        simulator.fill(100, 20, seed=1, flag_events=30)
        yield simulator


def jobs(store: Store) -> list[Any]:
    with store.engine.connect() as connection:
        query = f"SELECT id, task_name, status, queueing_lock FROM {Shelf(store).schema}.procrastinate_jobs"
        return list(connection.execute(text(query)))


def engine(sources: Any, turns: Turns) -> Crew:
    return Crew(sources, turns, SETTINGS)


@contextmanager
def begun(store: Store, source: Source) -> Iterator[Crew]:
    """Give a worker that takes no jobs by itself."""
    crew = Crew([source], Turns(store, Pulse()), SETTINGS)
    crew.queue.open()
    try:
        yield crew
    finally:
        crew.queue.close()
        for session in crew.everybody:
            session.__exit__(None, None, None)


def test_many_may_begin_at_once_and_a_job_waits_once(store: Store) -> None:
    queues = [Queue(Shelf(store)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Queue.open, queues))
    name = "x" * 64  # PostgreSQL takes shorter names of channels only
    put = [queue.put("read", name, Priority.NEWEST, lock="a", once="a", stream="s") for queue in queues]
    assert sorted(put) == [False, False, False, True]
    assert len(jobs(store)) == 1
    for queue in queues:
        queue.close()


def test_a_worker_reads_takes_over_other_sources_and_ends(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any]
) -> None:
    source = source_of(vendor, every=QUICK)
    daemon = Daemon([source], store, engine=engine)
    with running(daemon):
        wait_until(lambda: is_whole(store, vendor), "all is read")
        vendor.add(resources="proj/web:env/production:flag/new")
        assert daemon.look_at("acme") is not None
        wait_until(lambda: is_whole(store, vendor), "what is new is read")
        daemon.told.put([source, replace(source, name="other")])
        wait_until(lambda: is_whole(store, vendor, source="other"), "the new source is read too")
    assert told(logged, "config_reloaded")[0]["added"] == ["other"]
    assert told(logged, "daemon_stopped")[0]["clean"]
    assert not [line for line in logged if line["event"].endswith(("_failed", "_crashed"))]
    assert all(job.status == "todo" for job in jobs(store)), "what was under way has ended or was put back"


def test_what_is_known_of_a_source_is_read_while_one_of_its_lists_is_refused(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any]
) -> None:
    others = shown(vendor)
    vendor.add_project("big", environments=[f"env-{number}" for number in range(25)])  # has a list of its own
    vendor.add_flag_event(project="big", environment="env-24")
    vendor.inject(faults.status(403), match="/projects/big/environments", times=ALWAYS)
    with running(Daemon([source_of(vendor, every=QUICK)], store, engine=engine)):
        wait_until(lambda: held(store, "acme") == others, "the others are read")
        [state] = store.sources()
        assert "not all streams are known" in str(state.error)
        vendor.heal()
        Listing(Shelf(store), "acme").keep(Known(), 0.0)
        wait_until(lambda: is_whole(store, vendor), "it is known and read by now")


def test_what_is_covered_is_not_read_again(store: Store, vendor: LaunchDarklySimulator) -> None:
    with begun(store, source_of(vendor, verify=False)) as crew:
        [session] = crew.sessions
        wanted = session.wanted(Reach.OLD)[0]
        windows = [[wanted.window.since_ms, wanted.window.until_ms, None]]
        assert crew.jobs.read("acme", wanted.stream.name, "old", windows)
        asked = len(vendor.requests)
        assert session.unread(wanted) == []
        assert crew.jobs.read("acme", wanted.stream.name, "old", windows)
        assert len(vendor.requests) == asked
        assert crew.jobs.read("nobody", "audit_log", "new", windows), "a job of a source that is gone is none"


def test_what_is_too_much_at_once_goes_back_into_the_queue(
    store: Store, vendor: LaunchDarklySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagtrail.workers.jobs.MOST", 5)
    with begun(store, source_of(vendor, verify=False, start=timedelta(days=30))) as crew:
        wanted = crew.sessions[0].wanted(Reach.OLD)[0]
        vendor.fill(1000, 20, seed=2, flag_events=0)
        crew.jobs.read("acme", "audit_log", "old", [[wanted.window.since_ms, wanted.window.until_ms, None]])
        assert [job.queueing_lock for job in jobs(store)] == ["old acme/audit_log"]
        [gap] = crew.sessions[0].unread(wanted)
        assert gap.since == wanted.window.since
        assert gap.until < wanted.window.until, "the newest is read first"


def test_the_jobs_of_a_dead_worker_are_done_by_others(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any]
) -> None:
    with begun(store, source_of(vendor)) as crew:
        assert crew.jobs.plan("acme")
        schema = crew.shelf.schema
        with crew.shelf.connect() as connection:  # as if somebody had begun everything, and died a while ago
            connection.execute(text(f"SET search_path = {schema}"))
            dead = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '3 s') RETURNING id"
            worker = connection.execute(text(dead)).scalar()
            taken = "UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE task_name = 'read' AND "
            connection.execute(text(taken + "queueing_lock LIKE 'old%'"), {"worker": worker})
            connection.execute(text("RESET search_path"))
    daemon = Daemon([replace(source_of(vendor), every=timedelta(days=1))], store, engine=engine)
    with running(daemon):
        wait_until(lambda: is_whole(store, vendor), "all is read")
    assert {line["task"] for line in told(logged, "job_recovered")} == {"read"}


def test_what_one_knows_of_the_streams_all_know(shelf: Shelf, store: Store, vendor: LaunchDarklySimulator) -> None:
    source = source_of(vendor)
    with ExitStack() as opened:
        one, two = (opened.enter_context(Session(source, store, memory=Listing(shelf, source.name))) for _ in range(2))
        streams = one.streams()
        asked = len(vendor.requests)
        assert two.streams() == streams
        assert two.discovery.named(streams[-1].name) == streams[-1]
        assert len(vendor.requests) == asked
        vendor.add_project("new")
        one.discovery.look_again()
        assert len(two.streams()) == len(streams) + 1
        assert one.discovery.named("flag_events[new/production]")
    behind, other = Behind(shelf, "acme"), Behind(shelf, "other")
    behind.add("audit_log")
    behind.add("audit_log")
    assert "audit_log" in Behind(shelf, "acme")
    assert (len(behind), len(other)) == (1, 0)
    behind.discard("audit_log")
    assert "audit_log" not in behind


def limit(remaining: int, window: float, resets_in: float = 60.0) -> list[Told]:
    return [Told("global", "", remaining, 10, resets_in, window)]


def test_workers_take_of_a_limit_together_what_the_reserve_leaves(shelf: Shelf) -> None:
    one, two = SharedLedger(shelf, "acme"), SharedLedger(shelf, "acme")
    take = partial(SharedLedger.take, route="GET /list", reserve=0.2, spare=0.0)
    assert take(one) == 0.0, "nothing is known yet"
    one.learn(limit(9, 1.0))
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(take, [one, two] * 10))
    assert waits.count(0.0) == 7
    assert all(50 < wait <= 60.1 for wait in waits if wait)
    two.learn(limit(8, 1.0))
    assert take(one) > 0, "an answer from before others took the rest"
    assert take(SharedLedger(shelf, "other")) == 0.0
    one.learn(limit(9, 2.0, resets_in=0.2))
    assert take(two) == 0.0
    one.learn(limit(10, 1.0))
    time.sleep(0.25)
    waits = [take(each) for each in (one, two, one)]
    assert waits[0] == 0.0, "one finds out how much there is"
    assert all(0 < wait < PROBING + 0.1 for wait in waits[1:])
    one.learn(limit(9, 3.0))
    assert take(two) == 0.0
    assert SharedLedger(shelf, "acme").take("GET /list", 0.2, 0.5) == 0.0
    assert one.take("GET /list", 0.2, 0.5) > 0, "what can wait leaves half of it to others"


def test_without_a_ledger_each_goes_by_the_headers(store: Store, logged: list[Any]) -> None:
    ledger = SharedLedger(Shelf(store), "acme")  # nobody has made its table
    assert ledger.take("GET /list", 0.2, 0.0) == 0.0
    ledger.learn(limit(1, 1.0))
    assert len(told(logged, "ledger_failed")) == 1


def test_a_worker_without_its_database_begins_again(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagtrail.workers.shift.AGAIN", 1.0)
    kill = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database()")  # fmt: skip
    hurt = threading.Event()
    pulse = Pulse()
    with running(Daemon([source_of(vendor, every=QUICK)], store, engine=engine, pulse=pulse)):
        wait_until(lambda: is_whole(store, vendor), "all is read")
        with Shelf(store).connect() as connection:
            connection.execute(kill)
        hurt.set()
        vendor.add(resources="proj/web:env/production:flag/new")
        wait_until(lambda: is_whole(store, vendor), "it reads on")
        assert pulse.is_alive


def test_a_job_that_fails_is_done_again_and_one_whose_end_was_not_noted_is_put_back(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagtrail.workers.shift.BEAT", 0.3)
    monkeypatch.setattr("flagtrail.workers.shift.PAUSE", 0)
    reads = count()
    read = Session.read

    def sometimes(session: Session, *told: Any) -> Any:
        if threading.current_thread().name.startswith("worker") and next(reads) in (3, 4, 5):
            raise RuntimeError("a bug")
        return read(session, *told)

    monkeypatch.setattr(Session, "read", sometimes)
    source = source_of(vendor, every=timedelta(days=1))
    with running(Daemon([source], store, engine=engine)):
        wait_until(lambda: is_whole(store, vendor), "all is read, without another tick")
        queue = Queue(Shelf(store))
        queue.open()
        queue.put("verify", "nobody", Priority.VERIFY, lock="left over", once="left over", stream="audit_log")
        queue.close()
        with store.engine.begin() as connection:
            schema = Shelf(store).schema
            worker = connection.execute(text(f"SELECT id FROM {schema}.procrastinate_workers")).scalar()
            left = (
                f"UPDATE {schema}.procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE lock = 'left over'"
            )
            connection.execute(text(f"SET LOCAL search_path = {schema}"))
            connection.execute(text(left), {"worker": worker})
        wait_until(lambda: told(logged, "job_recovered"), "it is put back")
    assert len(told(logged, "read_crashed")) == 3
    assert {line["lock"] for line in told(logged, "job_recovered")} == {"left over"}
