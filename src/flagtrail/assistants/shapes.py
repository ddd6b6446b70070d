"""What answers look like, for the output schemas of the tools."""

from typing import Any

from pydantic import BaseModel, Field

Row = dict[str, Any]


class Completeness(BaseModel):
    """How far an answer can be trusted: how much of the time that it is about was read whole."""

    complete: bool = Field(description="whether nothing is missing, up to what has settled")
    said: str = Field(description="the same in words, for people")
    covered_share: float = Field(description="from 0 to 1, over all streams concerned")
    verified_share: float = Field(description="how much of that was compared with the vendors and agreed, from 0 to 1")
    complete_since: str | None = Field(description="start of the newest time that is covered in every stream")
    complete_until: str | None = Field(description="end of it: what is younger may still change")
    settled_until: str | None = Field(description="up to where vendors show everything by now; null: never read")
    streams: int
    gaps: int
    differing: int = Field(description="windows whose entries are not those of the vendor")
    failing: list[str] = Field(description="sources that could not be read when they were looked at last")


class Answer(BaseModel):
    """What every answer has."""

    completeness: Completeness


class Events(Answer):
    """A page of events."""

    events: list[Row] = Field(description="columns without a value are left out; `cut` names those that are not whole")
    next: str | None = Field(description="what `after` has to be for the next page; null: there is none")


class Count(Answer):
    """How many events there are in each group."""

    by: list[str]
    groups: list[Row] = Field(description="the value of each thing that is counted by, and `events`")
    total: int = Field(description="of all events, whether their group is shown or not")
    groups_in_all: int
    rest: int = Field(description="events in groups that are not shown")


class Part(BaseModel):
    """A piece of one field of an event, as JSON text."""

    field: str
    text: str
    offset: int
    characters: int = Field(description="of the whole field")
    next_offset: int | None = Field(description="`offset` of the next piece; null: this is the last one")


class WholeEvent(Answer):
    """One event with the vendor's own records of it, newest first."""

    event: Row
    records: list[Row]
    cut: list[str] = Field(description="fields that are not whole here: ask for each with `field`")
    part: Part | None


class Around(Answer):
    """What changed around a moment, the likeliest causes first, and the time in which something may be missing here."""

    moment: str
    since: str
    until: str
    changes: int = Field(description="how many there were")
    suspects: list[Row]
    left_out: int = Field(description="changes that are not shown, or were saved together with one that is")
    unread: list[Row]
    unread_in_all: int


class State(Answer):
    """What flags were at a moment; a value is sure only when `known` is true."""

    at: str
    flags: list[Row]
    left_out: int = Field(description="flags that are not shown: ask for one of them by its key")


class Coverage(Answer):
    """How much of each stream is here, and why not all of it."""

    each_stream: list[Row]
    left_out: int = Field(description="streams that are not shown: narrow the query down")
