"""The address of what happens now: each event as server-sent events have it, once, as soon as it is stored."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event as Flag
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from flagtrail import query
from flagtrail.event import to_json
from flagtrail.exports.columns import as_json
from flagtrail.follow import follow, number_of, position_of, start
from flagtrail.question import LARGEST
from flagtrail.store import Store
from flagtrail.web.access import Asked, reads, still_granted
from flagtrail.web.asking import Filters, question
from flagtrail.web.flowing import Flowing
from flagtrail.web.problems import Refused

RETRY = 3000  # milliseconds after which a client comes back by itself
QUIET = 15.0  # seconds without an event after which a line says that the connection lives: proxies end idle ones
CHECKED = 10.0  # seconds after which it is looked up again whether the one who listens may
router = APIRouter(tags=["events"])
Position = Annotated[
    str | None,
    Header(
        max_length=100,
        json_schema_extra={"format": "position"},
        description="the id of the last event that came: what was stored since is sent first",
    ),
]


class LiveFilters(Filters):
    """Which events are told as they are stored."""

    after: Annotated[str | None, Field(max_length=100, description="the same as Last-Event-ID, for the first time")] = (
        None
    )


@router.get(
    "/live",
    response_class=Response,
    responses={200: {"description": "events without end", "content": {"text/event-stream": {}}}},
    dependencies=[reads],
)
def live(
    request: Request, trail: Asked, asked: Annotated[LiveFilters, Query()], last_event_id: Position = None
) -> Response:
    """Tell each event as it is stored, from now on or after the last one that came; see "server-sent events".

    Events come in the order of storing: a change that is read late comes late, and none is left out. When the token
    expires or is revoked, the answer ends within seconds.
    """
    wanted = replace(question(trail, asked), oldest_first=False)
    place = last_event_id or asked.after
    if place is not None and not _is_position(place):
        raise Refused(422, "Last-Event-ID: this is no id that was sent from here")

    def chunks(flag: Flag) -> Iterator[bytes]:
        return told(trail.store, wanted, place, flag, lambda: still_granted(request, trail))

    return Flowing(trail.live, chunks, "text/event-stream")


def told(store: Store, wanted: query.Query, place: str | None, flag: Flag, may: Callable[[], bool]) -> Iterator[bytes]:
    """Yield events as they are stored after a position, and nothing at each look.

    It ends when the flag is set, and soon after the one who listens may not any more.
    """
    position = place or start(store, flag)
    if position is None:
        return
    rows = follow(store, wanted, position, flag)
    try:
        first = next(rows, None)  # before anything is sent: it may be the position of another database
    except ValueError as error:
        raise Refused(422, f"Last-Event-ID: {error}") from None
    yield f"retry: {RETRY}\nid: {position}\n\n".encode()
    if first is not None:
        yield sent(first)
    since = checked = time.monotonic()
    for row in rows:
        if time.monotonic() - checked >= CHECKED:
            if not may():
                return
            checked = time.monotonic()
        if row is not None:
            yield sent(row)
        elif time.monotonic() - since < QUIET:
            yield b""
            continue
        else:
            yield b": still here\n\n"
        since = time.monotonic()


def sent(row: dict[str, object]) -> bytes:
    """Return an event as server-sent events have it."""
    return b"id: %s\nevent: change\ndata: %s\n\n" % (position_of(row).encode(), to_json(as_json(row)))


def _is_position(text: str) -> bool:
    try:
        return 0 <= number_of(text) < LARGEST
    except ValueError:
        return False
