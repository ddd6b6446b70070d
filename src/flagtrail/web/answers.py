"""What answers look like: as JSON, and for the OpenAPI document; an event has the columns of the table `event`."""

from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field, create_model

from flagtrail.event import to_json
from flagtrail.exports.columns import COLUMNS
from flagtrail.schema.trail import EventRow
from flagtrail.window import iso


def answered(value: Any) -> Response:
    """Return a value as an answer in JSON; instants are UTC with milliseconds and a Z."""
    return Response(to_json(_plain(value)), media_type="application/json")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _column(name: str) -> tuple[Any, Any]:
    field = EventRow.model_fields[name]
    return (field.annotation, Field(description=field.description))


_columns: dict[str, Any] = {name: _column(name) for name in COLUMNS}
EventAnswer: Any = create_model("Event", __doc__=EventRow.__doc__, **_columns)


class Kept(BaseModel):
    """The vendor's entry behind an event, untouched, as one revision of it was."""

    revision: int
    seen_at: datetime
    record: dict[str, Any]


class WholeEvent(EventAnswer):
    """An event with the vendor's own records of it, the newest first."""

    records: list[Kept]


class Completeness(BaseModel):
    """How far an answer can be trusted: how much of the time that it is about was read whole, and what was not."""

    since: datetime | None = Field(description="the time that was asked for; null: from the beginning")
    until: datetime | None = Field(description="the time that was asked for; null: up to now")
    complete: bool = Field(description="whether nothing is missing, up to what has settled")
    covered_share: float = Field(description="from 0 to 1, over all streams concerned")
    complete_since: datetime | None = Field(description="start of the newest time that is covered in every stream")
    complete_until: datetime | None = Field(description="end of it: what is younger may still change")
    settled_until: datetime | None = Field(description="up to where vendors show everything by now; null: never read")
    verified_share: float = Field(description="how much of that was compared with the vendors and agreed, from 0 to 1")
    failing: list[str] = Field(description="sources that could not be read when they were looked at last")
    streams: list[dict[str, Any]] = Field(description="each stream with its coverage, its gaps and their reasons")


class Events(BaseModel):
    """A page of events."""

    events: list[EventAnswer]
    next: str | None = Field(description="what `after` has to be for the next page; null: there is none")
    completeness: Completeness


class Span(BaseModel):
    """How many events happened in a span of time."""

    since: datetime = Field(description="its start")
    value: str | bool | int | None = Field(description="the value of the dimension; null without one, or of none")
    events: int


class Histogram(BaseModel):
    """How many events happened in each span of time; spans without any are left out."""

    bucket_seconds: int
    by: str | None
    spans: list[Span]
    total: int
    completeness: Completeness


class Count(BaseModel):
    """How many events there are in each group, the most frequent first, or by time if that is among the dimensions."""

    by: list[str]
    groups: list[dict[str, Any]] = Field(description="the value of each dimension, and `events`")
    total: int = Field(description="of all events, whether their group is shown or not")
    groups_in_all: int
    rest: int = Field(description="events in groups that `top` left out")
    completeness: Completeness


class Streams(BaseModel):
    """What `flagtrail status` knows: the sources, each stream with its coverage and gaps, actions without a verb."""

    sources: list[dict[str, Any]]
    streams: list[dict[str, Any]]
    unmapped_actions: list[dict[str, Any]]


class Reason(BaseModel):
    """What one factor says for or against a suspect."""

    factor: str
    points: float
    text: str


class Suspect(BaseModel):
    """A change that may be the cause, with its points, and why."""

    rank: int
    event: EventAnswer
    seconds_after: float = Field(description="how long after the moment it was made; negative: before")
    score: float
    why: str
    reasons: list[Reason]
    saved_with: list[str] = Field(description="ids of the events that were saved with it")


class Around(BaseModel):
    """What changed around a moment, the likeliest causes first, and the time in which something may be missing here."""

    moment: datetime
    since: datetime
    until: datetime
    changes: int
    suspects: list[Suspect]
    unread: list[dict[str, Any]] = Field(description="spans that were not read; without streams: a whole source")
    completeness: Completeness


class State(BaseModel):
    """What flags were at a moment."""

    at: datetime
    flags: list[dict[str, Any]]
    completeness: Completeness
