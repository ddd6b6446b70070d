"""The page Change."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from flagtrail.web.access import Asked, reads
from flagtrail.web.page.shell import page

router = APIRouter(include_in_schema=False)


@router.get("/event/{id}", dependencies=[reads])
def change(request: Request, trail: Asked, id: str) -> HTMLResponse:
    """Return the page."""
    return page(request, trail, "change.html", title="Change", here="change")
