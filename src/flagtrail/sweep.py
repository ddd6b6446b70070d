"""Puts pseudonyms into what is stored already: a batch of events at a time, with their records and full forms.

What is to be changed is looked for without a lock, so that whoever stores is kept only while it is written.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select, update

from flagtrail.bulk import among
from flagtrail.database import alone, guarded, writing
from flagtrail.event import from_json, to_json
from flagtrail.packing import kind_of
from flagtrail.pseudonyms import COLUMNS, NESTED, PLACES, Pseudonyms
from flagtrail.rows import digest_of
from flagtrail.schema import DETAIL, EVENT, GAP, RECORD, SOURCE, STREAM, VERDICT
from flagtrail.schema.forgetting import FORGOTTEN, HOLD
from flagtrail.schema.notices import NOTICE
from flagtrail.schema.tokens import TOKEN
from flagtrail.store import Store

BATCH = 500  # events looked at together
EXAMPLES = 5
# Texts of other tables that may tell of a person: errors, reasons, findings. None of them is part of a key.
TEXTS: dict[Table, tuple[str, ...]] = {
    GAP: ("reason",), VERDICT: ("reason",), SOURCE: ("error",), STREAM: ("error", "label"),
    NOTICE: ("error", "findings"), HOLD: ("reason", "ended_reason"), FORGOTTEN: ("reason",),
}  # fmt: skip


@dataclass(slots=True)
class Swept:
    """How many rows of each table hold a person, or held one; ids of some of the events.

    `staying` events name the person in the name of a place or in the vendor's own id, which stay. `damaged` records
    cannot be unpacked. `tokens` are the names of tokens that do.
    """

    rows: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    staying: int = 0
    damaged: int = 0
    tokens: list[str] = field(default_factory=list)


class _Change(NamedTuple):
    """Other values for a row, by its key."""

    table: Table
    key: tuple[Any, ...]
    values: dict[str, Any]
    kind: str = ""  # of a body, which is not packed yet


def sweep(
    store: Store, known: Pseudonyms, *, act: int | None, check: Callable[[Connection], None],
    moved: Callable[[int, int], None],
) -> Swept:  # fmt: skip
    """Return what holds a forgotten person, and put the pseudonym in its place if `act` says what to count it for.

    `check` is called in each transaction that changes something; `moved` is told how many numbers were looked at, of
    how many.
    """
    swept = Swept()
    with guarded(store.shown):
        with store.engine.connect() as connection:
            last = max(connection.execute(select(func.max(t.c.number))).scalar() or 0 for t in (EVENT, RECORD, DETAIL))
            tokens = connection.execute(select(TOKEN.c.name)).scalars()
            swept.tokens = [name for name in tokens if known.find(name) or known.text(name) != name]
        for first in range(0, last, BATCH):
            upto = min(first + BATCH, last)
            _part(store, known, act, check, _between(first, upto), swept)
            moved(upto, last)
        with store.engine.connect() as connection:
            others = list(_others(connection, known))
        if act is not None and others:
            with writing(store.engine) as connection:
                alone(connection)
                check(connection)
                others = list(_others(connection, known))
                _write(store, connection, others, act)
        swept.rows.update(change.table.name for change in others)
    return swept


def _part(
    store: Store, known: Pseudonyms, act: int | None, check: Callable[[Connection], None],
    which: Callable[[ColumnElement[Any]], ColumnElement[bool]], swept: Swept,
) -> None:  # fmt: skip
    """Sweep the events of some numbers."""
    with store.engine.connect() as connection:
        found = [*_events(connection, known, which, swept), *_bodies(store, connection, known, which, swept)]
    if act is not None and found:
        numbers = sorted({change.key[0] for change in found})
        with writing(store.engine) as connection:
            alone(connection)
            check(connection)
            these = _these(numbers, connection)  # by now they may have other content
            found = [*_events(connection, known, these), *_bodies(store, connection, known, these)]
            _write(store, connection, found, act)
    swept.rows.update(change.table.name for change in found)


def _between(first: int, upto: int) -> Callable[[ColumnElement[Any]], ColumnElement[bool]]:
    return lambda number: and_(number > first, number <= upto)


def _these(numbers: Iterable[int], connection: Connection) -> Callable[[ColumnElement[Any]], ColumnElement[bool]]:
    return lambda number: among(number, numbers, connection)


def _events(
    connection: Connection, known: Pseudonyms, which: Callable[[ColumnElement[Any]], ColumnElement[bool]],
    swept: Swept | None = None,
) -> Iterator[_Change]:  # fmt: skip
    names = ("number", "id", "actor_kind", *COLUMNS, *NESTED, *PLACES)
    query = select(*(EVENT.c[name] for name in names)).where(which(EVENT.c.number))
    for row in map(dict, connection.execute(query).mappings().all()):
        if swept and known.stays_in(row):
            swept.staying += 1
        if values := known.columns(row):
            if swept and len(swept.examples) < EXAMPLES:
                swept.examples.append(row["id"])
            yield _Change(EVENT, (row["number"],), values)


def _bodies(
    store: Store, connection: Connection, known: Pseudonyms,
    which: Callable[[ColumnElement[Any]], ColumnElement[bool]], swept: Swept | None = None,
) -> Iterator[_Change]:  # fmt: skip
    """Yield the records and full forms that hold a forgotten person; of a record also its digest."""
    for table in (RECORD, DETAIL):
        keys = [column.name for column in table.primary_key]
        columns = [*(table.c[name] for name in keys), table.c.body, EVENT.c.vendor, EVENT.c.stream]
        joined = select(*columns).outerjoin(EVENT, EVENT.c.number == table.c.number)
        for *key, body, vendor, log in connection.execute(
            joined.where(which(table.c.number), table.c.body.is_not(None))
        ).all():
            try:
                unpacked = store.packing.unpack(connection, body)
                if not known.may_stand_in(unpacked.decode("utf-8", "replace")):
                    continue
                record = from_json(unpacked)
            except ValueError:
                if swept:
                    swept.damaged += 1
                continue
            replaced = known.value(record)
            if replaced != record:
                kind = kind_of(vendor or "", DETAIL.name if table is DETAIL else log or "")
                values: dict[str, Any] = {"body": to_json(replaced)}
                values |= {"digest": digest_of(replaced)} if table is RECORD else {}
                yield _Change(table, tuple(key), values, kind)


def _others(connection: Connection, known: Pseudonyms) -> Iterator[_Change]:
    for table, names in TEXTS.items():
        keys = [column.name for column in table.primary_key]
        for row in connection.execute(select(*(table.c[name] for name in (*keys, *names)))).mappings().all():
            told = {name: known.value(row[name]) for name in names}
            if values := {name: value for name, value in told.items() if value != row[name]}:
                yield _Change(table, tuple(row[name] for name in keys), values)


def _write(store: Store, connection: Connection, changes: list[_Change], act: int) -> None:
    """Write what was found, and count it for the act."""
    counts = Counter(change.table.name for change in changes)
    for kind in {change.kind for change in changes if change.kind}:
        mine = [change for change in changes if change.kind == kind]
        packed = store.packing.pack(connection, kind, [change.values["body"] for change in mine])
        for change, body in zip(mine, packed, strict=True):
            change.values["body"] = body
    for change in changes:
        this = (column == part for column, part in zip(change.table.primary_key, change.key, strict=True))
        connection.execute(update(change.table).where(*this).values(change.values))
    own = {"events": EVENT.name, "records": RECORD.name, "details": DETAIL.name}
    more = {name: FORGOTTEN.c[name] + counts.pop(table, 0) for name, table in own.items()}
    more["others"] = FORGOTTEN.c.others + counts.total()
    connection.execute(update(FORGOTTEN).where(FORGOTTEN.c.number == act).values(more))
