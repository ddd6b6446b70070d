"""Says a change as a sentence: who did what, where; names of vendors and persons."""

from collections.abc import Mapping
from typing import Any, NamedTuple

NAMES = {"launchdarkly": "LaunchDarkly", "configcat": "ConfigCat"}
MARKS = {"launchdarkly": "LD", "configcat": "CC"}
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
    """A change in words: `who` did `what`, `more` precisely (a verb, when `what` does not say it), `where`."""

    who: str
    what: str
    more: str | None
    where: str | None

    def __str__(self) -> str:
        more = f" ({self.more})" if self.more else ""
        return f"{self.who} {self.what}{more}{f' in {self.where}' if self.where else ''}"


def sentence(row: Mapping[str, Any]) -> Sentence:
    """Return what a row of the table `event` tells, in words."""
    who = row["actor_name"] or row["actor_email"] or row["actor_id"] or _nobody(row["actor_kind"])
    verb = row["action"].replace("_", " ")
    what = row["summary"] or " ".join(
        part for part in (verb, row["object_kind"], row["object_name"] or row["object_key"]) if part
    )
    plain = what.startswith(PLAIN) and row["action"] not in ("updated", "value_changed")
    place = row["environment_name"] or row["environment"]
    where = place if place and place.lower() not in what.lower() else None
    return Sentence(who, what, verb if plain else None, where)


def _nobody(kind: str) -> str:
    return {"system": "The vendor", "unknown": "Somebody"}.get(kind, f"An {kind}" if kind[:1] == "a" else f"A {kind}")
