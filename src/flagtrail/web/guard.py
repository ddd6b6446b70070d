"""Stands before the API: who is asked, from which page, how large a request is, and what each answer says of itself."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from flagtrail.serving import ServeSettings
from flagtrail.web.origin import is_own
from flagtrail.web.problems import PROBES, crashed, problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LONGEST_URL = 8000  # bytes of path and query: about what browsers and proxies let through
LARGEST_BODY = 0  # bytes: every question stands in its URL
WEBHOOK = re.compile(r"/webhooks/[^/]+")
FORMS = ("/signin", "/signout")  # what alone is sent with POST, and only by our own page
FORM = "application/x-www-form-urlencoded"
LARGEST_FORM = 1000  # bytes: a token is one of 63
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

log = structlog.get_logger()


class Guard:
    """ASGI middleware: refuses what is not for us, gives each answer its headers, and logs each request.

    The name in the Host header must be ours, or a page on another site could ask through a name that it lets lead here
    (DNS rebinding). An address is no such name. Pages of other origins are refused unless the settings name them.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], settings: ServeSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await (self._refusal(scope) or self.app)(scope, receive, answer)
        except Exception:
            log.exception("request_crashed", **_told(scope))
            if not status:
                await crashed(Request(scope))(scope, receive, answer)
            # One that has begun is cut: the server closes the connection, and nobody takes a part for the whole.
        finally:
            took = round((time.perf_counter() - begun) * 1000, 1)
            level = logging.DEBUG if status == 200 and scope["path"] in PROBES else logging.INFO
            log.log(level, "request", **_told(scope), status=status or None, milliseconds=took)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer for a request that is not for us; None for one that is."""
        headers = Headers(scope=scope)
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_URL:
            return problem(414, f"the address is longer than {LONGEST_URL} bytes; ask for less at once")
        is_form = scope["method"] == "POST" and scope["path"] in FORMS
        if not _is_webhook(scope) and (refusal := _body_refusal(headers, is_form)):
            return refusal
        if not self._is_ours(headers.getlist("host"), scope):
            return problem(
                421, "this is not called by the name in the Host header; if it should be, add that to hosts in [serve]"
            )
        if not (_sends_form(headers, scope) if is_form else self._is_from_here(headers, scope)):
            return problem(403, "pages of other sites may not read this; origins in [serve] names those that may")
        return None

    def _is_ours(self, hosts: list[str], scope: Scope) -> bool:
        if len(hosts) != 1:
            return False
        name = _name(hosts[0])
        here = str((scope.get("server") or ("",))[0]).lower()
        return name in self.settings.names or (bool(here) and name in (here, f"[{here}]"))

    def _is_from_here(self, headers: Headers, scope: Scope) -> bool:
        """Return whether no page of another origin asks; what is opened as a page of its own is not read by another."""
        origin = headers.get("origin")
        if origin is not None:
            return is_own(headers, scope["scheme"]) or origin.lower() in self.settings.origins
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode")
        return site in ("none", "same-origin") or mode == "navigate"


def _is_webhook(scope: Scope) -> bool:
    """Return whether this is the one kind of request with a body, which `webhooks` itself keeps small."""
    return scope["method"] == "POST" and bool(WEBHOOK.fullmatch(scope["path"]))


def _body_refusal(headers: Headers, is_form: bool) -> Response | None:
    """Return the answer for a request with a body that nobody wants; None for one that may be read."""
    length = headers.get("content-length", "0")
    close = {"Connection": "close"}
    if not is_form:
        if "transfer-encoding" in headers or length != str(LARGEST_BODY):
            return problem(413, "a request has no body here: every question stands in its address", close)
        return None
    if "transfer-encoding" in headers or not length.isascii() or not length.isdigit() or int(length) > LARGEST_FORM:
        return problem(413, f"this form is larger than {LARGEST_FORM} bytes, or does not say how large it is", close)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if int(length) and kind != FORM:
        return problem(415, f"this takes a form of our own page only: {FORM}", close)
    return None


def _sends_form(headers: Headers, scope: Scope) -> bool:
    """Return whether our own page sends this: browsers say with every POST where it comes from."""
    if "origin" in headers:
        return is_own(headers, scope["scheme"])
    return headers.get("sec-fetch-site") == "same-origin"


def _name(host: str) -> str:
    """Return the name in a Host header in lower case, without the port; a number in brackets is an IPv6 address."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _told(scope: Scope) -> dict[str, Any]:
    """Return what the log says of a request: never the values that were asked for, nor a header."""
    asked = sorted({name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)})
    path = scope["raw_path"].partition(b"?")[0].decode("ascii", "backslashreplace")
    client = (scope.get("client") or ("",))[0]
    token = scope.get("state", {}).get("token")
    return {"method": scope["method"], "path": path, "asked": asked, "client": client, "token": token}
