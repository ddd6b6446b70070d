"""Reads a window of the audit log whole, although its only cursor is a millisecond.

LaunchDarkly lists newest first, at most 20 entries a page, and pages by `before=<ms>`
(https://apidocs.launchdarkly.com/tag/Audit-log#operation/getAuditLogEntries). Following its `next` link loses entries
that share the millisecond at the page's edge. So the next page asks for that millisecond again, and a millisecond that
fills a page by itself is divided by searches (see `burst`). A filter is a search too, and is paged in the same way: the
`next` link of a search does not carry the statements.
"""

from collections.abc import Iterator

from flagtrail.api import Api
from flagtrail.connector import Hole, Page
from flagtrail.window import Window
from flagtrail_launchdarkly.burst import read_burst
from flagtrail_launchdarkly.listing import DEFAULT, Sheet, Statement, ask

STREAM = "audit_log"


def pages(api: Api, window: Window, filters: list[Statement] | None = None) -> Iterator[Page | Hole]:
    """Yield the window's entries, newest first; each page covers all that is newer than its oldest millisecond.

    With `filters`, these are the entries that the policy statements select, and all that is said of the window is said
    of them.
    """
    inclusive = False  # does `before=t` show t itself? Nobody says; the answers tell.
    top = window.until_ms
    while top > window.since_ms:
        before = top - 1 if inclusive else top
        sheet = ask(api, after=window.since_ms - 1, before=before, statements=filters)
        if not inclusive and sheet.dates and sheet.dates[0] == before:
            inclusive = True
            continue
        # As many as the vendor gives to those who ask for no limit may be a page that it cut off without a link.
        cut_off = len(sheet.records) == DEFAULT and sheet.dates[-1] < top - 1
        if not sheet.more and not cut_off:
            yield from _parts(sheet, Window.of_ms(window.since_ms, top))
            return
        oldest = sheet.dates[-1]
        if oldest < top - 1:
            top, covered = oldest + 1, top
            yield from _parts(sheet, Window.of_ms(max(top, window.since_ms), covered))
        else:
            top -= 1
            yield read_burst(api, top, sheet, inclusive=inclusive, filters=filters)


def _parts(sheet: Sheet, covers: Window) -> Iterator[Page | Hole]:
    """Yield a page that covers a window, with a hole where an entry on it cannot be used."""
    if sheet.odd is None:
        yield Page(sheet.records, covers, sheet.date)
        return
    reason, newer, older = sheet.odd
    top = covers.until_ms if newer is None else min(newer + 1, covers.until_ms)
    bottom = covers.since_ms if older is None else max(older, covers.since_ms)
    yield Page(sheet.records, Window.of_ms(top, covers.until_ms) if top < covers.until_ms else None, sheet.date)
    yield Hole(Window.of_ms(bottom, top), reason)
    if bottom > covers.since_ms:
        yield Page((), Window.of_ms(covers.since_ms, bottom), sheet.date)
