"""Makes two versions of an object readable before they are compared: what LaunchDarkly derives is left out, variations
have names instead of positions, and weights are percentages.

Nothing is required of a version: what has another form than known stays as it is.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Version = dict[str, Any]

# What changes with every save, or is derived from the rest. So is what begins with `_`, except for KEPT.
NOISE = {
    "archivedDate", "createdAt", "createdDate", "creationDate", "deprecatedDate", "lastModified", "lastRequested",
    "lastSeen", "lastSeenAt", "lastUpdated", "links", "ref", "salt", "sel", "updatedAt",
}  # fmt: skip
KEPT = {"_id", "_pendingInvite", "_verified"}
SERVED = {"offVariation", "onVariation", "variation"}
FOREIGN = {"prerequisites", "customProperties", "value"}  # of another flag, or the customer's own: left as it is
TARGETS = {"targets", "contextTargets", "includedContexts", "excludedContexts"}
USUAL_KIND, USUAL_ATTRIBUTE = "user", "key"
LONGEST_LABEL = 40


class Told(dict[str, Any]):
    """An object of the vendor's, made readable; its `_id` is only there to find it again in the other version."""


class Whole(dict[str, Any]):
    """Values that are read together, such as the shares of a rollout."""


def readable(before: Version, after: Version) -> tuple[Told, Told]:
    """Return both versions without noise, with the same names for the same variations and members."""
    variations = _ids(before) | _ids(after)
    members = _members(before) | _members(after)
    return _Reader(before, variations).object(before, members), _Reader(after, variations).object(after, members)


def readable_value(name: str, value: Any) -> Any:
    """Return what stands under a name, without noise; variations keep their positions, as nothing tells their names."""
    return _Reader({}, {}).under(name, value)


def is_noise(name: str, value: Any = None) -> bool:
    """Return whether nobody needs to read what is under a name."""
    counter = name == "version" and isinstance(value, int | float | None)
    return counter or name in NOISE or (name.startswith("_") and name not in KEPT)


def is_empty(value: Any) -> bool:
    """Return whether a value says nothing: LaunchDarkly leaves fields out, or sends null or an empty list."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def percent(weight: Any) -> Any:
    """Return a weight, in thousandths of a percent, as text such as `12.5%`; anything else as it is."""
    number = isinstance(weight, int | float) and not isinstance(weight, bool) and abs(weight) <= 1e9
    return f"{weight / 1000:g}%" if number else weight


def clause(value: Mapping[str, Any]) -> str | None:
    """Return a clause of a rule in words, such as `user city in Oslo, Porto`; None when it is none."""
    values = value.get("values")
    if not isinstance(values, list) or not all(isinstance(value.get(name), str) for name in ("attribute", "op")):
        return None
    kind = value.get("contextKind") or USUAL_KIND
    names = ", ".join(_text(one) for one in values[:10]) + (f" and {len(values) - 10} more" if len(values) > 10 else "")
    return f"{kind} {value['attribute']} {'not ' if value.get('negate') else ''}{value['op']} {names}"[:200]


def labels(items: Iterable[Any]) -> list[str]:
    """Return what to call each item of a list: by its words if they tell it from the others, else its position."""
    found = [_label(item) for item in items]
    return [text if text and found.count(text) == 1 else str(at) for at, text in enumerate(found, start=1)]


class _Reader:
    """Reads one version; `names` are those of its variations, by position."""

    def __init__(self, version: Version, by_id: Mapping[str, Any]) -> None:
        self.names = [by_id.get(id_, name) if id_ else name for id_, name in _variations(version)]
        self.readers: dict[str, Callable[[Any], Any]] = {
            **dict.fromkeys(SERVED, self.name),
            **dict.fromkeys(TARGETS, self.targets),
            **dict.fromkeys(FOREIGN, lambda value: value),
            "fallthrough": self.served,
            "rollout": self.shares,
            "rules": self.rules,
            "weight": percent,
        }

    def object(self, version: Version, members: Mapping[str, str]) -> Told:
        """Return a whole version."""
        told: Told = self.tidied(version)
        maintainer = told.pop("maintainerId", None)
        if isinstance(maintainer, str):
            told["maintainer"] = members.get(maintainer, maintainer)
        environments = version.get("environments")
        if isinstance(environments, dict) and "archived" in version:
            for inner in told.get("environments", {}).values():
                if isinstance(inner, Told):
                    inner.pop("archived", None)  # each repeats the flag's own
        return told

    def tidied(self, value: Any) -> Any:
        """Return a value without noise."""
        if isinstance(value, list):
            return [self.tidied(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        kept = {name: self.under(name, inner) for name, inner in value.items() if not is_noise(name, inner)}
        return Told({name: inner for name, inner in kept.items() if not is_empty(inner) or name in TARGETS})

    def under(self, name: str, value: Any) -> Any:
        """Return the value under a name."""
        return self.readers.get(name, self.tidied)(value)

    def name(self, index: Any) -> Any:
        """Return what the variation at a position is called, or the position."""
        known = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(self.names)
        return self.names[index] if known else index

    def rules(self, rules: Any) -> Any:
        """Return rules with what they serve."""
        return [self.rule(rule) for rule in rules] if isinstance(rules, list) else self.tidied(rules)

    def rule(self, rule: Any) -> Any:
        """Return a rule of a flag or a segment, with what it serves."""
        if not isinstance(rule, dict):
            return rule
        told = self.tidied({name: value for name, value in rule.items() if name not in ("variation", "rollout")})
        if told.get("trackEvents") is False:
            del told["trackEvents"]
        if "variation" in rule or "rollout" in rule:
            told["serve"] = self.served({name: rule.get(name) for name in ("variation", "rollout")})
        return told

    def served(self, value: Any) -> Any:
        """Return what a rule or the default serves: a variation, or shares of several."""
        if not isinstance(value, dict):
            return value
        rollout = value.get("rollout")
        served = self.shares(rollout) if isinstance(rollout, dict) else self.name(value.get("variation"))
        rest = self.tidied({name: inner for name, inner in value.items() if name not in ("variation", "rollout")})
        return Told({"serve": served, **rest}) if rest else served

    def shares(self, rollout: Any) -> Any:
        """Return a rollout as `{"true": "25%", "false": "75%"}`, with what it divides by if that is unusual."""
        weighted = rollout.get("variations") if isinstance(rollout, dict) else None
        if not isinstance(weighted, list) or not all(isinstance(one, dict) and "variation" in one for one in weighted):
            return self.tidied(rollout)
        shares: dict[str, str] = {}
        for one in weighted:
            share = _text(percent(one.get("weight"))) + (" untracked" if one.get("untracked") is True else "")
            name = _text(self.name(one["variation"]))
            shares[name] = f"{shares[name]} + {share}" if name in shares else share
        by = (rollout.get("contextKind") or USUAL_KIND, rollout.get("bucketBy") or USUAL_ATTRIBUTE)
        unusual = {"by": " ".join(map(_text, by))} if by != (USUAL_KIND, USUAL_ATTRIBUTE) else {}
        known = ("variations", "contextKind", "bucketBy")
        rest = {name: inner for name, inner in rollout.items() if name not in known}
        return Whole({**shares, **unusual, **self.tidied(rest)})

    def targets(self, targets: Any) -> Any:
        """Return lists of individual targets by what they get, and by their kind if it is not the usual one."""
        found: dict[str, list[Any]] = {}
        if not isinstance(targets, list):
            return self.tidied(targets)
        for target in targets:
            if not isinstance(target, dict) or not isinstance(target.get("values"), list):
                return self.tidied(targets)
            kind = target.get("contextKind") or USUAL_KIND
            words = [_text(self.name(target["variation"]))] if "variation" in target else []
            words += [_text(kind)] if kind != USUAL_KIND or not words else []
            if target["values"]:
                found.setdefault(" ".join(words), []).extend(target["values"])
        return Told(found)


def _variations(version: Version) -> list[tuple[str | None, Any]]:
    """Return the id and the name of each variation: true and false, or what people call it, or its value."""
    listed = version.get("variations")
    found = [one if isinstance(one, dict) else {} for one in listed] if isinstance(listed, list) else []
    names = [_variation(one, at) for at, one in enumerate(found)]
    texts = [_text(name) for name in names]
    unique = [
        name if texts.count(text) == 1 else f"{text} (variation {at})"
        for at, (name, text) in enumerate(zip(names, texts, strict=True))
    ]
    ids = [one["_id"] if isinstance(one.get("_id"), str) else None for one in found]
    return list(zip(ids, unique, strict=True))


def _variation(one: Version, at: int) -> Any:
    value, name = one.get("value"), one.get("name")
    if isinstance(value, bool):
        return value
    if isinstance(name, str) and name.strip():
        return name
    plain = isinstance(value, int | float) or (isinstance(value, str) and 0 < len(value) <= LONGEST_LABEL)
    return value if plain else f"variation {at}"


def _ids(version: Version) -> dict[str, Any]:
    return {id_: name for id_, name in _variations(version) if id_}


def _members(version: Version) -> dict[str, str]:
    """Return the e-mail address of a version's maintainer, by id."""
    member = version.get("_maintainer")
    told = (member.get("_id"), member.get("email")) if isinstance(member, dict) else (None, None)
    return {told[0]: told[1]} if isinstance(told[0], str) and isinstance(told[1], str) else {}


def _label(item: Any) -> str | None:
    """Return the words by which people know an item of a list."""
    if not isinstance(item, dict):
        return None
    for name in ("name", "description", "key", "email"):
        if isinstance(item.get(name), str) and 0 < len(item[name]) <= LONGEST_LABEL:
            return " ".join(item[name].split())
    if isinstance(item.get("attribute"), str) and isinstance(item.get("op"), str):
        return f"{item['attribute']} {item['op']}"[:LONGEST_LABEL]
    value = item.get("value")
    return _text(value) if isinstance(value, str | int | float) and len(_text(value)) <= LONGEST_LABEL else None


def _text(value: Any) -> str:
    """Return a plain value as text, the way JSON writes it but without quotes."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
