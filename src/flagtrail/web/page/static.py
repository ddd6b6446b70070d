"""The page's own files: styles, scripts, pictures. Nothing of the page comes from elsewhere."""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from flagtrail.web.page.gzipped import answered
from flagtrail.web.problems import Refused

FOLDER = files("flagtrail.web.page").joinpath("static")
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"  # the address changes with what is in the file
router = APIRouter(include_in_schema=False)


@cache
def content(name: str) -> bytes | None:
    """Return what is in a file; None when there is no such."""
    known = {each.name for each in FOLDER.iterdir() if each.name.endswith(tuple(KINDS))}
    return FOLDER.joinpath(name).read_bytes() if name in known else None


@cache
def version() -> str:
    """Return what stands in every address: one for all files, so that a script finds another beside its own."""
    whole = sha256()
    for name in sorted(each.name for each in FOLDER.iterdir()):
        whole.update(name.encode() + b"\0" + (content(name) or b"") + b"\0")
    return whole.hexdigest()[:12]


def address(name: str) -> str:
    """Return the address of a file, which is another one when the content of any file is."""
    assert content(name) is not None, f"the page has no file {name}"
    return f"/static/{version()}/{name}"


@router.get("/static/{asked}/{name}")
def file(request: Request, asked: str, name: str) -> Response:
    """Return a file; an old address gives what is in it now, which is not kept."""
    found = content(name)
    if found is None:
        raise Refused(404, "there is no such part of the page")
    headers = {"Cache-Control": FOREVER} if version() == asked else {}
    return answered(request, found, KINDS[name[name.rindex(".") :]], headers)
