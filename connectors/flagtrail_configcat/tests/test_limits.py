"""What ConfigCat's rate limit headers tell, in whatever form they come."""

from datetime import UTC, datetime

import pytest

from flagtrail_configcat import allowances

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("reset", "resets_in"),
    [
        ("2026-03-01T12:00:30Z", 30.0),
        ("2026-03-01T13:00:30.5+01:00", 30.5),
        ("2026-03-01T12:00:30", 30.0),
        (str(SECONDS + 30), 31.0),  # its fraction may have been cut off
        (str(SECONDS * 1000 + 30_500), 30.5),
        ("2026-03-01T11:00:00Z", 0.0),
        ("30", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_reset_is_understood_or_left_alone(reset: str, resets_in: float | None) -> None:
    [told] = allowances({"x-rate-limit-remaining": "7", "x-rate-limit-reset": reset}, NOW)
    assert (told.remaining, told.limit) == (7, None)
    assert told.resets_in == (None if resets_in is None else pytest.approx(resets_in))


@pytest.mark.parametrize("remaining", ["", "-1", "many", "1.5"])
def test_without_a_number_nothing_is_told(remaining: str) -> None:
    assert allowances({"x-rate-limit-remaining": remaining}, NOW) == []
