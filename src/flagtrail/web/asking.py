"""Turns the parameters of an address into a question; what is not understood is refused, and never left out."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from flagtrail.completeness import Completeness, completeness
from flagtrail.fields import BY_NAME
from flagtrail.language import parse
from flagtrail.question import Query, QueryError, expanded, keywords, place_of
from flagtrail.web.access import Trail
from flagtrail.web.problems import Refused, parameters
from flagtrail.when import parse_moment, parse_span

MOST = 1000  # events on a page
SHORT = "environment:production since:2d"
Short = Annotated[str, Field(min_length=1, max_length=4000, examples=[SHORT], json_schema_extra={"format": "question"})]
Cursor = Annotated[str, Field(max_length=100, json_schema_extra={"format": "cursor"})]
Value = Annotated[str, Field(min_length=1, max_length=500)]
Moment = Annotated[
    str,
    Field(max_length=100, examples=["2h", "2026-03-01", "2026-03-01T14:03Z"], json_schema_extra={"format": "moment"}),
]
Length = Annotated[str, Field(max_length=50, examples=["1h"], json_schema_extra={"format": "span"})]


def _several(name: str) -> Any:
    told = BY_NAME[name]
    known: Any = {"items": {"enum": list(told.values)}} if told.values else {"items": {"type": "string"}}
    if name == "impact":
        known["items"]["format"] = "impact"
    about = f"{told.about}; may be repeated: one of them is enough"
    return Field(default=[], max_length=100, description=about, json_schema_extra=known)


class Filters(BaseModel):
    """What events are asked for by."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    q: Annotated[Short | None, Field(description="a question in its short form, docs/query.md")] = None
    since: Annotated[Moment | None, Field(description="from when on: a span ago, a date, an instant; UTC")] = None
    until: Annotated[Moment | None, Field(description="up to when, not included; the same forms")] = None
    vendor: list[Value] = _several("vendor")
    source: list[Value] = _several("source")
    stream: list[Value] = _several("stream")
    project: list[Value] = _several("project")
    environment: list[Value] = _several("environment")
    object_kind: list[Value] = _several("object_kind")
    object: list[Value] = _several("object")
    actor_kind: list[Value] = _several("actor_kind")
    actor: list[Value] = _several("actor")
    action: list[Value] = _several("action")
    impact: list[Value] = _several("impact")
    has: list[Value] = _several("has")
    is_: Annotated[list[Value], Field(alias="is")] = _several("is")
    text: Annotated[
        str | None,
        Field(min_length=1, max_length=1000, description="words, or their beginnings, of what is told about a change"),
    ] = None
    linked: Annotated[
        bool, Field(description="also the flag events whose impact stands on their audit entry anyway")
    ] = False


class PageFilters(Filters):
    """What a page of events is asked for by."""

    limit: Annotated[int, Field(ge=1, le=MOST, description="how many events")] = 50
    after: Annotated[Cursor | None, Field(description="`next` of the page before")] = None
    sort: Annotated[Literal["newest", "oldest"] | None, Field(description="which come first; newest if not said")] = (
        None
    )


def question(trail: Trail, asked: Filters) -> Query:
    """Return what is asked for, in any order and without a limit; raises QueryError, or Refused.

    An actor stands for every identity of the person that the config tells of.
    """
    now = datetime.now(UTC)
    said = parse(asked.q, now, UTC) if asked.q else Query()
    where = {name: getattr(asked, "is_" if name == "is" else name) for name in BY_NAME}
    where = {name: values for name, values in where.items() if values}
    times = {name: moment(value, name) for name in ("since", "until") if (value := getattr(asked, name))}
    twice = [name for name in where if name in said.wanted] + [name for name in times if getattr(said, name)]
    if twice or (asked.text and said.text):
        raise Refused(422, f"{(twice or ['text'])[0]} stands both in q and beside it; say it once")
    since, until = times.get("since", said.since), times.get("until", said.until)
    query = replace(said, **keywords(where), since=since, until=until, limit=0, linked=said.linked or asked.linked)
    if asked.text:
        query = replace(query, text=asked.text)
    if query.since and query.until and query.since >= query.until:
        raise Refused(422, "since is not before until")
    return expanded(query, trail.people.identities)


def page(trail: Trail, asked: PageFilters) -> Query:
    """Return what a page of events is asked for, with one event more than it holds."""
    query = question(trail, asked)
    if asked.sort and query.oldest_first and asked.sort != "oldest":
        raise Refused(422, "sort stands both in q and beside it; say it once")
    if asked.after is not None:
        try:
            place_of(asked.after)
        except ValueError:
            raise Refused(422, "after: this is no cursor of an event; it is `next` of the page before") from None
    oldest = query.oldest_first or asked.sort == "oldest"
    return replace(query, limit=asked.limit + 1, after=asked.after, oldest_first=oldest)


def moment(text: str, name: str, zone: tzinfo = UTC) -> datetime:
    """Return the instant that a parameter names; without a zone it is read in `zone`. Raises Refused."""
    try:
        return parse_moment(text, datetime.now(UTC), zone)
    except ValueError as error:
        plus = "; a + in an address is written %2B" if " " in text.strip() else ""
        raise Refused(422, f"{name}: {error}{plus}") from None


def span(text: str, name: str, *, most: timedelta, or_none: bool = False) -> timedelta:
    """Return the length of time that a parameter names, which may be 0 if so said; raises Refused."""
    if or_none and text.strip() == "0":
        return timedelta()
    try:
        found = parse_span(text)
    except ValueError as error:
        raise Refused(422, f"{name}: {error}{', or 0' if or_none else ''}") from None
    if found > most:
        raise Refused(422, f"{name}: {text} is longer than {most.days}d, the most that it can be")
    return found


def complete(trail: Trail, query: Query) -> Completeness:
    """Return how complete the answer to a question is; to be asked before the answer is read."""
    return completeness(trail.store, query, configured=trail.configured)


async def said_once(request: Request) -> None:
    """Refuse a parameter that stands there twice and cannot, and the one character that no database takes."""
    pairs = request.query_params.multi_items()
    if any("\0" in text for pair in pairs for text in pair) or "\0" in request.scope["path"]:
        raise Refused(422, "a text may not hold the character NUL")
    names = [name for name, _ in pairs]
    twice = {name for name in names if names.count(name) > 1}
    known = parameters(request) if twice else {}
    for name in sorted(twice):
        if name in known and not _is_list(known[name]):
            raise Refused(422, f"{name}: stands there twice; say it once")


def _is_list(schema: Any) -> bool:
    kinds: Iterable[Any] = schema.get("anyOf", [schema])
    return any(kind.get("type") == "array" for kind in kinds)


__all__ = ["Filters", "PageFilters", "QueryError", "complete", "moment", "page", "question", "said_once", "span"]
