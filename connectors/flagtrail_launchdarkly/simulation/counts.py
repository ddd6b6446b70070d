"""LaunchDarkly's counts of audit entries, in buckets of equal length."""

from collections.abc import Callable
from typing import Any

from flagtrail_launchdarkly.simulation.switches import Switches


def buckets(
    after: int, before: int, number: int, count: Callable[[int, int], int], switches: Switches
) -> dict[str, Any]:
    """Return the answer for `[after, before)` in at most `number` buckets; `count` counts a half-open span."""
    interval = max(1, -(-(before - after) // number))
    start = after - after % interval if switches.counts_aligned else after
    found = [
        {"timestamp": at, "count": count(max(at, after), min(at + interval, before))}
        for at in range(start, before, interval)
    ]
    if found and switches.counts_off_by:
        max(found, key=lambda bucket: bucket["count"])["count"] += switches.counts_off_by
    if not switches.counts_empty_buckets:
        found = [bucket for bucket in found if bucket["count"]]
    total = sum(bucket["count"] for bucket in found)
    return {"buckets": found, "totalCount": total, "bucketIntervalMs": interval}
