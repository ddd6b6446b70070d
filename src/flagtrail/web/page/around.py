"""The page Around: what changed around a moment, whichever vendor made it, the likeliest causes first."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from flagtrail.around import Around
from flagtrail.around import around as look_around
from flagtrail.deadline import within
from flagtrail.question import Query, QueryError
from flagtrail.unread import TOO_YOUNG
from flagtrail.web.access import Asked, Trail, reads
from flagtrail.web.asking import complete
from flagtrail.web.page.shell import Reader, page, parameters, reader_of
from flagtrail.web.page.strip import strip
from flagtrail.web.page.suspects import UnreadView, suspect_views, unread_views
from flagtrail.web.page.view import has_no_zone
from flagtrail.when import parse_moment, parse_span, spoken
from flagtrail.window import EPOCH, MILLISECOND, iso

NAMES = ("at", "before", "after", "environment", "project", "object", "limit")
SPANS = ("15m", "1h", "6h", "24h")
WEEK = timedelta(days=7)
AHEAD = timedelta(minutes=1)  # that a clock of somebody else's may be ahead of ours
SHOWN, MOST = 10, 100  # suspects
router = APIRouter(include_in_schema=False)


class Mistaken(ValueError):
    """A question that cannot be asked; the message says what can."""


class Wanted(NamedTuple):
    """What is asked for: a moment, and how long before and after it; `asked` are the parameters as they were said."""

    at: datetime
    before: timedelta
    after: timedelta
    limit: int
    asked: Mapping[str, str]
    reader: Reader

    def link(self, **values: Any) -> str:
        """Return the address of this question, with other values for some parameters; the moment is a fixed one."""
        said = {**self.asked, "at": iso(self.at), **values}
        if said.get("before") == "1h":
            said["before"] = None
        return self.reader.link("/around", said)


@router.get("/around", dependencies=[reads])
def around(request: Request, trail: Asked) -> Response:
    """Return the page; a moment that is said without a zone is the reader's, and becomes one that all read alike."""
    reader, asked, now = reader_of(request), parameters(request, NAMES), datetime.now(UTC)
    told: dict[str, Any] = {
        "asked": {name: asked.get(name) for name in NAMES},
        "spans": SPANS,
        "found": None,
        "mistake": None,
        "wanted": None,
    }
    told["at"] = asked.get("at", "now")
    try:
        wanted = _wanted(asked, reader, now)
        if (text := asked.get("at")) and has_no_zone(text):
            return RedirectResponse(wanted.link(before=asked.get("before")), 303)
        told |= _answer(trail, wanted, reader, now)
    except (Mistaken, QueryError) as error:
        told["mistake"] = str(error)
    status = 422 if told["mistake"] else 200
    return page(request, trail, "around.html", title="Around", here="around", status=status, **told)


def _answer(trail: Trail, wanted: Wanted, reader: Reader, now: datetime) -> dict[str, Any]:
    asked = wanted.asked
    where = {name: asked.get(name) for name in ("environment", "project", "object")}
    with within(trail.settings.timeout.total_seconds()):
        looks = {look.source: look.vendor for look in trail.store.sources()}
        meant = Query(since=wanted.at - wanted.before, until=min(wanted.at + wanted.after + MILLISECOND, now))
        trust = complete(trail, meant)
        found = look_around(
            trail.store, wanted.at, before=wanted.before, after=wanted.after, limit=0, configured=trail.configured,
            **where,
        )  # fmt: skip
    shown = suspect_views(found.suspects[: wanted.limit])
    unread = unread_views(found.unread, now)
    if trust.differing:
        spans = "span of time differs" if trust.differing == 1 else "spans of time differ"
        differs = f"{trust.differing:,} {spans} from what the vendor shows"
        unread.insert(0, UnreadView("verification", "", found.since, min(found.until, now), differs, grave=True))
    relative = "at" not in asked or not _instant(asked["at"])
    local = reader.local(wanted.at)
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()  # an hour that comes twice
    return {
        "wanted": wanted, "found": found, "suspects": shown, "unread": unread, "where": where,
        "unread_headline": _unread_headline(unread),
        "strip": strip(found, looks, shown, reader.zone, now),
        "at": asked.get("at", "now") if relative or twice else f"{local:%Y-%m-%d %H:%M:%S}",
        "relative": relative, "headline": _headline(found, wanted, known=not unread),
        "earlier": wanted.link(at=iso(wanted.at - wanted.before)),
        "later": wanted.link(at=iso(min(wanted.at + wanted.before, now))) if now - wanted.at > AHEAD else None,
        "wider": [span for span in SPANS if parse_span(span) > wanted.before],
        "more": wanted.link(limit=MOST) if wanted.limit < min(MOST, len(found.suspects)) else None,
    }  # fmt: skip


def _unread_headline(unread: Sequence[UnreadView]) -> str:
    """Return in words what it means that something was not read."""
    if any(one.grave for one in unread):
        return "Not everything was read: a cause may be missing here"
    if any(one.reason == TOO_YOUNG for one in unread):
        return "The newest changes may still appear"
    return "Not all of this time was wanted of the vendors"


def _headline(found: Around, wanted: Wanted, *, known: bool) -> str:
    """Return in words how much changed; nothing is only said to have changed when everything was read."""
    span = f"from {spoken(wanted.before)} before to {spoken(wanted.after)} after"
    if found.changes:
        return f"{found.changes:,} change{'' if found.changes == 1 else 's'} {span}"
    return f"{'Nothing changed' if known else 'Nothing is known to have changed'} {span}"


def _wanted(asked: Mapping[str, str], reader: Reader, now: datetime) -> Wanted:
    """Return what is asked for; raises Mistaken."""
    text = asked.get("at", "now")
    try:
        at = parse_moment(text, now, reader.zone)
    except ValueError as error:
        raise Mistaken(f"Time: {error}.") from None
    if at > now + AHEAD:
        raise Mistaken(f"{text} lies in the future: nothing has happened then yet.")
    before, after = _span(asked, "before", "1h"), _span(asked, "after", "5m")
    if at < EPOCH + WEEK:
        raise Mistaken(f"{text} lies before 1970, when there was nothing to change.")
    limit = asked.get("limit", str(SHOWN))
    if not limit.isascii() or not limit.isdigit() or len(limit) > 3 or not 1 <= int(limit) <= MOST:
        raise Mistaken(f"limit: {limit} is no number from 1 to {MOST}.")
    return Wanted(at, before, after, int(limit), asked, reader)


def _span(asked: Mapping[str, str], name: str, usual: str) -> timedelta:
    try:
        found = parse_span(asked.get(name, usual))
    except ValueError as error:
        raise Mistaken(f"{name.capitalize()}: {error}.") from None
    if found > WEEK:
        raise Mistaken(f"{name.capitalize()}: {asked[name]} is longer than {WEEK.days}d, the most that it can be.")
    return found


def _instant(text: str) -> datetime | None:
    """Return the date or instant that a text is, as it is; None for one that counts from now."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None
