"""Counts the changes of a chart: all of them where that is quick, and else the newest."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from flagtrail import query as store_query
from flagtrail.deadline import within
from flagtrail.errors import TooSlow
from flagtrail.histogram import is_tallied
from flagtrail.web.access import Trail
from flagtrail.web.page.answer import Answer, Row
from flagtrail.web.page.axis import Axis
from flagtrail.web.page.view import SIZE, View

QUICK = 0.12  # seconds for counting by the tables of counts, before the newest changes alone are counted
HASTY = 0.05  # seconds for counting one by one: what is not counted by then would take far longer
TOO_MANY = 20_000  # changes that are not counted one by one before a page is shown
Counts = Mapping[tuple[int, Any], int]
"""How many changes there are, by the number of their span and the value of their lane."""


def counted(view: View, found: Answer, trail: Trail, over: Axis) -> tuple[Counts, datetime | None]:
    """Return how many changes there are in each span by the value of their lane, and since when they are counted."""
    rows, whole = found.sample
    if not whole and (view.counts_all or not _is_much(view, found)):
        hasty = QUICK if is_tallied(found.query, [view.by]) else HASTY
        seconds = trail.settings.timeout.total_seconds() if view.counts_all else hasty
        try:
            with within(seconds):
                exact = store_query.histogram(trail.store, found.query, view.by, over.fine)
        except TooSlow:
            pass
        else:
            return _spans(over, ((at, value, number) for (at, value), number in exact.items())), None
    counts = _spans(over, ((row["occurred_at"], value_of(row, view.by), 1) for row in rows))
    if whole:
        return counts, None
    return counts, rows[-1]["occurred_at"] if rows else over.window.until


def _is_much(view: View, found: Answer) -> bool:
    """Return whether it would surely take too long to count all, by how close together the newest ones are."""
    rows = found.sample.rows
    if is_tallied(found.query, [view.by]):
        return False
    if len(rows) <= SIZE:
        return True
    newest, oldest = rows[0]["occurred_at"], rows[-1]["occurred_at"]
    more = (oldest - found.window.since) / max(newest - oldest, timedelta(milliseconds=1))
    return bool(len(rows) * (1 + more) > TOO_MANY)


def _spans(over: Axis, told: Iterable[tuple[datetime, Any, int]]) -> Counts:
    counts: Counter[tuple[int, Any]] = Counter()
    for at, value, number in told:
        counts[over.span_of(at), value] += number
    return counts


def value_of(row: Row, by: str) -> str | None:
    """Return the value of a change by which lanes are told apart, the same as the database counts by."""
    if by == "actor":
        return row["actor_email"] or row["actor_name"] or row["actor_id"] or str(row["actor_kind"])
    found: str | None = row[by]
    return found
