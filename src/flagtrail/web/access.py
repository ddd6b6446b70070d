"""Who may ask: tokens with scopes, as a header or a cookie, from anywhere but this machine's own programs."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from starlette.concurrency import run_in_threadpool

from flagtrail.errors import ConfigError, StoreError
from flagtrail.people import People
from flagtrail.pulse import Pulse
from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.tokens import EXPORT, METRICS, READ, check, note_use, tokens
from flagtrail.web.flowing import Gate
from flagtrail.web.origin import is_own
from flagtrail.web.problems import Refused

REALM = 'Bearer realm="flagtrail"'
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")  # what proxies add
NOTED = 60.0  # seconds in which the use of a token is written down once
# Of the cookie with the token; browsers take the first only over TLS, and from no other host.
COOKIES = ("__Host-flagtrail", "flagtrail")
EXPORTS = 4  # at the same time: each holds a connection of the database for as long as it takes

log = structlog.get_logger()
bearer = HTTPBearer(auto_error=False, description="a token that `flagtrail token create` printed")


@dataclass(slots=True)
class Trail:
    """What requests are answered from: the store, the settings, the configured sources and people, and the gates.

    `pulse` is that of the daemon, where one runs in this process.
    """

    store: Store
    settings: ServeSettings
    configured: Collection[str] = ()
    people: People = field(default_factory=People)
    pulse: Pulse | None = None
    live: Gate = field(init=False)
    exports: Gate = field(default_factory=lambda: Gate(EXPORTS, "exports"))
    noted: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.live = Gate(self.settings.live, "live connections")


async def trail_of(request: Request) -> Trail:
    """Return what a request is answered from."""
    found: Trail = request.app.state.trail
    return found


Asked = Annotated[Trail, Depends(trail_of)]


async def granted(
    request: Request,
    trail: Asked,
    wanted: SecurityScopes,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> None:
    """Refuse whoever may not ask this.

    What came through a proxy is not from this machine, even where the proxy is.
    """
    if given is None and "authorization" in request.headers:
        raise Refused(401, "write the token as `Authorization: Bearer TOKEN`", {"WWW-Authenticate": REALM})
    if given is None and not asks_for_token(request, trail):
        return
    said = given.credentials if given else signed_in_with(request)
    if said is None:
        told = "this asks for a token; `flagtrail token create` makes one, sent as `Authorization: Bearer TOKEN`"
        raise Refused(401, told, {"WWW-Authenticate": REALM})
    token = await run_in_threadpool(check, trail.store, said)
    request.state.given = said
    if token is None:
        told = "this token is none, was revoked, or has expired; `flagtrail token create` makes another"
        raise Refused(401, told, {"WWW-Authenticate": f'{REALM}, error="invalid_token"'})
    request.state.token = token.name
    request.state.signed_in = given is None
    missing = {scope for scope in wanted.scopes if not token.may(scope)}
    if missing:
        told = f"this token is not for that: it lacks the scope {', '.join(sorted(missing))}"
        scopes = " ".join(wanted.scopes)
        raise Refused(403, told, {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scopes}"'})
    if time.monotonic() - trail.noted.get(token.key, -NOTED) >= NOTED:
        trail.noted[token.key] = time.monotonic()
        # Beside the answer: who stores may hold the database for a while.
        asyncio.get_running_loop().run_in_executor(None, _note, trail.store, token.key)


def asks_for_token(request: Request, trail: Trail) -> bool:
    """Return whether a request is answered to nobody without a token."""
    return trail.settings.asks_for_tokens or any(name in request.headers for name in FORWARDED)


def signed_in_with(request: Request) -> str | None:
    """Return the token in the cookie of a request, which may be none; one that a page of another origin sends is not.

    Such a page may be named in `origins`: it may read with a token of its own, and never with that of its visitor.
    """
    if "origin" in request.headers and not is_own(request.headers, request.scope["scheme"]):
        return None
    return next((found for name in COOKIES if (found := request.cookies.get(name))), None)


def still_granted(request: Request, trail: Trail) -> bool:
    """Return whether whoever asked this, and was not refused, could ask it again now: tokens expire, or are revoked."""
    given = getattr(request.state, "given", None)
    return given is None or check(trail.store, given) is not None


def _note(store: Store, key: str) -> None:
    try:
        note_use(store, key, datetime.now(UTC))
    except StoreError as error:
        log.warning("token_use_not_noted", error=str(error))


reads = Security(granted, scopes=[READ])
exports = Security(granted, scopes=[EXPORT])
scrapes = Security(granted, scopes=[METRICS])


def require_tokens(store: Store, settings: ServeSettings) -> None:
    """Raise ConfigError when a token is asked for, and there is none that could be used."""
    if settings.asks_for_tokens and not any(token.is_usable for token in tokens(store)):
        raise ConfigError(
            f"whoever asks {settings.listen} needs a token, and none is usable: `flagtrail token create` makes one, "
            'or listen = "127.0.0.1:8421" in [serve] answers this machine only'
        )
