"""Counts what somebody did: by action, place and kind of object, by day, and by the hours of the day."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from flagtrail.language import spell
from flagtrail.query import Query
from flagtrail.web.page.life import Row
from flagtrail.web.page.shell import Reader

FIELDS = (("What", "action"), ("Environment", "environment"), ("Project", "project"), ("Kind of object", "object_kind"))
NAMED = {"environment": "environment_name", "project": "project_name"}  # by which a question finds them too
MOST_GROUPS = 8
SHOWN = 12  # names and ids of somebody that are shown without a click
MOST_DAYS = 120  # columns; more of them are weeks, or longer
TALLEST = 56  # pixels


class Group(NamedTuple):
    """How many changes have one value, and how wide its bar is, in percent of the widest."""

    name: str
    changes: int
    width: float
    timeline: str | None


class Column(NamedTuple):
    """One column of a chart: where, how wide (percent), how high (pixels), and what it says."""

    x: float
    width: float
    height: float
    title: str


def timeline(reader: Reader, meant: Query, since: str, **more: Any) -> str:
    """Return the address of the timeline of a question, since a time as an address says it, narrowed by more fields."""
    return reader.link("/", q=spell(replace(meant, **more)), since=since)


def identities(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Return by which names, addresses and ids somebody goes, each with the vendors that show it."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for name in ("actor_name", "actor_email", "actor_id"):
            if row[name]:
                found.setdefault(row[name], set()).add(row["vendor"])
    return [(identity, sorted(vendors)) for identity, vendors in found.items()]


def groups(rows: Sequence[Row], field: str, reader: Reader, meant: Query, since: str) -> list[Group]:
    """Return the most frequent values of a field, each with the timeline of it."""
    values = [row[NAMED.get(field, field)] or row[field] for row in rows]
    spelled = {(value or "").lower(): value for value in reversed(values)}  # case makes no difference to a question
    counts = Counter(spelled[(value or "").lower()] for value in values)
    most = max(counts.values(), default=1)
    told = []
    for value, count in counts.most_common(MOST_GROUPS):
        address = timeline(reader, meant, since, **{field: value}) if value and "*" not in value else None
        name = value or "none"
        told.append(Group(name if field in NAMED else name.replace("_", " "), count, 100 * count / most, address))
    rest = len(counts) - MOST_GROUPS
    return [*told, *([Group(f"{rest} more", 0, 0, None)] if rest > 0 else [])]


def by_day(rows: Sequence[Row], since: datetime, now: datetime, reader: Reader) -> list[Column]:
    """Return a column for each day of the time, or for each week of a long one."""
    first, last = reader.local(since).date(), reader.local(now).date()
    step = 1 if (last - first).days < MOST_DAYS else max(7, -(-(last - first).days // MOST_DAYS))
    days = [first + timedelta(days=at) for at in range(0, (last - first).days + 1, step)]
    counts = Counter((reader.local(row["occurred_at"]).date() - first).days // step for row in rows)
    return _columns([(counts[at], _days(day, step)) for at, day in enumerate(days)])


def _days(day: date, step: int) -> str:
    return f"{day:%a %d %b %Y}" if step == 1 else f"{step} days from {day:%d %b %Y}"


def by_hour(rows: Sequence[Row], reader: Reader) -> list[Column]:
    """Return a column for each hour of the reader's day."""
    counts = Counter(reader.local(row["occurred_at"]).hour for row in rows)
    return _columns([(counts[hour], f"{hour:02}:00 to {hour + 1:02}:00") for hour in range(24)])


def _columns(counts: Sequence[tuple[int, str]]) -> list[Column]:
    most, wide = max([count for count, _ in counts] + [1]), 100 / max(1, len(counts))
    return [
        Column(wide * at, wide * 0.84, TALLEST * count / most, f"{said}: {count} change{'s' * (count != 1)}")
        for at, (count, said) in enumerate(counts)
    ]
