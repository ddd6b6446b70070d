"""What LaunchDarkly leaves open, or changes from account to account: one switch each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flagtrail_launchdarkly.simulation.entries import Dates
from flagtrail_launchdarkly.simulation.log import TieOrder

Bounds = Literal["()", "[)", "(]", "[]"]
"""Whether the two ends of an asked span belong to it, as mathematicians write it."""
Scope = Literal["global", "route", "token", "ip"]
"""What a request limit is counted for."""


@dataclass(kw_only=True)
class Switches:
    """How the simulated vendor behaves; each can be set when the simulator is made, and changed while it runs."""

    bounds: Bounds = "()"
    """`after` and `before` of the audit log."""
    ties: TieOrder = "descending"
    """The order, by id, of entries that share a millisecond; `unstable` changes from answer to answer."""
    over_limit: Literal["refuse", "clamp"] = "refuse"
    """What becomes of a `limit` above the documented maximum (or below 1): 400, or the maximum."""
    page_cap: int | None = None
    """The vendor gives at most this many items to a page, whatever was asked for."""
    dates: Dates = "number"
    """The form of `date` and `eventTime`."""
    next_link: Literal["exact", "always", "never"] = "exact"
    """Whether a list links to its next page: when there is one, always, or never."""
    history_days: float | None = None
    """Entries older than this are silently left out, as on small plans."""
    detail_bytes: int = 0
    """How much larger than usual the versions in a single entry are."""

    empty_search: Literal["everything", "nothing", "refuse"] = "everything"
    """What a search with no body or `[]` finds."""
    empty_counts: Literal["everything", "refuse"] = "refuse"
    """What counts of `[]` count."""
    counts: Literal["offered", "forbidden", "absent"] = "offered"
    """Whether the newest route exists: 403 or 404 otherwise."""
    counts_empty_buckets: bool = True
    """Whether buckets without entries are listed."""
    counts_aligned: bool = False
    """Whether buckets start at multiples of their length instead of at `after`."""
    counts_off_by: int = 0
    """How many more entries than there are the fullest bucket claims."""

    insights: Literal["offered", "forbidden", "absent"] = "offered"
    """Whether the plan has engineering insights: 403 or 404 otherwise."""
    insights_bounds: Bounds = "[)"
    """`from` and `to` of flag events."""
    insights_next: Literal["cursor", "full"] = "cursor"
    """Whether the `next` link of flag events has the cursor only, or the other parameters too."""
    insights_oldest_first: bool = False
    """Whether flag events come oldest first."""
    insights_longest_days: float | None = None
    """A longer `from`..`to` is refused with 400."""
    insights_total: Literal["span", "page", "everything"] = "span"
    """What `totalCount` counts: the asked span, the page, or all events of the environment."""

    credential: Literal["valid", "expired", "silent"] = "valid"
    """`expired`: 401 with the documented body; `silent`: 401 with an empty one."""
    permitted: bool = True
    """Whether the token may read the audit log and the projects: 403 otherwise."""
    pinned_version: str = "20240415"
    """The API version of requests that name none."""

    quotas: Mapping[Scope, tuple[int, int]] = field(default_factory=dict)
    """Requests allowed in so many milliseconds, for each scope; `VENDOR_QUOTAS` are like the vendor's."""
    rate_headers: frozenset[Scope] = frozenset({"global", "route", "token"})
    """Which of the scopes with a quota tell of it in headers."""
    resets_ago_ms: int = 0
    """Rate limit headers name a reset that lies so far in the past, as was observed."""
    refusal: Literal["reset", "retry-after", "retry-date", "bare"] = "reset"
    """What comes with a 429: the rate limit headers, `Retry-After` in seconds or as a date instead, or nothing."""


VENDOR_QUOTAS: Mapping[Scope, tuple[int, int]] = {
    "route": (5, 10_000),
    "global": (100, 10_000),
    "token": (1000, 10_000),
}
