"""Tells what a flag served over time in each environment, stretch by stretch, and where nobody can know.

What is known of each moment is what `facts` knows of it: nothing is guessed, and a time that was not read, or a change
whose account is missing, leaves what follows unknown until something tells it again.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

from flagtrail.event import to_json
from flagtrail.facts import renames
from flagtrail.places import ANYWHERE, Place, is_shortened
from flagtrail.rollouts import shares_of
from flagtrail.touches import ENDS, Row, Touch, touches_of
from flagtrail.window import MILLISECOND, Window, subtract

AT = attrgetter("at")
ON, RULE, VALUE = ("on",), ("fallthrough",), ("value",)


class Stretch(NamedTuple):
    """A span of time in which a place held one value, or in which that is not known."""

    since: datetime
    until: datetime
    known: bool
    value: Any = None


class Served(NamedTuple):
    """What one environment served in a span of time.

    `kind` is on, off, value (`label` says which), absent (the flag was not there) or unknown. `share` is the percentage
    that got `true` where the flag was on; None where it has no such share, or it is not known.
    """

    since: datetime
    until: datetime
    kind: str
    share: float | None = None
    label: str = ""


class Lived(NamedTuple):
    """One life of a flag: what touched it from its making to its end; `exists` is false while it was not there."""

    since: datetime
    until: datetime
    exists: bool | None
    touches: Sequence[Touch]


class Lanes:
    """The events about one flag over a window of time; `covered` and `others` are as those of `facts.Life`."""

    def __init__(
        self, rows: Sequence[Row], window: Window, covered: Sequence[Window], others: Iterable[Touch] = ()
    ) -> None:
        self.rows, self.own = rows, _touches(rows, [])
        self.holes = subtract(window, covered)
        self.lives = list(_lives(rows, window, list(others)))

    def environments(self) -> list[str]:
        """Return the environments that the flag's own events tell of, by key."""
        found = {touch.place.environment for touch in self.own} | {row["environment"] for row in self.rows}
        return sorted(name for name in found if name and name != ANYWHERE)

    def served(self, environment: str) -> list[Served]:
        """Return what an environment served, from the beginning of the window to its end; neighbours differ."""
        found: list[Served] = []
        for life in self.lives:
            if life.exists is not True:
                kind = "unknown" if life.exists is None else "absent"
                found.append(Served(life.since, life.until, kind))
                continue
            held = [list(self._stretches(life, Place(environment, name))) for name in (ON, RULE, VALUE)]
            for since, until in pairwise(sorted({edge for one in held for part in one for edge in part[:2]})):
                found.append(Served(since, until, *_served(*(_value_at(one, since) for one in held))))
        return _joined(found)

    def stretches(self, place: Place) -> list[Stretch]:
        """Return what a place held; of times in which the flag was not there, or nobody can know, nothing is known."""
        return [stretch for life in self.lives if life.exists for stretch in self._stretches(life, place)]

    def _stretches(self, life: Lived, place: Place) -> Iterator[Stretch]:
        told = [touch for touch in life.touches if touch.told and touch.place == place]
        others = [touch for touch in life.touches if not (touch.told and touch.place == place)]
        crossing = [touch for touch in others if touch.place.touches(place) or renames(touch, place, {})]
        edges = {life.since, life.until}
        instants = [touch.at for touch in (*told, *crossing)] + [
            edge for h in self.holes for edge in (h.since, h.until)
        ]
        edges |= {instant for instant in instants if life.since < instant < life.until}
        for since, until in pairwise(sorted(edges)):
            yield Stretch(since, until, *self._known(told, crossing, place, since, until))

    def _known(
        self, told: Sequence[Touch], crossing: Sequence[Touch], place: Place, since: datetime, until: datetime
    ) -> tuple[bool, Any]:
        """Return what a place held in a span in which nothing happened: whether that is known, and the value."""
        at = bisect_right(told, since, key=AT)
        last, following = told[at - 1] if at else None, told[at] if at < len(told) else None
        left = None
        if last is not None and not _is_vague(last, last.after):
            tied = at > 1 and told[at - 2].at == last.at and told[at - 2].row is not last.row
            others = _between(crossing, last.at, since)
            doubted = any(o.row is not last.row and _crosses(o, place, last.after) for o in others)
            left = None if tied or doubted or self._unread(last.at, until) else (last.after,)
        right = None
        if following is not None and following.found and not _is_vague(following, following.before):
            ties = at + 1 < len(told) and told[at + 1].at == following.at
            others = _between(crossing, since + MILLISECOND, following.at)
            doubted = any(_crosses(o, place, following.before) for o in others)
            right = None if ties or doubted or self._unread(since, following.at) else (following.before,)
        if left and right and _form(left[0]) != _form(right[0]):
            return False, None  # the trail disagrees with itself
        best = left or right
        return (True, best[0]) if best else (False, None)

    def _unread(self, since: datetime, until: datetime) -> bool:
        """Return whether a part of a time was not read."""
        return any(hole.since < until and since < hole.until for hole in self.holes)


def _lives(rows: Sequence[Row], window: Window, others: list[Touch]) -> Iterator[Lived]:
    """Yield each life of a flag, and the times between them."""
    since, exists, mine = window.since, rows[0]["action"] != "created" if rows else True, list[Row]()
    for row in rows:
        at = min(max(row["occurred_at"], window.since), window.until)
        if row["action"] in ENDS:
            if at > since:
                yield Lived(since, at, exists if exists or not mine else None, _touches(mine, others))
            since, exists, mine = at, row["action"] == "created", []
        mine += [] if row["action"] == "deleted" else [row]
    if window.until > since:
        yield Lived(since, window.until, exists if exists or not mine else None, _touches(mine, others))


def _touches(rows: Iterable[Row], others: list[Touch]) -> list[Touch]:
    told = [touch for row in rows for touch in touches_of(row)]
    return sorted([*told, *others], key=AT)


def _between(touches: Sequence[Touch], since: datetime, until: datetime) -> Sequence[Touch]:
    return touches[bisect_left(touches, since, key=AT) : bisect_right(touches, until, key=AT)]


def _crosses(other: Touch, place: Place, value: Any) -> bool:
    return other.place.touches(place) or renames(other, place, value)


def _is_vague(touch: Touch, value: Any) -> bool:
    """Return whether what an event tells of a place is not sure by itself."""
    return bool(is_shortened(value) or touch.row["truncated"] or touch.row["provisional"])


def _form(value: Any) -> bytes:
    return to_json(value, sort_keys=True)


def _value_at(stretches: Sequence[Stretch], instant: datetime) -> Stretch:
    return stretches[bisect_right(stretches, instant, key=attrgetter("since")) - 1]


def _served(on: Stretch, rule: Stretch, value: Stretch) -> tuple[str, float | None, str]:
    """Return the kind, the share and the label of what was served, by the switch, the default rule, or the value."""
    if value.known:
        return _plainly(value.value)
    if not (on.known and on.value is True):
        return "off" if on.known and on.value is False else "unknown", None, ""
    shares = shares_of(rule.value) if rule.known else None
    if shares is None:
        return "on", None, ""
    if set(shares) <= {"true", "false"}:
        return "on", shares.get("true", 0.0), ""
    name, share = max(shares.items(), key=lambda one: one[1])
    return "value", None, name if share == 100 else f"{name} {share:g} %"


def _plainly(value: Any) -> tuple[str, float | None, str]:
    if isinstance(value, bool):
        return ("on", 100.0, "") if value else ("off", None, "")
    return "value", None, value if isinstance(value, str) else to_json(value).decode("utf-8", "replace")


def _joined(parts: Iterable[Served]) -> list[Served]:
    """Return spans without cuts between those that are the same."""
    found: list[Served] = []
    for part in parts:
        if found and found[-1].until == part.since and found[-1][2:] == part[2:]:
            found[-1] = found[-1]._replace(until=part.until)
        else:
            found.append(part)
    return found
