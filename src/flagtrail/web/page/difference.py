"""Tells what changed as a readable difference: words in texts, members of lists, shares of rollouts, lines of JSON."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from flagtrail.places import EVERYTHING, delta
from flagtrail.rollouts import shares_of
from flagtrail.touches import OTHERS_OWN
from flagtrail.web.page.wording import (
    clause_in_words,
    in_words,
    is_rule,
    place_in_words,
    prerequisite_in_words,
    rule_in_words,
)

SHORT = 24  # characters of texts that are shown beside each other, and not marked word by word
ALIKE = 0.3  # texts that have less in common than this share of their words are shown beside each other
MOST_WORDS = 1500  # of both texts together that are compared word by word
MOST_LINES = 1500  # of each side that are compared line by line
AROUND = 3  # lines that are the same, around those that are not
MOST_MEMBERS = 60
SECRET = {"(secret)": "a secret, which is not kept", "(another secret)": "another secret, which is not kept"}
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


class Part(NamedTuple):
    """A piece of a text or a line of JSON: `how` is same, removed, added, or skipped (lines that are the same)."""

    how: str
    text: str


class Share(NamedTuple):
    """How much of a rollout one variation had and has, in percent; None where that is not told."""

    name: str
    before: float | None
    after: float | None


class Difference(NamedTuple):
    """One changed place: the way there in words, and how what was there differs from what is.

    `form` says which of the others is told: values (`before` and `after` as words, None: nothing, or not told), text
    (`parts`), members (`removed` and `added`), rollout (`shares`, and `before` or `after` where that is none), lines
    (`parts`), note (`after`).
    """

    place: Sequence[str]
    path: str
    form: str
    before: str | None = None
    after: str | None = None
    parts: Sequence[Part] = ()
    removed: Sequence[str] = ()
    added: Sequence[str] = ()
    shares: Sequence[Share] = ()


def differences(row: Mapping[str, Any]) -> list[Difference]:
    """Return what an event changed, in the vendor's order; nothing where it is not told."""
    own = frozenset(name for name in (row["object_key"], row["object_name"]) if name)
    told = [change for change in row["changes"] or () if isinstance(change, Mapping)]
    return [_difference(str(one.get("path", "")), one.get("before"), one.get("after"), own, row) for one in told]


def _difference(path: str, before: Any, after: Any, own: frozenset[str], row: Mapping[str, Any]) -> Difference:
    found = Difference(place_in_words(path, own, row["environment"]), path, "values")
    if path in EVERYTHING and before is None and isinstance(after, str):
        return found._replace(form="note", after=after)
    if after == "(removed)":  # of a patch, which does not tell what was there
        after = "removed" if before is None else None
    lists = None if OTHERS_OWN & set(re.split(r"[.\[\]]", path)) else delta(before, after)
    if lists:
        removed, added = (_members(items) for items in lists)
        return found._replace(form="members", removed=removed, added=added)
    if _is_plain(before) and _is_plain(after):
        return _plain(found, before, after)
    if shares := _shares(before, after):
        sides = [None if _rollout(side) or side is None else in_words(side) for side in (before, after)]
        return found._replace(form="rollout", shares=shares, before=sides[0], after=sides[1])
    return _composed(found, before, after)


def _composed(found: Difference, before: Any, after: Any) -> Difference:
    """Return how rules, conditions and lists differ, and as JSON all that is none of them."""
    if all(_is_worded(side) or side is None for side in (before, after)):
        return _plain(found, *(None if side is None else _worded(side) for side in (before, after)))
    if _is_list(before) and _is_list(after):
        return _listed(found, _items(before), _items(after))
    return found._replace(form="lines", parts=json_lines(before, after))


def _plain(found: Difference, before: Any, after: Any) -> Difference:
    """Return how plain values differ; texts that are long and alike word by word."""
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > SHORT:
        parts = text_parts(before, after)
        if parts:
            return found._replace(form="text", parts=parts)
    told = [None if side is None else _secret(side) for side in (before, after)]
    return found._replace(before=told[0], after=told[1])


def _secret(value: Any) -> str:
    return SECRET.get(value, value) if isinstance(value, str) else in_words(value)


def _listed(found: Difference, before: list[Any], after: list[Any]) -> Difference:
    """Return how lists differ: by their members, or by their order alone."""
    old, new = _members(before), _members(after)
    removed = [one for one in old if one not in new]
    added = [one for one in new if one not in old]
    if removed or added:
        return found._replace(form="members", removed=removed, added=added)
    place = [*found.place, "Order"]
    return found._replace(place=place, before=", ".join(old), after=", ".join(new))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _is_worded(value: Any) -> bool:
    return isinstance(value, dict) and _said(value) is not None


def _said(value: Any) -> str | None:
    return rule_in_words(value) if is_rule(value) else clause_in_words(value) or prerequisite_in_words(value)


def _worded(value: Any) -> str:
    return _said(value) or in_words(value)


def _is_list(value: Any) -> bool:
    order = isinstance(value, dict) and set(value) == {"order"} and isinstance(value["order"], list)
    items = value["order"] if order else value if isinstance(value, list) else []
    return order or value is None or (isinstance(value, list) and all(_is_plain(i) or _is_worded(i) for i in items))


def _items(value: Any) -> list[Any]:
    items: list[Any] = value["order"] if isinstance(value, dict) else value or []
    return items


def _members(items: Sequence[Any]) -> list[str]:
    told = [_worded(one) if _is_worded(one) else in_words(one) for one in items[:MOST_MEMBERS]]
    return [*told, *([f"… and {len(items) - MOST_MEMBERS} more"] if len(items) > MOST_MEMBERS else [])]


def _rollout(value: Any) -> dict[str, float] | None:
    """Return the shares of a rollout, also of one in the vendor's own form; None when a value is none."""
    if isinstance(value, list) and value and all(isinstance(one, dict) and "variation" in one for one in value):
        value = {f"variation {one['variation']}": one.get("weight") for one in value}
    return shares_of(value) if isinstance(value, dict) else None


def _shares(before: Any, after: Any) -> list[Share]:
    old, new = _rollout(before), _rollout(after)
    if old is None and new is None:
        return []
    # What is plainly served on one side is served to all.
    old = old or (shares_of(before) if _is_plain(before) and before is not None else None)
    new = new or (shares_of(after) if _is_plain(after) and after is not None else None)
    names = dict.fromkeys([*(new or ()), *(old or ())])
    return [
        Share(name, None if old is None else old.get(name, 0.0), None if new is None else new.get(name, 0.0))
        for name in names
    ]


def text_parts(before: str, after: str) -> list[Part]:
    """Return two texts as one, in which words are marked; empty when they have too little in common, or are long."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) + len(new) > MOST_WORDS:
        return []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < ALIKE:
        return []
    parts: list[Part] = []
    for how, a, b, c, d in matcher.get_opcodes():
        if how == "equal":
            parts.append(Part("same", "".join(old[a:b])))
        else:
            parts += [Part("removed", "".join(old[a:b]))] if a < b else []
            parts += [Part("added", "".join(new[c:d]))] if c < d else []
    return parts


def json_lines(before: Any, after: Any) -> list[Part]:
    """Return two values as lines of JSON, marked, with some lines around what differs; a side that is None has none."""
    old, new = ([] if side is None else pretty(side).splitlines() for side in (before, after))
    if max(len(old), len(new)) > MOST_LINES:
        return [Part("skipped", f"{len(old)} and {len(new)} lines: too long to be compared here")]
    return list(_lines(old, new))


def pretty(value: Any) -> str:
    """Return a value as JSON to be read, with sorted keys."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)


def _lines(old: list[str], new: list[str]) -> Iterator[Part]:
    groups: Iterable[Any] = SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(AROUND)
    shown = 0
    for group in groups:
        if group[0][1] > shown:
            yield Part("skipped", f"{group[0][1] - shown} lines are the same")
        for how, a, b, c, d in group:
            if how == "equal":
                yield from (Part("same", line) for line in old[a:b])
            else:
                yield from (Part("removed", line) for line in old[a:b])
                yield from (Part("added", line) for line in new[c:d])
        shown = group[-1][2]
    if shown and len(old) > shown:
        yield Part("skipped", f"{len(old) - shown} lines are the same")
