"""Says in a line above a list how far it can be trusted, in the words of the command line."""

from datetime import datetime
from typing import NamedTuple

from flagtrail.completeness import Completeness
from flagtrail.web.page.shell import Reader


class Trust(NamedTuple):
    """How far an answer can be trusted: `level` is good, warning or bad; `text` says it, and `more` precisely."""

    level: str
    text: str
    more: str


def trust(told: Completeness, reader: Reader) -> Trust:
    """Return how far an answer can be trusted."""
    if told.asked is None:
        return Trust("warning", "The time asked for has not begun", "there can be nothing yet")
    if not told.is_trusted:
        return Trust("bad" if told.gaps or told.behind or not told.windows else "warning", *_missing(told, reader))
    newest = told.windows[-1]
    settled = newest.until >= told.asked.until
    verified = f", {percent(told.verified_share)} of it verified" if told.verified_share else ""
    count = len(told.streams)
    streams = "the one stream" if count == 1 else f"all {count} streams"
    times = f"{_at(newest.since, reader)} to {_at(newest.until, reader)}"
    parts = [f"read from {times} in {streams}{verified}"]
    if told.since is None or newest.since > told.since:
        parts.append("before that nothing was asked for")
    if not settled:
        parts.append("younger changes may still appear")
    text = "Complete for this time" if told.is_complete else "Complete as far as it was asked for"
    return Trust("good", text, "; ".join(parts))


def _missing(told: Completeness, reader: Reader) -> tuple[str, str]:
    parts = []
    if told.gaps:
        parts.append(f"{told.gaps} {'gap' if told.gaps == 1 else 'gaps'} in {len(told.streams)} streams")
    if told.failing:
        parts.append(f"{', '.join(told.failing)} cannot be read, or never was")
    if told.differing:
        parts.append(f"{told.differing} windows differ from the vendor")
    if told.is_stale and told.settled_until:
        parts.append(f"nothing was read since {_at(told.settled_until, reader)}")
    if not told.streams:
        parts.append("no stream that this asks for was ever read")
    elif told.covered_share < 1:
        parts.append(f"{percent(told.covered_share)} of this time is covered")
    return "Not everything is here", "; ".join(parts)


def _at(instant: datetime, reader: Reader) -> str:
    local = reader.local(instant)
    return f"{local.day} {local:%b %Y %H:%M}"


def percent(share: float) -> str:
    """Return a share for people, never rounded up to the whole."""
    return f"{int(share * 1000) / 10:g} %"
