"""JSON lines: every column of an event on a line of its own, from which `read` makes the same row again."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from flagtrail.event import from_json, to_json
from flagtrail.exports.columns import INSTANTS, as_json


def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield each event as a line of JSON."""
    for row in rows:
        yield to_json(as_json(row)) + b"\n"


def read(exported: Iterable[str | bytes]) -> Iterator[dict[str, Any]]:
    """Yield the rows that lines were made of, equal in every column; raises ValueError for what is no such line."""
    for number, line in enumerate(exported, start=1):
        row = from_json(line)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no event")  # noqa: TRY004
        for name in INSTANTS:
            if row.get(name) is not None:
                row[name] = datetime.fromisoformat(row[name]).astimezone(UTC)
        yield row
