"""Asks LaunchDarkly how many audit log entries there are.

What exactly it counts, and whether its bounds are part of the span, is not documented
(https://apidocs.launchdarkly.com, "Get audit log entry counts"), so a count sizes work or raises a doubt; it proves
nothing.
"""

from flagtrail.api import Api
from flagtrail.connector import Count
from flagtrail.errors import AccessDenied, UnexpectedResponse
from flagtrail.window import Window
from flagtrail_launchdarkly.listing import PATH, Statement

BUCKETS = 500  # the vendor's maximum
EVERYTHING: list[Statement] = [{"effect": "allow"}]  # the statement of the vendor's own example


def counts(api: Api, window: Window, parts: int = BUCKETS, filters: list[Statement] | None = None) -> list[Count]:
    """Return LaunchDarkly's number of entries for up to so many equal parts of a window, oldest first.

    With `filters`, only of those entries that the policy statements select.
    """
    buckets = max(1, min(parts, BUCKETS))
    params = {"after": window.since_ms - 1, "before": window.until_ms, "buckets": buckets}
    body = api.post(f"{PATH}/counts", params, json=filters or EVERYTHING).body
    try:
        step = max(1, int(body["bucketIntervalMs"]))
        told = [(int(bucket["timestamp"]), int(bucket["count"])) for bucket in body["buckets"]]
    except (KeyError, TypeError, ValueError):
        raise UnexpectedResponse(f"{api.host}{PATH}/counts answers in another form than documented") from None
    found = []
    for start, count in sorted(told):
        part = window.clip(Window.of_ms(start, start + step))
        if part is not None:
            found.append(Count(part, count))
    return found


def count_of(api: Api, ms: int, filters: list[Statement] | None = None) -> int | None:
    """Return LaunchDarkly's number of entries in one millisecond, or None when it does not tell."""
    try:
        # Two milliseconds are asked for, as `after` may be exclusive: in one bucket, the neighbour would be counted.
        return sum(count.records for count in counts(api, Window.of_ms(ms, ms + 1), 2, filters))
    except (AccessDenied, UnexpectedResponse):
        return None
