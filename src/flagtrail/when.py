"""Reads the times that people write: spans such as 90d, dates, instants."""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo

UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
SPAN_FORM = "a span such as 90d, 12h, 30m or 1d12h"
MOMENT_FORM = f"{SPAN_FORM} (ago), a date such as 2026-03-01, or an instant such as 2026-03-01T14:03Z"
_PART = re.compile(r"(\d{1,6})([wdhms])")
_SPAN = re.compile(rf"(?:{_PART.pattern})+")


def parse_span(text: str) -> timedelta:
    """Return the length of a span such as 90d or 1h30m; ValueError says the right form."""
    compact = text.strip().lower().replace(" ", "")
    if not _SPAN.fullmatch(compact):
        raise ValueError(f"{text!r} is not {SPAN_FORM}")
    try:
        total = sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in _PART.findall(compact)), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is longer than all time; write {SPAN_FORM}") from None
    if not total:
        raise ValueError(f"{text!r} is no time at all; write {SPAN_FORM}")
    return total


def parse_moment(text: str, now: datetime, zone: tzinfo | None = UTC) -> datetime:
    """Return the UTC instant that a text means: a span ago, the start of a date, an instant, or now.

    A text without a zone is read in `zone`; None means the zone of this machine. ValueError says the right form.
    """
    if text.strip().lower() == "now":
        return now.astimezone(UTC)
    try:
        return (now - parse_span(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return in_utc(datetime.fromisoformat(text.strip()), zone)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not {MOMENT_FORM}") from None


def in_utc(moment: date, zone: tzinfo | None = UTC) -> datetime:
    """Return a date (its start) or an instant in UTC; without a zone of its own it is read in `zone`."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)


def spoken(span: timedelta) -> str:
    """Return a length of time in its two largest units, such as 3d 4h; under a second it is 0s."""
    seconds = int(span.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
