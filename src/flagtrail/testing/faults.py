"""Faults to put in front of a simulator with `Simulator.inject`: each is a function that returns one."""

import gzip
from collections.abc import Callable
from typing import Any

import orjson

from flagtrail.testing.simulator import Fault, Reply, Request

Answer = Callable[[], Reply]


def status(code: int, body: Any = None, headers: dict[str, str] | None = None) -> Fault:
    """Answer with a status instead of the vendor."""
    return lambda request, answer: Reply(code, body, dict(headers or {}))


def html(code: int = 200) -> Fault:
    """Answer with a web page, as a captive portal or a broken proxy does."""
    page = b"<!doctype html><title>Sign in</title><h1>Welcome to the network</h1>"
    return lambda request, answer: Reply(code, page, {"content-type": "text/html"})


def body(value: Any) -> Fault:
    """Answer 200 with this JSON value, or these bytes, instead of the vendor's."""
    return lambda request, answer: Reply(200, value)


def redirect(location: str, code: int = 307) -> Fault:
    """Point to another place."""
    return lambda request, answer: Reply(code, None, {"location": location})


def reset() -> Fault:
    """Hang up before anything is said."""
    return lambda request, answer: Reply(reset=True)


def cut(length: int = 100) -> Fault:
    """Promise the whole body, send its first bytes, hang up."""
    return _changed(lambda reply: setattr(reply, "cut", length))


def shortened(length: int = 100) -> Fault:
    """Send the first bytes of the body as if they were the whole: only the JSON tells."""

    def play(request: Request, answer: Answer) -> Reply:
        reply = answer()
        reply.body = _bytes(reply.body)[:length]
        return reply

    return play


def hang(seconds: float) -> Fault:
    """Be silent for a while before the answer."""
    return _changed(lambda reply: setattr(reply, "delay", seconds))


def drip(seconds: float) -> Fault:
    """Send the body byte by byte, with a pause after each."""
    return _changed(lambda reply: setattr(reply, "drip", seconds))


def without_date() -> Fault:
    """Leave the Date header out."""
    return _changed(lambda reply: setattr(reply, "date", False))


def edited(edit: Callable[[Any], Any]) -> Fault:
    """Change the parsed body of the vendor's answer; `edit` returns the new one."""

    def play(request: Request, answer: Answer) -> Reply:
        reply = answer()
        reply.body = edit(reply.body)
        return reply

    return play


def gzip_bomb(size: int = 300 * 2**20) -> Fault:
    """Answer with a small packed body that unpacks to `size` bytes."""
    packed = gzip.compress(bytes(size))
    return lambda request, answer: Reply(200, packed, {"content-encoding": "gzip"})


def _changed(change: Callable[[Reply], None]) -> Fault:
    def play(request: Request, answer: Answer) -> Reply:
        reply = answer()
        change(reply)
        return reply

    return play


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else orjson.dumps(value)
