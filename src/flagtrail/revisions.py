"""Writes events and the records behind them: new ones, those with other content, and those that were thought gone.

Nothing is overwritten that has the same content, and no record is ever changed: other content is a new revision.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from flagtrail.event import Event, from_json, to_json
from flagtrail.rows import Row, digest_of
from flagtrail.schema import DETAIL, EVENT, RECORD

LOOKUP = 500  # ids in one query; SQLite allows at least 999 parameters


class Added(NamedTuple):
    """What a write changed: the events that were not there, and those that were with other content, by stream."""

    new: list[tuple[str, Event]]
    changed: list[tuple[str, Event]]


class _Known(NamedTuple):
    """What is stored of an event: its revision, its record's digest and time (None: it is gone), when it vanished."""

    revision: int
    digest: bytes | None
    seen_at: datetime | None
    vanished_at: datetime | None

    def is_newer_than(self, row: Row) -> bool:
        """Return whether it was stored after the answer came that a row is made from."""
        return self.seen_at is not None and row.read_at is not None and self.seen_at > row.read_at


def write_events(connection: Connection, rows: dict[str, Row], now: datetime) -> Added:
    """Write what is not stored yet, in the caller's transaction, and return it."""
    known = _known(connection, rows)
    fresh = [row for id, row in rows.items() if id not in known]
    changed = [
        row
        for id, row in rows.items()
        if id in known and known[id].digest != row.digest and not known[id].is_newer_than(row)
    ]
    back = [id for id in rows if id in known and known[id].vanished_at and known[id].digest == rows[id].digest]
    kept = _kept_records(connection, [row.id for row in (*fresh, *changed)])
    revisions = {row.id: kept.get(row.id, 0) + 1 for row in (*fresh, *changed)}
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
    same = {row.id for row in rows.values() if row.thorough} - renewed
    restored = _restore(connection, [rows[id] for id in sorted(same)])
    for ids in _batches(back):
        shown = {"vanished_at": None, "vanished_reason": None}
        connection.execute(update(EVENT).where(EVENT.c.id.in_(ids)).values(shown))
    return Added([(row.stream, row.event) for row in fresh], [(row.stream, row.event) for row in (*changed, *restored)])


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield ids in lists that one query can hold."""
    ids = list(ids)
    for start in range(0, len(ids), LOOKUP):
        yield ids[start : start + LOOKUP]


def _known(connection: Connection, ids: Iterable[str]) -> dict[str, _Known]:
    current = and_(RECORD.c.event_id == EVENT.c.id, RECORD.c.revision == EVENT.c.revision)
    columns = (EVENT.c.id, EVENT.c.revision, RECORD.c.digest, RECORD.c.seen_at, EVENT.c.vanished_at)
    query = select(*columns).outerjoin(RECORD, current)
    found: dict[str, _Known] = {}
    for batch in _batches(ids):
        for id, *state in connection.execute(query.where(EVENT.c.id.in_(batch))):
            found[id] = _Known(*state)
    return found


def _kept_records(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """Return the newest revision of the kept records, which an event that was deleted or reset does not tell."""
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


def _restore(connection: Connection, rows: list[Row]) -> list[Row]:
    """Write again what the table has otherwise than the same records say, and return it.

    Somebody changed it behind our back, or it was written before something was understood that is by now.
    """
    wrong = []
    mine = {row.id: row for row in rows}
    current = and_(RECORD.c.event_id == EVENT.c.id, RECORD.c.revision == EVENT.c.revision)
    for batch in _batches(mine):
        query = select(EVENT, RECORD.c.body).join(RECORD, current).where(EVENT.c.id.in_(batch))
        for found in connection.execute(query).mappings().all():
            row = mine[found["id"]]
            values = row.values
            if row.detailed and values["changes"] is None:
                values = {name: value for name, value in values.items() if name != "changes"}
            body = _same_body(found["body"], row)
            if all(found[name] == value for name, value in values.items()) and body:
                continue
            wrong.append(row)
            connection.execute(update(EVENT).where(EVENT.c.id == row.id).values(values))
            if not body:
                kept = and_(RECORD.c.event_id == row.id, RECORD.c.revision == found["revision"])
                connection.execute(update(RECORD).where(kept).values(body=to_json(row.record).decode()))
    return wrong


def _same_body(body: str, row: Row) -> bool:
    """Return whether a kept record still is the one that its digest was made of."""
    try:
        return digest_of(from_json(body)) == row.digest
    except ValueError:
        return False


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
