"""What a chart is drawn over: even spans in the reader's zone, in every zone, also where clocks are set."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from flagtrail.web.page.axis import MOST, Axis, axis
from flagtrail.web.page.scale import DAY, HOUR, SECOND
from flagtrail.web.page.view import PRESETS
from flagtrail.window import EPOCH, Window

NOW = datetime(2026, 11, 22, 11, 7, 31, 5000, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Chatham")
LENGTHS = [each.length for each in PRESETS] + [SECOND * 30, timedelta(minutes=7), DAY * 700, DAY * 9000]


def made(length: timedelta, zone: str, until: datetime = NOW) -> Axis:
    return axis(Window(until - length, until), ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("length", LENGTHS, ids=str)
def test_a_time_is_divided_into_even_spans_without_holes(length: timedelta, zone: str) -> None:
    for until in (NOW, datetime(2026, 3, 29, 12, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC)):
        found = made(length, zone, until)
        assert (found.edges[0], found.edges[-1]) == (found.window.since, found.window.until)
        assert all(first < second for first, second in pairwise(found.edges))
        assert 25 <= len(found.edges) - 1 <= MOST + 3
        assert 2 <= len(found.scale.ticks()) <= 10
        assert not any((edge - EPOCH) % found.fine for edge in found.edges[1:-1])
        for span, (first, last) in enumerate(pairwise(found.edges)):
            assert found.span_of(first) == found.span_of(last - timedelta(microseconds=1)) == span


def test_spans_of_hours_and_days_begin_at_even_times_of_the_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    hours = {(edge.astimezone(berlin).hour, edge.minute) for edge in made(DAY * 7, "Europe/Berlin").edges[1:-1]}
    assert hours == {(hour, 0) for hour in range(0, 24, 2)}
    days = made(DAY * 90, "Europe/Berlin", datetime(2026, 4, 20, tzinfo=UTC)).edges[1:-1]
    assert {edge.astimezone(berlin).hour for edge in days} == {0}
    assert {second - first for first, second in pairwise(days)} == {DAY, DAY - HOUR}  # clocks were set on 29 March
    nepal = made(HOUR * 24, "Asia/Kathmandu")
    assert {edge.astimezone(ZoneInfo("Asia/Kathmandu")).minute % 15 for edge in nepal.edges[1:-1]} == {0}


def test_what_lies_beyond_an_end_belongs_to_the_span_there() -> None:
    found = made(HOUR, "UTC")
    assert found.span_of(NOW + DAY) == len(found.edges) - 2
    assert found.span_of(NOW - DAY) == 0
    assert (found.scale.at(NOW + DAY), found.scale.at(NOW - DAY)) == (100, 0)
