"""The address of the vendors' webhooks: a signed one makes the daemon look at its source now, and nothing else."""

import asyncio

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from flagtrail.nudges import Nudges
from flagtrail.web.problems import problem

LARGEST = 65_536  # bytes; what is in it is not read anyway
SLOWEST = 5.0  # seconds for it to arrive
REFUSED = "this is no webhook that is signed with a secret of a source here"
NOBODY = "nobody here looks at vendors: webhooks go to `flagtrail run` with a [serve] in its config"
TOO_LARGE = f"a webhook here is {LARGEST} bytes at most"
router = APIRouter(include_in_schema=False)


@router.post("/webhooks/{source}")
async def webhook(request: Request, source: str) -> Response:
    """Take a vendor's webhook.

    The signature is the permission. A wrong name and a wrong signature get the same answer, so that nobody can try out
    which sources there are.
    """
    nudges: Nudges | None = request.app.state.nudges
    if nudges is None:
        return problem(404, NOBODY)
    try:
        body = await asyncio.wait_for(_body(request), SLOWEST)
    except (TimeoutError, ClientDisconnect):
        return problem(408, f"a webhook has to arrive within {SLOWEST:g} seconds", {"Connection": "close"})
    if body is None:
        return problem(413, TOO_LARGE, {"Connection": "close"})
    if not nudges.accept(source, dict(request.headers), body):
        return problem(401, REFUSED)
    return Response(status_code=204)


async def _body(request: Request) -> bytes | None:
    """Return the body; None when it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    return bytes(body)
