"""The jobs that fill the gaps: always exactly the gaps, whatever the vendor's counts say."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from flagtrail.api import Api
from flagtrail.connector import Connector, Count, Hole, Page, Stream
from flagtrail.errors import AccessDenied, RateLimited, SourceError, Unavailable, UnexpectedResponse
from flagtrail.event import Event, Record
from flagtrail.plan import PAGES, SMALL, UNKNOWN, Job, plan
from flagtrail.window import Window, merge, subtract

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEAR = Window(START, START + timedelta(days=365))
NO_API = cast("Api", None)
TARGET = PAGES * Stream("log").page


class Counting(Connector):
    """Tells counts that are given, or fails as given, and notes what was asked."""

    base_url: str = "https://vendor.example"
    told: Any = None
    asked: Any = Field(default_factory=list)

    def counts(self, api: Api, stream: Stream, window: Window, parts: int = 500) -> list[Count]:
        self.asked.append(window)
        if callable(self.told):
            return [Count(part, self.told(part)) for part in window.split(parts)]
        if isinstance(self.told, Exception):
            raise self.told
        return list(self.told or [])

    def connect(self, transport: httpx.BaseTransport | None = None) -> Api:
        raise NotImplementedError

    def streams(self, api: Api) -> list[Stream]:
        raise NotImplementedError

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        raise NotImplementedError

    def event(self, stream: Stream, record: Record) -> Event:
        raise NotImplementedError


def hours(since: int, until: int) -> Window:
    return Window(START + since * HOUR, START + until * HOUR)


def planned(told: list[Count] | Exception, wanted: Window = YEAR, *covered: Window, **stream: Any) -> list[Job]:
    return plan(Counting(told=told), NO_API, Stream("log", **stream), wanted, covered)


def even_counts(window: Window, buckets: int, each: int) -> list[Count]:
    return [Count(part, each) for part in window.split(buckets)]


def some_windows(until: int) -> st.SearchStrategy[Window]:
    edges = st.tuples(st.integers(-50, until), st.integers(1, until)).filter(lambda pair: pair[0] != pair[1])
    return edges.map(lambda pair: hours(min(pair), max(pair)))


# Any windows in any order: overlapping, repeated, missing, outside of the gap.
ANY_COUNTS = st.lists(
    st.builds(Count, some_windows(2000), st.sampled_from([0, 0, 1, 50, 999, 2500, 10**6])), max_size=9
)


@given(
    counts=ANY_COUNTS,
    wanted=some_windows(2000),
    covered=st.lists(some_windows(2000), max_size=4),
    span=st.none() | st.integers(5, 300).map(lambda count: count * HOUR),
)
def test_jobs_add_up_exactly_to_the_gaps_whatever_the_counts_say(
    counts: list[Count], wanted: Window, covered: list[Window], span: timedelta | None
) -> None:
    windows = [job.window for job in planned(counts, wanted, *covered, span=span)]
    assert merge(windows) == subtract(wanted, covered)
    assert sum((window.length for window in windows), timedelta()) == sum(
        (gap.length for gap in subtract(wanted, covered)), timedelta()
    ), "two jobs overlap"
    assert windows == sorted(windows, reverse=True), "not newest first"
    assert span is None or all(window.length <= span for window in windows), "longer than may be asked for"


def test_nothing_is_planned_when_everything_is_covered() -> None:
    assert planned([], YEAR, YEAR) == []


def test_the_newest_gap_comes_first() -> None:
    jobs = planned([], hours(0, 100), hours(20, 60))
    assert [job.window for job in jobs] == [hours(60, 100), hours(0, 20)]


def test_many_records_are_shared_out_in_jobs_of_about_equal_work() -> None:
    jobs = planned(even_counts(YEAR, 500, 300))
    assert sum(job.expected or 0 for job in jobs) == pytest.approx(150_000)
    assert all(TARGET <= (job.expected or 0) <= 2 * TARGET for job in jobs)


def test_a_crowded_count_is_divided() -> None:
    jobs = planned([Count(YEAR, 20 * TARGET)])
    assert len(jobs) >= 10
    assert max(job.window.length for job in jobs) - min(job.window.length for job in jobs) <= timedelta(milliseconds=1)


def test_a_crowded_day_is_counted_again_so_that_its_jobs_are_equal() -> None:
    entries = 20_000  # a fifth of them over the year, the others in one hour of one day

    def told(window: Window) -> int:
        crowd = window.clip(hours(24 * 200 + 9, 24 * 200 + 10))
        return round(
            entries * 0.2 * (window.length / YEAR.length) + entries * 0.8 * (crowd.length / HOUR if crowd else 0)
        )

    connector = Counting(told=told)
    stream = Stream("log", page=20)
    jobs = plan(connector, NO_API, stream, YEAR, [])
    assert max(told(job.window) for job in jobs) <= 2.2 * PAGES * stream.page
    assert len(connector.asked) <= 3


def test_few_records_are_one_job_however_long_the_gap() -> None:
    (job,) = planned(even_counts(YEAR, 500, 0))
    assert (job.window, job.expected, job.requests) == (YEAR, 0, 1)


def test_a_job_tells_how_many_requests_it_should_take() -> None:
    window = hours(0, 1)
    assert Job(Stream("log", page=20), window, 41).requests == 3
    assert Job(Stream("log", page=20), window).requests == 1


def test_without_counts_a_long_gap_is_cut_by_time() -> None:
    jobs = planned([])
    assert [job.expected for job in jobs] == [None] * len(jobs)
    assert max(job.window.length for job in jobs) == UNKNOWN


def test_a_small_gap_is_not_worth_asking_for_counts() -> None:
    connector = Counting(told=[Count(YEAR, 10**6)])
    small = Window(START, START + SMALL)
    assert plan(connector, NO_API, Stream("log"), small, []) == [Job(Stream("log"), small)]
    assert connector.asked == []


def test_each_longer_gap_is_asked_about_once() -> None:
    connector = Counting()
    longer = Window(START, START + SMALL + HOUR)
    plan(connector, NO_API, Stream("log"), longer, [])
    plan(connector, NO_API, Stream("log"), YEAR, [hours(24 * 100, 24 * 360)])
    assert connector.asked == [longer, hours(0, 24 * 100), hours(24 * 360, 24 * 365)]


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("the plan has no counts", 403),
        AccessDenied("no such route", 404),
        Unavailable("down"),
        RateLimited("slow down", 5.0),
        UnexpectedResponse("another form"),
    ],
)
def test_counts_that_fail_are_done_without(error: SourceError) -> None:
    assert planned(error) == planned([])
