"""Opens the database so that a commit is durable, and brings its schema up to date."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from flagtrail.deadline import deadline, milliseconds_left
from flagtrail.errors import StoreError, TooSlow
from flagtrail.event import to_json
from flagtrail.migrations import HEAD, KNOWN
from flagtrail.words import folded, has_words

CACHE_KIB = 4096  # of SQLite, for each open connection
LOG_PAGES = 4000  # of 4 KiB, after which SQLite writes its log back into the file: a page that many wrote, once
STEPS = 20_000  # of SQLite's machine, between two looks at the clock
BUSY_SECONDS = 60  # how long a writer waits for another process's transaction
MIGRATION_LOCK = 0x666C6167  # any number; PostgreSQL's advisory locks are named by one
LOCK = 1718378855  # of who stores; the triggers of PostgreSQL name it too


def open_database(url: str, *, create: bool = True) -> Engine:
    """Return an engine on a database of the present schema, migrated if it was older.

    With `create` false a database without flagtrail's tables is an error. Raises StoreError, whose message never shows
    a password.
    """
    parsed = _parse(url)
    shown = shown_url(parsed)
    if parsed.get_backend_name() == "sqlite":
        _check_file(parsed, create)
    engine = _engine(parsed)
    try:
        with guarded(shown):
            _migrate(engine, shown, create)
    except BaseException:
        engine.dispose()
        raise
    if parsed.get_backend_name() == "sqlite":
        _stay_with_the_file(engine)
    return engine


def only_reading(engine: Engine) -> None:
    """Let the database refuse whatever would change it, in every transaction that begins from now on."""
    refuse = "PRAGMA query_only = ON" if engine.dialect.name == "sqlite" else "SET TRANSACTION READ ONLY"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(refuse))


def outdated(engine: Engine) -> str | None:
    """Return what is wrong with the schema of an open database, which another process may have changed, or None."""
    with engine.connect() as connection:
        version = _version(connection)
    if version == HEAD:
        return None
    step = f"has the schema {version}" if version else "holds no trail any more"
    return f"the database {step}, and this flagtrail works with {HEAD}; upgrade flagtrail where it is the older one"


def shown_url(url: URL) -> str:
    """Return a database's URL for people: as they write it, without its password."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


@contextmanager
def guarded(shown: str) -> Iterator[None]:
    """Turn a database's failure into a StoreError of one line."""
    try:
        yield
    except DBAPIError as error:
        asked = deadline()
        if asked is not None and _was_ended(error.orig):
            raise TooSlow(
                f"this takes longer than {asked.seconds:g} seconds; ask for a shorter time, or with another filter"
            ) from None
        reason = " ".join(str(error.orig).split()).rstrip(".?!")
        raise StoreError(f"database {shown}: {reason}. Check [store] url, and that the database can be used") from None
    except SQLAlchemyError as error:
        raise StoreError(f"database {shown}: {' '.join(str(error).split())}") from None


def _was_ended(error: BaseException | None) -> bool:
    """Return whether the database ended a statement, as it was told to; 57014 is PostgreSQL's code for that."""
    return str(error) == "interrupted" or getattr(error, "sqlstate", None) == "57014"


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Run one write transaction; SQLite takes its write lock at the start, so it cannot fail half way."""
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        yield connection


def enter(connection: Connection) -> None:
    """Let nobody gather until the transaction ends: its numbers are lower than those of others that end before."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(LOCK)))


def alone(connection: Connection) -> None:
    """Wait for everybody who is storing, and let nobody begin."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(
            "[store] url is no database URL; write sqlite:///flagtrail.db or postgresql://host/name"
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise StoreError(f"[store] url begins with {parsed.drivername}://, but only sqlite:// and postgresql:// work")
    return parsed


def _check_file(url: URL, create: bool) -> None:
    """Refuse a SQLite path that cannot work, before SQLite says it in its own words."""
    if not url.database or url.database == ":memory:":
        raise StoreError(
            "[store] url names no file; write sqlite:///flagtrail.db, or four slashes for a path from the root"
        )
    path = Path(url.database)
    if not create and not path.exists():
        raise StoreError(f"there is no database {path} yet; `flagtrail sync` makes one, or name another with --config")
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} of the database does not exist; make it, or correct [store] url")


def _engine(url: URL) -> Engine:
    options: dict[str, Any] = {"json_serializer": lambda value: to_json(value).decode(), "hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        # Two stay open, each with a cache of its own: closing the last one would write the whole log back each time.
        pool = {"pool_size": 2, "max_overflow": -1}
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **pool, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # A server may be set to a stricter isolation, under which writers of one stream fail instead of waiting.
    options["isolation_level"] = "READ COMMITTED"
    # synchronous_commit=off would lose acknowledged commits in a crash, whatever the server's default is.
    args = connect_args(synchronous_commit="on")
    engine = create_engine(url, pool_pre_ping=True, connect_args=args, **options)
    event.listen(engine, "begin", _limit_postgresql)
    return engine


def connect_args(**settings: str) -> dict[str, Any]:
    """Return how a connection to PostgreSQL is made, with settings of the server's.

    It waits for a lock, and for a server that went silent, until somebody notices.
    """
    settings = {"timezone": "UTC", "lock_timeout": f"{BUSY_SECONDS}s"} | settings
    return {
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": BUSY_SECONDS * 1000,
    }


def _stay_with_the_file(engine: Engine) -> None:
    """Refuse another connection once the file of an open database was deleted, or replaced by another.

    SQLite would begin an empty trail, or mix the log of the one file into the other.
    """
    path = Path(str(engine.url.database))
    opened = path.stat()

    def check(*_: object) -> None:
        try:
            same = path.stat().st_ino == opened.st_ino
        except OSError:
            same = False
        if not same:
            raise StoreError(
                f"the database file {path} was moved, deleted or replaced since it was opened; put the right one "
                "there, without the -wal and -shm of another, and start flagtrail again"
            )

    event.listen(engine, "do_connect", check)
    event.listen(engine, "checkout", check)


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # no implicit BEGIN: `_begin_sqlite` says which kind
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.create_function("has_words", 2, has_words, deterministic=True)
    connection.create_function("folded", 1, folded, deterministic=True)
    _use_wal(connection)
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    connection.execute("PRAGMA synchronous = FULL")  # NORMAL loses acknowledged commits when the power goes


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging; SQLite's own waiting does not cover two processes that do so at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: Connection) -> None:
    until = deadline()
    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(until and (lambda: time.monotonic() > until.at), STEPS)  # of the last one here, too
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")


def _limit_postgresql(connection: Connection) -> None:
    left = milliseconds_left()
    if left is not None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {left}")


def _migrate(engine: Engine, shown: str, create: bool) -> None:
    with engine.connect() as connection:
        version = _version(connection)
    if version == HEAD:
        return
    if version is None and not create:
        raise StoreError(f"database {shown} holds no trail yet; `flagtrail sync` makes one")
    if version is not None and version not in KNOWN:
        raise StoreError(f"database {shown} was written by a newer flagtrail (schema {version}); upgrade flagtrail")
    from flagtrail.migrations.upgrade import upgrade  # alembic is slow to import, and rarely needed

    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        upgrade(connection)  # does nothing when another process was faster


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
