"""Every error over HTTP as RFC 9457 writes it: application/problem+json, in words that say what to do, and no more."""

from collections.abc import Mapping
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from flagtrail.errors import StoreError, TooSlow
from flagtrail.event import to_json
from flagtrail.question import QueryError

MEDIA_TYPE = "application/problem+json"
SCHEMA = {
    "title": "Problem",
    "description": "What went wrong, as RFC 9457 has it.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "about:blank: the status says what kind of problem it is"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what went wrong, and what to do"},
        "errors": {
            "type": "array",
            "description": "each part of the request that is wrong",
            "items": {
                "type": "object",
                "properties": {"in": {"type": "string"}, "name": {"type": "string"}, "message": {"type": "string"}},
                "required": ["in", "name", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}
WORDS = {
    404: "there is nothing at this address; /api/docs shows what there is",
    405: "this address only answers the methods that Allow names",
    500: "that is a bug, or something in the database that should not be there; the log of flagtrail tells more",
}
PROBES = ("/healthz", "/readyz", "/metrics")  # asked by machines, every few seconds
BROKEN = "the database cannot be used just now; the log of flagtrail says why"

log = structlog.get_logger()


class Refused(Exception):
    """A request that is not answered, with its status and what to do about it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: list[dict[str, str]] | None = None
) -> Response:
    """Return the answer for a problem."""
    told: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    told["detail"] = detail
    if errors:
        told["errors"] = errors
    return Response(to_json(told), status, headers, MEDIA_TYPE)


def crashed(request: Request) -> Response:
    """Return the answer for a request that met a bug of ours: a page, where even that can be made."""
    try:
        return _answer(request, 500, WORDS[500])
    except Exception:  # noqa: BLE001  # it is in the log; what is broken may be what every page needs
        return problem(500, WORDS[500])


def teach(app: FastAPI) -> None:
    """Let an app answer each error with a problem, and say so in its OpenAPI document."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(QueryError, _question)
    app.add_exception_handler(TooSlow, _slow)
    app.add_exception_handler(StoreError, _broken)
    app.add_exception_handler(OverflowError, _outside)


def described(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document in which each operation may answer with a problem, and FastAPI's own form is gone."""
    answer = {
        "description": "A problem: what went wrong, and what to do",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = answer
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = SCHEMA
    return document


def _answer(
    request: Request,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> Response:
    """Return the answer for a problem: as a page to whoever asks for a page."""
    if request.scope["path"].startswith("/api/") or request.scope["path"] in PROBES:
        return problem(status, detail, headers, errors)
    found: Response = request.app.state.error_page(request, status, detail, headers)
    return found


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _answer(request, error.status, error.detail, error.headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(request, error.status_code, WORDS.get(error.status_code, str(error.detail)), error.headers)


async def _question(request: Request, error: Exception) -> Response:
    return _answer(request, 422, str(error))


async def _slow(request: Request, error: Exception) -> Response:
    return _answer(request, 503, str(error))


async def _broken(request: Request, error: Exception) -> Response:
    log.error("request_failed", error=str(error))
    return _answer(request, 503, BROKEN)


async def _outside(request: Request, error: Exception) -> Response:
    """Tell of a time that leaves the calendar in some zone, such as the first day of the year 1."""
    return _answer(request, 422, "a time lies before the first year of the calendar, or after its last")


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_part(each, request) for each in error.errors()]
    return _answer(request, 422, "; ".join(f"{each['name']}: {each['message']}" for each in errors), errors=errors)


def _part(each: Any, request: Request) -> dict[str, str]:
    """Return one part of a request that is wrong, in words."""
    where, *place = each["loc"]
    name = ".".join(str(part) for part in place)
    message = str(each["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    if each["type"] == "extra_forbidden":
        known = parameters(request)
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
        message = f"there is no such parameter; {hint}"
    return {"in": str(where), "name": name, "message": message}


def parameters(request: Request) -> dict[str, Any]:
    """Return the query parameters that the address of a request has, by name, as the OpenAPI document tells them."""
    place = request.scope["path"].split("/")
    for path, operations in request.app.openapi()["paths"].items():
        parts = path.split("/")
        if len(parts) == len(place) and all(part in ("{id}", found) for part, found in zip(parts, place, strict=True)):
            asked = operations["get"].get("parameters", ())
            return {each["name"]: each["schema"] for each in asked if each["in"] == "query"}
    return {}
