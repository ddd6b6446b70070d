"""Reads the address of the timeline: what is asked for, over which time; writes the addresses of its other views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from fastapi import Request

from flagtrail.language import NotUnderstood, parse, spell, terms
from flagtrail.query import Query, QueryError, expanded, place_of
from flagtrail.question import TEXT, widened
from flagtrail.web.access import Trail
from flagtrail.web.page.shell import Reader, parameters
from flagtrail.web.problems import Refused
from flagtrail.when import parse_moment, parse_span
from flagtrail.window import EPOCH, MILLISECOND, Window, iso

PARAMETERS = ("q", "since", "until", "by", "after", "event", "count")
LANES = ("vendor", "project", "environment", "actor", "action")
SIZE = 50  # changes of a page
EARLIEST = EPOCH + timedelta(days=2)  # of a chart: zones can go before it
ALL = "all"


class Preset(NamedTuple):
    """A time up to now that is asked for often: how it is called, how an address says it, and its length."""

    name: str
    since: str
    length: timedelta
    words: str


PRESETS = tuple(
    Preset(name, since, timedelta(hours=hours), words)
    for name, since, hours, words in (
        ("1h", "1h", 1, "last hour"),
        ("6h", "6h", 6, "last 6 hours"),
        ("24h", "24h", 24, "last 24 hours"),
        ("7d", "7d", 24 * 7, "last 7 days"),
        ("30d", "30d", 24 * 30, "last 30 days"),
        ("90d", "90d", 24 * 90, "last 90 days"),
        ("1y", "365d", 24 * 365, "last year"),
    )
)


class Mistake(NamedTuple):
    """What of an address was not understood: the message, the parameter, and in a question the place."""

    message: str
    name: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What the address of a timeline asks for.

    `typed` is the question as the reader wrote it; `query` is what it means, with its times, and empty when there is a
    `mistake`. `since` and `until` are texts, wherever they stood. `plain` is the question without times, for links.
    """

    now: datetime
    reader: Reader
    typed: str = ""
    plain: str = ""
    query: Query = field(default_factory=Query)
    since: str = ""
    until: str = ""
    by: str = LANES[0]
    after: str = ""
    event: str = ""
    counts_all: bool = False
    mistake: Mistake | None = None

    def link(self, **changed: Any) -> str:
        """Return the address of this view with other parameters, from the beginning of its list, without a pane."""
        told: dict[str, Any] = {
            "q": self.plain,
            "since": self.since,
            "until": self.until,
            "by": self.by if self.by != LANES[0] else None,
        }
        return self.reader.link("/", {**told, **changed})

    def opened(self, id: str | None) -> str:
        """Return the address of this view, at this place of the list, with a change in the pane, or none."""
        return self.link(after=self.after, event=id)

    def asks(self, query: Query) -> str:
        """Return the address of this view for another question."""
        return self.link(q=spell(replace(query, since=None, until=None, after=None)))

    def toggled(self, field: str, value: str) -> str:
        """Return the address of this view with a value of a field wanted as well, or not any more."""
        return self.asks(with_value(self.query, field, value))

    def written(self, name: str) -> str:
        """Return a time as the reader writes it: an instant stands in their own zone."""
        text, at = str(getattr(self, name)), getattr(self.query, name)
        if at is None or not text.endswith("Z"):
            return text
        local = self.reader.local(at)
        if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
            return text  # this hour comes twice there: without its zone it would be another instant
        return f"{local:{'%Y-%m-%d %H:%M:%S' if at.second else '%Y-%m-%d %H:%M'}}"

    @property
    def ends_now(self) -> bool:
        """Whether what happens now belongs to this view."""
        return not (self.until or self.after or self.mistake or self.query.oldest_first)


def has_value(query: Query, field: str, value: str) -> bool:
    """Return whether a value of a field is asked for."""
    return value.lower() in (each.lower() for each in query.wanted.get(field, ()))


def with_value(query: Query, field: str, value: str) -> Query:
    """Return a question in which a value of a field is wanted as well; if it was, in which it is not."""
    wanted: dict[str, Sequence[str]] = dict(query.wanted)
    mine = [each for each in wanted.get(field, ()) if each.lower() != value.lower()]
    wanted[field] = mine if has_value(query, field, value) else [*mine, value]
    return _changed(query, wanted, query.unwanted)


def without_value(query: Query, field: str, value: str, *, wanted: bool) -> Query:
    """Return a question without a value of a field that is wanted, or of those that are not."""
    if field == TEXT and wanted:
        return replace(query, text=None)
    said = {True: dict(query.wanted), False: dict(query.unwanted)}
    said[wanted][field] = tuple(each for each in said[wanted][field] if each != value)
    return _changed(query, said[True], said[False])


def _changed(query: Query, wanted: Mapping[str, Any], unwanted: Mapping[str, Any]) -> Query:
    return widened(query, {**dict.fromkeys(query.wanted, ()), **wanted}, unwanted)


def view(request: Request, reader: Reader, now: datetime) -> View:
    """Return what an address asks for; what of the question is not understood is told in it. Raises Refused."""
    told = parameters(request, PARAMETERS)
    typed, by, after = told.get("q", ""), told.get("by", LANES[0]), cursor(told.get("after")) or ""
    if by not in LANES:
        raise Refused(422, f"by: changes are shown by one of {', '.join(LANES)}, and not by {by!r}")
    if told.get("count", ALL) != ALL:
        raise Refused(422, "count: is `all`, or left out")
    found = View(
        now, reader, typed, typed, since=told.get("since", ""), until=told.get("until", ""), by=by, after=after,
        event=told.get("event", ""), counts_all="count" in told,
    )  # fmt: skip
    return _understood(found)


def cursor(text: str | None) -> str | None:
    """Return a place in a list of changes; None for its beginning. Raises Refused."""
    if text is None:
        return None
    try:
        place_of(text)
    except ValueError:
        raise Refused(422, "after: this is no cursor of a change; go back to the newest changes") from None
    return text


def has_no_zone(text: str) -> bool:
    """Return whether a text is a date or a time of day that each reader would read in a zone of their own."""
    try:
        return datetime.fromisoformat(text.strip()).tzinfo is None
    except ValueError:
        return False


def _understood(found: View) -> View:
    """Return a view with its question read; times in it go before those beside it."""
    zone = found.reader.zone
    try:
        said = parse(found.typed, found.now, zone)
        stand: dict[str, Any] = {
            term.field: term.values[0] for term in terms(found.typed) if term.field in ("since", "until")
        }
    except NotUnderstood as error:
        message = str(error).partition(": ")[2]
        return replace(found, mistake=Mistake(message[:1].upper() + message[1:], "q", error.place))
    except QueryError as error:
        return replace(found, mistake=Mistake(str(error), "q"))
    found = replace(found, plain=spell(replace(said, since=None, until=None)), **stand)
    times = {}
    for name in ("since", "until"):
        text = getattr(found, name)
        if not text or (name == "since" and text == ALL):
            continue
        try:
            times[name] = parse_moment(text, found.now, zone)
        except ValueError as error:
            return replace(found, mistake=Mistake(str(error), name))
        if not _is_span(text):  # in the reader's zone; a link means the same in every zone
            canonical: dict[str, Any] = {name: short(times[name])}
            found = replace(found, **canonical)
    query = replace(said, since=times.get("since"), until=times.get("until"), limit=SIZE)
    if query.since and query.since + MILLISECOND > min(query.until or found.now, found.now):
        end = f"not before the end, {found.until}" if query.until else "in the future"
        return replace(found, mistake=Mistake(f"the beginning, {found.since}, is {end}", "since"))
    return replace(found, query=query)


def _is_span(text: str) -> bool:
    try:
        return bool(parse_span(text))
    except ValueError:
        return text.strip().lower() == "now"


def short(instant: datetime) -> str:
    """Return an instant in UTC as an address says it, to the second."""
    text = iso(instant.replace(microsecond=0))
    return text.removesuffix(":00.000Z") + "Z" if text.endswith(":00.000Z") else text.removesuffix(".000Z") + "Z"


def asked(found: View, trail: Trail) -> Query:
    """Return what is asked of the database: an actor stands for every identity of the person."""
    return expanded(found.query, trail.people.identities)


def window_of(query: Query, now: datetime, first: datetime | None) -> Window:
    """Return the time of a chart: that of a question, from the first change on if it has no beginning, up to now."""
    until = max(min(query.until or now, now), EARLIEST + timedelta(days=1))
    since = query.since or first or until - PRESETS[-1].length
    return Window(min(max(since, EARLIEST), until - timedelta(seconds=1)), until)
