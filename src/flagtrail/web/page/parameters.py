"""Reads the parameters of a page's address; what is not known there, or said twice, is refused and never left out."""

from collections.abc import Collection
from difflib import get_close_matches

from fastapi import Request

from flagtrail.web.problems import Refused

EVERYWHERE = ("zone",)  # what every page takes
LONGEST = 500  # characters of one


def parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """Return the parameters of an address by name, but for empty ones, which forms send; raises Refused."""
    names = (*known, *EVERYWHERE)
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            raise Refused(422, f"there is no parameter {name[:100]!r} here; {hint}")
        if name in found:
            raise Refused(422, f"{name}: stands there twice; say it once")
        if "\0" in value or len(value) > LONGEST:
            raise Refused(422, f"{name}: longer than {LONGEST} characters, or with the character NUL")
        found[name] = value.strip()
    return {name: value for name, value in found.items() if value}
