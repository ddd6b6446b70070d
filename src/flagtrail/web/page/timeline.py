"""The page Timeline: the changes, newest first, by day."""

from itertools import groupby

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from flagtrail.query import Query, events
from flagtrail.web.access import Asked, reads
from flagtrail.web.page.shell import page, reader_of

router = APIRouter(include_in_schema=False)


@router.get("/", dependencies=[reads])
def timeline(request: Request, trail: Asked) -> HTMLResponse:
    """Return the page."""
    reader = reader_of(request)
    rows = list(events(trail.store, Query()))
    days = [(day, list(of_day)) for day, of_day in groupby(rows, lambda row: reader.local(row["occurred_at"]).date())]
    return page(request, trail, "timeline.html", title="Timeline", here="timeline", days=days)
