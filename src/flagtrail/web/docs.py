"""The page that shows the API, at /api/docs: Swagger UI from a package, so that nothing is fetched from elsewhere."""

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from flagtrail.web.problems import Refused

KINDS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
START = """SwaggerUIBundle({url: "openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null});"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>flagtrail: the API</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="api"></div><script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body>
</html>
"""
# Swagger UI sets styles of its own, and shows pictures that stand in its styles.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def document(request: Request) -> Response:
    """Return the OpenAPI document."""
    described: Any = request.app.openapi()
    return JSONResponse(described)


@router.get("/docs")
async def page() -> Response:
    """Return the page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/{name}")
def part(name: str) -> Response:
    """Return a part of the page."""
    if name == "start.js":
        return Response(START, media_type="text/javascript")
    if name not in KINDS:
        raise Refused(404, "there is no such part of the page /api/docs")
    return Response(files("fastapi_offline").joinpath("static", name).read_bytes(), media_type=KINDS[name])
