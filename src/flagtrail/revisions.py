"""Writes events and the records behind them: new ones, those with other content, and those that were thought gone.

Nothing is overwritten that has the same content, and no record is ever changed: other content is a new revision.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from flagtrail.event import Event, to_json
from flagtrail.rows import Row
from flagtrail.schema import DETAIL, EVENT, RECORD

LOOKUP = 500  # ids in one query; SQLite allows at least 999 parameters


class Added(NamedTuple):
    """What a write changed: the events that were not there, and those that were with other content, by stream."""

    new: list[tuple[str, Event]]
    changed: list[tuple[str, Event]]


class _Known(NamedTuple):
    """What is stored of an event: its revision, the digest of its record (None when that is gone), when it vanished."""

    revision: int
    digest: bytes | None
    vanished_at: datetime | None


def write_events(connection: Connection, rows: dict[str, Row], now: datetime) -> Added:
    """Write what is not stored yet, in the caller's transaction, and return it."""
    known = _known(connection, rows)
    fresh = [row for id, row in rows.items() if id not in known]
    changed = [row for id, row in rows.items() if id in known and known[id].digest != row.digest]
    back = [id for id in rows if id in known and known[id].vanished_at and known[id].digest == rows[id].digest]
    kept = _kept_records(connection, [row.id for row in fresh])
    revisions = {row.id: kept.get(row.id, 0) + 1 for row in fresh} | {r.id: known[r.id].revision + 1 for r in changed}
    if fresh:
        extra = {"first_seen_at": now, "vanished_at": None, "vanished_reason": None}
        connection.execute(insert(EVENT), [row.values | extra | {"revision": revisions[row.id]} for row in fresh])
    if changed:
        _update(connection, changed, revisions)
    if fresh or changed:
        records = [
            {
                "event_id": row.id,
                "revision": revisions[row.id],
                "seen_at": now,
                "digest": row.digest,
                "body": to_json(row.record).decode(),
            }
            for row in (*fresh, *changed)
        ]
        connection.execute(insert(RECORD), records)
    renewed = {row.id for row in (*fresh, *changed)}
    _queue_details(connection, [row for row in rows.values() if row.detailed], renewed)
    for ids in _batches(back):
        shown = {"vanished_at": None, "vanished_reason": None}
        connection.execute(update(EVENT).where(EVENT.c.id.in_(ids)).values(shown))
    return Added([(row.stream, row.event) for row in fresh], [(row.stream, row.event) for row in changed])


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield ids in lists that one query can hold."""
    ids = list(ids)
    for start in range(0, len(ids), LOOKUP):
        yield ids[start : start + LOOKUP]


def _known(connection: Connection, ids: Iterable[str]) -> dict[str, _Known]:
    current = and_(RECORD.c.event_id == EVENT.c.id, RECORD.c.revision == EVENT.c.revision)
    query = select(EVENT.c.id, EVENT.c.revision, RECORD.c.digest, EVENT.c.vanished_at).outerjoin(RECORD, current)
    found: dict[str, _Known] = {}
    for batch in _batches(ids):
        for id, *state in connection.execute(query.where(EVENT.c.id.in_(batch))):
            found[id] = _Known(*state)
    return found


def _kept_records(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """Return the newest revision of records whose event is not there: somebody deleted it behind our back."""
    newest: Select[Any] = select(RECORD.c.event_id, func.max(RECORD.c.revision)).group_by(RECORD.c.event_id)
    found: dict[str, int] = {}
    for batch in _batches(ids):
        found |= {row[0]: row[1] for row in connection.execute(newest.where(RECORD.c.event_id.in_(batch)))}
    return found


def _update(connection: Connection, changed: list[Row], revisions: dict[str, int]) -> None:
    """Give events other content; what only their full form told stays until that is fetched again."""
    told: dict[str, Any] = {}
    for batch in _batches(row.id for row in changed if row.detailed and row.values["changes"] is None):
        query = select(EVENT.c.id, EVENT.c.changes).where(EVENT.c.id.in_(batch))
        told |= {row.id: row.changes for row in connection.execute(query)}
    extra = {"vanished_at": None, "vanished_reason": None}
    new = [
        row.values | extra | {"revision": revisions[row.id]} | ({"changes": told[row.id]} if row.id in told else {})
        for row in changed
    ]
    by_id = update(EVENT).where(EVENT.c.id == bindparam("_id"))
    statement = by_id.values({name: bindparam(f"_{name}") for name in new[0] if name != "id"})
    connection.execute(statement, [{f"_{name}": value for name, value in values.items()} for values in new])


def _queue_details(connection: Connection, rows: list[Row], renewed: set[str]) -> None:
    """Let the full forms be fetched that are not there, or may have other content by now."""
    insert_into = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert_into(DETAIL)
    again = statement.on_conflict_do_update(index_elements=[DETAIL.c.event_id], set_={"state": "open", "attempts": 0})
    for wanted, how in ((True, again), (False, statement.on_conflict_do_nothing())):
        queued = [
            {
                "event_id": row.id,
                "source": row.values["source"],
                "stream": row.values["stream"],
                "occurred_at": row.event.occurred_at,
                "state": "open",
                "attempts": 0,
            }
            for row in rows
            if (row.id in renewed) is wanted
        ]
        if queued:
            connection.execute(how, queued)
