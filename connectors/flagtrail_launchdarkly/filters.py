"""Turns the setting `only` into policy statements, and those into the name of the stream that they filter.

Forms are LaunchDarkly's (https://launchdarkly.com/docs/home/account/roles/role-resources): a specifier selects what has
as many segments as it has, so `proj/payments` is the project's own changes and not those of its flags. The lists of
types and actions are open and grow, so only the form is checked here.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from flagtrail.event import to_json
from flagtrail_launchdarkly.listing import Statement

RESOURCES, ACTIONS = ("resources", "notResources"), ("actions", "notActions")
LONGEST_NAME = 80  # characters of a filter that still stand in a stream's name
LONGEST_LABEL = 200
EVERYTHING = ["*"]
FORM = 'write it like "proj/payments:env/*:flag/*"'
KEYLESS = {"*", "acct", "ip-allowlist"}  # the types of which an account has only one
SEGMENT = re.compile(
    r"(?P<type>[a-z][a-z-]*|\*)(?:/(?P<key>[^\s/:;,|\[\]]+))?(?:;[\w.*-]+(?:,[\w.*-]+)*)?",
    re.ASCII,
)


def checked(value: Any) -> list[str | Statement] | None:
    """Return the value of `only` as it was written; ValueError says in one line what is wrong with it."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError('write a list, such as ["proj/payments:env/*:flag/*"]')  # noqa: TRY004 - pydantic's error
    if not value:
        raise ValueError("it selects nothing; leave it out to read the whole log")
    for item in value:
        if isinstance(item, dict):
            _check_statement(item)
        else:
            _check_specifier(item)
    if all(isinstance(item, dict) and item.get("effect") == "deny" for item in value):
        raise ValueError("it denies only, which selects nothing; allow something too")
    return value


def statements(only: Sequence[str | Statement]) -> list[Statement]:
    """Return what is sent to LaunchDarkly: complete statements, in one form for all ways to write the same filter."""
    plain: set[str] = set()
    others: dict[bytes, Statement] = {}
    for item in only:
        statement = _canonical({"resources": [item]} if isinstance(item, str) else item)
        if statement["effect"] == "allow" and statement.get("actions") == EVERYTHING and "resources" in statement:
            plain.update(statement["resources"])
        else:
            others[to_json(statement, sort_keys=True)] = statement
    found = [_canonical({"resources": sorted(plain)})] if plain else []
    return found + [others[key] for key in sorted(others)]


def named(stream: str, filters: list[Statement]) -> tuple[str, str | None]:
    """Return a stream's name with its filter in it, and a label that tells the filter when the name cannot.

    Coverage stands under the name, so it must never change for a filter that stays the same.
    """
    (first, *others) = filters
    if not others and first == _canonical({"resources": first.get("resources", [])}):
        text = "|".join(first["resources"])
        if len(text) <= LONGEST_NAME:
            return f"{stream}[{text}]", None
    digest = sha256(to_json(filters, sort_keys=True)).hexdigest()[:12]
    label = "; ".join(map(_told, filters))
    return f"{stream}[{digest}]", label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def _canonical(statement: Statement) -> Statement:
    """Return a statement with an effect, and with sorted lists of resources and actions: all, if it names none."""
    found: Statement = {"effect": statement.get("effect", "allow")}
    for some, others in (RESOURCES, ACTIONS):
        key = others if statement.get(others) else some
        found[key] = sorted(set(statement.get(key) or EVERYTHING))
        if "*" in found[key]:
            found[key] = EVERYTHING
    return found


def _told(statement: Statement) -> str:
    """Return a statement in words, such as `updateOn on proj/*:env/production:flag/*`."""
    actions, resources = (_listed(statement, *keys) for keys in (ACTIONS, RESOURCES))
    words = [*(["not"] if statement["effect"] == "deny" else []), actions, "on" if actions else "", resources]
    return " ".join(word for word in words if word)


def _listed(statement: Statement, some: str, others: str) -> str:
    if others in statement:
        return "all but " + "|".join(statement[others])
    everything = statement[some] == EVERYTHING
    return "|".join(statement[some]) if not everything else "everything" if some == "resources" else ""


def _check_statement(statement: dict[Any, Any]) -> None:
    """Raise ValueError when a table is no policy statement."""
    known = {"effect", *RESOURCES, *ACTIONS}
    unknown = sorted(map(str, statement.keys() - known))
    if unknown:
        raise ValueError(f"{_quoted(unknown[0])} is nothing that a statement has: {', '.join(sorted(known))}")
    if statement.get("effect", "allow") not in ("allow", "deny"):
        raise ValueError(f'effect {_quoted(statement["effect"])} is neither "allow" nor "deny"')
    for some, others in (RESOURCES, ACTIONS):
        if some in statement and others in statement:
            raise ValueError(f"a statement has {some} or {others}, not both")
    if not statement.keys() & {*RESOURCES, *ACTIONS}:
        raise ValueError("a statement names resources or actions, as in { resources = [...], actions = [...] }")
    for key in (*RESOURCES, *ACTIONS):
        if key in statement:
            _check_list(key, statement[key])


def _check_list(key: str, values: Any) -> None:
    """Raise ValueError when something is no list of resource specifiers or of actions."""
    if not isinstance(values, list) or not values:
        raise ValueError(f"{key} is a list that is not empty, such as {key} = [{_example(key)}]")
    for value in values:
        if key in RESOURCES:
            _check_specifier(value)
        elif not isinstance(value, str) or not re.fullmatch(r"[A-Za-z*][\w*]*", value, re.ASCII):
            raise ValueError(f"{_quoted(value)} is no action; write it like {_example(key)}")


def _check_specifier(text: Any) -> None:
    """Raise ValueError when something is no resource specifier."""
    if not isinstance(text, str):
        raise ValueError(f"{_quoted(text)} is no resource specifier; {FORM}")  # noqa: TRY004 - pydantic's error
    for part in text.split(":"):
        found = SEGMENT.fullmatch(part)
        if found is None or (found["key"] is None and found["type"] not in KEYLESS):
            where = f"{_quoted(part)} in it" if ":" in text else "it"
            raise ValueError(f"{_quoted(text)} is no resource specifier: {where} is not type/key; {FORM}")


def _example(key: str) -> str:
    return '"proj/payments:env/*:flag/*"' if key in RESOURCES else '"updateOn"'


def _quoted(value: Any) -> str:
    return ascii(value)[:80]
