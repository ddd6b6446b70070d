"""Reads a window of an organization's audit log whole, although its pages are numbered.

Numbered pages shift while items come and go, and no order is promised (https://api.configcat.com/docs, "List Audit log
items for Organization"). So a window is divided until one answer holds it: one answer is one consistent view, with the
vendor's own `totalCount` beside it. Only a second that holds more than a page is walked page by page, until two walks
agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from flagtrail.api import Api
from flagtrail.connector import Count, Hole, Page, usable
from flagtrail.errors import Redirected, UnexpectedResponse
from flagtrail.event import Record
from flagtrail.window import Window, from_ms, iso
from flagtrail_configcat.events import id_and_ms

STREAM = "audit_log"
PAGE = 100  # the vendor's maximum
ROOMY = 60  # items that a part of a divided window should hold: room for uneven days before a page is full
SPAN = timedelta(days=28)  # V1 allows 30 days and V2 promises nothing; the sent bounds are a little wider
V1_SPAN = timedelta(days=7)
SECOND = timedelta(seconds=1)
EDGE = timedelta(seconds=2)  # how far the sent bounds, and what the vendor makes of them, may reach beyond a window
WALKS = 6


@dataclass(frozen=True, slots=True)
class Sheet:
    """One understood answer: its items, how many the vendor counts in all, and whether there is a next page.

    `odd` says what is wrong with an item that was left out because it has no usable id or time.
    """

    items: list[Record]
    total: int
    more: bool
    date: datetime | None
    odd: str | None = None


def pages(api: Api, organization: str, span: Window) -> Iterator[Page | Hole]:
    """Yield a span's items from V2, newest part first; around an unusable item there is a hole of at most a second."""
    sheet = _ask(api, organization, span, 1)
    if len(sheet.items) == sheet.total:
        if sheet.more:
            raise UnexpectedResponse(f"{api.host} shows all {sheet.total} items that it counts in {span}, and links on")
        yield Page(sheet.items, span, sheet.date)
        return
    yield Page(sheet.items, None, sheet.date)  # worth keeping already; it proves nothing yet
    if span.length <= SECOND and sheet.odd:
        yield Hole(span, sheet.odd, expected=sheet.total)
    elif span.length <= SECOND:
        yield from _walk_until_stable(api, organization, span)
    else:
        for part in reversed(_divided(span, sheet)):
            yield from pages(api, organization, part)


def _divided(span: Window, sheet: Sheet) -> list[Window]:
    """Return a span cut where its items are, as far as one page of them tells: a crowded second is found at once.

    The cuts are whole seconds, because smaller fractions may mean nothing to the vendor.
    """
    dates = sorted(id_and_ms(item)[1] for item in sheet.items)
    shown = [dates[0], dates[len(dates) // 2], dates[-1] + 1000] if dates else []
    first = min([span.until_ms, *shown])
    unseen = max(0, sheet.total - len(dates)) // ROOMY + 1
    even = [span.since_ms + (first - span.since_ms) * part // unseen for part in range(1, unseen)]
    seconds = {ms // 1000 * 1000 for ms in (*shown, *even)}
    cuts = [ms for ms in sorted(seconds) if span.since_ms < ms < span.until_ms]
    edges = [span.since_ms, *cuts, span.until_ms]
    return [Window.of_ms(a, b) for a, b in pairwise(edges)] if cuts else span.split(2)


def _walk_until_stable(api: Api, organization: str, span: Window) -> Iterator[Page]:
    """Yield the items of a crowded second; covers it when two walks in a row show the same, as many as are counted."""
    before: set[str] = set()
    for _ in range(WALKS):
        ids: set[str] = set()
        total, number, more, date = 0, 1, True, None
        while more:
            sheet = _ask(api, organization, span, number)
            date = sheet.date if number == 1 else date
            ids.update(id_and_ms(item)[0] for item in sheet.items)
            yield Page(sheet.items, None, sheet.date)
            total, more, number = sheet.total, sheet.more and bool(sheet.items), number + 1
            if number > sheet.total // PAGE + 5:
                raise UnexpectedResponse(f"{api.host} pages without an end through {span}")
        if ids == before and len(ids) == total:
            yield Page((), span, date)
            return
        before = ids
    raise UnexpectedResponse(f"{api.host} shows other items in {span} each time it is asked")


def counts(api: Api, organization: str, window: Window) -> list[Count]:
    """Return ConfigCat's `totalCount` for each part of a window, oldest first."""
    return [Count(span, _ask(api, organization, span, 1, size=1).total) for span in window.pieces(SPAN)]


def v1_pages(api: Api, organization: str, span: Window) -> Iterator[Page | Hole]:
    """Yield a span's items from V1, or from V2 when V1 has become a door to it."""
    try:
        body, date = api.get(f"/v1/organizations/{organization}/auditlogs", _bounds(span))
    except Redirected as redirected:
        if redirected.location is None or not redirected.location.startswith("/v2/"):
            raise
        yield from pages(api, organization, span)
        return
    if (
        isinstance(body, dict) and "paging" in body
    ):  # the announced V2 answer on the V1 path: at most one page, so asked again as V2
        yield from pages(api, organization, span)
        return
    items, odd = _items(api, body)
    # Exactly a V2 page may be all that a silent redirect shows; only other numbers prove the span.
    if len(body) != PAGE and not odd:
        yield Page(items, span, date)
    elif span.length > SECOND:
        yield Page(items, None, date)
        for half in reversed(span.split(2)):
            yield from v1_pages(api, organization, half)
    else:
        yield Hole(span, odd or f"V1 shows exactly {PAGE} items in a second, and may be cutting it off", items)


def _ask(api: Api, organization: str, span: Window, number: int, size: int = PAGE) -> Sheet:
    """Return one page of a span, of the documented form."""
    params: dict[str, str | int] = {**_bounds(span), "pageNumber": number, "pageSize": size}
    body, date = api.get(f"/v2/organizations/{organization}/auditlogs", params)
    paging: Any = body.get("paging") if isinstance(body, dict) else None
    if not isinstance(paging, dict) or type(paging.get("totalCount")) is not int or "hasNext" not in paging:
        raise UnexpectedResponse(f"{api.host} answers without `paging`: nothing proves that its list is whole")
    items, odd = _items(api, body.get("data"))
    return Sheet(items, paging["totalCount"], bool(paging["hasNext"]), date, odd)


def _items(api: Api, items: Any) -> tuple[list[Record], str | None]:
    """Return the items of an answer that can be used, and what is wrong with the first that cannot."""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UnexpectedResponse(f"{api.host} answers without a list of audit log items")
    good, known, odd = usable(items, id_and_ms)
    if len({id for id, _ in known}) != len(known):
        raise UnexpectedResponse(f"{api.host} shows an item twice in one answer")
    return good, next(iter(odd.values()), None)


def _bounds(span: Window) -> dict[str, str]:
    """Return query bounds that hold the span, whether the vendor takes them inclusively or not.

    They hold it too when the vendor drops fractions of a second (the start becomes earlier, the end has none), and when
    it rounds them: the start's fraction is below a half.
    """
    until = from_ms(-(-span.until_ms // 1000) * 1000)
    since_second, fraction = divmod(span.since_ms, 1000)
    since = from_ms(since_second * 1000 - 501) if fraction < 500 else from_ms(since_second * 1000 + 499)
    return {"fromUtcDateTime": iso(since), "toUtcDateTime": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
