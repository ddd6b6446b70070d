"""Packs anew what was packed with a dictionary, and deletes that: it holds pieces of the records it was learnt from.

Any process may store meanwhile; one that is killed is resumed by doing it again.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, delete, func, insert, select, update

from flagtrail.database import alone, guarded, writing
from flagtrail.packing import LARGEST_SAMPLE, SAMPLES, dictionary_of, learnt
from flagtrail.schema import DETAIL, DICTIONARY, RECORD
from flagtrail.store import Store

HEADER = 18  # bytes of a packed body that name its dictionary
BATCH = 500  # bodies packed in one transaction
LOOKED_AT = 20_000  # events whose bodies are looked at together, to see which dictionary they have


def relearn(store: Store, number: int, check: Callable[[Connection], None]) -> None:
    """Replace a dictionary by one that is learnt from what is kept by now; nothing when it is gone already.

    `check` is called in each transaction that changes something, and ends this by what it raises.
    """
    with guarded(store.shown):
        with store.engine.connect() as connection:
            kind = connection.execute(select(DICTIONARY.c.kind).where(DICTIONARY.c.number == number)).scalar()
            samples = list(_samples(store, connection, number)) if kind else []
        if kind is None:
            return
        made = learnt(kind, samples)
        with writing(store.engine) as connection:
            alone(connection)
            check(connection)
            known = connection.execute(select(DICTIONARY.c.number)).scalars()
            if made and made["number"] not in set(known):
                connection.execute(insert(DICTIONARY).values(made))
        for table in (RECORD, DETAIL):
            for keys in _in_batches(store, table, number):
                with writing(store.engine) as connection:
                    alone(connection)
                    check(connection)
                    _pack(store, connection, table, kind, number, keys)
        with writing(store.engine) as connection:
            alone(connection)  # whoever stores next finds the new one
            check(connection)
            for table in (RECORD, DETAIL):
                _pack(store, connection, table, kind, number, list(_packed_with(connection, table, number)))
            connection.execute(delete(DICTIONARY).where(DICTIONARY.c.number == number))


def _samples(store: Store, connection: Connection, number: int) -> Iterator[bytes]:
    """Yield what some bodies hold that were packed with a dictionary, the newest of each table."""
    for table in (RECORD, DETAIL):
        newest = list(islice(_packed_with(connection, table, number, newest_first=True), SAMPLES))
        for key in reversed(newest):
            body = connection.execute(select(table.c.body).where(*_is(table, key))).scalar()
            if body is not None and len(unpacked := store.packing.unpack(connection, body)) <= LARGEST_SAMPLE:
                yield unpacked


def _in_batches(store: Store, table: Table, number: int) -> Iterator[list[tuple[int, ...]]]:
    """Yield the keys of the rows whose body was packed with a dictionary, however many there are, a few at a time."""
    with store.engine.connect() as connection:
        last = connection.execute(select(func.max(table.c.number))).scalar() or 0
    for first in range(0, last, LOOKED_AT):
        inside = and_(table.c.number > first, table.c.number <= first + LOOKED_AT)
        with store.engine.connect() as connection:
            keys = list(_packed_with(connection, table, number, inside))
        yield from (keys[at : at + BATCH] for at in range(0, len(keys), BATCH))


def _packed_with(
    connection: Connection, table: Table, number: int, *which: ColumnElement[bool], newest_first: bool = False
) -> Iterator[tuple[int, ...]]:
    """Yield the keys of the rows whose body was packed with a dictionary."""
    query = select(*table.primary_key, func.substr(table.c.body, 1, HEADER)).where(table.c.body.is_not(None), *which)
    order = [column.desc() if newest_first else column for column in table.primary_key]
    with connection.execute(query.order_by(*order), execution_options={"yield_per": LOOKED_AT}) as found:
        for *key, header in found:
            if dictionary_of(bytes(header)) == number:
                yield tuple(key)


def _pack(
    store: Store, connection: Connection, table: Table, kind: str, number: int, keys: Sequence[tuple[int, ...]]
) -> None:
    """Pack some bodies anew, without a dictionary, as they are by now."""
    found = []
    for key in keys:
        body = connection.execute(select(table.c.body).where(*_is(table, key))).scalar()
        if body is not None:
            found.append((key, store.packing.unpack(connection, body)))
    packed = store.packing.pack(connection, kind, [body for _, body in found], without=number)
    names = [column.name for column in table.primary_key]
    rows = [
        {f"_{name}": part for name, part in zip(names, key, strict=True)} | {"_body": body}
        for (key, _), body in zip(found, packed, strict=True)
    ]
    if rows:
        mine = (table.c[name] == bindparam(f"_{name}") for name in names)
        connection.execute(update(table).where(*mine).values(body=bindparam("_body")), rows)


def _is(table: Table, key: Sequence[int]) -> list[ColumnElement[bool]]:
    return [column == part for column, part in zip(table.primary_key, key, strict=True)]
