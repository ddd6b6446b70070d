"""Puts the API and the page together."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from flagtrail import __version__
from flagtrail.nudges import Nudges
from flagtrail.people import People
from flagtrail.pulse import Pulse
from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.web import counts, coverage, docs, events, health, live, moments, webhooks
from flagtrail.web.access import Trail
from flagtrail.web.asking import said_once
from flagtrail.web.guard import Guard
from flagtrail.web.page import start
from flagtrail.web.page.shell import error_page
from flagtrail.web.problems import described, teach

AT_ONCE = 8  # questions; with the exports they take fewer connections than the database has for us
ABOUT = "One trail of every feature-flag change, whichever vendor made it. Times without a zone are UTC."


def app(
    store: Store, settings: ServeSettings, configured: Collection[str] = (), people: People | None = None,
    pulse: Pulse | None = None, nudges: Nudges | None = None,
) -> FastAPI:  # fmt: skip
    """Return the API of a store as an ASGI app.

    `configured` is as in `completeness`, `pulse` that of a daemon here, and `nudges` takes webhooks.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = AT_ONCE
        yield

    made = FastAPI(
        title="flagtrail", version=__version__, description=ABOUT, openapi_url=None, docs_url=None, redoc_url=None,
        lifespan=life, redirect_slashes=False,
    )  # fmt: skip
    made.state.trail = Trail(store, settings, configured, people or People(), pulse)
    made.state.nudges = nudges
    first = APIRouter(prefix="/api/v1", dependencies=[Depends(said_once)])
    for subject in (events, counts, coverage, moments, live):
        first.include_router(subject.router)
    made.include_router(first)
    made.include_router(health.router)
    made.include_router(docs.router, prefix="/api")
    made.include_router(webhooks.router)
    made.include_router(start.router)
    made.state.error_page = error_page
    if settings.origins:
        made.add_middleware(
            CORSMiddleware, allow_origins=settings.origins, allow_methods=["GET"],
            allow_headers=["Authorization", "Last-Event-ID"], expose_headers=["Flagtrail-Complete"],
        )  # fmt: skip
    made.add_middleware(Guard, settings=settings)  # the last one stands before all others
    teach(made)
    document = made.openapi

    def openapi() -> dict[str, Any]:
        if made.openapi_schema is None:
            made.openapi_schema = described(document())
        return made.openapi_schema

    made.openapi = openapi  # type: ignore[method-assign]
    return made
