"""The events as the lake holds them: the columns of an export, and a few by which they are found.

`impact` is the one that is shown: that of its flag event, where an entry has none of its own. `linked` flag events have
their audit entry in the table, so that they are left out where a change shall be counted once.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    String,
    Table,
    and_,
    func,
    or_,
    select,
    type_coerce,
    union_all,
)

from flagtrail.bulk import among
from flagtrail.columns import Number
from flagtrail.event import to_json
from flagtrail.exports.columns import BOOLEANS, COLUMNS, DOCUMENTS, INSTANTS, INTEGERS
from flagtrail.query import shown
from flagtrail.schema import EVENT

NAMES = ("number", *COLUMNS, "linked", "month")
PARTITIONS = ("vendor", "month")
AT_ONCE = 5000  # events that are read from the database together
# As a query of the lake names it; texts are texts in every engine, documents are JSON in them.
LAKE = Table(
    "event",
    MetaData(),
    Column("number", Number),
    *(Column(name, String if name in DOCUMENTS else EVENT.c[name].type) for name in COLUMNS),
    Column("linked", EVENT.c.truncated.type),
    Column("month", String),
)


def month_of(at: datetime) -> str:
    """Return the month of an instant in UTC, such as 2026-03."""
    return f"{at.astimezone(UTC):%Y-%m}" if at.year > 999 else f"{at.year:04}-{at.month:02}"


def beginning_of(month: str) -> datetime:
    """Return when a month begins."""
    year, number = map(int, month.split("-"))
    return datetime(year, number, 1, tzinfo=UTC)


def end_of(month: str) -> datetime | None:
    """Return when a month ends; None: at the end of time."""
    at = beginning_of(month)
    if (at.year, at.month) == (9999, 12):
        return None
    return at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)


def in_month(month: str) -> ColumnElement[bool]:
    """Return the condition that an event happened in a month."""
    end = end_of(month)
    begun = EVENT.c.occurred_at >= beginning_of(month)
    return begun if end is None else and_(begun, EVENT.c.occurred_at < end)


def of_numbers(connection: Connection, numbers: Sequence[int], runs: Iterable[tuple[int, int]]) -> ColumnElement[bool]:
    """Return the condition that an event has one of some numbers, or one in a run, both ends included."""
    each = among(EVENT.c.number, numbers, connection)
    between = [EVENT.c.number.between(*run) for run in runs]
    if connection.dialect.name == "postgresql":
        return or_(each, *between)
    # SQLite would rather read everything in the order of time.
    parts = [select(EVENT.c.number).where(which) for which in (each, *between)]
    return EVENT.c.number.in_(union_all(*parts) if between else parts[0])


def months(connection: Connection, after: str = "") -> Iterator[str]:
    """Yield every month after one in which an event happened, the earliest first."""
    since = end_of(after) if after else None
    if after and since is None:
        return
    while True:
        later = [EVENT.c.occurred_at >= since] if since else []
        first = connection.execute(select(func.min(EVENT.c.occurred_at, type_=EVENT.c.occurred_at.type)).where(*later))
        at = first.scalar()
        if at is None:
            return
        month = month_of(at)
        yield month
        since = end_of(month)
        if since is None:
            return


def read(connection: Connection, which: ColumnElement[bool]) -> Iterator[Any]:
    """Yield the events that meet a condition, in the order of time, as batches of Arrow's."""
    names = NAMES[:-1]
    sqlite = connection.dialect.name == "sqlite"
    columns = {column.name: column for column in shown()}
    entry = EVENT.alias("entry")
    known = select(entry.c.number).where(entry.c.id == EVENT.c.related_event).exists()
    columns["linked"] = and_(EVENT.c.related_event.is_not(None), known).label("linked")
    if sqlite:  # its texts are what the lake holds, and need not be parsed and written again
        for name in (*DOCUMENTS, *INSTANTS):
            columns[name] = type_coerce(columns[name], String).label(name)
    query = select(*(columns[name] for name in names)).where(which).order_by(EVENT.c.occurred_at, EVENT.c.number)
    rows = iter(connection.execute(query, execution_options={"yield_per": AT_ONCE}))
    while some := list(islice(rows, AT_ONCE)):
        yield _batch(dict(zip(names, zip(*map(tuple, some), strict=True), strict=True)), parsed=not sqlite)


def _batch(columns: dict[str, Sequence[Any]], *, parsed: bool) -> Any:
    import pyarrow as arrow

    if parsed:
        for name in DOCUMENTS:
            columns[name] = [None if value is None else to_json(value).decode() for value in columns[name]]
        columns["month"] = [month_of(at) for at in columns["occurred_at"]]
    else:
        columns["month"] = [at[:7] for at in columns["occurred_at"]]
    whole = schema()
    return arrow.record_batch([_array(arrow, columns[field.name], field.type) for field in whole], schema=whole)


def _array(arrow: Any, values: Sequence[Any], kind: Any) -> Any:
    if kind == arrow.timestamp("us", tz="UTC") and any(isinstance(value, str) for value in values):
        return arrow.array(values, arrow.string()).cast(kind)
    if kind == arrow.bool_():
        return arrow.array([bool(value) for value in values], kind)
    return arrow.array(values, kind)


@lru_cache(maxsize=1)
def schema() -> Any:
    """Return the columns of the lake with their types, as Arrow has them."""
    import pyarrow as arrow

    types = dict.fromkeys(NAMES, arrow.string())
    types |= dict.fromkeys(INSTANTS, arrow.timestamp("us", tz="UTC"))
    types |= dict.fromkeys((*BOOLEANS, "linked"), arrow.bool_()) | dict.fromkeys((*INTEGERS, "number"), arrow.int64())
    needed = {"number", "id", "occurred_at", *PARTITIONS}
    return arrow.schema([arrow.field(name, kind, nullable=name not in needed) for name, kind in types.items()])
