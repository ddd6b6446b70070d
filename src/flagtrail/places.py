"""Reads the paths of `changes`: which place of an object a path means, and whether two of them may touch.

A path such as `environments.production.rules[Guides].serve` has an environment and segments. An item of a list is named
in brackets, by its words or else by its position, which another change may shift: `[1]` may be any item.
"""

import re
from typing import Any, NamedTuple

SEGMENT = re.compile(r"\[(.*?)\](?=$|[.\[])|([^.\[]+)")
POSITION = re.compile(r"\d+|-")
SECRETS = ("(secret)", "(another secret)")
NAMING = {"name", "description", "key", "email", "attribute", "op", "value"}  # what items of lists are called by
EVERYTHING = ("…", "(everything)")
ANYWHERE = "\0"  # instead of an environment: it may be any of them, or none


class Item(str):
    """A segment that names an item of a list."""

    __slots__ = ()

    @property
    def by_position(self) -> bool:
        """Whether it is only a position, which says nothing about another time."""
        return POSITION.fullmatch(self) is not None


class Place(NamedTuple):
    """A place in an object: its environment, None for what belongs to all of them, and the way there from its root.

    `member` is one of a list of plain values, in the form of JSON.
    """

    environment: str | None
    segments: tuple[str, ...]
    member: str | None = None

    @property
    def name(self) -> str:
        """The path below the environment, as `changes` write it."""
        text = ""
        for segment in self.segments:
            text += f"[{segment}]" if isinstance(segment, Item) else f".{segment}" if text else segment
        return text

    @property
    def by_position(self) -> bool:
        """Whether a position is part of the way, so that it means something at one time only."""
        return any(isinstance(segment, Item) and segment.by_position for segment in self.segments)

    def touches(self, other: "Place") -> bool:
        """Return whether a change of one place may be one of the other."""
        if self.environment != other.environment and ANYWHERE not in (self.environment, other.environment):
            return False
        for mine, theirs in zip(self.segments, other.segments, strict=False):
            if mine != theirs:
                return isinstance(mine, Item) and isinstance(theirs, Item) and (mine.by_position or theirs.by_position)
        same = len(self.segments) == len(other.segments)
        return not (same and self.member is not None and other.member is not None and self.member != other.member)

    def holds(self, other: "Place") -> bool:
        """Return whether the other place lies inside of this one."""
        if self.environment != other.environment:
            return False
        depth = len(self.segments)
        inside = other.segments[:depth] == self.segments
        return inside and (len(other.segments) > depth or (self.member is None and other.member is not None))


def place_of(path: str, own: frozenset[str], environment: str | None) -> tuple[Place, bool]:
    """Return the place that a path means in an event, and whether the path is whole.

    `own` are the key and the name of the event's object: a path that is one of them is the object's value in the
    environment of the event.
    """
    if path in own:
        return Place(environment, ("value",)), True
    if path in EVERYTHING:
        return Place(ANYWHERE, ()), False
    found: list[str] = [Item(match[1]) if match[1] is not None else match[2] for match in SEGMENT.finditer(path)]
    whole = not path.endswith("…")
    if not whole:
        found = found[:-1]
    if found[:1] == ["environments"] and len(found) > 1:
        return Place(str(found[1]), tuple(found[2:])), whole
    return Place(None, tuple(found)), whole


def renamed_list(place: Place) -> Place | None:
    """Return the list whose items may be called otherwise after a change of a place; None when it names none."""
    segments = place.segments
    if len(segments) > 1 and segments[-1] in NAMING and isinstance(segments[-2], Item):
        return Place(place.environment, segments[:-2])
    return None


def delta(before: Any, after: Any) -> tuple[list[Any], list[Any]] | None:
    """Return what was removed from and added to a list, where a change tells just that; else None."""
    if before is None and after is None:
        return None
    sides = []
    for side, name in ((before, "removed"), (after, "added")):
        if side is not None and not (isinstance(side, dict) and set(side) == {name} and isinstance(side[name], list)):
            return None
        sides.append(side[name] if side else [])
    return sides[0], sides[1]


def is_shortened(value: Any) -> bool:
    """Return whether a value is not told whole, or stands for a secret."""
    if isinstance(value, str):
        return value.startswith("…") or value.endswith("…") or value in SECRETS
    if isinstance(value, list):
        return any(map(is_shortened, value))
    return isinstance(value, dict) and any(map(is_shortened, [*value, *value.values()]))
