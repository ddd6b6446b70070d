"""What tests of notices share: a place that takes messages over real HTTP, rules, and events."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from flagtrail.event import Event, from_json
from flagtrail.notices.collecting import Collector, Rule
from flagtrail.notices.outbox import To
from flagtrail.notices.settings import About
from flagtrail.query import Query
from flagtrail.rows import Reading
from flagtrail.store import Store

SOON = 0.02  # seconds between two looks


class Got(NamedTuple):
    """A message as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def json(self) -> Any:
        return from_json(self.body)

    @property
    def ids(self) -> list[str]:
        """The vendor's ids of the changes, from a batch of CloudEvents."""
        return [one["data"]["vendor_id"] for one in self.json]


class Place:
    """A server that takes messages; it answers with `answers` first, each a status and headers, and then with 200."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: deque[tuple[int, dict[str, str], bytes]] = deque()
        self.before: Callable[[Got], None] = lambda got: None
        place = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                place.before(got)
                place.got.append(got)
                status, headers, text = place.answers.popleft() if place.answers else (200, {}, b"ok")
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that hang up are expected
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, status: int, text: bytes = b"", **headers: str) -> None:
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, text))

    def has(self, number: int, seconds: float = 20.0) -> list[Got]:
        """Return what arrived once it is so many."""
        deadline = time.monotonic() + seconds
        while len(self.got) < number:
            assert time.monotonic() < deadline, f"{len(self.got)} of {number} messages arrived"
            time.sleep(0.01)
        return self.got


@contextmanager
def place() -> Iterator[Place]:
    """Give a server that takes messages."""
    made = Place()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


def add(store: Store, *ids: str, source: str = "acme", ago: timedelta = timedelta(), **values: Any) -> None:
    """Store events that happened just now, or some time ago."""
    told: dict[str, Any] = {
        "occurred_at": datetime.now(UTC) - ago, "actor_name": "Ana", "action": "turned_on", "vendor_action": "updateOn",
        "object_kind": "flag", "object_key": "checkout", "project": "web", "environment": "production",
        "summary": "turned on the flag checkout",
    }  # fmt: skip
    events = [Event(**{**told, "vendor_id": id} | values) for id in ids]
    page = [(event, {"id": event.vendor_id} | values) for event in events]
    store.add(source, "launchdarkly", [Reading("audit_log", page)])


def rule(name: str = "prod", query: Query | None = None, **values: Any) -> Rule:
    """Return a rule that tells a sink `ops` of changes."""
    told: dict[str, Any] = {
        "to": [To("ops", 10, sums_up=True)], "about": [About.CHANGES], "group": timedelta(), "quiet": None,
        "older": timedelta(days=1),
    }  # fmt: skip
    return Rule(name, query or Query(), **told | values)


def collector(store: Store, *rules: Rule) -> Collector:
    """Return a collector for rules that have begun."""
    made = Collector(store, rules, SOON)
    made.collect()
    return made
