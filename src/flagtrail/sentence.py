"""Says a change as a sentence: who did what to which object, where; names of vendors and persons."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from flagtrail.places import is_shortened

NAMES = {"launchdarkly": "LaunchDarkly", "configcat": "ConfigCat"}
MARKS = {"launchdarkly": "LD", "configcat": "CC"}
LONGEST_NAME, LONGEST_VALUE, LONGEST_PHRASE = 80, 24, 200
MOST_PROJECTS = 4  # that a sentence names
JOINERS = "\u200c\u200d"  # of letters and of emoji: they belong to the text, unlike other signs that nobody sees
# What was done, by its verb: the object's name stands where the braces are.
PHRASES = {
    "turned_on": "turned on {}", "turned_off": "turned off {}", "toggled": "toggled {}",
    "targeting_changed": "changed the targeting of {}", "rollout_changed": "changed the rollout of {}",
    "variation_changed": "changed the variations of {}", "value_changed": "changed the value of {}",
    "copied": "copied the settings of {}", "scheduled": "scheduled changes to {}", "created": "created {}",
    "deleted": "deleted {}", "archived": "archived {}", "restored": "restored {}", "deprecated": "deprecated {}",
    "renamed": "renamed {}", "described": "changed the description of {}", "tagged": "changed the tags of {}",
    "reordered": "reordered {}", "transferred": "changed the maintainer of {}", "connected": "connected {}",
    "disconnected": "disconnected {}", "uploaded": "uploaded {}", "tested": "tested {}",
    "settings_changed": "changed the settings of {}", "updated": "updated {}", "viewed": "viewed {}",
    "requested": "requested {}", "reviewed": "reviewed {}", "approved": "approved {}",
    "dismissed": "took back the approval of {}", "rejected": "rejected {}", "commented": "commented on {}",
    "applied": "applied {}", "bypassed": "changed {} without the approval it needed", "closed": "closed {}",
    "invited": "invited {}", "notified": "notified {}", "joined": "joined as {}", "left": "left",
    "removed": "removed {}", "activated": "activated {}", "deactivated": "deactivated {}",
    "role_changed": "changed the role of {}", "permissions_changed": "changed the permissions of {}",
    "members_changed": "changed the members of {}", "credential_rotated": "rotated the credential of {}",
    "credential_revoked": "revoked {}",
}  # fmt: skip
# Of flags, a request or a copy is of changes, and not of the flag.
OF_FLAGS = {
    "requested": "requested approval of changes to {}", "approved": "approved changes to {}",
    "rejected": "rejected changes to {}", "applied": "applied approved changes to {}",
    "reviewed": "reviewed changes to {}", "dismissed": "took back the approval of changes to {}",
    "commented": "commented on changes to {}", "closed": "closed the request to change {}",
    "copied": "copied settings to or from {}", "connected": "linked {} to something else",
    "disconnected": "unlinked {}", "reordered": "reordered the flags of {}",
}  # fmt: skip
# Of these kinds of objects, other words are usual.
OF_KINDS = {
    ("code_reference", "uploaded"): "uploaded the code references of {}", ("tag", "tagged"): "changed {}",
    ("change_request", "requested"): "opened {}", ("approval_request", "requested"): "opened {}",
    ("access_token", "credential_rotated"): "rotated {}", ("api_key", "credential_rotated"): "rotated {}",
    ("environment", "credential_rotated"): "rotated a key of {}", ("webhook", "tested"): "tried {}",
}  # fmt: skip
KINDS = {"api_key": "SDK key", "code_reference": "", "single_sign_on": "single sign-on"}
# The vendor's own words say more than these verbs do.
VAGUE = {"updated", "connected", "disconnected", "copied"}
PEOPLE = {"member", "invitation", "join_request"}
PLAIN = ("updated", "changed")  # how summaries begin that do not say what was done


class Vendor(NamedTuple):
    """How a vendor is shown: its name, two letters, and the class of its colour."""

    name: str
    mark: str
    style: str


def vendor_of(key: str) -> Vendor:
    """Return how a vendor is shown, also one of which nothing is known but its key."""
    style = f"vendor-{key}" if key in NAMES else f"vendor-other-{sum(key.encode()) % 4}"
    return Vendor(NAMES.get(key, key), MARKS.get(key, key[:2].upper()), style)


class Sentence(NamedTuple):
    """A change in words: `who` did `what`, `where`; `what` is `before`, the name of the `object`, and `after` it.

    `more` says it precisely where `what` does not: a verb.
    """

    who: str
    what: str
    more: str | None
    where: str | None
    before: str = ""
    object: str = ""
    after: str = ""

    def __str__(self) -> str:
        more = f" ({self.more})" if self.more else ""
        return f"{self.who} {self.what}{more}{f' in {self.where}' if self.where else ''}"


def sentence(row: Mapping[str, Any]) -> Sentence:
    """Return what a row of the table `event` tells, in words."""
    kind, action = row["object_kind"] or "", row["action"]
    name = tidy(row["object_name"] or row["object_key"] or "")
    place = tidy(row["environment_name"] or row["environment"] or "")
    who = who_of(row)
    phrase = _phrase(kind, action)
    said = tidy(row["summary"] or "", LONGEST_PHRASE)
    more = None
    if phrase is None or (action in VAGUE and said and not said.lower().startswith(PLAIN)) or (not name and said):
        what = said or " ".join(part for part in (_spaced(action), _kind(kind)) if part)
        before, object, after = _around_name(what, name) if said else (what, name, "")
        more = _spaced(action) if phrase and said.lower().startswith(PLAIN) and action not in VAGUE else None
    else:
        before, _, after = phrase.partition("{}")
        kinds = "" if kind == "flag" or (kind in PEOPLE and action != "created") else _kind(kind)
        object = name
        before += kinds or ("" if name else f"a {_spaced(kind)}" if kind else "something")
        before += " " if kinds and name else ""
        if action == "joined":
            before, object, after = _joined(who, name)
        elif action == "left":
            object = ""
        after += _to(row)
    what = f"{before}{object}{after}".strip()
    return Sentence(who, what, more, _where(what, place, kind, name), before, object, after)


def together(rows: Sequence[Mapping[str, Any]], *, and_more: bool = False) -> Sentence | None:
    """Return in one sentence that somebody did the same to several objects; None when their own sentences say more.

    `more` is how many changes that were, where some objects were changed more than once. Several projects are named, or
    counted when they are many.
    """
    told = [sentence(row) for row in rows]
    kind = rows[0]["object_kind"] or ""
    phrase = _phrase(kind, rows[0]["action"])
    objects = {(row["project"], row["location"], row["object_key"] or row["object_name"]) for row in rows}
    if phrase is None or len(objects) == 1 or any(each.after or each.more or not each.object for each in told):
        return None
    before, _, after = phrase.partition("{}")
    several = f"{len(objects)} {_several(KINDS.get(kind) or _spaced(kind) or 'object')}{' and maybe more' * and_more}"
    more = f"{len(rows)} changes" if len(objects) < len(rows) else None
    where = " of ".join(part for part in (told[0].where, _projects(rows)) if part) or None
    return Sentence(told[0].who, f"{before}{several}{after}", more, where, before, several, after)


def project_of(row: Mapping[str, Any]) -> str:
    """Return the name of a row's project, as it is shown."""
    return tidy(row["project_name"] or row["project"] or "") or "no project"


def _projects(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the projects of several changes in words; None when it is one."""
    names = list({row["project"]: project_of(row) for row in rows}.values())
    if len(names) > MOST_PROJECTS:
        return f"{len(names)} projects"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else None


def _several(noun: str) -> str:
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


def who_of(row: Mapping[str, Any]) -> str:
    """Return who acted in a row of the table `event`, for the beginning of a sentence."""
    named = tidy(row["actor_name"] or "") or tidy(row["actor_email"] or "") or tidy(row["actor_id"] or "")
    return named or _nobody(row["actor_kind"])


def tidy(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a text on one line, without signs that nobody sees or that turn others around, and not too long."""
    return _tidy(text[: 8 * longest], longest)


@lru_cache(maxsize=4096)
def _tidy(text: str, longest: int) -> str:
    seen = (sign if unicodedata.category(sign)[0] != "C" or sign in JOINERS else " " for sign in text)
    told = " ".join("".join(seen).split())
    return told if len(told) <= longest else told[: longest - 1].rstrip() + "…"


def _phrase(kind: str, action: str) -> str | None:
    return OF_KINDS.get((kind, action)) or (OF_FLAGS.get(action) if kind == "flag" else None) or PHRASES.get(action)


def _kind(kind: str) -> str:
    named = KINDS.get(kind, _spaced(kind))
    return f"the {named}" if named else ""


def _spaced(word: str) -> str:
    return tidy(word.replace("_", " "), 40)


def _around_name(said: str, name: str) -> tuple[str, str, str]:
    """Return a phrase in three parts: before an object's name, the name, and after it."""
    before, found, after = said.partition(name) if name else (said, "", "")
    return before, found, after


def _joined(who: str, name: str) -> tuple[str, str, str]:
    """Return how somebody joined: themself, or by the hand of another."""
    return ("joined", "", "") if not name or name.lower() == who.lower() else ("let ", name, " join")


def _where(what: str, place: str, kind: str, name: str) -> str | None:
    """Return where it was, unless the phrase says so already."""
    itself = name.lower() == place.lower() and kind != "flag"
    told = re.search(rf"\bin {re.escape(place)}(\W|$)", what, re.IGNORECASE) if place else None
    return None if not place or itself or told else place


def _to(row: Mapping[str, Any]) -> str:
    """Return what was made of it, where one change of one place says it shortly."""
    changes = list(row["changes"] or [])
    if len(changes) != 1 or row["action"] not in ("value_changed", "renamed", "transferred", "rollout_changed"):
        return ""
    before, after = changes[0]["before"], changes[0]["after"]
    if row["action"] == "rollout_changed":
        return _share(after)
    if row["action"] == "value_changed":
        return f" from {_value(before)} to {_value(after)}" if _is_short(before) and _is_short(after) else ""
    path = str(changes[0]["path"])
    fits = path == "name" if row["action"] == "renamed" else path == "maintainer"
    if not (fits and isinstance(after, str)) or is_shortened(after) or tidy(after) == tidy(row["object_name"] or ""):
        was = fits and row["action"] == "renamed" and isinstance(before, str) and not is_shortened(before)
        return f", formerly {tidy(str(before), 40)}" if was else ""
    return f" to {tidy(after, 40)}"


def _share(after: Any) -> str:
    """Return what a rollout gives now, in a word or two."""
    if isinstance(after, dict) and 0 < len(after) <= 3 and all(isinstance(part, str) for part in after.values()):
        name, share = next(iter(after.items()))
        if re.fullmatch(r"\d+(\.\d+)?%", share):
            return f" to {share} {tidy(str(name), LONGEST_VALUE)}"
    return f" to {_value(after)} for all" if _is_short(after) else ""


def _is_short(value: Any) -> bool:
    plain = isinstance(value, bool | int | float) or (isinstance(value, str) and not is_shortened(value))
    return plain and len(_value(value)) <= LONGEST_VALUE + 2


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"“{tidy(value, 100)}”" if isinstance(value, str) else str(value)


def _nobody(kind: str) -> str:
    if kind in ("unknown", ""):
        return "Somebody"
    return "The vendor" if kind == "system" else f"An {kind}" if kind[:1] in "aeiou" else f"A {kind}"
