"""The times that people write."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagtrail.when import MOMENT_FORM, SPAN_FORM, in_utc, parse_moment, parse_span, spoken

NOW = datetime(2026, 7, 15, 12, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("2w", timedelta(weeks=2)),
        ("1d12h", timedelta(hours=36)),
        ("1h 30m", timedelta(minutes=90)),
        (" 7D ", timedelta(days=7)),
        ("0d1s", timedelta(seconds=1)),
    ],
)
def test_a_span_is_numbers_with_units(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize(
    "text", ["", " ", "90", "d", "-1d", "+1d", "1.5h", "1y", "1month", "1d-2h", "d1", "P1D", "1:30", "1234567d", "1d!"]
)
def test_a_bad_span_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(ValueError, match="span") as raised:
        parse_span(text)
    assert repr(text) in str(raised.value)
    assert SPAN_FORM in str(raised.value)


@pytest.mark.parametrize("text", ["0d", "0h0m", "00s"])
def test_a_span_of_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no time at all; write a span such as 90d"):
        parse_span(text)


def refusal_of(parse: Callable[[str], object], text: str) -> str:
    """Return what a ValueError says about a text, or nothing when it is understood."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


@given(st.text(max_size=30))
def test_any_text_is_understood_or_refused_with_the_right_form(text: str) -> None:
    assert SPAN_FORM in (refusal_of(parse_span, text) or SPAN_FORM)
    assert MOMENT_FORM in (refusal_of(lambda given: parse_moment(given, NOW), text) or MOMENT_FORM)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("90d", NOW - timedelta(days=90)),
        ("1d12h", NOW - timedelta(hours=36)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        (" 2026-03-01 ", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T14:03Z", datetime(2026, 3, 1, 14, 3, tzinfo=UTC)),
        ("2026-03-01 14:03", datetime(2026, 3, 1, 14, 3, tzinfo=UTC)),
        ("2026-03-01T14:03:05.250+05:30", datetime(2026, 3, 1, 8, 33, 5, 250_000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_now_a_span_ago_a_date_or_an_instant(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "03/01/2026",
        "2026-13-01",
        "2026-02-30",
        "2026-03-01T25:00",
        "2026-03-01T14:03Q",
        "-5d",
        "999999d",  # before the year 1
        "999999w" * 150,  # more than any span
    ],
)
def test_a_bad_moment_is_refused_with_every_right_form(text: str) -> None:
    with pytest.raises(ValueError, match="is not a span") as raised:
        parse_moment(text, NOW)
    assert repr(text) in str(raised.value)
    assert MOMENT_FORM in str(raised.value)


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
def test_an_instant_that_has_no_utc_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(ValueError, match="is not a span"):
        parse_moment(text, NOW)


def test_a_span_that_is_longer_than_all_time_is_refused_with_the_right_form() -> None:
    with pytest.raises(ValueError, match="span such as"):
        parse_span("999999w" * 150)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-15", "2026-01-14T23:00"),  # winter
        ("2026-07-15", "2026-07-14T22:00"),  # summer
        ("2026-03-29", "2026-03-28T23:00"),  # the day on which the clock goes forward starts in winter time
        ("2026-03-30", "2026-03-29T22:00"),
        ("2026-03-29T02:30", "2026-03-29T01:30"),  # an hour that was left out
        ("2026-10-25T02:30", "2026-10-25T00:30"),  # an hour that comes twice: the first
        ("2026-07-15T12:00Z", "2026-07-15T12:00"),  # its own zone wins
    ],
)
def test_a_text_without_a_zone_is_read_in_the_given_one_with_its_summer_time(text: str, utc: str) -> None:
    assert parse_moment(text, NOW, BERLIN) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.usefixtures("machine_in_new_york")
@pytest.mark.parametrize(("text", "hour"), [("2026-01-15", 5), ("2026-07-15", 4)])
def test_no_zone_means_the_zone_of_the_machine_at_that_date(text: str, hour: int) -> None:
    assert parse_moment(text, NOW, None) == datetime.fromisoformat(text).replace(hour=hour, tzinfo=UTC)


@pytest.mark.parametrize("zone", [UTC, BERLIN, None])
def test_now_and_spans_do_not_depend_on_the_zone(zone: tzinfo | None) -> None:
    assert parse_moment("now", NOW.astimezone(BERLIN), zone) == NOW
    assert parse_moment("36h", NOW, zone) == NOW - timedelta(hours=36)


def test_a_date_is_its_start_and_an_instant_is_kept() -> None:
    assert in_utc(date(2026, 3, 1)) == datetime(2026, 3, 1, tzinfo=UTC)
    assert in_utc(date(2026, 7, 1), BERLIN) == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert in_utc(NOW.astimezone(BERLIN)) == NOW


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (90, "1m 30s"),
        (3600, "1h"),
        (3661, "1h 1m"),
        (273_600, "3d 4h"),
        (86_400 * 400 + 59, "400d 59s"),
    ],
)
def test_a_length_of_time_is_spoken_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert spoken(timedelta(seconds=seconds)) == said
