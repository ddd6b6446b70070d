"""OCSF: each event as Entity Management (class 3004 of the category Identity & Access Management).

https://schema.ocsf.io/1.8.0/classes/entity_management. What has no place there stands in `unmapped`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flagtrail import __version__
from flagtrail.event import ActorKind, to_json
from flagtrail.exports.columns import COLUMNS, INSTANTS, instant, present
from flagtrail.exports.verbs import Deed, deed_of
from flagtrail.window import to_ms

VERSION = "1.8.0"
CLASS = 3004
OTHER = 99
ACTIVITIES = {
    Deed.CREATE: (1, "Create"),
    Deed.READ: (2, "Read"),
    Deed.CHANGE: (3, "Update"),
    Deed.DELETE: (4, "Delete"),
}
NAMED = {  # verbs that have an activity of their own
    "turned_on": (8, "Enable"),
    "turned_off": (9, "Disable"),
    "activated": (10, "Activate"),
    "deactivated": (11, "Deactivate"),
}
USERS = {
    ActorKind.MEMBER: (1, "User"),
    ActorKind.TOKEN: (4, "Service"),
    ActorKind.APP: (4, "Service"),
    ActorKind.SYSTEM: (3, "System"),
    ActorKind.UNKNOWN: (0, "Unknown"),
}
EMAIL = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9.-]+", re.ASCII)  # what OCSF's email_t takes
MAPPED = {
    "id", "occurred_at", "first_seen_at", "vendor", "stream", "vendor_id", "actor_id", "actor_name", "actor_email",
    "vendor_action", "object_kind", "object_key", "object_name", "organization", "summary", "comment", "truncated",
    "change_set",
}  # fmt: skip


def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield each event as a line of OCSF in JSON."""
    for row in rows:
        yield to_json(event_of(row)) + b"\n"


def event_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as OCSF's Entity Management."""
    activity_id, activity = _activity(row["action"])
    user = _user(row)
    told = {
        "activity_id": activity_id,
        "activity_name": activity,
        "actor": {"user": user} if user.keys() & {"uid", "name"} else None,
        "category_name": "Identity & Access Management",
        "category_uid": 3,
        "class_name": "Entity Management",
        "class_uid": CLASS,
        "comment": row["comment"],
        "entity": _entity(row),
        "message": row["summary"],
        "metadata": _metadata(row),
        "severity": "Informational",
        "severity_id": 1,
        "time": to_ms(row["occurred_at"]),
        "type_name": f"Entity Management: {activity if activity_id != OTHER else 'Other'}",
        "type_uid": CLASS * 100 + activity_id,
        "unmapped": _unmapped(row, user),
    }
    return {name: value for name, value in told.items() if value is not None}


def _activity(action: str) -> tuple[int, str]:
    return NAMED.get(action) or ACTIVITIES.get(deed_of(action)) or (OTHER, action or "Other")


def _user(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return who acted; without a name the e-mail is it, as OCSF wants one of both or an id."""
    email = row["actor_email"]
    kind = ActorKind(row["actor_kind"]) if row["actor_kind"] in USERS else ActorKind.UNKNOWN
    type_id, type_ = USERS[kind]
    return present(
        {
            "uid": row["actor_id"],
            "name": row["actor_name"] or email,
            "email_addr": email if email and EMAIL.fullmatch(email) else None,
            "type_id": type_id,
            "type": type_,
        }
    )


def _entity(row: Mapping[str, Any]) -> dict[str, Any]:
    name = row["object_name"] or row["object_key"] or row["object_kind"] or "unknown"
    type_id = 2 if row["object_kind"] == "member" else OTHER
    return present({"uid": row["object_key"], "name": name, "type": row["object_kind"] or "unknown"}) | {
        "type_id": type_id
    }


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    return present(
        {
            "version": VERSION,
            "product": {"name": row["vendor"], "vendor_name": row["vendor"]},
            "uid": row["id"],
            "original_event_uid": row["vendor_id"],
            "original_time": instant(row["occurred_at"]),
            "logged_time": to_ms(row["first_seen_at"]),
            "event_code": row["vendor_action"],
            "log_name": row["stream"],
            "log_provider": "flagtrail",
            "loggers": [{"name": "flagtrail", "version": __version__}],
            "tenant_uid": row["organization"],
            "correlation_uid": row["change_set"],
            "is_truncated": row["truncated"],
        }
    )


def _unmapped(row: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: row[name] for name in COLUMNS if name not in MAPPED and row[name] is not None}
    if row["actor_email"] and "email_addr" not in user:
        rest["actor_email"] = row["actor_email"]
    return rest | {name: instant(rest[name]) for name in INSTANTS if name in rest}
