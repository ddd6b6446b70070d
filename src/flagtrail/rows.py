"""Turns events into rows: their ids, their columns, and the digest by which other content is known."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from flagtrail.event import Event, Record, Ref, to_json
from flagtrail.window import Window

BLANK = frozenset(name for name, field in Event.model_fields.items() if field.default is None)  # may say nothing


class Reading(NamedTuple):
    """What one page said, ready to be stored: events with records, the window they prove, or the gap they leave.

    `log` is the name that the events stand under, where it is not that of the stream. `detailed` holds the vendor ids
    of the events whose full form is to be fetched too. `read_at` is when the answer came, by our clock: it says nothing
    about entries that were stored with other content since. `thorough` lets rows be compared that seem unchanged.
    """

    stream: str
    events: Sequence[tuple[Event, Record]]
    covers: Window | None = None
    gap: tuple[Window, str, int | None] | None = None
    log: str = ""
    detailed: Collection[str] = ()
    read_at: datetime | None = None
    thorough: bool = False


def event_id(source: str, log: str, vendor_id: str) -> str:
    """Return the id of an event: the same for the same entry of a log of a source, always."""
    return hashlib.sha256(f"{source}\0{log}\0{vendor_id}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Row(NamedTuple):
    """One event, ready to be written; `stream` is the one that told of it, `detailed` whether there is more to ask.

    Many wait at a time, so it holds nothing of the event but the columns.
    """

    id: str
    stream: str
    detailed: bool
    values: dict[str, Any]
    body: bytes
    digest: bytes
    read_at: datetime | None
    thorough: bool


class Prepared(NamedTuple):
    """A reading as rows: all that can be done to it without the database."""

    stream: str
    rows: list[Row]
    covers: Window | None
    gap: tuple[Window, str, int | None] | None


def prepared(source: str, vendor: str, reading: Reading) -> Prepared:
    """Return a reading as rows; it is cheapest done at once, before its records grow cold."""
    return Prepared(reading.stream, list(_rows_of(source, vendor, reading)), reading.covers, reading.gap)


def _rows_of(source: str, vendor: str, reading: Reading) -> Iterator[Row]:
    """Yield the row of each event of a page."""
    log = reading.log or reading.stream
    for event, record in reading.events:
        id = event_id(source, log, event.vendor_id)
        related = event.related_event
        values = _columns(event)
        values["id"] = id
        values["source"] = source
        values["vendor"] = vendor
        values["stream"] = log
        values["related_event"] = event_id(source, *related) if isinstance(related, Ref) else None
        detailed = event.vendor_id in reading.detailed
        yield Row(
            id,
            reading.stream,
            detailed,
            values,
            to_json(record),
            digest_of(record),
            reading.read_at,
            reading.thorough,
        )


def _columns(event: Event) -> dict[str, Any]:
    """Return an event's fields as plain values that a database can hold."""
    values: dict[str, Any] = dict(event.__dict__)  # model_dump is slower, and nothing but `changes` is nested
    values["actor_kind"], values["action"] = str(event.actor_kind), str(event.action)
    if event.changes is not None:
        values["changes"] = clean([change.model_dump() for change in event.changes])
    if event.impact is not None:
        values["impact"] = clean(event.impact)
    if "" in values.values():  # SQLite and PostgreSQL would not find the same
        values = {name: None if value == "" and name in BLANK else value for name, value in values.items()}
    texts = "".join([value for value in values.values() if type(value) is str])
    if "\0" in texts or not _is_text(texts):
        return {name: clean(value) for name, value in values.items()}
    return values


def digest_of(record: Record) -> bytes:
    """Return what tells a record from one with other content, whatever the order of its keys."""
    return hashlib.sha256(to_json(record, sort_keys=True)).digest()


def clean(value: Any) -> Any:
    """Return a value without the characters that a database cannot hold; the kept record has them as escapes."""
    if isinstance(value, str):
        text = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return text if text.isascii() else text.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


def _is_text(text: str) -> bool:
    """Return whether a text holds no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
