"""Sends pages and their parts in fewer bytes to who takes that; no page holds a secret that its size could tell."""

from collections.abc import Mapping
from gzip import compress

from fastapi import Request, Response

LEAST = 1000  # bytes: less fits one packet anyway
LEVEL = 5  # one millisecond for a page, which becomes a sixth


def answered(
    request: Request, content: bytes, media_type: str, headers: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    """Return an answer, gzipped if that is taken."""
    told = {"Vary": "Accept-Encoding", **(headers or {})}
    if len(content) >= LEAST and _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(compress(content, LEVEL, mtime=0), status, told | {"Content-Encoding": "gzip"}, media_type)
    return Response(content, status, told, media_type)


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        name, _, rest = part.partition(";")
        if name.strip() == "gzip":
            return rest.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
