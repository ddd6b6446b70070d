"""Writes events and the records behind them: new ones, those with other content, and those that were thought gone.

Nothing is overwritten that has the same content, and no record is ever changed: other content is a new revision.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, func, select, update

from flagtrail.bulk import among, insert_all, insert_into, take_numbers
from flagtrail.event import from_json
from flagtrail.packing import Packing, kind_of
from flagtrail.rows import Row, digest_of
from flagtrail.schema import DETAIL, EVENT, RECORD


class Added(NamedTuple):
    """What a write changed: the events that were not there, and those that were with other content."""

    new: list[Row]
    changed: list[Row]


class _Known(NamedTuple):
    """What is stored of an event: number, revision, its record's digest and time (None: gone), when it vanished."""

    number: int
    revision: int
    digest: bytes | None
    seen_at: datetime | None
    vanished_at: datetime | None

    def is_newer_than(self, row: Row) -> bool:
        """Return whether it was stored after the answer came that a row is made from."""
        return self.seen_at is not None and row.read_at is not None and self.seen_at > row.read_at


@dataclass(frozen=True, slots=True)
class Writing:
    """One write of events, in the caller's transaction."""

    connection: Connection
    packing: Packing
    now: datetime

    def write(self, rows: dict[str, Row]) -> Added:
        """Write what is not stored yet, and return it."""
        known = self._known(rows)
        # Of entries of one moment the vendors list the newest first.
        fresh = [row for id, row in reversed(rows.items()) if id not in known]
        fresh.sort(key=lambda row: row.values["occurred_at"])
        changed, same = [], []
        for id, state in known.items():
            row = rows[id]
            if state.digest == row.digest:
                same.append(row)
            elif not state.is_newer_than(row):
                changed.append(row)
        numbers = {id: state.number for id, state in known.items()}
        if fresh:
            numbers |= self._insert(fresh)
        if changed:
            self._update(changed, numbers)
        detailed = [row for row in rows.values() if row.detailed]
        if detailed:
            self._queue_details(detailed, numbers, {row.id for row in (*fresh, *changed)})
        renewed = {row.id for row in changed}
        restored = self._restore([rows[id] for id in sorted(known) if rows[id].thorough and id not in renewed])
        self._show_again([row.id for row in same if known[row.id].vanished_at])
        return Added(fresh, [*changed, *restored])

    def _known(self, ids: Iterable[str]) -> dict[str, _Known]:
        current = and_(RECORD.c.number == EVENT.c.number, RECORD.c.revision == EVENT.c.revision)
        columns = (EVENT.c.id, EVENT.c.number, EVENT.c.revision, RECORD.c.digest, RECORD.c.seen_at, EVENT.c.vanished_at)
        query = select(*columns).outerjoin(RECORD, current).where(among(EVENT.c.id, ids, self.connection))
        return {id: _Known(*state) for id, *state in self.connection.execute(query)}

    def _insert(self, fresh: Sequence[Row]) -> dict[str, int]:
        """Insert new events, and return their numbers; those of one page stand in the order in which they happened."""
        numbers = dict(zip((row.id for row in fresh), take_numbers(self.connection, EVENT, len(fresh)), strict=True))
        extra = {"first_seen_at": self.now, "vanished_at": None, "vanished_reason": None, "revision": 1}
        for row in fresh:
            row.values.update(extra, number=numbers[row.id])
        insert_all(self.connection, EVENT, [row.values for row in fresh])
        self._keep_records(fresh, numbers, dict.fromkeys(numbers, 1))
        return numbers

    def _keep_records(self, rows: Sequence[Row], numbers: Mapping[str, int], revisions: Mapping[str, int]) -> None:
        bodies: dict[str, list[bytes]] = {}
        kinds = [kind_of(row.values["vendor"], row.values["stream"]) for row in rows]
        for row, kind in zip(rows, kinds, strict=True):
            bodies.setdefault(kind, []).append(row.body)
        packed = {kind: iter(self.packing.pack(self.connection, kind, mine)) for kind, mine in bodies.items()}
        records = [
            {
                "number": numbers[row.id],
                "revision": revisions[row.id],
                "seen_at": self.now,
                "digest": row.digest,
                "body": next(packed[kind]),
            }
            for row, kind in zip(rows, kinds, strict=True)
        ]
        insert_all(self.connection, RECORD, records)

    def _update(self, changed: Sequence[Row], numbers: Mapping[str, int]) -> None:
        """Give events other content; what only their full form told stays until that is fetched again."""
        connection = self.connection
        ids = [row.id for row in changed]
        # The event itself may have been reset.
        newest = select(EVENT.c.id, EVENT.c.changes, func.max(RECORD.c.revision), EVENT.c.revision)
        query = newest.outerjoin(RECORD, RECORD.c.number == EVENT.c.number).group_by(EVENT.c.number)
        kept = {row[0]: row[1:] for row in connection.execute(query.where(among(EVENT.c.id, ids, connection)))}
        revisions = {id: max(newest or 0, revision) + 1 for id, (_, newest, revision) in kept.items()}
        new = []
        for row in changed:
            values = row.values | {"vanished_at": None, "vanished_reason": None, "revision": revisions[row.id]}
            if row.detailed and values["changes"] is None:
                values["changes"] = kept[row.id][0]
            new.append({f"_{name}": value for name, value in values.items()})
        statement = update(EVENT).where(EVENT.c.id == bindparam("_id"))
        connection.execute(statement.values({name[1:]: bindparam(name) for name in new[0] if name != "_id"}), new)
        self._keep_records(changed, numbers, revisions)

    def _restore(self, rows: Sequence[Row]) -> list[Row]:
        """Write again what the table has otherwise than the same records say, and return it.

        Somebody changed it behind our back, or it was written before something was understood that is by now.
        """
        if not rows:
            return []
        wrong = []
        mine = {row.id: row for row in rows}
        current = and_(RECORD.c.number == EVENT.c.number, RECORD.c.revision == EVENT.c.revision)
        query = select(EVENT, RECORD.c.body).join(RECORD, current).where(among(EVENT.c.id, mine, self.connection))
        for found in self.connection.execute(query).mappings().all():
            row = mine[found["id"]]
            values = row.values
            if row.detailed and values["changes"] is None:
                values = {name: value for name, value in values.items() if name != "changes"}
            body = self._is_body_of(found["body"], row)
            if all(found[name] == value for name, value in values.items()) and body:
                continue
            wrong.append(row)
            self.connection.execute(update(EVENT).where(EVENT.c.id == row.id).values(values))
            if not body:
                kind = kind_of(found["vendor"], found["stream"])
                [packed] = self.packing.pack(self.connection, kind, [row.body])
                kept = and_(RECORD.c.number == found["number"], RECORD.c.revision == found["revision"])
                self.connection.execute(update(RECORD).where(kept).values(body=packed))
        return wrong

    def _is_body_of(self, body: bytes, row: Row) -> bool:
        """Return whether a kept record still is the one that its digest was made of."""
        try:
            return digest_of(from_json(self.packing.unpack(self.connection, body))) == row.digest
        except ValueError:
            return False

    def _show_again(self, ids: Collection[str]) -> None:
        """Unmark what the vendor shows again."""
        if ids:
            shown = {"vanished_at": None, "vanished_reason": None}
            self.connection.execute(update(EVENT).where(among(EVENT.c.id, ids, self.connection)).values(shown))

    def _queue_details(self, rows: Sequence[Row], numbers: Mapping[str, int], renewed: Collection[str]) -> None:
        """Let the full forms be fetched that are not there, or may have other content by now."""
        statement = insert_into(DETAIL, self.connection.dialect)
        again = statement.on_conflict_do_update(index_elements=[DETAIL.c.number], set_={"state": "open", "attempts": 0})
        for wanted, how in ((True, again), (False, statement.on_conflict_do_nothing())):
            queued = [
                {
                    "number": numbers[row.id],
                    "source": row.values["source"],
                    "stream": row.values["stream"],
                    "occurred_at": row.values["occurred_at"],
                    "state": "open",
                    "attempts": 0,
                }
                for row in rows
                if (row.id in renewed) is wanted
            ]
            if queued:
                self.connection.execute(how, queued)
