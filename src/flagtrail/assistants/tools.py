"""The questions that assistants may ask, each with its answer: as structure, and in short as text.

They are those of the command line and of the HTTP API, answered by the same functions.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from flagtrail import query as store_query
from flagtrail.assistants import asked as ask
from flagtrail.assistants.fitting import (
    ROOM,
    event_row,
    fitted,
    kept_document,
    line,
    piece,
    plain,
    quoted,
    shortened,
    size,
    whole_event,
)
from flagtrail.assistants.trusting import in_short
from flagtrail.completeness import StreamAnswer, completeness
from flagtrail.event import to_json
from flagtrail.language import parse
from flagtrail.people import People
from flagtrail.query import Query, QueryError, check_known, cursor_of, expanded, place_of
from flagtrail.share import percent
from flagtrail.store import Store
from flagtrail.window import iso

WHOLE = ((20_000, 1000), (4000, 200), (600, 30), (200, 10), (60, 3))  # what is kept of an event that is asked for alone
GAPS = 5  # of a stream, the newest ones


@dataclass(frozen=True, slots=True)
class Trail:
    """What is asked: the store, the names of the configured sources, the persons, and the seconds for a question."""

    store: Store
    configured: Collection[str] = ()
    people: People = field(default_factory=People)
    seconds: float = 30.0

    def question(self, text: str) -> Query:
        """Return the question that a text asks, for all that its persons go by; raises QueryError."""
        query = expanded(parse(text, datetime.now(UTC), UTC), self.people.identities)
        check_known(self.store, query)
        return query

    def trust(self, query: Query) -> dict[str, Any]:
        """Return in short how complete the answer to a question is, when it is read after this."""
        return in_short(completeness(self.store, query, configured=self.configured))


class Answer(NamedTuple):
    """What is answered: a structure, and the same in short as lines."""

    told: dict[str, Any]
    lines: list[str]


class Tool(NamedTuple):
    """A question: what it is for, its parameters, the form of its answer, and what answers it."""

    about: str
    asked: type[ask.Asked]
    shape: type[BaseModel]
    answer: Callable[[Trail, Any], Answer]


def search_events(trail: Trail, asked: ask.SearchEvents) -> Answer:
    """Return a page of events, of as many as fit."""
    query = trail.question(asked.query)
    if asked.after:
        try:
            place_of(asked.after)
        except ValueError:
            raise QueryError("after: this is no cursor of an event; it is `next` of the page before") from None
    query = replace(query, limit=asked.limit + 1, after=asked.after or None)
    trust = trail.trust(query)
    found = list(store_query.events(trail.store, query))
    page = fitted(found[: asked.limit], event_row, line)
    more = len(found) > len(page.rows)
    cursor = cursor_of(found[len(page.rows) - 1]) if more else None
    order = "oldest" if query.oldest_first else "newest"
    head = f"{len(page.rows)} events, {order} first" + (f"; there are more: after={cursor}" if more else "; no more")
    told = {"events": page.rows, "next": cursor, "completeness": trust}
    return Answer(told, [head, *page.lines])


def count_events(trail: Trail, asked: ask.CountEvents) -> Answer:
    """Return how many events there are in each group."""
    query = trail.question(asked.query)
    try:
        zone = ZoneInfo(asked.zone)
    except (KeyError, ValueError, OSError):
        raise QueryError(f"zone: there is no time zone {asked.zone!r}; write one such as Europe/Berlin") from None
    names = [name.strip() for name in asked.by.split(",") if name.strip()]
    trust = trail.trust(query)
    found = store_query.count(trail.store, query, names, asked.top, zone)

    def group(row: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip((*found.by, "events"), map(_value, row), strict=True))

    def said(row: tuple[Any, ...]) -> str:
        return f"{row[-1]} {' '.join('-' if value is None else quoted(_value(value)) for value in row[:-1])}"

    groups = fitted(found.rows if found.by else [], group, said)
    rest = found.rest + sum(row[-1] for row in found.rows[len(groups.rows) :]) if found.by else 0
    head = f"{found.total} events in {found.groups} groups" if found.by else f"{found.total} events"
    head += f", {rest} of them in groups that are not shown" if rest else ""
    answer = {"by": list(found.by), "groups": groups.rows, "total": found.total, "rest": rest}
    answer |= {"groups_in_all": found.groups if found.by else 0, "completeness": trust}
    return Answer(answer, [head, *groups.lines])


def _value(value: Any) -> Any:
    """Return what events are counted by; the start of a span keeps the offset of the zone that was asked for."""
    return value.isoformat() if isinstance(value, datetime) else plain(kept_document(value, 200))


def get_event(trail: Trail, asked: ask.GetEvent) -> Answer:
    """Return one event whole, or as much of it as fits, or a piece of one field."""
    found = store_query.event(trail.store, asked.id)
    if not found:
        raise QueryError(f"no event has an id that begins with {asked.id!r}; search_events tells ids")
    if len(found) > 1:
        raise QueryError(f"more than one event has an id that begins with {asked.id!r}; write more of it")
    trust = trail.trust(Query(source=found[0]["source"], stream=found[0]["stream"]))
    row = store_query.event(trail.store, found[0]["id"])[0]  # as it is after that
    fields = whole_event(row)
    if asked.field:
        part = _part({**fields, "records": row["records"]}, asked)
        told: dict[str, Any] = {
            "event": {"id": row["id"]},
            "records": [],
            "cut": [],
            "part": part,
            "completeness": trust,
        }
        return Answer(
            told, [f"event {row['id']}: {asked.field} from character {part['offset']} on, of {part['characters']}"]
        )
    event = shortened(fields, ROOM // 2, WHOLE)
    cut: list[str] = event.pop("cut", [])
    room = ROOM - size(event)
    kept: list[Any] = []
    for each in plain(row["records"]):
        room -= size(each)
        if room < 0:
            cut = [*cut, "records"]
            break
        kept.append(each)
    told = {"event": event, "records": kept, "cut": cut, "part": None, "completeness": trust}
    said = [f"not whole here, ask with `field`: {', '.join(cut)}"] if cut else []
    return Answer(told, [line(row), *said])


def _part(fields: dict[str, Any], asked: ask.GetEvent) -> dict[str, Any]:
    if asked.field not in fields:
        raise QueryError(f"field: this event has no {asked.field!r}; it has: {', '.join(fields)}")
    text = to_json(plain(fields[asked.field])).decode()
    if asked.offset > len(text):
        raise QueryError(f"offset: {asked.field} has {len(text)} characters")
    told = piece(text, asked.offset)
    end = asked.offset + len(told)
    after = end if end < len(text) else None
    return {"field": asked.field, "text": told, "offset": asked.offset, "characters": len(text), "next_offset": after}


def how_complete(trail: Trail, asked: ask.HowComplete) -> Answer:
    """Return for each stream how much of it is here, the least complete ones first."""
    found = completeness(trail.store, trail.question(asked.query), configured=trail.configured)
    streams = sorted(found.streams, key=lambda each: (each.share, each.state.source, each.state.stream))
    shown = fitted(streams, _stream, _stream_line)
    answer = {"each_stream": shown.rows, "left_out": shown.left_out, "completeness": in_short(found)}
    left_out = [f"{shown.left_out} more streams, which are covered no less"] if shown.left_out else []
    return Answer(answer, [*shown.lines, *left_out])


def _stream(each: StreamAnswer) -> dict[str, Any]:
    gaps = [
        {"since": iso(gap.window.since), "until": iso(gap.window.until), "permanent": gap.permanent,
         "reason": plain(kept_document(gap.reason, 300))} for gap in each.gaps[-GAPS:]
    ]  # fmt: skip
    state = each.state
    told: dict[str, Any] = {
        "source": state.source,
        "vendor": state.vendor,
        "stream": state.stream,
        "label": state.label,
    }
    told |= {"settled_until": each.settled_until, "last_error": state.error, "last_read_at": state.succeeded_at}
    told = {name: plain(kept_document(value, 300)) for name, value in told.items()}
    numbers = {"covered_share": each.share, "differing": each.differing, "gaps_in_all": len(each.gaps)}
    return told | numbers | {"newest_gaps": gaps}


def _stream_line(each: StreamAnswer) -> str:
    name = quoted(f"{each.state.source} {each.state.stream}", 120)
    return f"{name}: {percent(each.share)} covered, {len(each.gaps)} gaps"
