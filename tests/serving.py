"""What tests of the HTTP API share: a trail with some events, and the API served over a real connection."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from flagtrail.connector import Stream
from flagtrail.event import Event, Ref
from flagtrail.people import People
from flagtrail.rows import Reading
from flagtrail.serving import Address, ServeSettings
from flagtrail.store import Store
from flagtrail.web.server import Server
from flagtrail.window import Window

START = datetime(2026, 3, 1, tzinfo=UTC)
LOG = "audit_log"
COUNT = 130  # events, 10 minutes apart


def event(number: int, **values: Any) -> Event:
    """Return a made-up event."""
    told: dict[str, Any] = {
        "vendor_id": f"e{number}", "occurred_at": START + timedelta(minutes=10 * number), "actor_name": "Ada Lovelace",
        "actor_email": "ada@example.com", "vendor_action": "updateOn",
        "action": ("turned_on", "turned_off")[number % 2], "object_kind": "flag",
        "object_key": f"checkout-{number % 5}", "project": "web",
        "environment": ("production", "test")[number % 2], "summary": f"turned the flag checkout-{number % 5}",
        "changes": [{"path": "on", "before": bool(number % 2), "after": not number % 2}],
    }  # fmt: skip
    return Event(**told | values)


def fill(store: Store) -> None:
    """Store a trail whose last part was not read."""
    page = [(event(number), {"_id": f"e{number}", "big": 10**30}) for number in range(COUNT)]
    effect = event(1, vendor_id="f1", related_event=Ref(LOG, "e1"), impact={"size": "large", "percentage": 60.0})
    covered = Window(START, START + timedelta(days=1))
    store.note_source("acme", "launchdarkly", None)
    store.register("acme", "launchdarkly", Stream(LOG), wanted_since=START)
    store.note("acme", LOG, settled_at=START + timedelta(days=2))
    store.add("acme", "launchdarkly", [Reading(LOG, page, covers=covered)])
    store.add("acme", "launchdarkly", [Reading("flag_events[web/test]", [(effect, {"_id": "f1"})])])


@contextmanager
def served(
    url: str, configured: Collection[str] = (), people: People | None = None, **settings: Any
) -> Iterator[httpx.Client]:
    """Serve the trail of a database, and give a client that asks it."""
    chosen = ServeSettings(**{"listen": Address("127.0.0.1", 0)} | settings)
    server = Server(url, chosen, configured, people, again=0.1)
    server.start()
    try:
        assert server.listens.wait(20)
        with httpx.Client(base_url=f"http://{server.address}", timeout=20) as client:
            yield client
    finally:
        server.stop()
        assert server.wait(10)
