"""The columns of an exported event, in order: those of the table `event` but the number, which is of one store."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flagtrail.window import iso

COLUMNS = ("id", "occurred_at", "source", "vendor", "stream", "vendor_id", "actor_kind", "actor_id", "actor_name",
           "actor_email", "action", "vendor_action", "object_kind", "object_key", "object_name", "project",
           "project_name", "environment", "environment_name", "organization", "location", "summary", "comment",
           "changes", "impact", "truncated", "provisional", "change_set", "related_event", "url", "first_seen_at",
           "revision", "vanished_at", "vanished_reason")  # fmt: skip
INSTANTS = ("occurred_at", "first_seen_at", "vanished_at")
BOOLEANS = ("truncated", "provisional")
INTEGERS = ("revision",)
DOCUMENTS = ("changes", "impact")


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's columns as JSON holds them: instants are UTC text with milliseconds."""
    told = {name: row[name] for name in COLUMNS}
    for name in INSTANTS:
        told[name] = instant(row[name])
    return told


def instant(at: datetime | None) -> str | None:
    """Return an instant as UTC text with milliseconds."""
    return None if at is None else iso(at.astimezone(UTC))


def present(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told, without what is not: no nulls and nothing empty, in documents inside it either."""
    kept = {name: present(value) if isinstance(value, Mapping) else value for name, value in told.items()}
    return {name: value for name, value in kept.items() if value is not None and value not in ("", {}, [])}
