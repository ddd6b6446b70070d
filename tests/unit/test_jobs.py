"""What is read next: the newest job, and when none waits, the older half of what somebody reads."""

from datetime import UTC, datetime, timedelta

from flagtrail.connector import Stream
from flagtrail.jobs import Jobs
from flagtrail.plan import Job
from flagtrail.window import Window, merge

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LOG = Stream("log", page=20)


def hours(since: float, until: float) -> Window:
    return Window(START + since * HOUR, START + until * HOUR)


def never() -> bool:
    return False


def test_an_idle_reader_takes_the_older_half_of_what_is_left() -> None:
    jobs = Jobs([Job(LOG, hours(0, 100), 400)], lambda job: True)
    first = jobs.take(never)
    assert first is not None
    jobs.note(first, 80, hours(80, 100))
    second = jobs.take(never)
    assert second is not None
    assert (second.job.window, second.taken) == (hours(0, 40), True)
    assert second.job.expected == 160
    assert not jobs.nothing_left(first)
    jobs.note(first, 160, hours(40, 80))
    assert jobs.nothing_left(first)


def test_what_is_shared_out_adds_up_to_the_job() -> None:
    jobs = Jobs([Job(LOG, hours(0, 64), 6400)], lambda job: True)
    parts = []
    while len(parts) < 5:
        part = jobs.take(never)
        assert part is not None
        parts.append(part)
        newest = part.left[-1].until
        jobs.note(part, 100, Window(newest - HOUR, newest))
    done = [Window(part.job.window.until - HOUR, part.job.window.until) for part in parts]
    assert merge([*done, *(left for part in parts for left in part.left)]) == [hours(0, 64)]


def test_little_work_and_work_without_progress_is_not_shared() -> None:
    for expected, read in ((400, None), (60, hours(99, 100))):
        jobs = Jobs([Job(LOG, hours(0, 100), expected)], lambda job: True)
        part = jobs.take(never)
        assert part is not None
        jobs.note(part, 20, read)
        answers = iter([False, True])
        assert jobs.take(lambda answers=answers: next(answers)) is None  # type: ignore[misc]


def test_readers_go_home_when_everything_is_read() -> None:
    jobs = Jobs([Job(LOG, hours(0, 1))], lambda job: True)
    part = jobs.take(never)
    assert part is not None
    jobs.finished(part)
    assert jobs.take(never) is None


def test_jobs_that_are_not_wanted_any_more_are_left_out() -> None:
    assert Jobs([Job(LOG, hours(0, 1)), Job(LOG, hours(1, 2))], lambda job: False).take(never) is None
