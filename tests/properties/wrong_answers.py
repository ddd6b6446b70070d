"""What can be wrong with a vendor's answers: each is a fault to put in front of a simulator."""

from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from flagtrail.testing import faults
from flagtrail.testing.simulator import Fault, Reply, Request

ELSEWHERE = "http://127.0.0.1:1/"


def changed(name: str, value: Any) -> Fault:
    """Answer with something else in one place, where the answer has that place."""
    return faults.edited(lambda body: body | {name: value} if isinstance(body, dict) and name in body else body)


def doubled(body: Any) -> Any:
    """Show the first item twice in an audit log."""
    for name in ("items", "data"):
        if isinstance(body, dict) and "totalCount" not in body and body.get(name):
            return body | {name: [body[name][0], *body[name]]}
    return body


def one_event_less(body: Any) -> Any:
    """Leave out one flag event, of as many as before."""
    if isinstance(body, dict) and "totalCount" in body and body.get("items"):
        return body | {"items": body["items"][1:]}
    return body


def one_item_less(body: Any) -> Any:
    """Leave out one item, of as many as before; a bare list tells no total, so nobody could know."""
    if isinstance(body, dict) and body.get("paging") and body.get("data"):
        return body | {"data": body["data"][1:]}
    return body


def dated(moment: datetime) -> Fault:
    """Answer with another Date than the vendor's."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        reply.headers["date"] = format_datetime(moment, usegmt=True)
        return reply

    return play


FAULTS: dict[str, Fault] = {
    "500": faults.status(500),
    "503": faults.status(503),
    "429": faults.status(429),
    "429 for no time": faults.status(429, None, {"retry-after": "0"}),
    "401": faults.status(401),
    "403": faults.status(403),
    "404": faults.status(404),
    "a web page": faults.html(),
    "an empty object": faults.body({}),
    "null": faults.body(b"null"),
    "nothing": faults.body(b""),
    "cut off": faults.cut(50),
    "shortened": faults.shortened(60),
    "hung up": faults.reset(),
    "no Date": faults.without_date(),
    "sent away": faults.redirect(ELSEWHERE),
    "sent on": faults.redirect("/elsewhere"),
}
WRONG_DATE = "wrong Date"
