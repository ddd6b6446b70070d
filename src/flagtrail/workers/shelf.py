"""Keeps what workers know together besides the trail: in a schema of its own, which may be dropped and loses nothing.

It is named after the version of Procrastinate's tables, so that another version of those begins with an empty one.
"""

from collections.abc import Iterator, MutableSet
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.resources import files

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, text

from flagtrail.database import guarded
from flagtrail.discovery import Known
from flagtrail.store import Store

LOCK = 0x776F726B  # of who makes the tables; any number
KNOWN = TypeAdapter(Known)
# Unlogged: nothing of it has to outlive a crash of the server, and nothing waits for the disk.
TABLES = """
CREATE UNLOGGED TABLE IF NOT EXISTS {schema}.listing (source text PRIMARY KEY, known jsonb, due_at timestamptz);
CREATE UNLOGGED TABLE IF NOT EXISTS {schema}.behind (source text, stream text, PRIMARY KEY (source, stream));
CREATE UNLOGGED TABLE IF NOT EXISTS {schema}.budget (
    credential text, name text, route text, remaining integer NOT NULL, size integer NOT NULL,
    resets_at timestamptz NOT NULL, span double precision, probing boolean NOT NULL DEFAULT false,
    PRIMARY KEY (credential, name, route)
);
ALTER TABLE {schema}.budget ADD COLUMN IF NOT EXISTS under_way jsonb NOT NULL DEFAULT '{{}}';
CREATE UNLOGGED TABLE IF NOT EXISTS {schema}.held (credential text PRIMARY KEY, until timestamptz NOT NULL);
"""
RECALL = """
SELECT known::text, extract(epoch FROM due_at - clock_timestamp())::float8 FROM {schema}.listing WHERE source = :source
"""
KEEP = """
INSERT INTO {schema}.listing VALUES (:source, CAST(:known AS jsonb), clock_timestamp() + :due_in)
ON CONFLICT (source) DO UPDATE SET known = excluded.known, due_at = excluded.due_at
"""
BEHIND = "SELECT stream FROM {schema}.behind WHERE source = :source"


def schema_name() -> str:
    """Return the name of the schema, such as flagtrail_workers_03_04_00."""
    steps = sorted(step.name for step in files("procrastinate.sql").joinpath("migrations").iterdir())
    newest = max(step.partition("_")[0] for step in steps if step[:2].isdigit())
    return "flagtrail_workers_" + newest.replace(".", "_")


class Shelf:
    """The schema of the workers in the store's database; `schema` is its name."""

    def __init__(self, store: Store) -> None:
        self.store, self.schema = store, schema_name()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Give a connection on which each statement is a transaction; raises StoreError."""
        with guarded(self.store.shown), self.store.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def now(self) -> datetime:
        """Return what time it is by the database, whose clock is the one that all workers have; raises StoreError."""
        with self.connect() as connection:
            told: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return told

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make what is missing of our own tables, and keep other workers from making tables for as long."""
        with self.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            try:
                there = connection.execute(text("SELECT to_regnamespace(:schema)"), {"schema": self.schema}).scalar()
                if there is None:  # a role that may not make schemas may not do so IF NOT EXISTS either
                    connection.execute(text(f"CREATE SCHEMA {self.schema}"))
                for statement in TABLES.format(schema=self.schema).split(";\n")[:-1]:
                    connection.execute(text(statement))
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


class Listing:
    """What all workers know of the streams of one source: the `Memory` of its `Discovery`."""

    def __init__(self, shelf: Shelf, source: str) -> None:
        self.shelf, self.source = shelf, source

    def recall(self) -> tuple[Known, float] | None:
        """Return what is known, and in how many seconds the vendor is to be asked again; None when nothing is.

        What another version of flagtrail has kept in another form counts as nothing: then the vendor is asked.
        """
        query = RECALL.format(schema=self.shelf.schema)
        with self.shelf.connect() as connection:
            row = connection.execute(text(query), {"source": self.source}).first()
        try:
            return (KNOWN.validate_json(row[0]), row[1]) if row else None
        except ValidationError:
            return None

    def keep(self, known: Known, due_in: float) -> None:
        """Keep what is known by now, and in how many seconds the vendor is to be asked again."""
        statement = KEEP.format(schema=self.shelf.schema)
        told = {"source": self.source, "known": KNOWN.dump_json(known).decode(), "due_in": timedelta(seconds=due_in)}
        with self.shelf.connect() as connection:
            connection.execute(text(statement), told)


class Behind(MutableSet[str]):
    """The names of the streams of one source whose older gaps could not be read the last time, by any worker."""

    def __init__(self, shelf: Shelf, source: str) -> None:
        self.shelf, self.source = shelf, source

    def add(self, value: str) -> None:
        """Put a stream in."""
        self._execute("INSERT INTO {schema}.behind VALUES (:source, :stream) ON CONFLICT DO NOTHING", value)

    def discard(self, value: str) -> None:
        """Take a stream out."""
        self._execute("DELETE FROM {schema}.behind WHERE source = :source AND stream = :stream", value)

    def __contains__(self, value: object) -> bool:
        return value in list(self)

    def __iter__(self) -> Iterator[str]:
        query = BEHIND.format(schema=self.shelf.schema)
        with self.shelf.connect() as connection:
            return iter(list(connection.execute(text(query), {"source": self.source}).scalars()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _execute(self, statement: str, stream: str) -> None:
        with self.shelf.connect() as connection:
            connection.execute(
                text(statement.format(schema=self.shelf.schema)), {"source": self.source, "stream": stream}
            )
