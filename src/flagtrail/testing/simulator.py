"""A vendor's API on 127.0.0.1, over real HTTP, with the truth kept and every fault at hand.

A connector's own `simulator.py` subclasses `Simulator`: it keeps entries, and answers requests from them. Faults are
small middlewares (see `flagtrail.testing.faults`) put in front of it. It serves the demo, the conformance suite, the
tests and the benchmarks.
"""

import json
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

import orjson

from flagtrail.connector import Connector
from flagtrail.event import Record
from flagtrail.window import from_ms


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; header names in lower case; `json` is the parsed body, None without one."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: Any = None
    status: int = 0


@dataclass(slots=True)
class Reply:
    """One answer, and how it is put on the wire.

    `body` is bytes, or anything JSON can hold. `delay` is seconds of silence before it; `drip` is seconds between
    single bytes; `cut` sends only so many bytes of the body and hangs up; `reset` hangs up before anything is sent.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    date: bool = True
    delay: float = 0.0
    drip: float = 0.0
    cut: int | None = None
    reset: bool = False


Fault = Callable[[Request, Callable[[], Reply]], Reply]
"""Answers a request instead of the vendor, or changes what the vendor answers (the second argument gives that)."""


@dataclass(slots=True)
class _Injection:
    fault: Fault
    match: str
    times: int
    skip: int


class Clock:
    """The vendor's clock: the real time, moved by `advance`."""

    def __init__(self) -> None:
        self._ahead_ms = 0

    def ms(self) -> int:
        """Return the vendor's present time in milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000 + self._ahead_ms

    def advance(self, seconds: float) -> None:
        """Move the vendor's clock; negative seconds move it back."""
        self._ahead_ms += int(seconds * 1000)


@dataclass
class Quota:
    """A vendor's request limit: `limit` requests in each span of `window_ms`, counted like the vendors do."""

    limit: int
    window_ms: int
    _window: int = -1
    _used: int = 0

    def take(self, now_ms: int) -> tuple[bool, int, int]:
        """Count a request; return whether it is allowed, how many remain, and when (epoch ms) the span ends."""
        window = now_ms // self.window_ms
        if window != self._window:
            self._window, self._used = window, 0
        self._used += 1
        return self._used <= self.limit, max(0, self.limit - self._used), (window + 1) * self.window_ms


class Simulator(ABC):
    """A vendor on loopback. Use it as a context manager, or `start` and `stop` it.

    `requests` is the log of what was asked, in order. `clock` is the vendor's clock. `latency` is seconds added to each
    answer. Subclasses answer in `reply` while holding no lock of their own: `lock` is held around it.
    """

    connector: ClassVar[type[Connector]]

    def __init__(self) -> None:
        self.clock = Clock()
        self.latency = 0.0
        self.requests: list[Request] = []
        self.lock = threading.RLock()
        self._injections: list[_Injection] = []
        self._server: _Server | None = None

    @abstractmethod
    def reply(self, request: Request) -> Reply:
        """Return what the vendor answers."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the connector's settings for this simulator; secrets are SecretStr."""

    @abstractmethod
    def fill(self, records: int, days: float = 365.0, seed: int = 0) -> None:
        """Add a realistic history that ends now: about `records` entries, ties, bursts and oddities among them."""

    @abstractmethod
    def happen(self) -> None:
        """Let one more change happen now, as the demo does every few seconds."""

    @abstractmethod
    def truth(self) -> dict[str, dict[str, int]]:
        """Return every entry that can be seen now: stream name → vendor id → time in ms since the epoch."""

    @abstractmethod
    def shown(self, stream: str, vendor_id: str) -> Record:
        """Return one entry exactly as the vendor's list shows it."""

    def connect(self) -> Connector:
        """Return a connector set up for this simulator."""
        return self.connector(**self.settings())

    @property
    def url(self) -> str:
        """The base URL, such as http://127.0.0.1:41234; only while started."""
        assert self._server is not None, "the simulator is not started"
        return f"http://127.0.0.1:{self._server.server_port}"

    def inject(self, fault: Fault, *, match: str = "", times: int = 1, skip: int = 0) -> None:
        """Play a fault on the next `times` requests whose path and query contain `match`, after letting `skip` pass."""
        with self.lock:
            self._injections.append(_Injection(fault, match, times, skip))

    def heal(self) -> None:
        """Forget every fault that is still waiting."""
        with self.lock:
            self._injections.clear()

    def start(self, port: int = 0) -> Self:
        """Listen on loopback, on a free port by default."""
        self._server = _Server(self, port)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def answer(self, request: Request) -> Reply:
        """Return the vendor's answer, changed by the faults that wait for such a request."""
        with self.lock:
            fault = self._next_fault(request)

        def vendor() -> Reply:
            with self.lock:
                return self.reply(request)

        reply = fault(request, vendor) if fault else vendor()
        with self.lock:
            self.requests.append(replace(request, status=reply.status))
        return reply

    def _next_fault(self, request: Request) -> Fault | None:
        asked = request.path + "?" + "&".join(f"{key}={value}" for key, value in request.query.items())
        for injection in self._injections:
            if injection.match not in asked:
                continue
            if injection.skip > 0:
                injection.skip -= 1
                continue
            injection.times -= 1
            if injection.times <= 0:
                self._injections.remove(injection)
            return injection.fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, simulator: Simulator, port: int) -> None:
        self.simulator = simulator
        super().__init__(("127.0.0.1", port), _Connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the request log is `Simulator.requests`."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(sent) if sent else None
        except ValueError:
            body = sent.decode("utf-8", "replace")
        headers: Mapping[str, str] = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(self.command, parts.path, query, dict(headers), body)
        simulator = self.server.simulator
        reply = simulator.answer(request)
        pause = simulator.latency + reply.delay
        if pause:
            time.sleep(pause)
        if reply.reset:
            # SO_LINGER 0 makes close() send a TCP reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        self._send(reply, simulator.clock.ms())

    def _send(self, reply: Reply, now_ms: int) -> None:
        body = reply.body if isinstance(reply.body, bytes) else b"" if reply.body is None else orjson.dumps(reply.body)
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        if reply.date:
            headers["date"] = format_datetime(from_ms(now_ms).astimezone(UTC).replace(microsecond=0), usegmt=True)
        headers.update(reply.headers)
        self.send_response_only(reply.status)
        for name, value in headers.items():
            if value:  # an empty value takes the header away
                self.send_header(name, value)
        self.end_headers()
        if reply.cut is not None:
            self.wfile.write(body[: reply.cut])
            self.close_connection = True
        elif reply.drip:
            for i in range(len(body)):
                self.wfile.write(body[i : i + 1])
                self.wfile.flush()
                time.sleep(reply.drip)
        else:
            self.wfile.write(body)
        self.wfile.flush()


def http_date(now_ms: int) -> str:
    """Return an HTTP date for a count of milliseconds since the epoch."""
    return format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC), usegmt=True)
