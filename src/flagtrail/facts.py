"""Works out what is known of one flag at a moment from the events about it, and what is not.

Each place of the flag has a fact: what the last change before the moment left there, or else what the first change
after it found there. It is known only if nothing can have come in between: no time that was not read, no change whose
account is missing, shortened or about a place that may be the same. Nothing is guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from flagtrail.event import from_json, to_json
from flagtrail.places import ANYWHERE, Place, is_shortened
from flagtrail.touches import ENDS, Row, Touch, touches_of
from flagtrail.window import MILLISECOND, Window, iso, subtract

# Values that name no variation; all others change their words when a variation is called otherwise.
ALL, VARIATIONS = Place(ANYWHERE, ()), Place(None, ("variations",))
NAMELESS = {"on", "value", "name", "description", "tags", "archived", "deprecated", "variations"}


@dataclass(frozen=True, slots=True)
class Fact:
    """What one place of a flag held at the moment, how that is known, and what makes it doubtful.

    `known` is whether it is sure; then there are no `doubts`. `how` is "after" when `event` made it so at or before
    the moment, "before" when `event` found it so after the moment. `member` is one of a list, and `value` whether it
    was in there. `remarks` are worth knowing and make nothing doubtful.
    """

    environment: str | None
    name: str
    value: Any
    known: bool
    how: str
    event: str
    event_at: datetime
    member: Any = None
    doubts: Sequence[str] = field(default_factory=tuple)
    remarks: Sequence[str] = field(default_factory=tuple)


class Life:
    """The events about one flag from its making to its end, around a moment.

    `rows` are in the order of time, and none is missing in the `covered` windows; `others` is what else touched it.
    """

    def __init__(
        self, rows: Sequence[Row], at: datetime, covered: Sequence[Window], others: Iterable[Touch] = ()
    ) -> None:
        self.at, self.covered = at, covered
        self.past = [row for row in rows if row["occurred_at"] <= at]
        self.future = [row for row in rows if row["occurred_at"] > at]
        born = max((n for n, row in enumerate(self.past) if row["action"] in ENDS), default=-1)
        ended = next((n for n, row in enumerate(self.future) if row["action"] in ENDS), len(self.future))
        self.ends = [row for row in rows if row["action"] in ENDS]
        self.deleted = born >= 0 and self.past[born]["action"] == "deleted"
        self.made = ended < len(self.future) and self.future[ended]["action"] == "created"
        lived = [*self.past[max(born, 0) :], *self.future[:ended]]
        self.others = list(others)
        told = [touch for row in lived for touch in touches_of(row)]
        self.touches = sorted([*told, *self.others], key=lambda touch: touch.at)

    def facts(self) -> list[Fact]:
        """Return what is known of each place that an event of this life tells of, by environment and name."""
        if self.deleted or (self.made and not self.past):
            return []
        places = dict.fromkeys(touch.place for touch in self.touches if touch.told)
        found = [fact for place in places if (fact := self.fact(place))]
        return sorted(found, key=lambda fact: (fact.environment or "", fact.name, str(fact.member)))

    def fact(self, place: Place) -> Fact | None:
        """Return what is known of a place; None when nothing is, or when a change of what holds it says more."""
        mine = [touch for touch in self.touches if touch.told and touch.place == place]
        last = next((touch for touch in reversed(mine) if touch.at <= self.at), None)
        first = next((touch for touch in mine if touch.at > self.at and touch.found), None)
        if last and any(self._replaces(other, last) for other in self.touches):
            last = None
        remarks: tuple[str, ...] = ()
        told = []
        if last:
            told.append((last, last.after, self._doubts(last, last.after, last.at, self.at)))
        if first:
            told.append((first, first.before, self._doubts(first, first.before, self.at, first.at)))
        if last and first and (said := _disagreement(last, first)):
            explained = [doubt for _, _, doubts in told for doubt in doubts]
            told = told if explained else [(touch, value, [said]) for touch, value, _ in told]
            remarks = (said,) if explained else ()
        best = next((one for one in told if not one[2]), told[0] if told else None)
        if best is None:
            return None
        touch, value, doubts = best
        how = "after" if touch is last else "before"
        member = None if place.member is None else from_json(place.member)
        known = (value, not doubts, how, touch.row["id"], touch.at)
        return Fact(place.environment, place.name, *known, member, tuple(doubts), remarks)

    def exists(self) -> Fact | None:
        """Return whether the flag was there; None when the trail has no event about it."""
        told: list[tuple[Row, bool, list[str]]] = []
        if self.past:
            last = self.past[-1]
            doubts = self._unread(last["occurred_at"], self.at)
            if self.deleted and last["action"] not in ENDS:
                doubts.append(
                    f"it was changed at {iso(last['occurred_at'])} after it was deleted: its making was not seen"
                )
            told.append((last, last["action"] != "deleted", doubts))
        if self.future:
            first = self.future[0]
            told.append((first, first["action"] != "created", self._unread(self.at, first["occurred_at"])))
        if not told:
            return None
        if len(told) > 1 and told[0][1] != told[1][1] and not told[0][2] and not told[1][2]:
            what = f"{told[0][0]['action']} at {iso(told[0][0]['occurred_at'])}, then {told[1][0]['action']}"
            said = f"the trail disagrees: {what} at {iso(told[1][0]['occurred_at'])}: something between was not seen"
            told = [(row, there, [said]) for row, there, _ in told]
        row, there, doubts = next((one for one in told if not one[2]), told[0])
        early, late = sorted((row["occurred_at"], self.at))
        doubts += [_said_of(other) for other in self.others if other.place == ALL and early <= other.at <= late]
        ties = [e for e, f in pairwise(self.ends) if e["occurred_at"] == f["occurred_at"] == row["occurred_at"]]
        doubts += ["it was made and deleted in the same millisecond" for _ in ties[:1]]
        how = "after" if row["occurred_at"] <= self.at else "before"
        return Fact(None, "exists", there, not doubts, how, row["id"], row["occurred_at"], doubts=tuple(doubts))

    def _replaces(self, other: Touch, last: Touch) -> bool:
        """Return whether a later change until the moment made anew what holds a place."""
        return other.told and other.place.holds(last.place) and last.at < other.at <= self.at

    def _doubts(self, touch: Touch, value: Any, since: datetime, until: datetime) -> list[str]:
        """Return why what an event tells of a place may not have been so at the moment, at the other end of a span."""
        found = []
        if touch.place.by_position:
            found.append("it is only told by its position in a list")
        if is_shortened(value):
            found.append("its value is told in part only")
        if touch.row["truncated"]:
            found.append("the vendor cut its account of the change short")
        if touch.row["provisional"]:
            found.append("the vendor will still change this entry")
        return [*found, *self._unread(since, until), *self._crossed(touch, since, until)]

    def _unread(self, since: datetime, until: datetime) -> list[str]:
        """Return what was not read of a time in which something may have happened."""
        found = []
        for hole in subtract(Window(since, until + MILLISECOND), self.covered):
            read = max((window.until for window in self.covered), default=None)
            if read is not None and hole.since >= read:
                found.append(f"the log is read up to {iso(read)}: a change after that may still appear")
            else:
                found.append(f"not known whether it was changed between {iso(hole.since)} and {iso(hole.until)}: gap")
        return found

    def _crossed(self, touch: Touch, since: datetime, until: datetime) -> list[str]:
        """Return what else may have changed a place in a span of time, each event once.

        An event that changed the place may have made others of its own parts be called otherwise: what it found there
        is then told by names of a later time.
        """
        found: dict[str, str] = {}
        own = touch.at > self.at
        value = touch.before if own else touch.after
        for other in self.touches:
            inside = since <= other.at <= until and (other.at > self.at or not own)
            mine = other is touch or (other.row is touch.row and not own)
            if inside and not mine and (other.place.touches(touch.place) or renames(other, touch.place, value)):
                found.setdefault(other.row["id"], _said_of(other))
        return list(found.values())


def renames(other: Touch, place: Place, value: Any) -> bool:
    """Return whether a change may have changed what the variations in a value are called."""
    plain = place.segments[0] in NAMELESS or (isinstance(value, bool) and place.member is None)
    return not plain and other.place.touches(VARIATIONS)


def _said_of(other: Touch) -> str:
    when = f"at {iso(other.at)} ({other.row['id'][:8]})"
    if other.told:
        return f"{other.place.name} was changed {when}"
    what = f"{other.row['object_kind'] or 'it'} {other.row['action']}".replace("_", " ")
    return f"{what} {when}: what that changed is not told"


def _disagreement(last: Touch, first: Touch) -> str | None:
    """Return what is to be said when a later change found something else than an earlier one left."""
    left, found = last.after, first.before
    if is_shortened(left) or is_shortened(found) or to_json(left, sort_keys=True) == to_json(found, sort_keys=True):
        return None
    said = [to_json(value).decode() for value in (left, found)]
    return (
        f"the trail disagrees: left as {said[0]} at {iso(last.at)} ({last.row['id'][:8]}), found as {said[1]} at "
        f"{iso(first.at)} ({first.row['id'][:8]}): something between was not seen"
    )
