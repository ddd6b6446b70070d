"""Reads a window of the audit log whole, although its only cursor is a millisecond.

LaunchDarkly lists newest first, at most 20 entries a page, and pages by `before=<ms>`
(https://apidocs.launchdarkly.com/tag/Audit-log#operation/getAuditLogEntries). Following its `next` link loses entries
that share the millisecond at the page's edge. So the next page asks for that millisecond again, and a millisecond that
fills a page by itself is divided by searches (see `burst`).
"""

from collections.abc import Iterator

from flagtrail.api import Api
from flagtrail.connector import Count, Hole, Page
from flagtrail.errors import UnexpectedResponse
from flagtrail.window import Window
from flagtrail_launchdarkly.burst import read_burst
from flagtrail_launchdarkly.listing import PATH, ask

STREAM = "audit_log"
BUCKETS = 500  # the vendor's maximum
EVERYTHING = [{"effect": "allow"}]  # the statement of the vendor's own example for counts


def pages(api: Api, window: Window) -> Iterator[Page | Hole]:
    """Yield the window's entries, newest first; each page covers all that is newer than its oldest millisecond."""
    inclusive = False  # does `before=t` show t itself? Nobody says; the answers tell.
    top = window.until_ms
    while top > window.since_ms:
        before = top - 1 if inclusive else top
        sheet = ask(api, after=window.since_ms - 1, before=before)
        if not inclusive and sheet.dates and sheet.dates[0] == before:
            inclusive = True
            continue
        if not sheet.more:
            yield Page(sheet.records, Window.of_ms(window.since_ms, top), sheet.date)
            return
        oldest = sheet.dates[-1]
        if oldest < top - 1:
            top, covered = oldest + 1, top
            yield Page(sheet.records, Window.of_ms(max(top, window.since_ms), covered), sheet.date)
        else:
            top -= 1
            yield read_burst(api, top, sheet, inclusive=inclusive)


def counts(api: Api, window: Window) -> list[Count]:
    """Return LaunchDarkly's number of entries for up to 500 equal parts of a window, oldest first.

    What exactly it counts is not documented, so the numbers size the work and prove nothing.
    """
    params = {"after": window.since_ms - 1, "before": window.until_ms, "buckets": BUCKETS}
    body = api.post(f"{PATH}/counts", params, json=EVERYTHING).body
    try:
        step = max(1, int(body["bucketIntervalMs"]))
        buckets = [(int(bucket["timestamp"]), int(bucket["count"])) for bucket in body["buckets"]]
    except (KeyError, TypeError, ValueError):
        raise UnexpectedResponse(f"{api.host}{PATH}/counts answers in another form than documented") from None
    found = []
    for start, count in sorted(buckets):
        part = window.clip(Window.of_ms(start, start + step))
        if part is not None:
            found.append(Count(part, count))
    return found
