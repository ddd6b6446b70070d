"""Draws what every page has: its reader's zone and theme, the sign of trust, the head, and errors as pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from flagtrail import __version__
from flagtrail.web.access import Trail
from flagtrail.web.page import static
from flagtrail.web.page.sentence import sentence, vendor_of
from flagtrail.web.page.sign import sign
from flagtrail.web.page.wording import served_in_words
from flagtrail.window import iso

ZONE, THEME = "flagtrail_zone", "flagtrail_theme"  # cookies, set by the page's own script; they hold no secret
THEMES = ("light", "dark")
# Trusted types: no script of the page can turn a text into markup, whatever it does with it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at a page: in which zone, and whether in a theme of their own choice."""

    zone: tzinfo
    zone_name: str
    theme: str | None

    def local(self, instant: datetime) -> datetime:
        """Return an instant in the reader's zone."""
        return instant.astimezone(self.zone)


def reader_of(request: Request) -> Reader:
    """Return who looks: `zone` in the address goes before the browser's, so that a link shows everybody the same."""
    theme = request.cookies.get(THEME)
    for name in (request.query_params.get("zone"), request.cookies.get(ZONE)):
        zone = _zone(name) if name else None
        if zone and name:
            return Reader(zone, name, theme if theme in THEMES else None)
    return Reader(UTC, "UTC", theme if theme in THEMES else None)


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return None


def link(path: str, values: Mapping[str, Any] | None = None, **more: Any) -> str:
    """Return an address with parameters; those without a value are left out, lists stand once for each value."""
    said = {name: value for name, value in {**(values or {}), **more}.items() if value not in (None, "", [], ())}
    return f"{path}?{urlencode(said, doseq=True)}" if said else path


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("flagtrail.web.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(
        link=link,
        static=static.address,
        version=__version__,
        vendor_of=vendor_of,
        sentence=sentence,
        words=served_in_words,
    )
    made.filters.update(iso=iso, count=lambda number: f"{number:,}")
    return made


def page(
    request: Request, trail: Trail, template: str, *, title: str, here: str, status: int = 200, **values: Any
) -> HTMLResponse:
    """Return a page: a template with what every page needs; `here` is the place in the menu that it belongs to."""
    reader = reader_of(request)
    told = {"reader": reader, "now": datetime.now(UTC), "title": title, "here": here, "sign": sign(trail)}
    text = _templates().get_template(template).render(request=request, **told, **values)
    return HTMLResponse(text, status, {"Content-Security-Policy": POLICY})


def error_page(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Return a problem as a page."""
    told = {"reader": reader_of(request), "now": datetime.now(UTC), "title": HTTPStatus(status).phrase}
    text = (
        _templates()
        .get_template("error.html")
        .render(request=request, here="", sign=None, status=status, detail=detail, **told)
    )
    return HTMLResponse(text, status, {**(headers or {}), "Content-Security-Policy": POLICY})
