"""Tells whether a request comes from a page of ours, and whether over TLS; browsers let no page forge the first."""

from starlette.datastructures import Headers


def is_own(headers: Headers, scheme: str) -> bool:
    """Return whether the Origin of a request is our own, by the name in its Host header, which is ours already.

    Behind a proxy with TLS the Origin begins with https, and the request that comes here does not. That is believed
    when the proxy says so, or the browser itself that both are the same: `Sec-Fetch-Site`. No page of another origin
    can add such a header without asking first, which is refused.
    """
    site = headers.get("sec-fetch-site")
    if site not in (None, "same-origin"):
        return False
    schemes = ["https"] if over_tls(headers, scheme) else [scheme, "https"] if site else [scheme]
    return headers.get("origin", "").lower() in [f"{each}://{headers['host'].lower()}" for each in schemes]


def over_tls(headers: Headers, scheme: str) -> bool:
    """Return whether who asks speaks TLS, to us or to the proxy before us.

    Nobody but the one who asks is harmed by a lie about it: a cookie for TLS only is not kept without.
    """
    told = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    elements = headers.get("forwarded", "").partition(",")[0].lower().replace('"', "").replace(" ", "").split(";")
    return scheme == "https" or told == "https" or "proto=https" in elements
