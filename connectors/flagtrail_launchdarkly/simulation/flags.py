"""A flag as LaunchDarkly keeps it, with every environment, and what each action changes in it."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flagtrail.testing.cast import PEOPLE
from flagtrail_launchdarkly.simulation.account import link, made_up_id, member_fields
from flagtrail_launchdarkly.simulation.entries import Change

Object = dict[str, Any]
STEPS = (5_000, 10_000, 25_000, 50_000)  # thousandths of a percent


def whole_flag(project: str, key: str, environments: Sequence[str], ms: int) -> Object:
    """Return a flag that is off everywhere, as it was last saved at a time."""
    owner = member_fields(PEOPLE[len(key) % len(PEOPLE)])
    return {
        "_links": {"self": link(f"/api/v2/flags/{project}/{key}"), "parent": link(f"/api/v2/flags/{project}")},
        "_maintainer": {**owner, "role": "writer"},
        "_version": 1,
        "archived": False,
        "clientSideAvailability": {"usingEnvironmentId": False, "usingMobileKey": True},
        "creationDate": ms - len(key) * 86_400_000,
        "customProperties": {},
        "defaults": {"offVariation": 1, "onVariation": 0},
        "deprecated": False,
        "description": "",
        "environments": {place: _environment(project, key, place, ms) for place in environments},
        "experiments": {"baselineIdx": 0, "items": []},
        "goalIds": [],
        "includeInSnippet": False,
        "key": key,
        "kind": "boolean",
        "maintainerId": owner["_id"],
        "name": key.replace("-", " ").capitalize(),
        "tags": [],
        "temporary": True,
        "variations": [
            {"_id": made_up_id("variation", project, key, True), "name": "New way", "value": True},
            {"_id": made_up_id("variation", project, key, False), "name": "Old way", "value": False},
        ],
    }


def _environment(project: str, key: str, place: str, ms: int) -> Object:
    digits = made_up_id("salt", project, key, place)
    served = {"isFallthrough": True, "rules": 0, "targets": 0}
    return {
        "_environmentName": place.capitalize(),
        "_site": link(f"/{project}/{place}/features/{key}", "text/html"),
        "_summary": {"prerequisites": 0, "variations": {"0": served, "1": {"isOff": True, "rules": 0, "targets": 0}}},
        "archived": False,
        "contextTargets": [],
        "fallthrough": {"variation": 0},
        "lastModified": ms,
        "offVariation": 1,
        "on": False,
        "prerequisites": [],
        "rules": [],
        "salt": digits,
        "sel": digits[::-1],
        "targets": [],
        "trackEvents": False,
        "trackEventsFallthrough": False,
        "version": len(key),
    }


def change_flag(before: Object, after: Object, action: str, place: str, change: Change, rng: random.Random) -> None:
    """Change a flag's second version as an action does in an environment; the first is fitted to it where it must."""
    for version in (before, after):
        version["name"] = change.name or version["name"]
    CHANGES.get(action, _described)(before, after, place, change, rng)


Story = Callable[[Object, Object, str, Change, random.Random], None]


def _switched(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    on = "off" not in change.verb.split()
    before["environments"][place]["on"], after["environments"][place]["on"] = not on, on


def _rolled_out(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    steps = re.search(r"~~(\d+)%~~ to (\d+)%", change.description)
    told = [int(step) * 1000 for step in steps.groups()] if steps else [0, rng.choice(STEPS)]
    for version, weight in zip((before, after), told, strict=True):
        shares = [{"variation": 0, "weight": weight}, {"variation": 1, "weight": 100_000 - weight}]
        rollout = {"variations": shares, "bucketBy": "key", "contextKind": "user"}
        version["environments"][place]["fallthrough"] = {"rollout": rollout} if weight else {"variation": 1}


def _ruled(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    city = re.search(r"is one of\*\* `([^`]+)`", change.description)
    clause = {
        "_id": made_up_id("clause", rng.random()),
        "attribute": "city",
        "contextKind": "user",
        "negate": False,
        "op": "in",
        "values": [city[1] if city else "Bern"],
    }
    id_ = made_up_id("rule", clause["_id"])
    rule = {"_id": id_, "clauses": [clause], "ref": id_[:8], "trackEvents": False, "variation": 0}
    after["environments"][place]["rules"].append(rule)


def _targeted(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    named = re.search(r"Added `([^`]+)`", change.description)
    user = named[1].replace("\\", "") if named else f"guide-{rng.randint(100, 999)}"
    known = [f"guide-{number}" for number in range(1, 4)]
    for version, values in ((before, known), (after, [*known, user])):
        version["environments"][place]["targets"] = [{"contextKind": "user", "values": values, "variation": 0}]
        # A mirror without values goes with each target of a user.
        version["environments"][place]["contextTargets"] = [{"contextKind": "user", "values": [], "variation": 0}]


def _prerequisite(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    named = re.search(r"prerequisite `([^`]+)`", change.description)
    after["environments"][place]["prerequisites"] = [{"key": named[1] if named else "dark-mode", "variation": 0}]


def _off_variation(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    before["environments"][place]["offVariation"] = 0


def _tagged(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    named = re.search(r"tags? (?:to )?`([^`]+)`", change.description)
    after["tags"] = named[1].replace("\\", "").split(",") if named else []
    if not after["tags"]:
        before["tags"] = ["q2-review"]


def _renamed(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    named = re.search(r"~~(.+)~~", change.description)
    before["name"] = named[1].replace("\\", "") if named else f"{after['name']} (old)"


def _maintained(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    person = next((person for person in PEOPLE if change.description.strip().endswith(person.name)), PEOPLE[0])
    if before["_maintainer"]["email"] == person.email:
        previous = member_fields(PEOPLE[(PEOPLE.index(person) + 1) % len(PEOPLE)])
        before |= {"_maintainer": {**previous, "role": "writer"}, "maintainerId": previous["_id"]}
    member = member_fields(person)
    after |= {"_maintainer": {**member, "role": "writer"}, "maintainerId": member["_id"]}


def _archived(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    archived = "restored" not in change.verb
    for version, value in ((before, not archived), (after, archived)):
        version["archived"] = value
        for environment in version["environments"].values():
            environment["archived"] = value


def _varied(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    after["variations"][0]["name"] = "The new way"


def _described(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    after["description"] = f"As agreed in TRAVEL-{1000 + len(after['key'])}"


def _unchanged(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    """Leave the flag alone: what is only asked for, or planned, changes nothing yet."""


def _permanent(before: Object, after: Object, place: str, change: Change, rng: random.Random) -> None:
    after["temporary"] = False


CHANGES: Mapping[str, Story] = {
    "updateOn": _switched,
    "updateFallthrough": _rolled_out,
    "updateRules": _ruled,
    "updateTargets": _targeted,
    "updatePrerequisites": _prerequisite,
    "updateOffVariation": _off_variation,
    "updateTags": _tagged,
    "updateName": _renamed,
    "updateMaintainer": _maintained,
    "updateGlobalArchived": _archived,
    "updateArchived": _archived,
    "updateFlagVariations": _varied,
    "updateTemporary": _permanent,
    "createApprovalRequest": _unchanged,
    "reviewApprovalRequest": _unchanged,
    "updateScheduledChanges": _unchanged,
}
"""What each action changes; any other one changes the description."""
