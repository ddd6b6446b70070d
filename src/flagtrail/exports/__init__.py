"""Writes events in forms that other programs read; each form is one module with one pure function from rows to bytes.

Rows are what `flagtrail.query.events` yields. All but Parquet are streams of lines, so that a file, a terminal and an
HTTP answer can be made of them alike, with flat memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from importlib import import_module
from typing import Any


class Format(StrEnum):
    """How events are written for other programs."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    OCSF = "ocsf"
    ECS = "ecs"
    CLOUDEVENTS = "cloudevents"


MEDIA_TYPES = {  # of those that are lines; Parquet is a folder of files
    Format.JSONL: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.OCSF: "application/x-ndjson",
    Format.ECS: "application/x-ndjson",
    Format.CLOUDEVENTS: "application/x-ndjson",  # of structured JSON, an event a line
}


def lines(form: Format, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield events in a form as whole lines in UTF-8; Parquet is not made of lines: see `parquet.write`."""
    assert form in MEDIA_TYPES, f"{form} is not made of lines"
    written: Callable[[Iterable[Mapping[str, Any]]], Iterator[bytes]] = import_module(f"{__name__}.{form}").lines
    return written(rows)
