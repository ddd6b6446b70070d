"""Writes many rows at once, the fastest way that each database has.

SQLAlchemy's own way builds a dict for each row, which costs more than the writing itself (see benchmarks/RESULTS.md).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, ColumnElement, Connection, Dialect, LargeBinary, Table, any_, func, literal, select
from sqlalchemy.exc import DBAPIError

from flagtrail.event import to_json

Process = Callable[[Any], Any]


def insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows whose keys are known to be new; each has a value for every column.

    Raises DBAPIError, as SQLAlchemy does, when one is there already.
    """
    if not rows:
        return
    how = _insertion(table, connection.dialect)
    written = (_processed(how.values(row), how.processes) for row in rows)
    if connection.dialect.name == "postgresql":
        _copy(connection, how.statement, written)
    else:
        connection.exec_driver_sql(how.statement, list(written))


def insert_into(table: Table, dialect: Dialect) -> Any:
    """Return the dialect's own INSERT, which can say what happens to rows that are there already."""
    if dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # every start would pay for it

        return insert(table)
    from sqlalchemy.dialects.sqlite import insert as insert_into_sqlite

    return insert_into_sqlite(table)


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is there already, maybe since a moment ago; return whether it was not."""
    statement = insert_into(table, connection.dialect).values(values).on_conflict_do_nothing()
    return bool(connection.execute(statement).rowcount)


def among(column: ColumnElement[Any], values: Iterable[str | int], connection: Connection) -> ColumnElement[bool]:
    """Return the condition that a column has one of any number of values, as one parameter."""
    values = list(values)
    if connection.dialect.name == "postgresql":
        return column == any_(literal(values, ARRAY(column.type)))
    each = func.json_each(to_json(values).decode()).table_valued("value")
    return column.in_(select(each.c.value))


def take_numbers(connection: Connection, table: Table, count: int) -> Sequence[int]:
    """Return so many numbers, rising, that no row of a table ever had; the caller holds the write lock of SQLite."""
    if connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, "number")
        numbers = connection.execute(select(func.nextval(sequence)).select_from(func.generate_series(1, count)))
        return sorted(numbers.scalars())
    query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?"
    last = connection.exec_driver_sql(query, (table.name,)).scalar_one()
    return range(last + 1, last + 1 + count)


def _processed(values: tuple[Any, ...], processes: tuple[tuple[int, Process], ...]) -> tuple[Any, ...]:
    row = list(values)
    for place, process in processes:
        if row[place] is not None:
            row[place] = process(row[place])
    return tuple(row)


class _Insertion(NamedTuple):
    """How rows get into a table: the statement, its columns in order, and what makes values what the driver takes."""

    statement: str
    values: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    processes: tuple[tuple[int, Process], ...]


@cache
def _insertion(table: Table, dialect: Dialect) -> _Insertion:
    names = [column.name for column in table.columns]
    columns = ", ".join(names)
    if dialect.name == "postgresql":
        statement = f"COPY {table.name} ({columns}) FROM STDIN"
    else:
        statement = f"INSERT INTO {table.name} ({columns}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    # The drivers take bytes as they are.
    types = {
        place: column.type for place, column in enumerate(table.columns) if not isinstance(column.type, LargeBinary)
    }
    processes = [(place, type_.dialect_impl(dialect).bind_processor(dialect)) for place, type_ in types.items()]
    needed = tuple((place, process) for place, process in processes if process is not None)
    return _Insertion(statement, itemgetter(*names), needed)


def _copy(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    errors = connection.dialect.loaded_dbapi.Error
    driver: Any = connection.connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except errors as error:
        raise DBAPIError.instance(statement, None, error, errors) from error
