"""What the tools are asked by: their parameters, each with what it means, which an assistant reads."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flagtrail.language import fields
from flagtrail.query import DIMENSIONS, SPANS, QueryError
from flagtrail.when import parse_moment, parse_span
from flagtrail.window import EPOCH

PAGE, LARGEST_PAGE = 20, 100  # events
END = datetime(9000, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
EXAMPLE = 'environment:production action:turned_* -actor_kind:token "checkout" since:2d'


Short = Annotated[
    str,
    Field(
        max_length=4000,
        description=f"what is asked, such as {EXAMPLE} ; empty: everything. field:value narrows down, a,b is any of "
        "them, -field:value is not that, * stands for anything, other words are text. Fields: "
        f"{', '.join(field.name for field in fields())}. Times are spans ago (2d), dates, or instants; UTC.",
    ),
]
Moment = Annotated[
    str,
    Field(max_length=100, description="a span ago (20m), a date, an instant (2026-03-01T14:03Z), or now; UTC"),
]
Span = Annotated[str, Field(max_length=50, description="a length of time: 1h, 90m; at most 7d")]
Name = Annotated[str, Field(max_length=500, description="key or name; * stands for anything")]
Value = Annotated[str, Field(max_length=500, description="one whole value; empty: any")]
BY = f"by what, several with commas: one of {', '.join(SPANS)}, and any of {', '.join(DIMENSIONS)}; empty: the total"


class Asked(BaseModel):
    """What a tool is asked."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_asked(cls, value: Any) -> Any:
        if isinstance(value, str) and ("\0" in value or value.encode("utf-8", "replace").decode() != value):
            raise ValueError("a text may hold neither the character NUL nor half a surrogate pair")
        return value


class SearchEvents(Asked):
    """Which page of events is wanted."""

    query: Short = ""
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE, description="how many events at most")] = PAGE
    after: Annotated[str, Field(max_length=100, description="`next` of the page before")] = ""


class CountEvents(Asked):
    """What is counted, and by what."""

    query: Short = ""
    by: Annotated[str, Field(max_length=200, description=BY)] = ""
    top: Annotated[int, Field(ge=1, le=100, description="how many groups, the most frequent ones")] = 20
    zone: Annotated[str, Field(max_length=50, description="whose hours and days, such as Europe/Berlin")] = "UTC"


class GetEvent(Asked):
    """Which event is wanted."""

    id: Annotated[str, Field(min_length=1, max_length=200, description="an event's id, or the beginning of one")]
    field: Annotated[
        str,
        Field(max_length=50, description="only this one, as JSON text in pieces: for what an answer names in `cut`"),
    ] = ""
    offset: Annotated[int, Field(ge=0, lt=2**31, description="with `field`: from which character on")] = 0


class ChangesAround(Asked):
    """Around which moment, and where."""

    at: Moment = "now"
    before: Span = "1h"
    after: Span = "5m"
    environment: Value = ""
    project: Value = ""
    object: Name = ""
    limit: Annotated[int, Field(ge=1, le=50, description="how many suspects")] = 10


class FlagState(Asked):
    """Which flag, and when."""

    flag: Annotated[Name, Field(min_length=1)]
    at: Moment = "now"
    environment: Value = ""
    project: Value = ""
    vendor: Value = ""


class HowComplete(Asked):
    """Of what it is asked how complete it is."""

    query: Short = ""


def moment(text: str) -> datetime:
    """Return the instant that `at` names; raises QueryError."""
    try:
        found = parse_moment(text, datetime.now(UTC))
    except ValueError as error:
        raise QueryError(f"at: {error}") from None
    if not EPOCH <= found < END:
        raise QueryError(f"at: {text} lies before 1970, or after the year {END.year}")
    return found


def span(name: str, text: str) -> timedelta:
    """Return the length of time that a parameter names, which may be 0; raises QueryError."""
    if text.strip() == "0":
        return timedelta()
    try:
        found = parse_span(text)
    except ValueError as error:
        raise QueryError(f"{name}: {error}, or 0") from None
    if found > WEEK:
        raise QueryError(f"{name}: {text} is longer than {WEEK.days}d, the most that it can be")
    return found


def mistakes(error: ValidationError, of: type[Asked]) -> str:
    """Return in a line what is wrong with the parameters of a tool, and what there is."""
    told = []
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(map(str, each["loc"]))
        said = str(each["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
        if each["type"] == "extra_forbidden":
            said = f"there is no such parameter; there is: {', '.join(of.model_fields)}"
        told.append(f"{name[:50]}: {said}")
    return "; ".join(told)
