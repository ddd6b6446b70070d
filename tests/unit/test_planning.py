"""When workers plan a source: its ticks come as often as it is to be looked at, whoever is there."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from croniter import croniter
from sqlalchemy import create_engine

from flagtrail.connector import Stream
from flagtrail.plan import PAGES, Job, portion, remainder
from flagtrail.quiet import LONGEST, Quiet
from flagtrail.report import News
from flagtrail.store import SourceState
from flagtrail.window import Window
from flagtrail.workers.planning import STEPS, cron, is_due, step
from flagtrail.workers.queue import LONGEST as LONGEST_NAME
from flagtrail.workers.queue import Priority, pool_args, queue_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def looked(at: datetime) -> SourceState:
    return SourceState("acme", "launchdarkly", at, None, None)


@pytest.mark.parametrize("seconds", STEPS)
def test_every_step_is_what_cron_makes_of_it(seconds: int) -> None:
    ticks = croniter(cron(seconds), start_time=0.0)
    assert [ticks.get_next(float) for _ in range(50)] == [seconds * number for number in range(1, 51)]


@pytest.mark.parametrize("every", [1, 7, 45, 60, 90, 300, 5000, 86_400, 7 * 86_400])
def test_a_source_is_looked_at_as_often_as_it_says_however_ticks_fall(every: int) -> None:
    span = timedelta(seconds=every)
    ticks = range(0, 100 * every, step(span))
    due = [tick for tick in ticks if is_due(span, tick, looked(datetime.fromtimestamp(tick, UTC)))]
    assert len(due) == 100
    assert max(later - earlier for earlier, later in pairwise(due)) <= every + step(span)


def test_a_source_that_nobody_looked_at_when_it_was_due_is_due_at_the_next_tick() -> None:
    every, tick = 90 * MINUTE, int(NOON.timestamp()) + 3600
    assert not is_due(every, tick, looked(NOON))
    assert is_due(every, tick, looked(NOON - timedelta(hours=2)))
    assert is_due(every, tick, None)


def test_names_of_queues_are_short_and_differ() -> None:
    long = ["x" * 60 + ending for ending in "ab"]
    names = {queue_of(name, priority) for name in [*long, "acme"] for priority in Priority}
    assert len(names) == 9, "what is new has a queue of its own, and so has what may take long"
    assert max(map(len, names)) <= LONGEST_NAME + 1


def test_the_queue_connects_as_the_store_does_whatever_its_address() -> None:
    engine = create_engine("postgresql+psycopg://u:a%20%2Bb@/trail?host=one:5432&host=two:5433")
    told = pool_args(engine, "queue")["kwargs"]
    assert (told["user"], told["password"], told["dbname"]) == ("u", "a +b", "trail")
    assert (told["host"], told["port"]) == ("one,two", "5432,5433")
    assert "search_path=queue" in told["options"]


def test_much_is_cut_into_portions_that_lose_nothing() -> None:
    stream = Stream("log", page=10)
    window = Window(NOON - timedelta(days=40), NOON)
    jobs = [Job(stream, each, expected) for each, expected in zip(window.split(4), (200, 200, None, 5), strict=True)]
    first, rest = portion(jobs, 45)
    assert (first, rest) == (jobs[:2], jobs[2:])
    assert portion(jobs, 1) == (jobs[:1], jobs[1:])
    assert portion(rest, PAGES + 1) == (rest, [])
    assert portion(jobs, None) == (jobs, [])
    [left] = remainder(jobs[0], jobs[0].window, [jobs[0].window.split(4)[0]])
    assert left.expected == pytest.approx(150)


def test_what_others_read_tells_which_streams_are_quiet() -> None:
    waker = Stream("audit_log")
    streams = [waker] + [
        Stream(f"flags[{project}/{place}]", log="flags", woken_by="audit_log", project=project, environment=place)
        for project, place in (("web", "a"), ("web", "b"), ("shop", "a"))
    ]
    quiet = Quiet(MINUTE, timedelta(minutes=15))

    def due(minutes: int, news: dict[News, datetime]) -> set[str]:
        """Return what is due so long after the last look."""
        now = NOON + minutes * MINUTE
        quiet.recall(streams, {stream.name: NOON for stream in streams}, {"audit_log", "flags"}, news)
        return {stream.name for stream in streams if quiet.is_due(stream, now)}

    assert due(1, {}) == {"audit_log"}
    assert due(int(LONGEST / MINUTE), {}) == {stream.name for stream in streams}
    here = {News("audit_log", "web", "a"): NOON - 2 * MINUTE}
    assert due(1, here) == {"audit_log", "flags[web/a]"}, "what happened there may show late"
    project = {News("audit_log", "web", None): NOON + MINUTE / 2}
    assert due(1, project) == {"audit_log", "flags[web/a]", "flags[web/b]"}
    assert due(1, {News("audit_log", "web", None): NOON - MINUTE}) == {"audit_log"}, "it was looked at since"
    assert due(1, {News("audit_log", None, None): NOON + MINUTE / 2}) == {stream.name for stream in streams}
    quiet.recall(streams, {stream.name: NOON for stream in streams}, {"flags"}, {})
    assert all(quiet.is_due(stream, NOON + MINUTE) for stream in streams), "the log that would wake them fails"
