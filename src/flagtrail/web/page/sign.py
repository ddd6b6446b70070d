"""Says in a word on every page how far the trail can be trusted."""

from datetime import UTC, datetime
from typing import NamedTuple

from flagtrail.completeness import completeness
from flagtrail.question import Query
from flagtrail.web.access import Trail


class Sign(NamedTuple):
    """How far the trail can be trusted: `level` is good, warning or bad; `text` is a few words, `detail` a line."""

    level: str
    text: str
    detail: str


def sign(trail: Trail) -> Sign:
    """Return how far the trail as a whole can be trusted now."""
    found = completeness(trail.store, Query(), configured=trail.configured, now=datetime.now(UTC))
    if found.is_trusted:
        return Sign("good", "Complete", "nothing is missing that was asked of the vendors")
    return Sign("bad" if found.gaps or found.behind else "warning", "Not complete", "see what is missing")
