"""The wire format of the simulated ConfigCat: how it reads a query, and how it writes items and pages."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from time import gmtime, strftime
from typing import Any, Literal

from flagtrail.event import Record
from flagtrail.testing.simulator import Reply
from flagtrail.window import EPOCH
from flagtrail_configcat.simulation.log import TICKS_PER_MS, Entry

TICKS_PER_SECOND = 1000 * TICKS_PER_MS
DAY_TICKS = 86_400 * TICKS_PER_SECOND
LARGEST_PAGE = 100

Dates = Literal["Z", "offset", "ticks", "trimmed", "naive"]


def silent(status: int) -> Reply:
    """Return an answer without a body."""
    return Reply(status, b"", {"content-type": ""})


def refused(reason: str) -> Reply:
    """Return a 400 with plain text."""
    return Reply(400, reason.encode(), {"content-type": "text/plain; charset=utf-8"})


def bound(query: Mapping[str, str], name: str, *, fractions: bool) -> int | None:
    """Return a bound of a query in ticks, None when it is not given; ValueError when it is no date."""
    text = query.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"The value '{text}' is not valid for {name}.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    moment = moment if fractions else moment.replace(microsecond=0)
    return (moment - EPOCH) // timedelta(microseconds=1) * 10


def old_span(since: int | None, until: int | None, now: int) -> tuple[int, int]:
    """Return the ticks that V1 looks at; ValueError above 30 days.

    What it does with one bound only is not described: here the other one is `now`, or 7 days before.
    """
    until = now if until is None else until
    since = until - 7 * DAY_TICKS if since is None else since
    if until - since > 30 * DAY_TICKS:
        raise ValueError("The distance between fromUtcDateTime and toUtcDateTime cannot exceed 30 days.")
    return since, until


def page_asked(query: Mapping[str, str]) -> tuple[int, int]:
    """Return the number and size of the page that a query asks for; ValueError when there is no such page."""
    number, size = _whole(query, "pageNumber", 1), _whole(query, "pageSize", LARGEST_PAGE)
    if number < 1 or not 1 <= size <= LARGEST_PAGE:
        raise ValueError(f"pageNumber starts at 1, and pageSize lies between 1 and {LARGEST_PAGE}.")
    return number, size


def paging(number: int, size: int, total: int) -> dict[str, Any]:
    """Return the `paging` part of a page."""
    pages = ceil(total / size)
    return {
        "currentPage": number,
        "totalPages": pages,
        "pageSize": size,
        "totalCount": total,
        "hasPrevious": number > 1,
        "hasNext": number < pages,
    }


def record(entry: Entry, dates: Dates) -> Record:
    """Return an entry as the list shows it, in the form of its generation."""
    item = entry.item
    old = {"changeSetId": item.change_set} if item.model_version is None else {"modelVersion": item.model_version}
    return {
        "auditLogId": entry.id,
        "auditLogDateTime": written(entry.ticks, dates),
        "auditLogTypeEnum": item.kind,
        **old,
        "truncated": item.truncated,
        "auditLogType": item.text,
        "userEmail": item.who.email if item.who else None,
        "userName": item.who.name if item.who else "",
        "where": item.place.where,
        "why": item.why,
        "actionTarget": item.target,
        "details": item.details,
        **entry.changes,
    }


def written(ticks: int, dates: Dates) -> str:
    """Return a time as text."""
    seconds, rest = divmod(ticks, TICKS_PER_SECOND)
    text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))
    if dates == "ticks":
        return f"{text}.{rest:07d}Z"
    fraction = f".{rest // TICKS_PER_MS:03d}"
    if dates == "trimmed":
        fraction = fraction.rstrip("0").rstrip(".")
    return text + fraction + {"offset": "+00:00", "naive": ""}.get(dates, "Z")


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise ValueError(f"The value '{query[name]}' is not valid for {name}.") from None
