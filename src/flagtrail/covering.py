"""Writes which windows of a stream are stored whole, and which could not be read: within the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, select

from flagtrail.schema import COVERAGE, GAP, STREAM
from flagtrail.window import Window, merge, subtract

KEY = ("source", "stream", "since", "until")
# Made once: each transaction asks both.
TOUCHING = {
    table: select(table.c.stream, table.c.since, table.c.until).where(
        table.c.source == bindparam("source"),
        table.c.stream.in_(bindparam("streams", expanding=True)),
        table.c.since <= bindparam("last"),
        table.c.until >= bindparam("first"),
    )
    for table in (COVERAGE, GAP)
}
Windows = dict[str, list[Window]]
"""Windows by the name of their stream."""


class Untold(NamedTuple):
    """A window that could not be read whole, why, and how many entries the vendor counts and the store holds."""

    stream: str
    window: Window
    reason: str
    expected: int | None
    stored: int


def is_stream(table: Table, source: str, stream: str) -> Any:
    """Return the condition that a row is about a stream."""
    return and_(table.c.source == source, table.c.stream == stream)


def lock_streams(connection: Connection, source: str, streams: Sequence[str]) -> None:
    """Let no other process write to these streams until the transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        query = select(STREAM.c.stream).where(STREAM.c.source == source, STREAM.c.stream.in_(streams))
        connection.execute(query.order_by(STREAM.c.stream).with_for_update()).all()


def covered(connection: Connection, source: str, stream: str) -> list[Window]:
    """Return the covered windows of a stream, oldest first."""
    query = select(COVERAGE.c.since, COVERAGE.c.until).where(is_stream(COVERAGE, source, stream))
    return sorted(Window(*row) for row in connection.execute(query))


def cover(connection: Connection, source: str, windows: Mapping[str, Sequence[Window]]) -> None:
    """Merge windows into the coverage of their streams; what they close is no gap any more.

    Takes the same few statements for any number of windows and streams.
    """
    claimed = {stream: merge(claims) for stream, claims in windows.items() if claims}
    if not claimed:
        return
    since = min(claims[0].since for claims in claimed.values())
    until = max(claims[-1].until for claims in claimed.values())
    found = _between(connection, COVERAGE, source, list(claimed), since, until)
    old: Windows = {}
    new: Windows = {}
    for stream, claims in claimed.items():
        known = found.get(stream, [])
        whole = merge([*known, *claims])
        old[stream] = sorted(set(known) - set(whole))
        new[stream] = sorted(set(whole) - set(known))
    _remove(connection, COVERAGE, source, old)
    _put(connection, source, new)
    gaps = _between(connection, GAP, source, list(claimed), since, until)
    closed = {stream: [gap for gap in gaps.get(stream, []) if _within(gap, new[stream])] for stream in claimed}
    _remove(connection, GAP, source, closed)


def uncover(connection: Connection, source: str, gap: Untold, now: datetime) -> None:
    """Take a window out of the coverage, and note it as a gap."""
    window = gap.window
    found = _between(connection, COVERAGE, source, [gap.stream], window.since, window.until).get(gap.stream, [])
    touched = [one for one in found if one.clip(window)]
    _remove(connection, COVERAGE, source, {gap.stream: touched})
    _put(connection, source, {gap.stream: [rest for one in touched for rest in subtract(one, [window])]})
    _note(connection, source, gap, now)


def note_gap(connection: Connection, source: str, gap: Untold, now: datetime) -> None:
    """Note a window that could not be read whole, unless another process has done so meanwhile."""
    window = gap.window
    found = _between(connection, COVERAGE, source, [gap.stream], window.since, window.until)
    if not _within(window, found.get(gap.stream, [])):
        _note(connection, source, gap, now)


def note_lost(
    connection: Connection, source: str, stream: str, lost: Iterable[Window], reason: str, now: datetime
) -> list[Window]:
    """Note windows that were never stored and cannot be read any more; return what of them was not known."""
    mine = and_(is_stream(GAP, source, stream), GAP.c.permanent)
    known = [Window(*row) for row in connection.execute(select(GAP.c.since, GAP.c.until).where(mine))]
    told = [*known, *covered(connection, source, stream)]
    new = [hole for window in merge(lost) for hole in subtract(window, told)]
    if new:
        connection.execute(delete(GAP).where(mine))
        values = {"source": source, "stream": stream, "reason": reason, "stored": 0, "seen_at": now}
        rows = [{"since": w.since, "until": w.until, "permanent": True} for w in merge([*known, *new])]
        for row in rows:  # a gap that was noted with another reason ends with the entries that it was about
            inside = and_(GAP.c.since >= row["since"], GAP.c.until <= row["until"])
            connection.execute(delete(GAP).where(is_stream(GAP, source, stream), inside))
        connection.execute(insert(GAP), [values | row for row in rows])
    return new


def _between(
    connection: Connection, table: Table, source: str, streams: Sequence[str], since: datetime, until: datetime
) -> Windows:
    """Return the windows of streams that share a moment with a span of time, or touch it."""
    asked = {"source": source, "streams": streams, "first": since, "last": until}
    found: Windows = {}
    for stream, *window in connection.execute(TOUCHING[table], asked):
        found.setdefault(stream, []).append(Window(*window))
    return found


def _within(window: Window, others: Iterable[Window]) -> bool:
    return any(other.since <= window.since and window.until <= other.until for other in others)


def _remove(connection: Connection, table: Table, source: str, windows: Windows) -> None:
    gone = [{f"_{name}": value for name, value in row.items()} for row in _rows(source, windows)]
    if gone:
        this = and_(*(table.c[name] == bindparam(f"_{name}") for name in KEY))
        connection.execute(delete(table).where(this), gone)


def _put(connection: Connection, source: str, windows: Windows) -> None:
    new = _rows(source, windows)
    if new:
        connection.execute(insert(COVERAGE), new)


def _rows(source: str, windows: Windows) -> list[dict[str, Any]]:
    return [
        dict(zip(KEY, (source, stream, window.since, window.until), strict=True))
        for stream, mine in windows.items()
        for window in mine
    ]


def _note(connection: Connection, source: str, gap: Untold, now: datetime) -> None:
    """Note a gap, in place of what was known of the same window."""
    _remove(connection, GAP, source, {gap.stream: [gap.window]})
    [values] = _rows(source, {gap.stream: [gap.window]})
    values |= {"reason": gap.reason, "expected": gap.expected, "stored": gap.stored}
    connection.execute(insert(GAP), values | {"seen_at": now, "permanent": False})
