"""The addresses of a moment: what changed around it, and what a flag was at it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from flagtrail.around import around as find_around
from flagtrail.deadline import within
from flagtrail.exports.columns import as_json
from flagtrail.query import Query as Asking
from flagtrail.query import QueryError
from flagtrail.state import check_pattern
from flagtrail.state import state as find_state
from flagtrail.web.access import Asked, reads
from flagtrail.web.answers import Around, State, answered
from flagtrail.web.asking import Length, Moment, Value, complete, moment, span
from flagtrail.web.problems import Refused
from flagtrail.window import EPOCH, MILLISECOND

END = datetime(9000, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
router = APIRouter(tags=["moments"])


class MomentFilters(BaseModel):
    """Which moment is meant, and where."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[Moment, Field(description="the moment: a span ago, an instant, now; UTC")] = "now"
    environment: Annotated[Value | None, Field(description="one environment, and what belongs to none")] = None
    project: Annotated[Value | None, Field(description="one project, and what belongs to none")] = None


class AroundFilters(MomentFilters):
    """What is looked for around a moment."""

    before: Annotated[Length, Field(description="how long before it, or 0; 7d at most")] = "1h"
    after: Annotated[Length, Field(description="how long after it, or 0; 7d at most")] = "5m"
    object: Annotated[Value | None, Field(description="key or name; `*` stands for anything")] = None
    limit: Annotated[int, Field(ge=1, le=500, description="how many suspects")] = 10


class StateFilters(MomentFilters):
    """Which flag is meant."""

    flag: Annotated[Value, Field(min_length=1, description="key or name; `*` stands for anything")]
    vendor: Annotated[Value | None, Field(description="launchdarkly, configcat, ...")] = None


@router.get("/around", response_model=Around, dependencies=[reads])
def around(trail: Asked, asked: Annotated[AroundFilters, Query()]) -> Response:
    """Return what changed around a moment, the likeliest causes first with reasons, and what was not read around it."""
    at = _known(asked.at)
    spans = {name: span(getattr(asked, name), name, most=WEEK, or_none=True) for name in ("before", "after")}
    with within(trail.settings.timeout.total_seconds()):
        until = min(at + spans["after"] + MILLISECOND, datetime.now(UTC))
        trust = complete(trail, Asking(since=at - spans["before"], until=until))
        found = find_around(
            trail.store, at, environment=asked.environment, object=asked.object, project=asked.project,
            limit=asked.limit, configured=trail.configured, **spans,
        )  # fmt: skip
    told = found.as_dict()
    for one in told["suspects"]:
        one["event"] = as_json(one["event"])
    return answered(told | {"completeness": trust.as_json()})


@router.get("/state", response_model=State, dependencies=[reads])
def state(trail: Asked, asked: Annotated[StateFilters, Query()]) -> Response:
    """Return what a flag was at a moment, as far as the trail knows it; each fact says how it is known."""
    at = _known(asked.at)
    try:
        check_pattern(asked.flag)
    except QueryError as error:
        raise Refused(422, str(error)) from None
    with within(trail.settings.timeout.total_seconds()):
        trust = complete(trail, Asking(vendor=asked.vendor, project=asked.project))
        found = find_state(
            trail.store, asked.flag, at, environment=asked.environment, project=asked.project, vendor=asked.vendor
        )
    return answered({"at": at, "flags": [one.as_dict() for one in found], "completeness": trust.as_json()})


def _known(text: str) -> datetime:
    """Return the moment that is asked about; raises Refused for one around which there is no time to look at."""
    at = moment(text, "at")
    if not EPOCH <= at < END:
        raise Refused(422, f"at: {text} lies before 1970, or after the year {END.year}")
    return at
