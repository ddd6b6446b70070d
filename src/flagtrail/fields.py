"""What events can be asked for by: each field with its columns, and what it means, for people and for programs."""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Field(NamedTuple):
    """Something that events are asked for by.

    `columns` hold its value; the first is the one that is counted by. An event is meant when one of them is. `values`
    are all that there can be, where they are known beforehand.
    """

    name: str
    about: str
    example: str
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


NAMES = "a whole value; `*` stands for anything"
STATES = ("vanished", "provisional", "truncated")
HELD = ("comment", "impact")
KINDS = ("member", "token", "app", "automation", "system", "unknown")
# Those that are one whole value each, in the order in which people narrow a question down.
WHOLE = (
    Field("vendor", NAMES, "vendor:configcat", ("vendor",)),
    Field("source", "name of a source in the config; `*` stands for anything", "source:acme-*", ("source",)),
    Field("stream", "name of a log; `*` stands for anything", 'stream:"flag_events[web/*]"', ("stream",)),
    Field("project", "key or name of the project; `*` stands for anything", "project:web", ("project",)),
    Field("environment", "its key or name; `*` stands for anything", "environment:production,eu-*", ("environment",)),
    Field("object_kind", "flag, segment, environment, member, ...", "object_kind:segment", ("object_kind",)),
    Field("object", "key or name of what was changed", "object:checkout*", ("object_key", "object_name")),
    Field("actor_kind", "who acted: " + ", ".join(KINDS), "actor_kind:token", ("actor_kind",)),
    Field("action", "the shared verb, or the vendor's word when no verb fits", "action:turned_*", ("action",)),
)
ACTOR = Field(
    "actor",
    "a part of a name, an e-mail or an id; with `*`, a whole one",
    "actor:ana@example.com",
    ("actor_name", "actor_email", "actor_id"),
)
OTHERS = (
    Field(
        "impact", "the measured effect in percent: `>5%`, `<=20%`, `5%..20%`; none, small, medium, large", "impact:>5%"
    ),
    Field("has", "what an event has: " + ", ".join(HELD), "has:comment", values=HELD),
    Field("is", "what is known of it: " + ", ".join(STATES), "is:vanished", values=STATES),
)
FILTERS = (*WHOLE, ACTOR, *OTHERS)
BY_NAME = {field.name: field for field in FILTERS}


def like(patterns: Iterable[str], fold: Callable[[str], str] = str.lower) -> Callable[[str], bool]:
    """Return whether a value is one of some patterns, in which `*` stands for anything, when both are folded."""
    folded = [fold(pattern) for pattern in patterns]
    whole = frozenset(pattern for pattern in folded if "*" not in pattern)
    globs = [pattern.split("*") for pattern in folded if "*" in pattern]

    def fits(value: str) -> bool:
        here = fold(value)
        return bool(value) and (here in whole or any(_has_parts(here, parts) for parts in globs))

    return fits


def _has_parts(text: str, parts: list[str]) -> bool:
    """Return whether a text begins with the first part, ends with the last, and has the others in order between.

    An expression of `re` could be made to take for ever.
    """
    first, *middle, last = parts
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
