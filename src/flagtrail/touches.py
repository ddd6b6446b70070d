"""Tells which places of a flag an event touched, what was there before and after, and where it does not say."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from flagtrail.event import to_json
from flagtrail.places import ANYWHERE, Item, Place, delta, is_shortened, place_of, renamed_list

Row = Mapping[str, Any]

ENDS = ("created", "deleted")  # between these, a flag lives
SWITCHED = {"turned_on": True, "turned_off": False}
# What an event with one verb can have changed when its changes are not told; with any other verb, anything.
NARROW: dict[str, tuple[str, ...]] = {
    "tagged": ("tags",), "renamed": ("name",), "described": ("description",), "restored": ("archived", "deprecated"),
    "deprecated": ("deprecated",), "transferred": ("maintainer",),
    **dict.fromkeys(("commented", "requested", "approved", "rejected", "scheduled", "closed", "viewed", "reviewed",
                     "tested", "uploaded", "connected", "disconnected", "reordered", "dismissed", *ENDS), ()),
}  # fmt: skip
IN_ONE_ENVIRONMENT = {"rollout_changed", "targeting_changed", "value_changed"}  # change nothing that others share
OTHERS_OWN = {"value", "customProperties"}  # below these, a list of what was added may be a customer's own value


class Touch(NamedTuple):
    """One event at one place: what was there before and after.

    `told` is false where the event may have changed it and does not say, `found` where it does not tell what was there.
    """

    row: Row
    place: Place
    before: Any = None
    after: Any = None
    told: bool = True
    found: bool = True

    @property
    def at(self) -> datetime:
        """When it was."""
        moment: datetime = self.row["occurred_at"]
        return moment


def touches_of(row: Row) -> list[Touch]:
    """Return the places that an event about a flag touched; where it does not tell them, all that it may have."""
    if row["changes"] is None:
        return list(_untold(row))
    own = frozenset(name for name in (row["object_key"], row["object_name"]) if name)
    return [touch for change in row["changes"] for touch in _told(row, change, own)]


def blind(row: Row, place: Place) -> Touch:
    """Return that an event may have changed a place, and what is in it."""
    return Touch(row, place, told=False, found=False)


def _untold(row: Row) -> Iterator[Touch]:
    environment, action = row["environment"], row["action"]
    one_verb = "," not in row["vendor_action"]
    if one_verb and action in SWITCHED:
        on = Place(environment or ANYWHERE, ("on",))
        yield Touch(row, on, None, SWITCHED[action], found=False) if environment else blind(row, on)
        yield blind(row, Place(environment or ANYWHERE, ("value",)))
    elif one_verb and action == "archived":
        yield Touch(row, Place(None, ("archived",)), None, after=True, found=False)
    elif one_verb and action in NARROW:
        yield from (blind(row, Place(None, (name,))) for name in NARROW[action])
    elif environment and one_verb and action in IN_ONE_ENVIRONMENT:
        yield blind(row, Place(environment, ()))
    elif environment:
        yield from (blind(row, Place(where, ())) for where in (environment, None))
    else:
        yield blind(row, Place(ANYWHERE, ()))


def _told(row: Row, change: Mapping[str, Any], own: frozenset[str]) -> Iterator[Touch]:
    """Yield what one change touched."""
    place, whole = place_of(change["path"], own, row["environment"])
    before, after = change["before"], change["after"]
    lists = delta(before, after)
    if not whole or (lists and OTHERS_OWN & set(place.segments)):
        yield blind(row, place)
    elif _is_order(before) or _is_order(after):
        yield blind(row, Place(place.environment, (*place.segments, Item("order"))))
    elif lists:
        yield from _members(row, place, *lists)
    elif not place.segments:  # a whole environment came or went
        yield blind(row, place)
        if isinstance(after, dict) and not is_shortened(after):
            for name, value in after.items():
                yield Touch(row, Place(place.environment, (name,)), None, value, found=False)
    else:
        yield Touch(row, place, before, after, found=before is not None)
    renamed = renamed_list(place)
    if renamed:
        yield blind(row, renamed)


def _members(row: Row, place: Place, removed: list[Any], added: list[Any]) -> Iterator[Touch]:
    for items, before in ((removed, True), (added, False)):
        for item in items:
            if is_shortened(item) or (isinstance(item, str) and item.startswith("… and ")):
                yield blind(row, place)
            else:
                yield Touch(row, place._replace(member=to_json(item, sort_keys=True).decode()), before, not before)


def _is_order(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"order"}
