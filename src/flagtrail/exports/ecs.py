"""ECS, the Elastic Common Schema: each event as a document of the category `configuration`.

https://www.elastic.co/docs/reference/ecs. What has no field there stands under `flagtrail`. Values that are of another
type each time, the before and after of a change, are JSON in texts: an index would refuse the document otherwise.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flagtrail.event import to_json
from flagtrail.exports.columns import COLUMNS, INSTANTS, instant, present
from flagtrail.exports.verbs import Deed, deed_of

VERSION = "8.17.0"
TYPES = {  # those that the category `configuration` allows
    Deed.CREATE: "creation",
    Deed.READ: "access",
    Deed.CHANGE: "change",
    Deed.DELETE: "deletion",
    Deed.TELL: "info",
    Deed.UNKNOWN: "info",
}
MAPPED = {
    "id", "occurred_at", "first_seen_at", "vendor", "stream", "actor_id", "actor_name", "actor_email", "action",
    "vendor_action", "organization", "summary", "comment", "url", "changes", "impact",
}  # fmt: skip


def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield each event as a line of ECS in JSON."""
    for row in rows:
        yield to_json(document_of(row)) + b"\n"


def document_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as an ECS document."""
    who = [row[name] for name in ("actor_id", "actor_name", "actor_email") if row[name]]
    return present(
        {
            "@timestamp": instant(row["occurred_at"]),
            "ecs": {"version": VERSION},
            "message": row["summary"],
            "event": {
                "kind": "event",
                "category": ["configuration"],
                "type": [TYPES[deed_of(row["action"])]],
                "action": row["action"],
                "code": row["vendor_action"],
                "id": row["id"],
                "module": row["vendor"],
                "provider": row["vendor"],
                "dataset": f"{row['vendor']}.{row['stream'].partition('[')[0]}",
                "reason": row["comment"],
                "created": instant(row["first_seen_at"]),
                "url": row["url"],
            },
            "user": {
                "id": row["actor_id"],
                "name": row["actor_email"] or row["actor_name"] or row["actor_id"],
                "full_name": row["actor_name"],
                "email": row["actor_email"],
            },
            "related": {"user": list(dict.fromkeys(who))},
            "organization": {"id": row["organization"]},
            "labels": {name: row[name] for name in ("source", "project", "environment")},
            "flagtrail": _rest(row),
        }
    )


def _rest(row: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: row[name] for name in COLUMNS if name not in MAPPED}
    rest |= {name: instant(row[name]) for name in INSTANTS if name in rest}
    rest["stream"] = row["stream"]
    if row["impact"] is not None:
        rest["impact"] = to_json(row["impact"]).decode()
    if row["changes"] is not None:
        rest["changes"] = [
            {"path": change["path"]} | {name: to_json(change[name]).decode() for name in ("before", "after")}
            for change in row["changes"]
        ]
    return rest
