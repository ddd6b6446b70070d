"""Reads out of an event's `changes` how many users a rollout moved, and whether another event puts it back."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flagtrail.event import to_json

FEW = 10  # named targets that are too few to be an incident
OPPOSITES = {"turned_on": "turned_off", "turned_off": "turned_on", "archived": "restored", "restored": "archived"}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%(?: untracked)?")
_TARGETS = re.compile(r"(^|\.)(targets|contextTargets)($|[.\[])")


def step_of(changes: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the largest share of users, from 0 to 1, whom a change of a rollout gave something else; None: no rollout.

    A rollout is `{"true": "25%", "false": "75%"}`, or plainly what everybody gets.
    """
    steps = []
    for change in changes:
        before, after = change["before"], change["after"]
        if not (isinstance(before, dict) or isinstance(after, dict)) or before is None or after is None:
            continue
        old, new = shares_of(before), shares_of(after)
        if old and new:
            steps.append(sum(abs(new.get(name, 0.0) - old.get(name, 0.0)) for name in old | new) / 200)
    return max(steps, default=None)


def shares_of(value: Any) -> dict[str, float] | None:
    """Return the percentage of each variation, all of it where one is plainly served; None when it is no rollout."""
    if isinstance(value, bool | int | float | str):
        return {str(value).lower() if isinstance(value, bool) else str(value): 100.0}
    if not isinstance(value, dict):
        return None
    found = {name: match for name, text in value.items() if (match := _SHARE.fullmatch(str(text)))}
    rest = set(value) - set(found)
    return {name: float(match[1]) for name, match in found.items()} if found and rest <= {"by"} else None


def few_targets(changes: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether nothing but a few named targets was added or removed."""
    listed = list(changes)
    named = 0
    for change in listed:
        sides = [side for side in (change["before"], change["after"]) if side is not None]
        if not _TARGETS.search(change["path"]) or not all(isinstance(side, dict) for side in sides):
            return False
        named += sum(len(items) for side in sides for items in side.values() if isinstance(items, list))
    return bool(listed) and named <= FEW


def puts_back(row: Mapping[str, Any], later: Mapping[str, Any]) -> bool:
    """Return whether a later change of the same object puts back what a change has changed."""
    if OPPOSITES.get(row["action"]) == later["action"]:
        return True
    done, undone = ({change["path"]: change for change in one["changes"] or ()} for one in (row, later))
    return any(_returns(done[path], undone[path]) for path in done.keys() & undone.keys())


def _returns(done: Mapping[str, Any], undone: Mapping[str, Any]) -> bool:
    """Return whether of one place what was before is there again."""
    if done["before"] == done["after"]:
        return False
    delta = {"removed": "added", "added": "removed"}
    if _is_delta(done) and _is_delta(undone):
        done_items, undone_items = _items(done), _items(undone)
        return any((delta[how], item) in undone_items for how, item in done_items)
    return bool(done["before"] == undone["after"] and done["after"] == undone["before"])


def _is_delta(change: Mapping[str, Any]) -> bool:
    sides = ((change["before"], "removed"), (change["after"], "added"))
    return all(
        side is None or (isinstance(side, dict) and set(side) == {name} and isinstance(side[name], list))
        for side, name in sides
    )


def _items(change: Mapping[str, Any]) -> set[tuple[str, bytes]]:
    sides = [side for side in (change["before"], change["after"]) if side is not None]
    return {(how, to_json(item)) for side in sides for how, items in side.items() for item in items}
