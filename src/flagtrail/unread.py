"""Tells of a window what of it was not read, and why: where an answer about it may miss something."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from flagtrail.database import guarded
from flagtrail.schema import COVERAGE
from flagtrail.status import NOT_READ, extents
from flagtrail.store import Gap, Store, StreamState
from flagtrail.window import Window, merge, subtract

NEVER = "never read"
TOO_EARLY = "before the configured start"
NOT_KEPT = "it was deleted here, as the `keep` of the source says"
TOO_YOUNG = "not settled yet: changes may still appear"


class Unread(NamedTuple):
    """A span of time that was not read whole in some streams of a source, and why."""

    source: str
    streams: Sequence[str]
    since: datetime
    until: datetime
    reason: str


class Log(NamedTuple):
    """How much of a log was read: its windows, oldest first, and whether only by a filter that leaves changes out."""

    covered: Sequence[Window]
    in_part: bool


Logs = Callable[[str, str], Log]
"""How much was read of the log of a source, by the names of both."""


def logs_of(store: Store) -> Logs:
    """Return how much is read by now of each log, by all streams that read it or a part of it."""
    covered: dict[tuple[str, str], list[Window]] = {}
    with guarded(store.shown), store.engine.connect() as connection:
        for row in connection.execute(select(COVERAGE)):
            covered.setdefault((row.source, row.stream), []).append(Window(row.since, row.until))
    streams = store.streams()

    def log_of(source: str, log: str) -> Log:
        mine = [each for each in streams if each.source == source and (each.log or each.stream) == log]
        windows = merge(window for each in mine for window in covered.get((source, each.stream), ()))
        return Log(windows, bool(mine) and all(each.stream != log for each in mine))

    return log_of


def unread(store: Store, window: Window, configured: Iterable[str] = ()) -> list[Unread]:
    """Return what of a window was not read, oldest first; streams of a source with the same gap are told together.

    `configured` are the names of the sources that there should be; one that was never looked at has no streams.
    """
    found: dict[tuple[str, datetime, datetime, str], list[str]] = {}
    streams = store.streams()
    covered, gaps = extents(store)  # after the streams: what is covered since then was read
    for stream in streams:
        own = (stream.source, stream.stream)
        for hole in subtract(window, covered.get(own, [])):
            for part, reason in _explained(stream, hole, gaps.get(own, [])):
                found.setdefault((stream.source, part.since, part.until, reason), []).append(stream.stream)
    looks = {look.source: look.error for look in store.sources()}
    known = {stream.source for stream in streams}
    for name in sorted({*configured, *(name for name, error in looks.items() if error)} - known):
        if looks.get(name, NEVER):
            found[name, window.since, window.until, looks.get(name) or NEVER] = []
    told = [Unread(source, names, since, until, reason) for (source, since, until, reason), names in found.items()]
    return sorted(told, key=lambda one: (one.since, one.until, one.source, one.reason))


def _explained(stream: StreamState, hole: Window, gaps: Iterable[Gap]) -> list[tuple[Window, str]]:
    """Return the parts of a hole, each with its reason: a noted gap, and of the rest whether it was wanted, or kept."""
    told: list[tuple[Window, str]] = []
    for gap in gaps:
        part = gap.window.clip(hole)
        told += [(rest, gap.reason) for rest in subtract(part, [w for w, _ in told])] if part else []
    for part in subtract(hole, [window for window, _ in told]):
        since, until = stream.wanted_since or part.since, stream.settled_at or part.until
        inside = part.clip(Window(since, until)) if since < until else None
        early, late = part.before(since), part.after(max(since, until))
        deleted = early.before(stream.kept_since) if early and stream.kept_since else None
        early = early.after(deleted.until) if early and deleted else early
        sides = ((deleted, NOT_KEPT), (early, TOO_EARLY), (inside, stream.error or NOT_READ), (late, TOO_YOUNG))
        told += [(side, reason) for side, reason in sides if side]
    return told
