"""The addresses of counts: by span of time, and by any dimension."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import Field

from flagtrail import query as store_query
from flagtrail.deadline import within
from flagtrail.query import DIMENSIONS, SPANS
from flagtrail.web.access import Asked, reads
from flagtrail.web.answers import Count, Histogram, answered
from flagtrail.web.asking import Filters, Length, complete, question, span
from flagtrail.web.problems import Refused

DAY = timedelta(days=1)
MOST = 5000  # spans of one histogram
ONE: Any = {"anyOf": [{"enum": list(DIMENSIONS)}, {"type": "null"}]}
SOME: Any = {"items": {"enum": [*SPANS, *DIMENSIONS]}, "uniqueItems": True}
Zone = Annotated[str, Field(max_length=50, examples=["Europe/Berlin"], json_schema_extra={"format": "zone"})]
router = APIRouter(tags=["counts"])


class HistogramFilters(Filters):
    """What a histogram is asked for by."""

    bucket: Annotated[Length, Field(description="how long each span is: 1h, 15m, 7d")] = "1d"
    by: Annotated[str | None, Field(max_length=50, description="also by one of these", json_schema_extra=ONE)] = None


class CountFilters(Filters):
    """What a count is asked for by."""

    by: list[Annotated[str, Field(max_length=50)]] = Field(
        default=[], max_length=5, description="by some of these; of hour, day and week one", json_schema_extra=SOME
    )
    top: Annotated[int, Field(ge=1, le=1000, description="how many groups, the most frequent ones")] = 50
    zone: Annotated[Zone, Field(description="whose hours, days and weeks")] = "UTC"


@router.get("/histogram", response_model=Histogram, dependencies=[reads])
def histogram(trail: Asked, asked: Annotated[HistogramFilters, Query()]) -> Response:
    """Return how many events happened in each span of time; spans begin at multiples of their length since 1970."""
    query = question(trail, asked)
    bucket = span(asked.bucket, "bucket", most=timedelta(days=366))
    if query.since is None and bucket < DAY:
        raise Refused(422, "bucket: spans shorter than 1d need a `since`")
    if query.since is not None and ((query.until or datetime.now(UTC)) - query.since) / bucket > MOST:
        raise Refused(422, f"bucket: that are more than {MOST} spans; ask for longer ones, or for a shorter time")
    if asked.by is not None and asked.by not in DIMENSIONS:
        raise Refused(422, f"by: events are not counted by {asked.by!r}; they are by: {', '.join(DIMENSIONS)}")
    with within(trail.settings.timeout.total_seconds()):
        told = complete(trail, query)
        counts = store_query.histogram(trail.store, query, asked.by, bucket)
    spans = [
        {"since": since, "value": value, "events": number}
        for (since, value), number in sorted(counts.items(), key=lambda item: (item[0][0], str(item[0][1] or "")))
    ]
    seconds, total = round(bucket.total_seconds()), sum(counts.values())
    return answered(
        {"bucket_seconds": seconds, "by": asked.by, "spans": spans, "total": total, "completeness": told.as_json()}
    )


@router.get("/count", response_model=Count, dependencies=[reads])
def count(trail: Asked, asked: Annotated[CountFilters, Query()]) -> Response:
    """Return how many events there are by some dimensions; what `top` leaves out is told."""
    query, zone = question(trail, asked), _zone(asked.zone)
    with within(trail.settings.timeout.total_seconds()):
        told = complete(trail, query)
        found = store_query.count(trail.store, query, asked.by, asked.top, zone)
    groups = [_group(found.by, row) for row in found.rows]
    return answered(
        {"by": list(found.by), "groups": groups, "total": found.total, "groups_in_all": found.groups,
         "rest": found.rest, "completeness": told.as_json()}
    )  # fmt: skip


def _group(by: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a group; the start of a span keeps the offset of the zone that was asked for."""
    told = dict(zip(by, row[:-1], strict=True))
    for name, value in told.items():
        if isinstance(value, datetime):
            told[name] = value.isoformat()
    return told | {"events": row[-1]}


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Refused(422, f"zone: there is no time zone {name!r}; write one such as Europe/Berlin") from None
