"""The addresses of events: pages of them, one whole, counts, and all of them in a form for other programs."""

from collections.abc import Iterator
from threading import Event as Flag
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from flagtrail import query as store_query
from flagtrail.deadline import within
from flagtrail.exports import MEDIA_TYPES, Format, lines
from flagtrail.exports.columns import as_json
from flagtrail.query import cursor_of
from flagtrail.web.access import Asked, exports, reads
from flagtrail.web.answers import Events, WholeEvent, answered
from flagtrail.web.asking import Filters, PageFilters, complete, page, question
from flagtrail.web.flowing import Flowing, together
from flagtrail.web.problems import Refused

FORMS = tuple(form for form in Format if form in MEDIA_TYPES)
ENDINGS = {Format.CSV: "csv"}
router = APIRouter(tags=["events"])


class ExportFilters(Filters):
    """What is exported."""

    format: Annotated[
        Format, Field(description="jsonl, csv, or a form of SIEMs; Parquet is made by the command line")
    ] = Format.JSONL


@router.get("/events", response_model=Events, dependencies=[reads])
def events(trail: Asked, asked: Annotated[PageFilters, Query()]) -> Response:
    """Return a page of events, newest first, with how complete it is; `next` goes on where it ends."""
    wanted = page(trail, asked)
    with within(trail.settings.timeout.total_seconds()):
        told = complete(trail, wanted)
        found = list(store_query.events(trail.store, wanted))
    shown, more = found[: asked.limit], len(found) > asked.limit
    cursor = cursor_of(shown[-1]) if more else None
    rows = [as_json(row) for row in shown]
    return answered({"events": rows, "next": cursor, "completeness": told.as_json()})


@router.get("/events/{id}", response_model=WholeEvent, dependencies=[reads])
def event(
    trail: Asked, id: Annotated[str, Path(max_length=200, description="an event's id, or the beginning of one")]
) -> Response:
    """Return one event whole, with the vendor's own records of it."""
    with within(trail.settings.timeout.total_seconds()):
        found = store_query.event(trail.store, id)
    if not found:
        raise Refused(404, "no event has an id that begins so")
    if len(found) > 1:
        raise Refused(409, "more than one event has an id that begins so; write more of it")
    return answered(as_json(found[0]) | {"records": found[0]["records"]})


@router.get(
    "/export",
    response_class=Response,
    responses={
        200: {"description": "the events", "content": {kind: {} for kind in dict.fromkeys(MEDIA_TYPES.values())}}
    },
    dependencies=[exports],
)
def export(trail: Asked, asked: Annotated[ExportFilters, Query()]) -> Response:
    """Return all events that are asked for, however many, as they come from the database.

    The header Flagtrail-Complete says whether anything is missing. An answer that breaks off has no proper end, so
    nobody takes it for whole.
    """
    if asked.format not in FORMS:
        raise Refused(422, f"format: {asked.format} is no stream; `flagtrail export --format {asked.format}` writes it")
    wanted = question(trail, asked)

    def chunks(flag: Flag) -> Iterator[bytes]:
        return together(lines(asked.format, store_query.events(trail.store, wanted)), flag)

    with within(trail.settings.timeout.total_seconds()):
        told = complete(trail, wanted)
    ending = ENDINGS.get(asked.format, "jsonl")
    headers = {
        "Flagtrail-Complete": "true" if told.is_complete else "false",
        "Content-Disposition": f'attachment; filename="flagtrail-{asked.format}.{ending}"',
    }
    return Flowing(trail.exports, chunks, MEDIA_TYPES[asked.format], headers)
