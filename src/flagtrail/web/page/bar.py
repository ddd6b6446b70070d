"""Draws one stream over time: what is covered, what of that is verified, and what is missing, with its reason."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flagtrail.status import NOT_READ, StreamStatus
from flagtrail.store import Gap
from flagtrail.verdicts import Outcome
from flagtrail.web.page.scale import Scale
from flagtrail.window import Window, merge

COVERED, VERIFIED, DIFFERS = "covered", "verified", "differs"
UNREAD, GAP, LOST, UNSETTLED = "unread", "gap", "lost", "unsettled"
KINDS = {
    VERIFIED: "covered, and compared with the vendor",
    COVERED: "covered",
    GAP: "gap: it could not be read whole",
    UNREAD: "not read yet",
    LOST: "lost for good",
    DIFFERS: "differs from the vendor",
    UNSETTLED: "not settled yet",
}
"""What can be drawn, and what it means; in the order of the legend."""


class Stretch(NamedTuple):
    """A part of a bar, in percent; `told` is what is to be said of it, if anything."""

    kind: str
    start: float
    width: float
    told: str | None


class Bar(NamedTuple):
    """One stream over time: stretches, later ones above earlier ones, and up to where the vendor keeps entries."""

    stretches: list[Stretch]
    horizon: float | None


def bar(stream: StreamStatus, scale: Scale, local: Callable[[datetime], str]) -> Bar:
    """Return one stream over time; `local` says an instant as the reader reads it."""
    good = [each.window for each in stream.verdicts if each.outcome in (Outcome.VERIFIED, Outcome.HEALED)]
    verified = merge(both for window in merge(good) for whole in stream.covered if (both := window.clip(whole)))
    drawn = [
        *_plain(COVERED, stream.covered, scale),
        *(Stretch(VERIFIED, part.start, part.width, None) for part in scale.parts(verified, least=0.0)),
    ]
    drawn += _plain(UNSETTLED, _unsettled(stream, scale), scale)
    for kind in (LOST, UNREAD, GAP):
        gaps = {gap.window: gap for gap in stream.gaps if kind_of(gap) == kind}
        for part in scale.parts(gaps):
            told = _told(part.windows, gaps[part.windows[0]].reason, local)
            drawn.append(Stretch(kind, part.start, part.width, told))
    differs = {each.window: each.reason or "" for each in stream.verdicts if each.outcome is Outcome.DIFFERS}
    for part in scale.parts(differs):
        drawn.append(Stretch(DIFFERS, part.start, part.width, _told(part.windows, differs[part.windows[0]], local)))
    return Bar(drawn, _horizon(stream, scale))


def kind_of(gap: Gap) -> str:
    """Return which kind of gap it is: lost for good, not read yet, or one that was tried and could not be read."""
    if gap.permanent:
        return LOST
    return UNREAD if gap.seen_at is None and gap.reason.startswith(NOT_READ) else GAP


def _plain(kind: str, windows: Iterable[Window], scale: Scale) -> list[Stretch]:
    return [Stretch(kind, part.start, part.width, None) for part in scale.parts(windows)]


def _unsettled(stream: StreamStatus, scale: Scale) -> list[Window]:
    """Return the time after what had settled at the last look: it is not read, and no gap yet."""
    since = stream.wanted.until if stream.wanted else None
    rest = scale.window.after(since) if since else None
    return [rest] if rest else []


def _told(windows: tuple[Window, ...], reason: str, local: Callable[[datetime], str]) -> str:
    where = f"{local(windows[0].since)} to {local(windows[-1].until)}"
    return f"{where}: {reason}" if len(windows) == 1 else f"{len(windows)} spans, {where}: {reason}"


def _horizon(stream: StreamStatus, scale: Scale) -> float | None:
    if stream.state.retention is None:
        return None
    at = datetime.now(UTC) - timedelta(seconds=stream.state.retention)
    return scale.at(at) if scale.window.since < at < scale.window.until else None
