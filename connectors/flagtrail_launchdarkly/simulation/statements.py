"""Which audit entries a resource specifier or a list of policy statements selects, by LaunchDarkly's rules.

An entry is selected when any of its accesses is matched by an allow statement and by no deny statement.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Access = tuple[str, str]
"""What was done to what: an action and a resource specifier."""

_KEYLESS = {"acct", "ip-allowlist", "*"}
_SEGMENT = re.compile(r"(?P<type>[a-z][a-z-]*|\*)(?:/(?P<key>[^/;]+))?(?:;(?P<tags>[\w.,*-]+))?")


class Malformed(ValueError):
    """A specifier or a statement that the vendor refuses with 400."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a specifier, such as `flag/checkout;billing,web`; it may hold wildcards."""

    type: str
    key: str
    tags: frozenset[str]

    def matches(self, other: "Segment") -> bool:
        """Tell whether a real segment falls under this one; several tags must all be there."""
        return (
            _like(self.type, other.type)
            and _like(self.key, other.key)
            and all(any(_like(wanted, tag) for tag in other.tags) for wanted in self.tags)
        )


Specifier = tuple[Segment, ...]
_ANYTHING: Specifier = (Segment("*", "", frozenset()),)


@lru_cache(maxsize=65536)
def parse_specifier(text: str) -> Specifier:
    """Return the segments of a resource specifier, outermost first; raise Malformed when it is none."""
    return tuple(_segment(part, text) for part in text.split(":"))


def _segment(part: str, text: str) -> Segment:
    found = _SEGMENT.fullmatch(part)
    if found is None or (found["key"] is None and found["type"] not in _KEYLESS):
        raise Malformed(f"invalid resource specifier {text!r}")
    tags = frozenset(tag for tag in (found["tags"] or "").lower().split(",") if tag)
    return Segment(found["type"], found["key"] or "", tags)


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


def _like(pattern: str, text: str) -> bool:
    if pattern == "*":
        return True
    return _pattern(pattern).fullmatch(text) is not None if "*" in pattern else pattern == text


def _covers(wanted: Specifier, resource: str) -> bool:
    """Tell whether a resource falls under a specifier: as many segments, each matching; a lone `*` is everything."""
    if wanted == _ANYTHING:
        return True
    try:
        real = parse_specifier(resource)
    except Malformed:
        return False
    return len(wanted) == len(real) and all(a.matches(b) for a, b in zip(wanted, real, strict=True))


@dataclass(frozen=True, slots=True)
class Statement:
    """One policy statement; `other_resources` and `other_actions` turn the lists into what is not meant."""

    allow: bool
    resources: tuple[Specifier, ...]
    other_resources: bool
    actions: tuple[str, ...]
    other_actions: bool

    @property
    def everything(self) -> bool:
        """Whether the statement allows every action on every resource."""
        named = _ANYTHING in self.resources and "*" in self.actions
        return self.allow and named and not self.other_resources and not self.other_actions

    def matches(self, access: Access) -> bool:
        """Tell whether the statement speaks about this access."""
        action, resource = access
        resource_named = any(_covers(wanted, resource) for wanted in self.resources)
        action_named = any(_like(wanted, action) for wanted in self.actions)
        return resource_named != self.other_resources and action_named != self.other_actions


class Policy:
    """A list of statements as one filter; it remembers its verdicts, so that long histories stay fast.

    `unconditional` tells that every entry is selected, so that none needs to be looked at.
    """

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = tuple(statements)
        self.unconditional = any(s.everything for s in self.statements) and all(s.allow for s in self.statements)
        self._verdicts: dict[tuple[Access, ...], bool] = {}

    @classmethod
    def parse(cls, body: Any) -> "Policy":
        """Return the policy that a request body holds; raise Malformed when the vendor would refuse it."""
        if not isinstance(body, list):
            raise Malformed("the statements must be an array")
        return cls([_statement(item) for item in body])

    def admits(self, accesses: tuple[Access, ...]) -> bool:
        """Tell whether an entry with these accesses is selected."""
        if self.unconditional:
            return True
        verdict = self._verdicts.get(accesses)
        if verdict is None:
            verdict = self._verdicts[accesses] = any(self._allowed(access) for access in accesses)
        return verdict

    def _allowed(self, access: Access) -> bool:
        matching = [statement for statement in self.statements if statement.matches(access)]
        return bool(matching) and all(statement.allow for statement in matching)


EVERYTHING = Policy([Statement(True, (_ANYTHING,), False, ("*",), False)])


def of_specifier(text: str) -> Policy:
    """Return the filter of the query parameter `spec`; raise Malformed when it is no specifier."""
    return Policy([Statement(True, (parse_specifier(text),), False, ("*",), False)])


def _statement(item: Any) -> Statement:
    if not isinstance(item, dict) or item.get("effect") not in ("allow", "deny"):
        raise Malformed("each statement needs an effect, allow or deny")
    resources, other_resources = _either(item, "resources", "notResources")
    actions, other_actions = _either(item, "actions", "notActions")
    return Statement(
        item["effect"] == "allow",
        tuple(parse_specifier(resource) for resource in resources),
        other_resources,
        tuple(actions),
        other_actions,
    )


def _either(item: dict[str, Any], these: str, others: str) -> tuple[list[str], bool]:
    """Return the list of the two that is filled, and whether it is the second; all of them when none is."""
    named, excluded = item.get(these) or [], item.get(others) or []
    for given in (named, excluded):
        if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
            raise Malformed(f"{these} and {others} are arrays of strings")
    if named and excluded:
        raise Malformed(f"{these} must be empty to use {others}")
    return (excluded, True) if excluded else (named or ["*"], False)
