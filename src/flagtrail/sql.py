"""Answers one SQL statement that only reads, within a time; the database itself refuses everything else.

SQLite: the file is opened for reading, and an authorizer names what a statement may do. PostgreSQL: the statement is
that of a cursor in a read-only transaction, so it can be a query only, and it may name no function that has effects
(VOLATILE in `pg_proc`): such as read the server's files, take locks, end other sessions or run text as SQL. It runs as
flagtrail's role all the same. A real boundary is a role that may only read: docs/sql.md shows how to make one.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from flagtrail.database import guarded
from flagtrail.errors import ConfigError
from flagtrail.store import Store
from flagtrail.window import iso

FETCHED = 500  # rows at a time
STEPS = 10_000  # of SQLite's machine, between two looks at the clock
LONGEST = 50 * 2**20  # bytes of one value in SQLite; a statement could ask for more than there is memory
READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "data_version"}
TABLES = ("json_each", "json_tree")  # SQLite makes them at their first use, which looks like a change of the schema
FUNCTIONS = {"load_extension", "fts3_tokenizer", "fts5", "fts5_decode", "sqlite_rename_table"}  # refused
BEGINS = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*(select|with|values|table)\b", re.IGNORECASE | re.DOTALL)
# PostgreSQL's types with values that Python has none for.
BEYOND = ("date", "timestamp", "timestamptz", "time", "timetz", "interval", "json", "jsonb")
DIGITS = 1000  # of a number; a longer one is told as text, for Python refuses to write it, and few programs read it
# Functions without effects that are VOLATILE because they tell something else each time.
HARMLESS = ["random", "clock_timestamp", "timeofday", "gen_random_uuid", "random_normal"]
WITH_EFFECTS = """
    SELECT proname FROM pg_catalog.pg_proc
    WHERE lower(proname) = ANY(%s) AND provolatile = 'v' AND proname <> ALL(%s)
    AND prorettype <> 'trigger'::regtype AND NOT ('internal'::regtype)::oid = ANY(proargtypes) LIMIT 1
"""


class Answer(NamedTuple):
    """What a statement gives: the names of its columns, each once, and its rows as plain values, as they are read."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def asked(store: Store, statement: str, timeout: float = 30.0) -> Iterator[Answer]:
    """Give the answer to a statement, which may take so many seconds of the database's time.

    Values are plain: texts, numbers, booleans, None, and what JSON holds. Instants are UTC text, bytes are hexadecimal.
    Raises ConfigError, in one line, when the statement is refused, wrong or too slow, also while rows are read.
    """
    statement = statement.strip().rstrip(";")
    if not BEGINS.match(statement) or "\0" in statement:
        raise ConfigError("only one statement that reads can be asked: SELECT, WITH or VALUES")
    ask = _in_sqlite if store.engine.dialect.name == "sqlite" else _in_postgresql
    with ask(store, statement, timeout) as (columns, rows):
        yield Answer(_each_once(columns), (tuple(map(_plain, row)) for row in rows))


@contextmanager
def _in_sqlite(store: Store, statement: str, timeout: float) -> Iterator[tuple[list[str], Iterator[Any]]]:
    place = Path(str(store.engine.url.database)).absolute().as_uri()
    with _told(sqlite3.Error, timeout), closing(sqlite3.connect(f"{place}?mode=ro", uri=True)) as connection:
        connection.text_factory = lambda told: told.decode("utf-8", "replace")
        connection.execute("PRAGMA query_only = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for table in TABLES:
            connection.execute(f"SELECT 1 FROM {table}('[]')")  # noqa: S608
        connection.set_authorizer(_may)
        deadline = time.monotonic() + timeout
        connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
        cursor = connection.execute(statement)
        yield [column[0] for column in cursor.description or ()], cursor


def _may(action: int, what: str | None, of: str | None, database: str | None, within: str | None) -> int:
    """Tell SQLite whether a statement may do something: read, and nothing else."""
    allowed = (
        action in READING
        or (action == sqlite3.SQLITE_FUNCTION and str(of).lower() not in FUNCTIONS)
        or (action == sqlite3.SQLITE_PRAGMA and str(what).lower() in PRAGMAS)
    )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


@contextmanager
def _in_postgresql(store: Store, statement: str, timeout: float) -> Iterator[tuple[list[str], Iterator[Any]]]:
    import psycopg  # slow to import

    deadline = time.monotonic() + timeout
    with _told(psycopg.Error, timeout):
        with guarded(store.shown):
            lent = store.engine.raw_connection()
        connection: Any = lent.driver_connection
        lent.detach()  # nobody else gets this session, whatever it was made to
        with closing(connection):
            connection.rollback()
            connection.read_only = True
            _tell_all(connection)
            _refuse_effects(connection, statement)
            _allow(connection, deadline)
            # A named cursor: DECLARE takes a query only, and the extended protocol only one statement.
            with connection.cursor(name="answer") as cursor:
                cursor.execute(statement.encode("utf-8", "replace"))
                yield [column.name for column in cursor.description or ()], _fetched(connection, cursor, deadline)


def _tell_all(connection: Any) -> None:
    """Let values come as PostgreSQL writes them where Python has none: infinity, years BC, 24:00, long numbers."""
    from psycopg import DataError
    from psycopg.abc import AdaptContext, Buffer, Loader
    from psycopg.adapt import Loader as Base
    from psycopg.pq import Format

    oids = [connection.adapters.types[name].oid for name in BEYOND]
    usual = {oid: connection.adapters.get_loader(oid, Format.TEXT) for oid in oids}

    class OrText(Base):
        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self.usual: Loader = usual[oid](oid, context)

        def load(self, data: Buffer) -> Any:
            try:
                return self.usual.load(data)
            except (DataError, ValueError, OverflowError):
                return bytes(data).decode("utf-8", "replace")

    for oid in usual:
        connection.adapters.register_loader(oid, OrText)


def _refuse_effects(connection: Any, statement: str) -> None:
    """Raise ConfigError when a statement names a function that may have effects, be it in a text or a comment."""
    if re.search(r"\bU&\s*[\"']", statement, re.IGNORECASE):
        raise ConfigError('names and texts that are written as U&"..." are not allowed')
    words = sorted(set(re.findall(r"[^\W\d][\w$]*", statement.lower())))
    found = connection.execute(WITH_EFFECTS, [words, HARMLESS]).fetchone()
    if found:
        raise ConfigError(
            f"{found[0]} is the name of a function that may have effects (VOLATILE); only others may be named"
        )


def _allow(connection: Any, deadline: float) -> None:
    """Let the next statement take what is left of the time."""
    left = max(int((deadline - time.monotonic()) * 1000), 1)
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(left)])


def _fetched(connection: Any, cursor: Any, deadline: float) -> Iterator[Any]:
    while True:
        _allow(connection, deadline)
        rows = cursor.fetchmany(FETCHED)
        yield from rows
        if len(rows) < FETCHED:
            return


@contextmanager
def _told(kind: type[Exception], timeout: float) -> Iterator[None]:
    """Turn a database's error into one line for the person who wrote the statement."""
    try:
        yield
    except kind as error:
        diag: Any = getattr(error, "diag", None)
        text = " ".join(str((diag and diag.message_primary) or error).split())
        if "interrupted" in text or "statement timeout" in text:
            text = f"it took longer than {timeout:g} s: ask for less, or allow more with --timeout"
        elif text == "not authorized" or "prohibited" in text:
            text = "only reading is allowed"
        raise ConfigError(f"the database refuses: {text}" if "took longer" not in text else text) from None


def _each_once(columns: list[str]) -> list[str]:
    """Return the names with numbers behind those that were there before, so that a row can be a JSON object."""
    named: list[str] = []
    for name in columns:
        number, told = 2, name
        while told in named:
            told, number = f"{name}_{number}", number + 1
        named.append(told)
    return named


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value) if value.tzinfo else value.isoformat(sep=" ")
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | dict) else str(value)


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return _float(float(value))
    if value == value.to_integral_value():
        return int(value) if value.adjusted() < DIGITS else f"{value:f}"
    told = float(value)
    return told if isfinite(told) else f"{value:f}"


def _float(value: float) -> float | str:
    return value if value - value == 0 else str(value)  # JSON knows no NaN and no infinity
