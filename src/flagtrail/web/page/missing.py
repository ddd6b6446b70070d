"""Gathers what is missing, one line for each reason, with what can be done about it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from flagtrail.status import StreamStatus
from flagtrail.store import Gap
from flagtrail.web.page.bar import LOST, UNREAD, kind_of
from flagtrail.window import Window, merge

SHOWN = 20  # windows of one reason that are listed
TO_DO = {
    LOST: "Nothing brings it back: the vendor does not keep it any more, and nobody had read it. It stays told.",
    UNREAD: "flagtrail run reads it by itself, and flagtrail sync at once.",
    "failing": "Mend what the error tells of; flagtrail sync tries again at once, flagtrail run by itself.",
    "gap": "flagtrail run tries again by itself, and flagtrail sync at once. If it stays, the vendor's API cannot show "
    "this time whole: what is known of it is stored.",
}


class Hole(NamedTuple):
    """One gap of one stream, by the stream's name; `expected` entries were counted by the vendor, `stored` are here."""

    stream: str
    window: Window
    expected: int | None
    stored: int


class Missing(NamedTuple):
    """What is missing in a source for one reason: in which streams, when, and what can be done about it."""

    source: str
    kind: str
    reason: str
    streams: Sequence[str]
    since: datetime
    until: datetime
    holes: Sequence[Hole]
    more: int
    to_do: str


def missing(streams: Iterable[StreamStatus]) -> list[Missing]:
    """Return what is missing, what can be mended first, and then what began last."""
    found: dict[tuple[str, str, str], list[tuple[StreamStatus, Gap]]] = {}
    for stream in streams:
        for gap in stream.gaps:
            found.setdefault((stream.state.source, kind_of(gap), gap.reason), []).append((stream, gap))
    told = [_missing(*key, gaps) for key, gaps in found.items()]
    return sorted(told, key=lambda one: (one.kind == LOST, -one.until.timestamp(), one.reason))


def title_of(stream: StreamStatus) -> str:
    """Return how a stream is called for people: by its label, if it has one, which says more than an id in its name."""
    label = stream.state.label
    return f"{stream.state.stream.partition('[')[0]} · {label}" if label else stream.state.stream


def _missing(source: str, kind: str, reason: str, gaps: Sequence[tuple[StreamStatus, Gap]]) -> Missing:
    holes = sorted(
        (Hole(title_of(stream), gap.window, gap.expected if gap.seen_at else None, gap.stored) for stream, gap in gaps),
        key=lambda hole: hole.window, reverse=True,
    )  # fmt: skip
    windows = merge(hole.window for hole in holes)
    failing = kind == UNREAD and ":" in reason
    names = sorted({hole.stream for hole in holes})
    return Missing(
        source, kind, reason, names, windows[0].since, windows[-1].until, holes[:SHOWN], max(0, len(holes) - SHOWN),
        TO_DO["failing" if failing else kind],
    )  # fmt: skip
