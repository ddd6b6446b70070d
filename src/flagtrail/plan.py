"""Decides what to read: the gaps of a stream, cut into windows of about equal work, newest first."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from flagtrail.api import Api
from flagtrail.connector import Connector, Count, Stream
from flagtrail.errors import AccessDenied, SourceError
from flagtrail.window import Window, subtract

PAGES = 10  # full pages that one job should hold: enough to keep readers busy, few enough to share out evenly
SMALL = timedelta(days=2)  # a gap no longer than this is one job, and not worth asking the vendor for counts
CROWDED = 4  # times as many records as a job should hold: the vendor is asked how they are spread inside of a count
FINER = 20  # counts that are looked into, the most crowded first: each costs a request before anything is read
UNKNOWN = timedelta(days=7)  # the length of a job where the vendor tells no counts


@dataclass(frozen=True, slots=True)
class Job:
    """One window of one stream to read, and the records expected in it; None when nobody knows."""

    stream: Stream
    window: Window
    expected: float | None = None

    @property
    def requests(self) -> int:
        """How many requests it should take, at least one."""
        return max(1, math.ceil((self.expected or 0) / self.stream.page))


def plan(connector: Connector, api: Api, stream: Stream, wanted: Window, covered: Iterable[Window]) -> list[Job]:
    """Return the jobs that fill every gap of `wanted`, newest first."""
    jobs: list[Job] = []
    for gap in subtract(wanted, covered):
        counts = _counts(connector, api, stream, gap) if gap.length > SMALL else []
        jobs += _cut(stream, gap, counts)
    return sorted(jobs, key=lambda job: job.window.until, reverse=True)


def remainder(job: Job, wanted: Window, covered: Iterable[Window]) -> list[Job]:
    """Return what is left of a job whose records were counted before, as far as it is still wanted."""
    expected = (job.expected or 0.0) / job.window.length.total_seconds()
    return [Job(job.stream, gap, expected * gap.length.total_seconds()) for gap in subtract(wanted, covered)]


def portion(jobs: list[Job], most: int | None) -> tuple[list[Job], list[Job]]:
    """Return the first jobs, of about so many requests together but at least one job, and the others."""
    if most is None:
        return jobs, []
    asked = 0
    for number, job in enumerate(jobs):
        asked += PAGES if job.expected is None and job.window.length > SMALL else job.requests
        if asked > most and number:
            return jobs[:number], jobs[number:]
    return jobs, []


def _counts(connector: Connector, api: Api, stream: Stream, gap: Window) -> list[Count]:
    """Return the vendor's counts, or none when it does not give them: they only size the work.

    A count of very many is told in finer ones where the vendor does so: a year may have happened on one day.
    """
    counts = _asked(connector, api, stream, gap)
    for crowded in sorted(counts, key=lambda count: count.records, reverse=True)[:FINER]:
        if crowded.records <= CROWDED * PAGES * stream.page:
            break
        finer = _asked(connector, api, stream, crowded.window)
        if len(finer) < 2:
            break  # this vendor tells no finer ones
        place = counts.index(crowded)
        counts[place : place + 1] = finer
    return counts


def _asked(connector: Connector, api: Api, stream: Stream, window: Window) -> list[Count]:
    """Return the counts of a window, none when that fails.

    Raises AccessDenied with status 401 when the credential itself is refused.
    """
    try:
        return connector.counts(api, stream, window) or []
    except SourceError as error:
        if isinstance(error, AccessDenied) and error.status == 401:
            raise
        return []


def _cut(stream: Stream, gap: Window, counts: list[Count]) -> list[Job]:
    longest = stream.span or gap.length
    if not counts:
        length = gap.length if gap.length <= SMALL else UNKNOWN
        return [Job(stream, window) for window in gap.pieces(min(length, longest))]
    target = PAGES * stream.page
    jobs: list[Job] = []
    since, expected = gap.since, 0.0
    for number, (window, records) in enumerate(counts, start=1):
        if expected + records >= 2 * target and since < window.since < gap.until:
            # What is to be divided evenly must not hold a long empty time as well.
            jobs += _even(stream, Window(since, window.since), expected, target, longest)
            since, expected = window.since, 0.0
        expected += records
        if expected < target and number < len(counts):
            continue
        # The cuts follow the counts, and always add up to the whole gap, whatever the counts leave out.
        until = gap.until if number == len(counts) else min(window.until, gap.until)
        if until > since:
            jobs += _even(stream, Window(since, until), expected, target, longest)
            since, expected = until, 0.0
    return jobs


def _even(stream: Stream, window: Window, expected: float, target: int, longest: timedelta) -> list[Job]:
    """Return jobs of equal length, none longer than allowed, with about `target` records each."""
    parts = max(int(expected // (2 * target)) + 1, math.ceil(window.length / longest))
    pieces = window.split(parts)
    return [Job(stream, piece, expected / len(pieces)) for piece in pieces]
