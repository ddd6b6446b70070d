"""Asks for one page of the audit log, by list or by search, and understands the answer or refuses it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from flagtrail.api import Answer, Api
from flagtrail.connector import usable
from flagtrail.errors import UnexpectedResponse
from flagtrail.event import Record
from flagtrail_launchdarkly.events import audit_id_and_ms

PATH = "/api/v2/auditlog"
PAGE = 20  # the vendor's maximum
DEFAULT = 10  # entries on a page for those who ask for no limit

Statement = dict[str, Any]
"""A policy statement: an effect, and lists of resources and of actions, or of what is not meant."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One understood answer: entries newest first, their ids and milliseconds, and whether there are older ones.

    `odd` tells of entries that were left out because they have no usable id or time.
    """

    records: Sequence[Record]
    ids: Sequence[str]
    dates: Sequence[int]
    more: bool
    date: datetime | None
    odd: "Odd | None" = None


class Odd(NamedTuple):
    """What is wrong with an entry, and the milliseconds of the entries around it; None at the end of a page."""

    reason: str
    newer: int | None
    older: int | None


def ask(api: Api, *, after: int, before: int, statements: list[Statement] | None = None) -> Sheet:
    """Return one page of entries between two milliseconds, of those that match policy statements if there are any."""
    params = {"after": after, "before": before, "limit": PAGE}
    answer = api.get(PATH, params) if statements is None else api.post(PATH, params, json=statements)
    return _understood(api, answer, after, before)


def _understood(api: Api, answer: Answer, after: int, before: int) -> Sheet:
    """Return an answer whose form, order and range are as promised; anything else proves nothing."""
    body = answer.body
    items, links = (body.get("items"), body.get("_links")) if isinstance(body, dict) else (None, None)
    if not isinstance(links, dict) or not isinstance(items, list) or not all(isinstance(i, dict) for i in items):
        raise UnexpectedResponse(f"{api.host}{PATH} answers without a list of entries and its links")
    entries, known, odd = usable(items, audit_id_and_ms)
    ids, dates = [id for id, _ in known], [ms for _, ms in known]
    if len(set(ids)) != len(ids):
        raise UnexpectedResponse(f"{api.host}{PATH} shows an entry twice on one page")
    if any(newer < older for newer, older in pairwise(dates)):
        raise UnexpectedResponse(f"{api.host}{PATH} does not list newest first any more")
    if dates and not (after <= dates[-1] and dates[0] <= before):
        raise UnexpectedResponse(f"{api.host}{PATH} shows entries from outside the time that was asked for")
    # A full page may have older entries behind it even without a link to them; a short one has if it links to them.
    more = len(items) >= PAGE or "next" in links
    if more and not items:
        raise UnexpectedResponse(f"{api.host}{PATH} links to a next page from an empty one")
    return Sheet(entries, ids, dates, more, answer.date, _odd(odd, dates))


def _odd(odd: dict[int, str], dates: list[int]) -> Odd | None:
    """Return where the entries without a usable id or time lie, as far as their neighbours tell."""
    if not odd:
        return None
    first = min(odd)  # as many good entries are before it
    last = max(odd) - len(odd) + 1  # and so many before the end of the odd ones
    newer = dates[first - 1] if first else None
    return Odd(odd[first], newer, dates[last] if last < len(dates) else None)
