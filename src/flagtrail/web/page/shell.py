"""Draws what every page has: its reader's zone and theme, the sign of trust, the head, and errors as pages."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from flagtrail import __version__
from flagtrail.sentence import sentence, vendor_of
from flagtrail.web.access import Trail
from flagtrail.web.page import static
from flagtrail.web.page.gzipped import answered
from flagtrail.web.page.returning import asking
from flagtrail.web.page.sign import sign
from flagtrail.web.page.wording import served_in_words
from flagtrail.web.problems import Refused
from flagtrail.window import iso

ZONE, THEME = "flagtrail_zone", "flagtrail_theme"  # cookies, set by the page's own script; they hold no secret
THEMES = ("light", "dark")
INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
LONGEST = 4000  # characters of a parameter
# Trusted types: no script of the page can turn a text into markup, whatever it does with it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# Of an address of ours nobody else learns; browsers would not say where a form comes from if we did not either.
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at a page: in which zone, and whether in a theme of their own choice."""

    zone: tzinfo
    zone_name: str
    theme: str | None
    asked_zone: str | None = None
    """The zone that the address names: links keep it, so that what follows is shown in it too."""

    def local(self, instant: datetime) -> datetime:
        """Return an instant in the reader's zone."""
        return instant.astimezone(self.zone)

    def link(self, path: str, values: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Return an address of another view, as `link` does, which shows its times in the same zone."""
        said = {name: value for name, value in {**(values or {}), **more}.items() if name != "zone"}
        return link(path, said, zone=self.asked_zone)

    def retold(self, text: str) -> str:
        """Return a text in which each instant that stands in UTC is told in the reader's zone."""
        return INSTANT.sub(lambda found: f"{self.local(datetime.fromisoformat(found[0])):%d %b %Y %H:%M:%S}", text)

    def change(self, id: str) -> str:
        """Return the address of one change, by its id."""
        return self.link(f"/event/{id}")


def reader_of(request: Request) -> Reader:
    """Return who looks: `zone` in the address goes before the browser's, so that a link shows everybody the same."""
    theme = request.cookies.get(THEME)
    theme = theme if theme in THEMES else None
    asked = request.query_params.get("zone")
    for name in (asked, request.cookies.get(ZONE)):
        zone = _zone(name) if name else None
        if zone and name:
            return Reader(zone, name, theme, name if name == asked else None)
    return Reader(UTC, "UTC", theme)


def parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """Return the parameters of an address; those that are empty, as a form sends them, are left out.

    Raises Refused when there is one that the page does not have, or one that stands there twice.
    """
    pairs = [(name, text) for name, text in request.query_params.multi_items() if text.strip()]
    if any("\0" in text for pair in pairs for text in pair):
        raise Refused(422, "a text may not hold the character NUL")
    if long := next((name for name, text in pairs if len(text) > LONGEST), None):
        raise Refused(422, f"{long[:50]}: {LONGEST:,} characters are the most that can be asked for")
    told = dict(pairs)
    if unknown := [name for name in told if name not in (*known, "zone")]:
        raise Refused(422, f"{unknown[0]}: there is no such parameter; known: {', '.join([*known, 'zone'])}")
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(422, f"{twice}: stands there twice; say it once")
    if "zone" in told and _zone(told["zone"]) is None:
        raise Refused(422, f"zone: there is no time zone {told['zone']!r}; write one such as Europe/Berlin")
    return told


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return None


def link(path: str, values: Mapping[str, Any] | None = None, **more: Any) -> str:
    """Return an address with parameters; those without a value are left out, lists stand once for each value."""
    said = {name: value for name, value in {**(values or {}), **more}.items() if value not in (None, "", [], ())}
    return f"{path}?{urlencode(said, doseq=True, safe=':,@*/')}" if said else path


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("flagtrail.web.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(
        static=static.address,
        version=__version__,
        vendor_of=vendor_of,
        sentence=sentence,
        words=served_in_words,
        second=timedelta(seconds=1),
    )
    made.filters.update(iso=iso, count=lambda number: f"{number:,}")
    return made


def page(
    request: Request, trail: Trail | None, template: str, *, title: str, here: str, status: int = 200, **values: Any
) -> Response:
    """Return a page: a template with what every page needs; `here` is the place in the menu that it belongs to.

    Without a trail it tells nothing of it.
    """
    reader = reader_of(request)
    told = _told(request, reader) | {"title": title, "here": here}
    told["sign"] = sign(trail, reader.zone) if trail is not None else None
    text = _templates().get_template(template).render(**told, **values)
    return answered(request, _sent(text), "text/html", HEADERS, status)


def error_page(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem as a page; who has no token that could be used is led to where one is asked for."""
    if status == 401 and request.method == "GET" and "authorization" not in request.headers:
        return RedirectResponse(asking(request), 303)
    told = _told(request, reader_of(request)) | {"title": HTTPStatus(status).phrase, "here": "", "sign": None}
    text = _templates().get_template("error.html").render(status=status, detail=detail, **told)
    return answered(request, _sent(text), "text/html", {**(headers or {}), **HEADERS}, status)


def _sent(text: str) -> bytes:
    """Return a page as it is sent; half of a surrogate pair, which a kept record may hold, as JSON escapes it."""
    return text.encode("utf-8", "backslashreplace")


def _told(request: Request, reader: Reader) -> dict[str, Any]:
    """Return what every template is told."""

    def in_zone(name: str | None) -> str:
        asked = {key: request.query_params.getlist(key) for key in request.query_params if key != "zone"}
        return link(request.url.path, asked, zone=name)

    now = datetime.now(UTC)
    return {"request": request, "reader": reader, "link": reader.link, "now": now, "in_zone": in_zone}
