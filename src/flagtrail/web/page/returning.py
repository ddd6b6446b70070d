"""Tells where one goes after signing in: back to where one came from, and never to another site."""

from urllib.parse import quote, urlsplit

from fastapi import Request

START = "/"
LONGEST = 2000  # characters of an address that one is led back to


def local(address: str | None) -> str:
    """Return an address of ours, as it was given if it is one, and the start page for anything else.

    Browsers read `\\` as `/`, and leave out tabs and line ends: what holds one of them could be the name of a host.
    """
    if not address or len(address) > LONGEST or not address.startswith("/") or address.startswith("//"):
        return START
    if "\\" in address or not address.isprintable() or " " in address:
        return START
    try:
        parts = urlsplit(address)
    except ValueError:
        return START
    return START if parts.scheme or parts.netloc or parts.path in ("/signin", "/signout") else address


def asking(request: Request) -> str:
    """Return the address at which a token is asked for, from where one comes back to what a request wanted."""
    query = request.scope["query_string"].decode("latin-1")
    here = request.scope["raw_path"].decode("latin-1").partition("?")[0] + (f"?{query}" if query else "")
    back = local(here)
    return "/signin" if back == START else f"/signin?next={quote(back, safe='/')}"
