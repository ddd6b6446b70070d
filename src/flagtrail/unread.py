"""Tells of a window what of it was not read, and why: where an answer about it may miss something."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from flagtrail.status import NOT_READ, StreamStatus
from flagtrail.store import Store
from flagtrail.window import Window, merge, subtract

TOO_EARLY = "before the configured start"
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


def log_of(store: Store, source: str, log: str) -> Log:
    """Return how much of a log was read, by all streams that read it or a part of it."""
    mine = [each for each in store.streams() if each.source == source and (each.log or each.stream) == log]
    windows = merge(window for each in mine for window in store.coverage(source, each.stream))
    return Log(windows, bool(mine) and all(each.stream != log for each in mine))


def unread(streams: Iterable[StreamStatus], window: Window) -> list[Unread]:
    """Return what of a window was not read, oldest first; streams of a source with the same gap are told together."""
    found: dict[tuple[str, datetime, datetime, str], list[str]] = {}
    for stream in streams:
        for hole in subtract(window, stream.covered):
            for part, reason in _explained(stream, hole):
                key = (stream.state.source, part.since, part.until, reason)
                found.setdefault(key, []).append(stream.state.stream)
    told = [Unread(source, names, since, until, reason) for (source, since, until, reason), names in found.items()]
    return sorted(told, key=lambda one: (one.since, one.until, one.source, one.reason))


def _explained(stream: StreamStatus, hole: Window) -> list[tuple[Window, str]]:
    """Return the parts of a hole, each with its reason."""
    told = [(part, gap.reason) for gap in stream.gaps if (part := gap.window.clip(hole))]
    rest = subtract(hole, [part for part, _ in told])
    if stream.wanted is None:
        return told + [(part, stream.state.error or NOT_READ) for part in rest]
    for part in rest:
        early, late = part.before(stream.wanted.since), part.after(stream.wanted.until)
        told += [(side, reason) for side, reason in ((early, TOO_EARLY), (late, TOO_YOUNG)) if side]
        inside = part.clip(stream.wanted)
        told += [(inside, NOT_READ)] if inside else []
    return told
