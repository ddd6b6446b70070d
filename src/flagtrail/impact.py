"""One number for how much a change did: the percentage of evaluations that it changed.

LaunchDarkly measures it in the ten minutes before and after a change, and tells a `percentage` and a `size`
(https://launchdarkly.com/docs/api/insights-flag-events-beta). Where only the size is told, the number is the middle of
what that size means. Where neither is, as while it is measured, there is none.
"""

import re
from math import inf
from typing import NamedTuple

FORM = "a measured effect such as >5%, <=20%, 5%..20%, or one of none, small, medium, large"
MIDDLES = {"none": 0, "small": 10, "medium": 50, "large": 90}
_NUMBER = r"(\d{1,6}(?:\.\d{1,6})?)\s*%?"
_ONE = re.compile(rf"(>=|<=|>|<|=|)\s*{_NUMBER}")
_SPAN = re.compile(rf"{_NUMBER}\s*\.\.\s*{_NUMBER}")
_SIZE = "CASE lower({size}) " + " ".join(f"WHEN '{size}' THEN {middle}" for size, middle in MIDDLES.items()) + " END"
# To the letter what the indexes are of, with the name of the table before each dot.
NUMBER = {
    "sqlite": "CASE WHEN json_type({0}impact, '$.percentage') IN ('integer', 'real') "
    "THEN json_extract({0}impact, '$.percentage') ELSE "
    + _SIZE.format(size="json_extract({0}impact, '$.size')")
    + " END",
    # Of no index; the impact is a text there.
    "duckdb": "CASE WHEN json_type({0}impact, '$.percentage') IN ('UBIGINT', 'BIGINT', 'DOUBLE') "
    "THEN TRY_CAST(json_extract_string({0}impact, '$.percentage') AS DOUBLE) ELSE "
    + _SIZE.format(size="json_extract_string({0}impact, '$.size')")
    + " END",
    "postgresql": "CASE WHEN jsonb_typeof({0}impact -> 'percentage') = 'number' "
    "THEN ({0}impact ->> 'percentage')::numeric ELSE " + _SIZE.format(size="({0}impact ->> 'size')") + " END",
}


class Range(NamedTuple):
    """Numbers from `low` to `high`, in percent; whether the ends belong to it."""

    low: float
    high: float
    from_low: bool = True
    to_high: bool = True


SIZES = {
    "none": Range(0, 0),
    "small": Range(0, 20, from_low=False),
    "medium": Range(20, 80, from_low=False),
    "large": Range(80, inf, from_low=False),
}


def parse_range(text: str) -> Range:
    """Return the numbers that a text such as >5% means; ValueError says the right form."""
    compact = text.strip().lower()
    if compact in SIZES:
        return SIZES[compact]
    if (found := _SPAN.fullmatch(compact)) and float(found[1]) <= float(found[2]):
        return Range(float(found[1]), float(found[2]))
    if found := _ONE.fullmatch(compact):
        sign, number = found[1], float(found[2])
        if sign.startswith(">"):
            return Range(number, inf, from_low=sign == ">=")
        if sign.startswith("<"):
            return Range(-inf, number, to_high=sign == "<=")
        return Range(number, number)
    raise ValueError(f"{text!r} is not {FORM}")
