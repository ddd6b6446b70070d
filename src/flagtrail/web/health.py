"""The addresses for what watches over us: /healthz, /readyz and /metrics. They give plain answers, and no pages."""

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, SecurityScopes

from flagtrail.deadline import within
from flagtrail.errors import StoreError
from flagtrail.metrics import exposed
from flagtrail.readiness import Reason, readiness
from flagtrail.tokens import METRICS
from flagtrail.web.access import Asked, Trail, bearer, granted, scrapes
from flagtrail.web.problems import Refused

SECONDS = 5.0  # for the database to say whether it can be used

router = APIRouter(include_in_schema=False)


@router.api_route("/healthz", methods=["GET", "HEAD"])
async def healthz(trail: Asked) -> Response:
    """Return whether this process lives and its loop ticks; nothing else is asked for it."""
    alive = trail.pulse is None or trail.pulse.is_alive
    return PlainTextResponse("ok\n" if alive else "the loop does not tick\n", 200 if alive else 503)


@router.api_route("/readyz", methods=["GET", "HEAD"])
async def readyz(
    request: Request, trail: Asked, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Response:
    """Return whether everything works that should, and if not, why; the details only to whoever may read them."""
    # A thread of its own: questions that take their time must not make us look dead.
    reasons = await to_thread.run_sync(_reasons, trail, limiter=_one_at_a_time(request))
    whole = bool(reasons) and await _may_know(request, trail, given)
    told = [reason._asdict() if whole else {"why": reason.why} for reason in reasons]
    if not whole:
        told = list({each["why"]: each for each in told}.values())
    answer = {"ready": not reasons, "daemon": trail.pulse is not None, "reasons": told}
    return JSONResponse(answer, 503 if reasons else 200)


@router.get("/metrics", dependencies=[scrapes])
async def metrics(request: Request, trail: Asked) -> Response:
    """Return how it goes, for Prometheus."""
    body, kind = await to_thread.run_sync(_metrics, trail, request.headers.get("accept"),
                                          limiter=_one_at_a_time(request))  # fmt: skip
    return Response(body, media_type=kind)


def _one_at_a_time(request: Request) -> CapacityLimiter:
    state = request.app.state
    if not hasattr(state, "probing"):
        state.probing = CapacityLimiter(1)
    found: CapacityLimiter = state.probing
    return found


async def _may_know(request: Request, trail: Trail, given: HTTPAuthorizationCredentials | None) -> bool:
    try:
        await granted(request, trail, SecurityScopes([METRICS]), given)
    except (Refused, StoreError):
        return False
    return True


def _reasons(trail: Trail) -> list[Reason]:
    with within(SECONDS):
        return readiness(trail.store, trail.configured, trail.pulse)


def _metrics(trail: Trail, accept: str | None) -> tuple[bytes, str]:
    with within(trail.settings.timeout.total_seconds()):
        return exposed(trail.store, trail.configured, trail.pulse, accept)
