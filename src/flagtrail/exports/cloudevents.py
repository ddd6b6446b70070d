"""CloudEvents 1.0 in structured JSON, an event a line.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md. An event that has other content by
now has another id, as the source and the id together must be of one content only.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from flagtrail.event import to_json
from flagtrail.exports.columns import as_json, instant, present

TYPE = "flagtrail.change."
# What no attribute may hold: control characters, halves of surrogate pairs, and what is no character.
FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)


def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield each event as a line of structured JSON."""
    for row in rows:
        yield to_json(event_of(row)) + b"\n"


def event_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as a CloudEvent, whose `data` is what JSON lines hold."""
    where = (row["project"], row["environment"], row["object_kind"], row["object_key"] or row["object_name"])
    attributes = {
        "specversion": "1.0",
        "id": row["id"] if row["revision"] == 1 else f"{row['id']}.{row['revision']}",
        "source": f"/flagtrail/{_quoted(row['source'])}/{_quoted(row['stream'])}",
        "type": TYPE + _clean(row["action"]),
        "subject": "/".join(_clean(part) for part in where if part),
        "time": instant(row["occurred_at"]),
        "datacontenttype": "application/json",
    }
    return present(attributes) | {"data": as_json(row)}


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")
