"""The page Change."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from flagtrail import query
from flagtrail.web.access import Asked, Trail, reads
from flagtrail.web.page.shell import Reader, page, reader_of
from flagtrail.web.problems import Refused

router = APIRouter(include_in_schema=False)


def looked(trail: Trail, id: str, reader: Reader) -> dict[str, Any]:
    """Return what change_pane.html shows of a change; raises Refused when there is none, or more than one."""
    found = query.event(trail.store, id)
    if len(found) != 1:
        raise Refused(
            404 if not found else 409, "no change has this id" if not found else "more than one change has it"
        )
    return found[0]


@router.get("/event/{id}", dependencies=[reads])
def change(request: Request, trail: Asked, id: str) -> HTMLResponse:
    """Return the page."""
    told = looked(trail, id, reader_of(request))
    return page(request, trail, "change.html", title="Change", here="change", change=told)
