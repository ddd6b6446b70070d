"""Rows to export: an ordinary one, a full one, and odd ones."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from flagtrail.exports.columns import COLUMNS

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
ODD = [
    "",
    "plain",
    "Grüße, 世界 🚀",
    "\x00\x07\x1b[2J\r\n\t\x9b",
    "\ud800 half",
    '"quoted", \\',
    "=1+1",
    "\u2028",
    "null",
]
HUGE = 2**200 + 1


def row(**values: Any) -> dict[str, Any]:
    ordinary: dict[str, Any] = {"number": 7, "id": "0123456789abcdef", "occurred_at": NOON, "first_seen_at": NOON}
    ordinary |= {"source": "acme", "vendor": "launchdarkly", "stream": "audit_log", "vendor_id": "v1", "revision": 1}
    ordinary |= {"actor_kind": "member", "action": "turned_on", "vendor_action": "updateOn"}
    ordinary |= {"truncated": False, "provisional": False}
    return dict.fromkeys(COLUMNS) | ordinary | values


FULL = row(
    actor_id="57be", actor_name="Ada Lovelace", actor_email="ada@example.com", object_kind="flag",
    object_key="checkout", object_name="Checkout", project="web", environment="Production", organization="org 1",
    location="Web / Production", summary="turned on the flag", comment="INC-2231", change_set="cs-1",
    related_event="fedc", url="https://example.com/1", impact={"size": "large"}, truncated=True, revision=3,
    changes=[{"path": "/on", "before": False, "after": {"deep": [1.5, None, HUGE]}}],
    vanished_at=NOON + timedelta(days=1), vanished_reason="hidden",
)  # fmt: skip


def odd_rows() -> Iterator[dict[str, Any]]:
    """Yield rows of which every text column was every odd text, and with what documents can hold."""
    texts = [name for name in COLUMNS if isinstance(FULL[name], str) and name not in ("id", "vendor")]
    for text in ODD:
        yield FULL | dict.fromkeys(texts, text) | {"changes": [{"path": text, "before": text, "after": {text: [text]}}]}
    for value in (HUGE, -HUGE, 1e-300, 0.1, True, None, [], {}, [[{}]]):
        yield row(changes=[{"path": "/x", "before": value, "after": None}], impact={"a": value})
    yield FULL
    yield row()
    yield row(occurred_at=datetime(1970, 1, 1, tzinfo=UTC), vanished_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
