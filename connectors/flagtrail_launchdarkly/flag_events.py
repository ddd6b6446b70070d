"""Reads a window of one environment's flag events whole, or claims nothing.

The list is beta and pages by an opaque cursor (https://apidocs.launchdarkly.com, "List flag events"). The documented
`next` link drops every other parameter, so only the cursor is taken from it. A cursor proves nothing about time: a
window counts as read when the distinct events are as many as the vendor's own `totalCount`, the same on every page.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flagtrail.api import Api
from flagtrail.connector import Count, Hole, Page, usable
from flagtrail.errors import UnexpectedResponse
from flagtrail.window import Window
from flagtrail_launchdarkly.events import flag_event_id_and_ms

PATH = "/api/v2/engineering-insights/flag-events"
STREAM = "flag_events"
PAGE = 100  # the vendor's maximum
SPAN = timedelta(days=7)  # the vendor's own default; longer spans are not known to work
TRIES = 3
HOUR = timedelta(hours=1)
BETA = {"ld-api-version": "beta"}  # without it: 403


def pages(api: Api, scope: tuple[str, ...], window: Window) -> Iterator[Page | Hole]:
    """Yield the window's flag events; tries again, then halves it, while pages and totals do not add up.

    Around an event without a usable id or time there is a hole of at most an hour.
    """
    odd: str | None = None
    for _ in range(TRIES):
        ids: set[str] = set()
        totals: set[int] = set()
        first: datetime | None = None
        for number, (body, date) in enumerate(_walk(api, scope, window)):
            first = date if number == 0 else first
            totals.add(body["totalCount"])
            events, known, wrong = usable(body["items"], flag_event_id_and_ms)
            ids.update(id for id, _ in known)
            odd = odd or next(iter(wrong.values()), None)
            yield Page(events, None, date)
        if totals == {len(ids)}:
            yield Page((), window, first)
            return
        if odd:
            break
    if odd and window.length <= HOUR:
        yield Hole(window, odd)
        return
    if (odd or max(totals) > PAGE) and window.length > timedelta(milliseconds=1):
        for half in reversed(window.split(2)):
            yield from pages(api, scope, half)
        return
    raise UnexpectedResponse(f"{api.host}{PATH} counts {sorted(totals)} events in {window} and shows {len(ids)}")


def counts(api: Api, scope: tuple[str, ...], window: Window) -> list[Count]:
    """Return LaunchDarkly's `totalCount` of a window."""
    body, _ = _ask(api, scope, window, None, limit=1)
    return [Count(window, body["totalCount"])]


def _walk(api: Api, scope: tuple[str, ...], window: Window) -> Iterator[tuple[dict[str, Any], datetime | None]]:
    """Yield the answers of one walk along the cursor; an endless or circular walk is refused."""
    cursor: str | None = None
    seen: set[str] = set()
    while True:
        body, date = _ask(api, scope, window, cursor, limit=PAGE)
        yield body, date
        cursor = _cursor(api, body)
        if cursor is None or not body["items"]:
            return
        known = len(seen)
        seen.update(id for id, _ in usable(body["items"], flag_event_id_and_ms)[1])
        if len(seen) == known or known > body["totalCount"] + PAGE:
            raise UnexpectedResponse(f"{api.host}{PATH} pages without an end")


def _ask(
    api: Api, scope: tuple[str, ...], window: Window, cursor: str | None, limit: int
) -> tuple[dict[str, Any], datetime | None]:
    """Return one answer of the right form, and its date; every parameter is sent every time."""
    project, environment = scope
    params: dict[str, str | int] = {
        "projectKey": project,
        "environmentKey": environment,
        # One millisecond more at each end: whether the bounds are part of the span is not documented.
        "from": window.since_ms - 1,
        "to": window.until_ms,
        "limit": limit,
        "expand": "experiments",
    }
    if cursor is not None:
        params["after"] = cursor
    body, date = api.get(PATH, params, headers=BETA)
    items = body.get("items") if isinstance(body, dict) else None
    understood = isinstance(items, list) and all(isinstance(item, dict) for item in items)
    if not understood or type(body.get("totalCount")) is not int:
        raise UnexpectedResponse(f"{api.host}{PATH} answers without a list of events and their total")
    return body, date


def _cursor(api: Api, body: dict[str, Any]) -> str | None:
    """Return the cursor inside the `next` link, or None on the last page; the rest of the link is not used."""
    links = body.get("_links") or {}
    link = links.get("next") if isinstance(links, dict) else links
    if link is None:
        return None
    cursor = parse_qs(urlsplit(str(link.get("href"))).query).get("after", [""])[0] if isinstance(link, dict) else ""
    if not cursor or len(cursor) > 200 or not cursor.isprintable():
        raise UnexpectedResponse(f"{api.host}{PATH} links to a next page without a cursor")
    return cursor
