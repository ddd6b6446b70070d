"""The page Around."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from flagtrail.web.access import Asked, reads
from flagtrail.web.page.shell import page

router = APIRouter(include_in_schema=False)


@router.get("/around", dependencies=[reads])
def around(request: Request, trail: Asked) -> HTMLResponse:
    """Return the page."""
    return page(request, trail, "around.html", title="Around", here="around")
