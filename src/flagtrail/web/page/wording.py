"""Says in words what connectors tell in `changes`: the way to a place, a condition, a rule, a plain value."""

import re
from collections.abc import Mapping
from typing import Any

from flagtrail.event import to_json
from flagtrail.places import EVERYTHING, SEGMENT
from flagtrail.rollouts import shares_of

# What LaunchDarkly's fields mean: https://launchdarkly.com/docs/api/feature-flags
PLACES = {
    "on": "Switch", "fallthrough": "Default rule", "offVariation": "Served while off", "serve": "Serves",
    "clauses": "Conditions", "targets": "Individual targets", "contextTargets": "Individual targets by context",
    "includedContexts": "Included contexts", "excludedContexts": "Excluded contexts", "rollout": "Rollout",
    "trackEvents": "Event tracking", "trackEventsFallthrough": "Event tracking of the default rule",
    "clientSideAvailability": "Client-side SDKs", "usingEnvironmentId": "In browsers",
    "usingMobileKey": "In mobile apps",
    "customProperties": "Custom properties", "maintainerId": "Maintainer", "_pendingInvite": "Pending invitation",
    "bucketBy": "Divided by", "contextKind": "Kind of context", "op": "Operator", "onVariation": "Served while on",
    "variation": "Variation", "values": "Values", "value": "Value",
    "defaults": "Defaults", "ttl": "Time to live", "apiKey": "SDK key", "mobileKey": "Mobile key",
}  # fmt: skip
ONE_OF = {
    "rules": "Rule", "clauses": "Condition", "variations": "Variation", "prerequisites": "Prerequisite",
    "targets": "Target", "tags": "Tag", "environments": "Environment", "statements": "Statement", "policy": "Statement",
}  # fmt: skip
# The operators of clauses: https://launchdarkly.com/docs/sdk/concepts/flag-evaluation-rules
OPERATORS = {
    "in": ("is", "is not"), "endsWith": ("ends with", "does not end with"),
    "startsWith": ("starts with", "does not start with"), "matches": ("matches", "does not match"),
    "contains": ("contains", "does not contain"), "lessThan": ("is less than", "is not less than"),
    "lessThanOrEqual": ("is at most", "is more than"), "greaterThan": ("is more than", "is at most"),
    "greaterThanOrEqual": ("is at least", "is less than"), "before": ("is before", "is not before"),
    "after": ("is after", "is not after"), "segmentMatch": ("is in segment", "is not in segment"),
    "semVerEqual": ("is version", "is not version"), "semVerLessThan": ("is before version", "is not before version"),
    "semVerGreaterThan": ("is after version", "is not after version"),
}  # fmt: skip
USUAL = "user"
_CLAUSE = re.compile(rf"(\S+) (.*?) ?(not )?\b({'|'.join(OPERATORS)}) (.*)", re.DOTALL)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")
_INSIDE = ("clauses",)  # of a rule


def place_in_words(path: str, own: frozenset[str], environment: str | None = None) -> list[str]:
    """Return the way to a place from the outside in, such as `production`, `Rule “Guides”`, `Serves`.

    `own` are the key and the name of the object, whose value a path means that is one of them. The `environment` of the
    event is left out: it is known.
    """
    if path in own:
        return ["Value"]
    if path in EVERYTHING:
        return ["Everything"]
    found: list[str] = []
    parts = [(match[1], match[2]) for match in SEGMENT.finditer(path)]
    words = [item if item is not None else word for item, word in parts]
    at = 0
    if words[0:1] == ["environments"] and len(words) > 1:
        found += [words[1]] if words[1] != environment else []
        at = 2
    while at < len(parts):
        item, word = parts[at]
        following = parts[at + 1][0] if at + 1 < len(parts) else None
        if item is None and following is not None and word in ONE_OF:
            found.append(_item(word, following))
            at += 2
            continue
        found.append(item if item is not None else _named(word) if at in (0, 2) or word in PLACES else word)
        at += 1
    return found or ["Everything"]


def _item(of: str, name: str) -> str:
    return f"{ONE_OF[of]} {name}" if name.isdecimal() else f"{ONE_OF[of]} “{name}”"


def _named(word: str) -> str:
    spaced = _CAMEL.sub(" ", word).strip().lower()
    return PLACES.get(word) or (spaced[:1].upper() + spaced[1:] if re.fullmatch(r"[\w$-]+", word) else word)


def is_rule(value: Any) -> bool:
    """Return whether a value is a rule, which serves something under conditions."""
    return isinstance(value, dict) and isinstance(value.get("clauses"), list)


def clause_in_words(value: Any) -> str | None:
    """Return a condition in words, such as `email ends with @example.com`; None when it is none."""
    if isinstance(value, Mapping) and isinstance(value.get("values"), list) and isinstance(value.get("op"), str):
        kind, attribute = value.get("contextKind") or USUAL, value.get("attribute") or ""
        values = ", ".join(in_words(one) for one in value["values"])
        return _condition(str(kind), str(attribute), bool(value.get("negate")), value["op"], values)
    found = _CLAUSE.fullmatch(value) if isinstance(value, str) else None
    return _condition(found[1], found[2], bool(found[3]), found[4], found[5]) if found else None


def _condition(kind: str, attribute: str, negated: bool, op: str, values: str) -> str:
    if op == "segmentMatch":
        attribute = ""
    subject = " ".join(part for part in ("" if kind == USUAL and attribute else kind, attribute) if part)
    verb = OPERATORS.get(op, (op, f"not {op}"))[negated]
    several = ", " in values and op == "in"
    return f"{subject} {verb}{' one of' if several else ''} {values}"


def rule_in_words(rule: Mapping[str, Any]) -> str:
    """Return a rule in words, such as `if email ends with @example.com, serve true`."""
    told = [clause_in_words(one) or in_words(one) for one in rule["clauses"]]
    text = f"if {' and '.join(told)}" if told else "for everybody"
    for name, value in rule.items():
        if name == "serve":
            text += f", serve {served_in_words(value)}"
        elif name not in _INSIDE and name not in ("description", "ref"):
            text += f", {_named(name).lower()}: {in_words(value)}"
    described = rule.get("description")
    return f"{described}: {text}" if isinstance(described, str) and described.strip() else text


def served_in_words(value: Any) -> str:
    """Return what is served in words: a variation, or shares of several."""
    shares = shares_of(value) if isinstance(value, dict) else None
    if not shares:
        return in_words(value)
    some = {name: share for name, share in shares.items() if share} or shares
    return ", ".join(f"{share:g} % {name}" for name, share in some.items())


def prerequisite_in_words(value: Any) -> str | None:
    """Return in words that another flag must serve something; None when a value does not say that."""
    if not (isinstance(value, Mapping) and set(value) == {"key", "variation"}):
        return None
    number = isinstance(value["variation"], int) and not isinstance(value["variation"], bool)
    return f"{in_words(value['key'])} must serve {'variation ' if number else ''}{in_words(value['variation'])}"


def in_words(value: Any) -> str:
    """Return any value as a text for people; what is no plain one as JSON."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if is_rule(value):
        return rule_in_words(value)
    return str(value) if isinstance(value, int | float) else to_json(value).decode("utf-8", "replace")
