"""What the tests of faults share: one look at a vendor, what it claims, and a box between us and the vendor."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, Self
from urllib.parse import urlsplit

from flagtrail.connector import Connector
from flagtrail.report import Report
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Gap, Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Fault, Reply, Request, Simulator
from flagtrail.window import Window

ALWAYS = 10_000  # times that a lasting fault is played
DAY_MS = 86_400_000
FLAG_EVENTS = "/engineering-insights/flag-events"
AUDIT_LOG = "/api/v2/auditlog?"
LISTS = {"launchdarkly": AUDIT_LOG, "configcat": "auditlogs?"}


def source_of(vendor: Simulator, connector: Connector | None = None, source: str = "acme", **more: Any) -> Source:
    """Return a source that wants the last six days of a vendor."""
    return Source(source, connector or vendor.connect(), **({"start": timedelta(days=6), "parallel": 3} | more))


def audit_log_only(vendor: Simulator) -> Connector:
    """Return a connector for LaunchDarkly that leaves its flag events out."""
    return vendor.connect().model_copy(update={"flag_events": False})


def sync(vendor: Simulator, store: Store, *, attempts: int = 6, **more: Any) -> Report:
    """Look at a vendor once, as a program does that was just started."""
    with Session(source_of(vendor, **more), store) as session:
        session.api.attempts = attempts
        return session.fill()


def covered(store: Store, stream: str | None = None) -> list[Window]:
    """Return every covered window, of one stream or of all."""
    return [window for one in status(store) if stream in (None, one.state.stream) for window in one.covered]


def gaps(store: Store) -> list[Gap]:
    """Return every gap that is told of."""
    return [gap for one in status(store) for gap in one.gaps]


def dated(moment: Callable[[], datetime]) -> Fault:
    """Answer with another Date than the vendor's."""
    return with_header("date", lambda: format_datetime(moment(), usegmt=True))


def with_header(name: str, value: Callable[[], str]) -> Fault:
    """Answer with another value of a header."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        reply.headers[name] = value()
        return reply

    return play


def before_answer(act: Callable[[], object]) -> Fault:
    """Let something happen at the vendor between a request and its answer."""

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        act()
        return answer()

    return play


Mangle = Callable[[bytes], Iterator[bytes]]
"""Cuts an answer into what is sent of it, one part after another; raises ConnectionResetError to end with a reset."""


class Middle:
    """A box between us and a vendor that sees every byte: it delays, cuts and resets below what HTTP allows.

    `mangle` changes what goes back to us; None lets everything pass.
    """

    def __init__(self, vendor: Simulator) -> None:
        self.mangle: Mangle | None = None
        self._vendor = urlsplit(vendor.url)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._pass_on, args=(self._listener.accept()[0],), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := _message(client):
                address = (str(self._vendor.hostname), int(self._vendor.port or 80))
                with socket.create_connection(address) as vendor:
                    vendor.sendall(request)
                    answer = _message(vendor)
                mangle = self.mangle
                if mangle is None:
                    client.sendall(answer)
                    continue
                try:
                    for part in mangle(answer):
                        client.sendall(part)
                except ConnectionResetError:
                    # SO_LINGER 0 makes close() send a reset instead of an orderly end.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return


def drip(start: int, seconds: float) -> Mangle:
    """Send what follows the first bytes one by one, with a pause before each."""

    def play(answer: bytes) -> Iterator[bytes]:
        yield answer[:start]
        for place in range(start, len(answer)):
            time.sleep(seconds)
            yield answer[place : place + 1]

    return play


def reset_after(length: int) -> Mangle:
    """Send the first bytes, or all but the last when it has fewer, then reset the connection."""

    def play(answer: bytes) -> Iterator[bytes]:
        yield answer[: min(length, len(answer) - 1)]
        time.sleep(0.01)  # a reset overtakes bytes that were not read yet
        raise ConnectionResetError

    return play


def _message(connection: socket.socket) -> bytes:
    """Return one HTTP message with a length, or nothing at the end of the connection."""
    found = b""
    while b"\r\n\r\n" not in found:
        if not (more := connection.recv(65536)):
            return b""
        found += more
    head, _, body = found.partition(b"\r\n\r\n")
    lines = [line.lower() for line in head.split(b"\r\n")]
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body
