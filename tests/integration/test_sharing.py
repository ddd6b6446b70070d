"""What workers share in PostgreSQL: the queue, what is known of streams, and what they take of a vendor's limits."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import time_machine
from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job, Status
from sqlalchemy import text
from sqlalchemy.engine import make_url

from flagtrail.daemon import Daemon
from flagtrail.discovery import Known
from flagtrail.ledger import Told, UnderWay
from flagtrail.limit import Limiter
from flagtrail.operating import EngineSettings
from flagtrail.pulse import Pulse
from flagtrail.reach import Reach
from flagtrail.roster import Roster
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request
from flagtrail.turns import Turns
from flagtrail.workers.crew import Crew
from flagtrail.workers.ledger import PROBING, SharedLedger
from flagtrail.workers.planning import recall_quiet
from flagtrail.workers.queue import Connector, Priority, Queue
from flagtrail.workers.recovery import FORGET, FORGOTTEN, Manager, recover
from flagtrail.workers.shelf import Behind, Listing, Shelf
from flagtrail.workers.shift import ATTEMPTS, Shift
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import Databases, held, shown, told
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
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)  # what a job waits for is decided by the clock of the database
    monkeypatch.setattr("procrastinate.utils.utcnow", lambda: ahead)
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


def limit(remaining: int, window: float | None, resets_in: float = 60.0) -> list[Told]:
    return [Told("global", "", remaining, 10, resets_in, window)]


class Asker:
    """A worker of which each request has the same route; it knows what it has under way, as a limiter does."""

    def __init__(self, shelf: Shelf, credential: str = "acme") -> None:
        self.ledger, self.under_way = SharedLedger(shelf, credential), 0

    def take(self, reserve: float = 0.2, spare: float = 0.0, route: str = "GET /list") -> float:
        wait = self.ledger.take(route, reserve, spare, UnderWay(self.under_way, self.under_way))
        self.under_way += wait == 0.0
        return wait

    def learn(self, told: Sequence[Told] = ()) -> None:
        self.under_way -= 1
        self.ledger.learn(list(told), "GET /list", UnderWay(self.under_way, self.under_way))

    def took(self) -> int:
        """Take until there is none, and return how many there were."""
        return sum(self.take() == 0.0 for _ in range(20))


def test_workers_take_of_a_limit_together_what_the_reserve_leaves(shelf: Shelf) -> None:
    one, two = Asker(shelf), Asker(shelf)
    assert one.take() == 0.0, "nothing is known yet"
    one.learn(limit(9, 1.0))
    with ThreadPoolExecutor(2) as pool:  # a limiter asks once at a time
        assert sum(pool.map(Asker.took, [one, two])) == 7
    first, second = (one, two) if one.under_way else (two, one)
    assert 0 < first.take() < PROBING + 0.1, "what is under way may have been counted"
    first.learn(limit(2, 1.0))
    if second.under_way:
        second.learn(limit(4, 1.0))
    assert 50 < first.take() <= 60.1, "an answer from before others took the rest"
    assert Asker(shelf, "other").take() == 0.0


def test_one_request_of_all_workers_finds_out_how_much_there_is(shelf: Shelf) -> None:
    one, two = Asker(shelf), Asker(shelf)
    assert one.take() == 0.0
    one.learn(limit(9, 1.0, resets_in=0.2))
    assert two.take() == 0.0
    two.learn(limit(10, 0.5))
    time.sleep(0.25)
    waits = [each.take() for each in (one, two, one)]
    assert waits[0] == 0.0, "one finds out how much there is"
    assert all(0 < wait < PROBING + 0.1 for wait in waits[1:])
    one.learn(limit(9, 3.0))
    assert two.take() == 0.0
    two.learn(limit(8, 3.0))
    assert Asker(shelf).take(spare=0.5) == 0.0
    assert one.take(spare=0.5) > 0, "what can wait leaves half of it to others"


def test_what_others_have_under_way_is_not_there_whatever_an_answer_says(shelf: Shelf) -> None:
    one, two, three = Asker(shelf), Asker(shelf), Asker(shelf)
    assert one.take() == two.take() == two.take() == 0.0, "nobody knows of a limit yet"
    one.learn(limit(9, 1.0, resets_in=0.2))
    assert three.took() == 5, "9 less the reserve and the two that the vendor has not counted yet"
    two.learn(limit(3, 1.0, resets_in=0.2))
    time.sleep(0.25)
    assert one.take() == 0.0, "finds out"
    one.learn(limit(9, 2.0))
    assert one.took() == 1, "of the former window six are under way still"
    three.learn(limit(8, 2.0))
    two.learn(limit(7, 2.0))
    assert 0 < two.take() < PROBING + 0.1
    two.learn()
    assert 0 < two.take() < PROBING + 0.1, "an answer that says nothing was counted too"


def test_what_a_killed_worker_had_under_way_counts_for_a_while_only(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagtrail.workers.ledger.EXPIRES", 0.5)
    killed, other = Asker(shelf), Asker(shelf)
    assert killed.take() == 0.0
    killed.learn(limit(9, 1.0))
    assert killed.took() == 7
    assert 0 < other.take() < PROBING + 0.1
    time.sleep(0.6)
    assert other.take() == 0.0


def test_a_ledger_of_an_earlier_version_is_used_on(store: Store, logged: list[Any]) -> None:
    shelf = Shelf(store)
    with shelf.alone(), shelf.connect() as connection:
        connection.execute(text(f"ALTER TABLE {shelf.schema}.budget DROP COLUMN under_way"))
    with shelf.alone():
        assert Asker(shelf).take() == 0.0
    assert not told(logged, "ledger_failed")


def test_an_answer_that_tells_no_window_ends_the_finding_out_and_nothing_else(shelf: Shelf) -> None:
    one = Asker(shelf)
    assert one.take() == 0.0
    one.learn(limit(9, 1.0, resets_in=0.1))
    time.sleep(0.15)
    assert one.take() == 0.0, "one finds out"
    assert one.take() > 0
    one.learn(limit(9, None))
    assert one.take() == 0.0
    one.learn(limit(3, 2.0, resets_in=30.0))
    assert one.take() == 0.0
    one.learn(limit(9, None))
    assert one.take() > 1, "the reserve is left, whatever an answer from nobody knows when said"


def test_when_the_vendor_refuses_one_worker_all_wait(shelf: Shelf) -> None:
    one, two = (Limiter(ledger=SharedLedger(shelf, "acme")) for _ in range(2))
    one.hold(0.3)
    one.hold(0.1)
    started = time.monotonic()
    assert two.acquire()
    assert time.monotonic() - started > 0.2
    one.hold(900.0)
    assert not two.acquire(route="GET /list")
    assert 890 < two.held() < 901, "nobody waits here for so long, who may read another source"
    assert Limiter(ledger=SharedLedger(shelf, "other")).acquire()


def test_a_ledger_goes_by_the_first_name_of_the_present_sources(store: Store, vendor: LaunchDarklySimulator) -> None:
    acme = source_of(vendor)
    first = replace(acme, name="aaa")
    with begun(store, acme) as crew:
        for sources, name in (([acme], "acme"), ([acme, first], "aaa"), ([acme], "acme")):
            Roster.exchange(crew, sources)
            crew.sweep()
            [found] = {session.api.limiter.ledger for session in crew.sessions}
            assert isinstance(found, SharedLedger)
            assert found.credential == name, "whoever begins now calls it so"


def test_without_a_ledger_each_goes_by_the_headers(store: Store, logged: list[Any]) -> None:
    ledger = SharedLedger(Shelf(store), "acme")  # nobody has made its table
    assert ledger.take("GET /list", 0.2, 0.0, UnderWay(0, 0)) == 0.0
    ledger.learn(limit(1, 1.0), "GET /list", UnderWay(0, 0))
    assert len(told(logged, "ledger_failed")) == 1


def test_a_worker_without_its_database_begins_again(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagtrail.workers.shift.AGAIN", 1.0)
    kill = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database()")  # fmt: skip
    pulse = Pulse()
    with running(Daemon([source_of(vendor, every=QUICK)], store, engine=engine, pulse=pulse)):
        wait_until(lambda: is_whole(store, vendor), "all is read")
        with Shelf(store).connect() as connection:
            connection.execute(kill)
        vendor.add(resources="proj/web:env/production:flag/new")
        wait_until(lambda: is_whole(store, vendor), "it reads on")
        assert pulse.is_alive


def test_a_job_that_fails_is_done_again_and_one_whose_end_was_not_noted_is_put_back(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagtrail.workers.recovery.BEAT", 0.3)
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


def test_that_not_all_streams_are_known_stands_there_whoever_reads(store: Store, vendor: LaunchDarklySimulator) -> None:
    vendor.add_project("big", environments=[f"env-{number}" for number in range(25)])  # has a list of its own
    vendor.inject(faults.status(403), match="/projects/big/environments", times=ALWAYS)
    source = source_of(vendor, verify=False)
    with begun(store, source) as planner, begun(store, source) as reader:

        def error_after_a_look() -> str | None:
            assert planner.jobs.plan("acme")
            job = planner.sessions[0].wanted(Reach.NEW)[0]
            windows = [[job.window.since_ms, job.window.until_ms, None]]
            assert reader.jobs.read("acme", job.stream.name, "new", windows)
            [state] = store.sources()
            return state.error

        assert "not all streams are known" in str(error_after_a_look())
        vendor.heal()
        Listing(planner.shelf, "acme").keep(Known(), 0.0)
        assert error_after_a_look() is None


def test_what_another_version_knew_of_the_streams_is_asked_for_anew(
    shelf: Shelf, store: Store, vendor: LaunchDarklySimulator
) -> None:
    source = source_of(vendor)
    with Session(source, store, memory=Listing(shelf, source.name)) as session:
        streams = session.streams()
        with shelf.connect() as connection:
            connection.execute(text(f"""UPDATE {shelf.schema}.listing SET known = '{{"streams": [{{"new": 1}}]}}'"""))
        assert session.discovery.named(streams[0].name) == streams[0]
        session.discovery.look_again()
        assert {stream.name for stream in session.streams()} == {stream.name for stream in streams}
        assert Listing(shelf, source.name).recall() is not None


def test_ticks_come_on_after_a_clock_was_set_back(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any]
) -> None:
    day = timedelta(days=1)
    with time_machine.travel(datetime.now(UTC) + day, tick=True) as traveller:
        vendor.clock.advance(-day.total_seconds())
        with running(Daemon([source_of(vendor, every=QUICK)], store, engine=engine)):
            wait_until(lambda: is_whole(store, vendor), "all is read")
            traveller.shift(-day)
            vendor.clock.advance(day.total_seconds())
            wait_until(lambda: told(logged, "clock_was_set"), "it is noticed")
            time.sleep(2.0)  # whatever was put into the queue at once is done
            vendor.add(resources="proj/web:env/production:flag/new")
            wait_until(lambda: is_whole(store, vendor), "it looks again and again", seconds=15)


def test_jobs_that_end_while_a_worker_takes_other_sources_over_are_not_given_away(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any]
) -> None:
    asked, going_on = threading.Event(), threading.Event()

    def late(request: Request, answer: Callable[[], Reply]) -> Reply:
        asked.set()
        going_on.wait(20)
        return answer()

    source = source_of(vendor, every=timedelta(days=1), verify=False)
    daemon = Daemon([source], store, engine=engine)
    vendor.inject(late, match="auditlog", times=1)
    with running(daemon):
        assert asked.wait(20)
        daemon.told.put([source, replace(source, name="other")])
        daemon.told.put([source, replace(source, name="another")])  # and the first shift is told to end again
        time.sleep(2.5 * SETTINGS.stalled.total_seconds())
        assert ("read", "doing") in {(job.task_name, job.status) for job in jobs(store)}, (
            "others leave its stream alone"
        )
        going_on.set()
        wait_until(lambda: is_whole(store, vendor), "all is read")
    assert not told(logged, "job_recovered")


async def died(app: App, taken: int = 1) -> list[Job]:
    """Take so many jobs as a worker that is dead by now; return them. Their source is read still."""
    tick = "INSERT INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp) "
    await app.connector.execute_query_async(tick + "VALUES ('plan', 'acme', extract(epoch FROM now()))")
    worker = await app.job_manager.register_worker()
    found = [await app.job_manager.fetch_job(queues=None, worker_id=worker) for _ in range(taken)]
    late = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 h' WHERE id = %(worker)s"
    await app.connector.execute_query_async(late, worker=worker)
    return [job for job in found if job is not None]


def test_a_job_of_a_dead_worker_is_put_back_once_however_many_find_it(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any]
) -> None:
    names = {f"job {number}" for number in range(20)}

    async def many(app: App) -> None:
        assert len(await died(app, len(names))) == len(names)
        await asyncio.gather(*(recover(app.job_manager, 2.0) for _ in range(4)))

    with begun(store, source_of(vendor)) as crew:
        for name in sorted(names):
            crew.queue.put("recover", "acme", Priority.RECOVER, lock=name, once=name)
        ask(crew, many)
    assert {(job.queueing_lock, job.status) for job in jobs(store)} == {(name, "todo") for name in names}
    assert sorted(line["lock"] for line in told(logged, "job_recovered")) == sorted(names)


def test_a_job_is_left_to_whoever_has_it_by_now(store: Store, vendor: LaunchDarklySimulator, logged: list[Any]) -> None:
    async def late(app: App) -> None:
        [job] = await died(app)
        await recover(app.job_manager, 2.0)
        living = await app.job_manager.register_worker()
        taken = await app.job_manager.fetch_job(queues=None, worker_id=living)
        assert taken is not None
        assert taken.task_kwargs == job.task_kwargs
        await recover(app.job_manager, 2.0)
        await app.job_manager.finish_job(job, Status.SUCCEEDED, delete_job=True)  # it was only asleep
        assert [found.status for found in jobs(store)] == ["doing"]
        await app.job_manager.finish_job(taken, Status.SUCCEEDED, delete_job=True)
        assert jobs(store) == []

    with begun(store, source_of(vendor)) as crew:
        crew.queue.put("recover", "acme", Priority.RECOVER, lock="one", once="one")
        ask(crew, late)
    assert len(told(logged, "job_recovered")) == 1


def test_a_job_whose_like_waits_already_is_not_put_back(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any]
) -> None:
    async def like(app: App) -> None:
        await died(app)
        crew.queue.put("recover", "acme", Priority.RECOVER, lock="one", once="one")
        await recover(app.job_manager, 2.0)

    with begun(store, source_of(vendor)) as crew:
        crew.queue.put("recover", "acme", Priority.RECOVER, lock="one", once="one")
        ask(crew, like)
    assert [(job.queueing_lock, job.status) for job in jobs(store)] == [("one", "todo")]


@pytest.mark.parametrize("stopped", ["the worker", "the source"])
def test_a_job_that_is_stopped_goes_back_at_once_and_has_not_failed(
    store: Store, vendor: LaunchDarklySimulator, stopped: str
) -> None:
    with begun(store, source_of(vendor, verify=False)) as crew:
        [session] = crew.sessions
        wanted = session.wanted(Reach.OLD)[0]
        asked = len(vendor.requests)
        shift = Shift(crew.jobs, [session.source], SETTINGS, Pulse())
        shift.stop() if stopped == "the worker" else session.stop()
        args = {"source": "acme", "stream": wanted.stream.name, "reach": "old"}
        args |= {"windows": [[wanted.window.since_ms, wanted.window.until_ms, None]]}
        job = Job(id=1, queue="acme", lock="a", queueing_lock="a", task_name="read", task_kwargs=args)
        shift._do(job, crew.jobs.read, ATTEMPTS, args)
        assert len(vendor.requests) == asked
        with store.engine.connect() as connection:
            query = f"SELECT args, scheduled_at FROM {crew.shelf.schema}.procrastinate_jobs"
            [(told, waits)] = connection.execute(text(query))
        assert told == args | {"attempt": ATTEMPTS}
        assert (waits is None) == (stopped == "the worker"), "who is not told yet does not take it again and again"


def test_a_wish_for_a_look_is_not_lost_in_a_tick_that_waits(store: Store, vendor: LaunchDarklySimulator) -> None:
    with begun(store, source_of(vendor)) as crew:
        crew.queue.put("plan", "acme", Priority.PLAN, lock="plan acme", once="plan acme", timestamp=1)
        for _ in range(2):
            crew.look_at(crew.sessions[0])
        assert sorted(job.queueing_lock for job in jobs(store)) == ["look acme", "plan acme"]


def test_a_stream_is_woken_by_what_others_store_while_it_is_read(store: Store, vendor: LaunchDarklySimulator) -> None:
    with begun(store, source_of(vendor, verify=False)) as crew:
        [session] = crew.sessions
        session.look()
        name = next(stream.name for stream in session.streams() if stream.woken_by)
        vendor.add(resources="proj/web")  # about no environment
        began = session.now()
        audit_log = next(job for job in session.wanted(Reach.NEW) if job.stream.name == "audit_log")
        assert session.read(lambda: [audit_log], Reach.NEW).new == 1
        later = datetime.now(UTC) + timedelta(minutes=1)  # when the stream had been read to its end
        store.note("acme", name, succeeded_at=later, settled_at=began - session.source.settle)
        recall_quiet(session)
        stream = next(stream for stream in session.streams() if stream.name == name)
        assert session.quiet.is_due(stream, session.now() + timedelta(minutes=1))
        began = session.now() + timedelta(minutes=1)
        store.note("acme", name, settled_at=began - session.source.settle)
        recall_quiet(session)
        assert not session.quiet.is_due(stream, session.now() + timedelta(minutes=1))


def test_long_upkeep_takes_no_slot_of_reading(
    store: Store, vendor: LaunchDarklySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ending = threading.Event(), threading.Event()

    def upkeep(*told: Any) -> bool:
        begun.set()
        return ending.wait(60)

    monkeypatch.setattr(Turns, "upkeep", upkeep)
    queue = Queue(Shelf(store))
    queue.open()
    queue.put("upkeep", "acme", Priority.UPKEEP, lock="upkeep acme", once="upkeep acme")
    queue.close()
    few = SETTINGS.model_copy(update={"concurrency": 1})
    source = source_of(vendor, every=timedelta(days=1))
    daemon = Daemon([source], store, engine=lambda sources, turns: Crew(sources, turns, few))
    with running(daemon):
        try:
            assert begun.wait(20)
            daemon.look_at("acme")
            wait_until(lambda: is_whole(store, vendor), "all is read")
        finally:
            ending.set()


def test_jobs_of_sources_that_nobody_reads_any_more_are_dropped(store: Store, vendor: LaunchDarklySimulator) -> None:
    with begun(store, source_of(vendor)) as crew:
        for name in ("acme", "long-gone", "gone"):
            crew.queue.put("read", name, Priority.OLDER, lock=name, once=name, stream="audit_log")
        crew.queue.put("recover", "acme", Priority.RECOVER, lock="recover", once="recover")
        tick = (
            f"INSERT INTO {crew.shelf.schema}.procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)"
        )
        with crew.shelf.connect() as connection:
            for name, days in (("acme", 1.5), ("long-gone", 3)):
                at = int(time.time() - days * 86_400)
                connection.execute(text(f"{tick} VALUES ('plan', :name, :at)"), {"name": name, "at": at})
        ask(crew, lambda app: app.connector.execute_query_async(FORGET, forgotten=FORGOTTEN))
        assert {job.queueing_lock for job in jobs(store)} == {"acme", "recover"}


def test_what_waits_already_is_known_by_a_server_of_any_language(
    store: Store, vendor: LaunchDarklySimulator, logged: list[Any]
) -> None:
    german = """
    CREATE OR REPLACE FUNCTION {schema}.procrastinate_defer_jobs_v1(jobs {schema}.procrastinate_job_to_defer_v1[])
    RETURNS bigint[] LANGUAGE plpgsql AS $$ BEGIN
        RAISE unique_violation USING CONSTRAINT = 'procrastinate_jobs_queueing_lock_idx_v1',
            DETAIL = 'Schlüssel »(queueing_lock)=(a)« existiert bereits.';
    END $$"""
    with begun(store, source_of(vendor)) as crew:
        with crew.shelf.connect() as connection:
            connection.exec_driver_sql(german.format(schema=crew.shelf.schema))
        assert not crew.queue.put("read", "acme", Priority.OLDER, lock="a", once="a")
        job = Job(id=None, queue="a", lock=None, queueing_lock="a", task_name="plan", task_kwargs={"timestamp": 1})
        with pytest.raises(AlreadyEnqueued):
            ask(crew, lambda app: app.job_manager.defer_periodic_job(job=job, periodic_id="a", defer_timestamp=1))


def ask(crew: Crew, what: Callable[[App], Any]) -> None:
    """Ask Procrastinate as a worker does."""

    async def asking() -> None:
        async with (app := App(connector=Connector(**crew.queue.pool_args))).open_async():
            app.job_manager = Manager(app.connector)
            await what(app)

    asyncio.run(asking())


def test_a_role_that_may_make_no_schema_works_in_one_that_was_made_for_it(postgres: Databases) -> None:
    url = postgres()
    name = make_url(url).database
    with Store(url) as store, store.engine.begin() as connection:
        for statement in (
            f"CREATE ROLE {name}_worker LOGIN",
            f"GRANT SELECT ON alembic_version TO {name}_worker",
            f"CREATE SCHEMA {Shelf(store).schema} AUTHORIZATION {name}_worker",
        ):
            connection.execute(text(statement))
    role = make_url(url).set(username=f"{name}_worker").render_as_string(hide_password=False)
    with Store(role) as store:
        queue = Queue(Shelf(store))
        queue.open()
        assert queue.put("read", "acme", Priority.OLDER, lock="a", once="a")
        queue.close()


def test_a_database_that_does_not_answer_delays_no_end(
    store: Store, vendor: LaunchDarklySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagtrail.daemon.GRACE", 0.5)
    asked, answered = threading.Event(), threading.Event()

    def take(*told: Any) -> float:
        asked.set()
        answered.wait(20)
        return 0.0

    monkeypatch.setattr(SharedLedger, "take", take)
    daemon = Daemon([source_of(vendor)], store, engine=engine)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        assert asked.wait(20)
        started = time.monotonic()
        daemon.stop()
        thread.join(20)
        assert time.monotonic() - started < 5
    finally:
        answered.set()
        daemon.roster.shut_down()
        for session in daemon.roster.everybody:
            session.__exit__(None, None, None)
