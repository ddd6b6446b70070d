"""Tells mistakes in settings: each in one line, which names the place as a person would, and the right form."""

import difflib
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flagtrail.errors import ConfigError
from flagtrail.when import spoken

# The lists of tables, and what a table of each is told by.
NAMED_BY = {"source": "name", "person": "email", "notice": "name", "sink": "name"}

Model = TypeVar("Model", bound=BaseModel)
Tables = Mapping[str, type[BaseModel]]


def validated(
    model: type[Model], raw: dict[str, Any], where: str, names: list[str], tables: Tables | None = None
) -> Model:
    """Return settings, checked; raises ConfigError with a line for each mistake.

    `names` are those that are known, and `tables` says what is known in each table.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        lines = [_line(detail, where, names, raw, tables or {}) for detail in details]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def _line(detail: Any, where: str, names: list[str], raw: dict[str, Any], tables: Tables) -> str:
    """Return one mistake in one line: the place as a person would name it, and the right form."""
    loc = list(detail["loc"])
    if loc and loc[0] in tables:
        names = list(tables[loc[0]].model_fields)
    if len(loc) > 1 and loc[0] in NAMED_BY and isinstance(loc[1], int):
        kind, settings = loc[0], raw[loc[0]][loc[1]]
        name = settings.get(NAMED_BY[kind]) if isinstance(settings, dict) else None
        where = f"{where}: {kind} {name!r}" if isinstance(name, str) else f"{where}: {kind} {loc[1] + 1}"
        loc = loc[2:]
    place = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in loc)
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(loc[-1]), names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"
        return f"{where}: unknown setting {place!r}{hint}"
    if detail["type"] == "missing":
        return f"{where}: the setting {place!r} is missing"
    return f"{where}: {place or 'it'}: {_right_form(detail, place)}"


def _right_form(detail: Any, place: str) -> str:
    """Return what a value should be, in words."""
    limits = {key: value for key, value in (detail.get("ctx") or {}).items() if key in ("ge", "le", "gt", "lt")}
    if limits:
        bounds = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}
        return " and ".join(f"must be {bounds[key]} {_limit(value)}" for key, value in limits.items())
    if detail["type"] == "string_pattern_mismatch" and place == "name":
        return "may hold letters, digits, dots, dashes and underscores, and begins with a letter or a digit"
    if detail["type"] == "list_type" and place in NAMED_BY:
        return f"write [[{place}]] with two brackets before each {place}"
    if detail["type"] in ("string_too_short", "too_short"):
        return "must not be empty"
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"write [{place}] above its settings" if place else "write its settings as name = value"
    return str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")


def _limit(value: Any) -> str:
    """Return a limit for people; pydantic tells a length of time as Python writes it."""
    if not str(value).startswith("datetime.timedelta("):
        return str(value)
    return spoken(timedelta(**{unit: int(number) for unit, number in re.findall(r"(\w+)=(\d+)", str(value))}))
