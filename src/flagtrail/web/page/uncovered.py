"""Tells which parts of a chart were not read: there may be changes that are not here, whatever the bars say."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from flagtrail.completeness import STALE, Completeness
from flagtrail.status import NOT_READ
from flagtrail.unread import NEVER, TOO_YOUNG
from flagtrail.web.page.axis import Axis
from flagtrail.window import Window, subtract

REASONS = 3  # that are told of one hole
NEAR = 0.2  # percent of a chart: holes that are closer together are drawn as one


class Hole(NamedTuple):
    """A part of a chart that was not read whole, in percent of its length, and why; `is_young`: not settled yet."""

    place: float
    width: float
    text: str
    is_young: bool


class _Missing(NamedTuple):
    since: datetime
    until: datetime
    reason: str
    where: str


def holes(told: Completeness, over: Axis, *, by_vendor: bool) -> Mapping[str | None, list[Hole]]:
    """Return what was not read of the streams concerned: by vendor, if asked for, and under None of all."""
    found: list[_Missing] = []
    vendors: dict[str, list[_Missing]] = {}
    for each in told.streams:
        state = each.state
        name = f"{state.source} {state.stream.partition('[')[0]} {state.label}" if state.label else state.stream
        mine = list(
            _missing(each.covered, [(gap.window, gap.reason) for gap in each.gaps], each.settled_until, over, name)
        )
        found += mine
        vendors.setdefault(state.vendor, []).extend(mine)
    here = {each.state.source for each in told.streams}
    window = over.window
    never = [_Missing(window.since, window.until, NEVER, name) for name in told.failing if name not in here]
    if not told.streams and not never:
        never = [_Missing(window.since, window.until, "no stream that this asks for was ever read", "")]
    # Of a source that was never read, nobody knows which lane it belongs to.
    drawn: dict[str | None, list[Hole]] = {None: _drawn([*found, *never], over)}
    if by_vendor:
        drawn |= {vendor: _drawn([*mine, *never], over) for vendor, mine in vendors.items()}
    return drawn


def _missing(
    covered: Iterable[Window], gaps: Iterable[tuple[Window, str]], settled: datetime | None, over: Axis, where: str
) -> Iterable[_Missing]:
    known = list(gaps)
    for hole in subtract(over.window, covered):
        reasons = [(part, reason) for gap, reason in known if (part := gap.clip(hole))]
        for part, reason in reasons:
            yield _Missing(part.since, part.until, reason, where)
        for part in subtract(hole, [part for part, _ in reasons]):
            young = settled is not None and part.since >= settled and over.window.until - settled <= STALE
            yield _Missing(part.since, part.until, TOO_YOUNG if young else NOT_READ, where)


def _drawn(missing: Sequence[_Missing], over: Axis) -> list[Hole]:
    """Return holes that do not overlap, each with the reasons of all that are in it."""
    found = []
    for young in (False, True):
        groups: list[tuple[float, float, list[_Missing]]] = []
        for each in sorted(each for each in missing if (each.reason == TOO_YOUNG) is young):
            place, end = over.scale.at(each.since), over.scale.at(each.until)
            if groups and place <= groups[-1][1] + NEAR:
                first, last, those = groups[-1]
                groups[-1] = (first, max(last, end), [*those, each])
            else:
                groups.append((place, end, [each]))
        found += [Hole(place, round(max(end - place, NEAR), 3), _text(those), young) for place, end, those in groups]
    return found


def _text(those: Iterable[_Missing]) -> str:
    told = list(dict.fromkeys(each.reason for each in those))
    where = list(dict.fromkeys(each.where for each in those if each.where))
    more = f", and {len(told) - REASONS} more reasons" if len(told) > REASONS else ""
    names = where[0] if len(where) == 1 else f"{len(where)} streams" if where else ""
    return f"Not read whole{f' ({names})' if names else ''}: {'; '.join(told[:REASONS])}{more}"
