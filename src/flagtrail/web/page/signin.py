"""The page Sign in: a token, kept by the browser in a cookie that no script reads."""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from flagtrail.tokens import READ, Token, check
from flagtrail.web.access import COOKIES, REALM, Asked, asks_for_token, signed_in_with
from flagtrail.web.origin import over_tls
from flagtrail.web.page.returning import local
from flagtrail.web.page.shell import page

LONGEST = timedelta(days=30)  # until it is asked for again; a token that ends earlier does so
PAUSE = 1.0  # seconds that a wrong token costs: a token is 256 random bits, so this only keeps the log readable
WRONG = "This token is none, was revoked, or has expired."
ENDED = "The token that you were signed in with was revoked, or has expired."
NOT_FOR_PAGES = "This token is for exports only; pages need one with the scope read."

log = structlog.get_logger()
router = APIRouter(include_in_schema=False)


@router.get("/signin")
def form(request: Request, trail: Asked) -> Response:
    """Return the page that asks for a token, or lead on who needs none."""
    if not asks_for_token(request, trail):
        return RedirectResponse(_next(request), 303)
    said = signed_in_with(request)
    token = check(trail.store, said) if said else None
    if token and READ in token.scopes:
        return RedirectResponse(_next(request), 303)
    answer = _page(request, ENDED if said and not token else None)
    return _forget(answer) if said else answer


@router.post("/signin")
async def sign_in(request: Request, trail: Asked) -> Response:
    """Take a token into the browser's cookie, and lead back; the Guard lets only a form of our own page come here."""
    token, text = None, _token(await request.body())
    if text:
        token = await run_in_threadpool(check, trail.store, text)
    if token is None:
        log.warning("sign_in_refused", client=request.client.host if request.client else "")
        await asyncio.sleep(PAUSE)
        return await run_in_threadpool(_page, request, WRONG, 401)
    request.state.token = token.name
    if READ not in token.scopes:
        return await run_in_threadpool(_page, request, NOT_FOR_PAGES, 403)
    log.info("signed_in", token=token.name)
    return _remember(request, text, token)


@router.post("/signout")
def sign_out() -> Response:
    """Let the browser forget the token, which stays good for others until it is revoked."""
    return _forget(RedirectResponse("/signin", 303))


def _page(request: Request, wrong: str | None, status: int = 200) -> Response:
    answer = page(
        request, None, "signin.html", title="Sign in", here="signin", status=status, wrong=wrong, next=_next(request)
    )
    if status == 401:
        answer.headers["WWW-Authenticate"] = REALM
    return answer


def _next(request: Request) -> str:
    return local(request.query_params.get("next"))


def _token(body: bytes) -> str:
    """Return the token in a form, or nothing."""
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=2)).get("token", "").strip()
    except ValueError:
        return ""


def _remember(request: Request, text: str, token: Token) -> Response:
    lasts = LONGEST if token.expires_at is None else min(LONGEST, token.expires_at - datetime.now(UTC))
    tls = over_tls(request.headers, request.url.scheme) or request.headers.get("origin", "").startswith("https://")
    answer = _forget(RedirectResponse(_next(request), 303), but=COOKIES[not tls])
    answer.set_cookie(
        COOKIES[not tls], text, max_age=max(1, int(lasts.total_seconds())), path="/", secure=tls, httponly=True,
        samesite="lax",
    )  # fmt: skip
    return answer


def _forget(answer: Response, but: str | None = None) -> Response:
    """Let an answer end the cookies of a token, but for one name."""
    for name in COOKIES:
        if name != but:  # a cookie with that prefix is only touched by what says that it is for TLS
            answer.delete_cookie(name, path="/", secure=name.startswith("__Host-"), httponly=True, samesite="lax")
    return answer
