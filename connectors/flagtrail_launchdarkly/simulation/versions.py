"""What LaunchDarkly adds to an audit entry that is asked for alone: the whole object before and after the change.

Everything is made up from the entry and is the same at every look. What an entry's description says, its versions show.
"""

import copy
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flagtrail.event import Record
from flagtrail_launchdarkly.simulation.account import Environment, link, made_up_id
from flagtrail_launchdarkly.simulation.entries import AuditEntry
from flagtrail_launchdarkly.simulation.flags import change_flag, whole_flag

Object = dict[str, Any]
DAY_MS = 86_400_000


def full_form(entry: AuditEntry, places: Mapping[str, Sequence[Environment]], padding: int = 0) -> Record:
    """Return the keys that only the full form of an entry has; `padding` makes the versions that much larger.

    `places` are the environments of each project. A few entries have oddities: a JSON patch instead of versions, the
    body of a trigger, a merge, or entries below.
    """
    change = entry.change
    if change.detail is not None:
        return dict(change.detail)
    number = int(entry.id[-6:], 16)
    before, after = _versions(entry, number, places)
    for version in (before, after):
        if padding:
            version["description"] = "x" * padding
    if change.verb.startswith("created"):
        found: Record = {"currentVersion": after}
    elif change.verb.startswith("deleted"):
        found = {"previousVersion": before}
    elif change.kind == "member" and "deactivated" in change.verb:
        found = {"currentVersion": after}
    else:
        found = {"previousVersion": before, "currentVersion": after}
    return _with_oddities(entry, number, found)


def _with_oddities(entry: AuditEntry, number: int, found: Record) -> Record:
    """Return what is added to an entry, with what only a few have."""
    if number % 13 == 7 and len(found) == 2:
        found = {"delta": _patch(found["previousVersion"], found["currentVersion"])}
    if number % 17 == 4:
        found["triggerBody"] = {"eventName": "deploy", "metadata": {"build": number}}
    if number % 19 == 6:
        found["merge"] = {"source": "staging"}
    if number % 23 == 9:
        found["subentries"] = [{**entry.shown(), "_id": made_up_id("below", entry.id, i)} for i in range(2)]
    return found


def _versions(entry: AuditEntry, number: int, places: Mapping[str, Sequence[Environment]]) -> tuple[Object, Object]:
    """Return an object before and after a change."""
    change = entry.change
    segments = _segments(change.resources[0] if change.resources else "acct")
    key = list(segments.values())[-1]
    rng = random.Random(entry.id)  # noqa: S311 - the same at every look
    if "flag" in segments:
        project = segments.get("proj", "")
        keys = [place.key for place in places.get(project, ())]
        named = [_segments(resource).get("env", "") for resource in change.resources]
        before = whole_flag(project, key, list(dict.fromkeys([*keys, *named])), entry.ms - DAY_MS)
        after = copy.deepcopy(before)
        for action, resource in change.accesses:
            change_flag(before, after, action, _segments(resource).get("env", ""), change, rng)
            after["environments"][_segments(resource).get("env", "")] |= {"lastModified": entry.ms}
            after["environments"][_segments(resource).get("env", "")]["version"] += 1
    else:
        before = _anything(change.kind, key, change.name, number, entry.ms - DAY_MS)
        after = copy.deepcopy(before)
        for action in dict.fromkeys(action for action, _ in change.accesses):
            if action.endswith("Name"):
                before["name"] = f"{after['name']} (old)"
            else:
                CHANGES.get(action, _touched)(after, rng)
        if change.kind == "member":
            after["_lastSeen"] = None if "deactivated" in change.verb else entry.ms
        after["lastModified"] = entry.ms
    before["_version"], after["_version"] = number + 1, number + 2
    return before, after


def _segments(resource: str) -> dict[str, str]:
    """Return the keys in a resource specifier, by type and without tags."""
    parts = [part.split(";")[0].partition("/") for part in resource.split(":")]
    return {type_: key for type_, _, key in parts}


def _anything(kind: str, key: str, name: str, number: int, ms: int) -> Object:
    """Return an object that is no flag, as the vendor keeps one of its kind."""
    found: Object = {
        "_links": {"self": link(f"/api/v2/{kind or 'things'}s/{key}"), "site": link("/settings", "text/html")},
        "_id": made_up_id(kind, key),
        "creationDate": ms,
        "lastModified": ms,
        "name": name,
        "tags": [],
        "version": number,
    }
    if kind == "member":
        first, _, last = name.partition(" ")
        found |= {"firstName": first, "lastName": last, "role": "reader", "customRoles": [], "mfa": "disabled"}
        found |= {"_pendingInvite": False, "_verified": True, "_lastSeen": ms, "isBeta": None}
    elif kind == "segment":
        found |= {"key": key, "included": ["guide-1"], "excluded": [], "rules": [], "salt": made_up_id("salt", key)}
    elif kind == "environment":
        found |= {
            "key": key,
            "color": "417505",
            "apiKey": f"sdk-{made_up_id(key)}",
            "mobileKey": "mob-1",
            "critical": 1,
        }
    elif kind == "webhook":
        found |= {"url": name, "on": False, "secret": made_up_id("secret", key), "statements": []}
    return found


def _touched(version: Object, rng: random.Random) -> None:
    version["description"] = f"touched {rng.randint(10, 99)}"


def _setting(key: str, values: Sequence[Any]) -> Callable[[Object, random.Random], None]:
    def change(version: Object, rng: random.Random) -> None:
        version[key] = rng.choice(values)

    return change


def _adding(key: str, values: Sequence[Any]) -> Callable[[Object, random.Random], None]:
    def change(version: Object, rng: random.Random) -> None:
        version[key] = [*version.get(key, []), rng.choice(values)]

    return change


def _new_key(version: Object, rng: random.Random) -> None:
    version["apiKey"] = f"sdk-{made_up_id(version['apiKey'], rng.random())}"


SEGMENT_RULE = {
    "_id": "8f2c7a10-0000-4000-8000-00000000beef",
    "clauses": [{"_id": "c1", "attribute": "country", "op": "in", "values": ["PT"], "negate": False}],
    "weight": 25_000,
    "rolloutContextKind": "user",
}
CHANGES: Mapping[str, Callable[[Object, random.Random], None]] = {
    "updateRole": _setting("role", ("writer",)),
    "updateIncluded": _adding("included", ("guide-7", "guide-8")),
    "updateRules": _adding("rules", (SEGMENT_RULE,)),
    "updateColor": _setting("color", ("7b42bc",)),
    "updateTags": _adding("tags", ("eu",)),
    "updateApiKey": _new_key,
    "updateOn": _setting("on", (True,)),
}
"""What an action changes in an object that is no flag."""


def _patch(before: Object, after: Object, pointer: str = "") -> list[Object]:
    """Return a JSON patch that makes one version of the other."""
    found: list[Object] = []
    for name in sorted({*before, *after}):
        place = f"{pointer}/{re.sub('~', '~0', name).replace('/', '~1')}"
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += _patch(old, new, place)
        elif name not in before:
            found.append({"op": "add", "path": place, "value": new})
        elif name not in after:
            found.append({"op": "remove", "path": place})
        else:
            found.append({"op": "replace", "path": place, "value": new})
    return found
