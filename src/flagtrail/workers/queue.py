"""Where jobs wait for workers: Procrastinate's tables in PostgreSQL, and how a job is put there.

A lock lets one job of a name run at a time, on whatever machine; what is put there `once` waits there once at most.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from hashlib import sha256
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, AppNotOpen, ConnectorException, UniqueViolation
from procrastinate.jobs import Job
from sqlalchemy import Engine

from flagtrail.database import connect_args
from flagtrail.errors import StoreError
from flagtrail.workers.shelf import Shelf

EVERYBODY = "*"  # the queue of what every worker can do; no source may have this name
LONGEST = 39  # characters of a queue's name, without what follows: PostgreSQL takes no longer name of a channel
SOON = "!"  # ends the name of a source's queue of what is not to wait for others
SPARE = "+"  # ends that of what takes only what is left over, and may take long
CONNECTIONS = 4  # at most, of each pool


class Priority(IntEnum):
    """What goes first; of the same priority, what was put there first."""

    VERIFY, UPKEEP, OLDER, NEWEST, PLAN, RECOVER = range(6)


def queue_of(source: str, priority: Priority) -> str:
    """Return the name of a source's queue of such jobs: a worker takes jobs of the sources that it knows."""
    short = f"{source[: LONGEST - 13]}-{sha256(source.encode()).hexdigest()[:12]}"
    which = SOON if priority >= Priority.NEWEST else "" if priority >= Priority.OLDER else SPARE
    return (source if len(source) <= LONGEST else short) + which


def pool_args(engine: Engine, schema: str) -> dict[str, Any]:
    """Return how Procrastinate connects: to its schema, and without waiting for the disk, as nothing there is truth.

    No URL is made of it: SQLAlchemy's may name several hosts, or hold a blank, which libpq refuses, and repeats.
    """
    told = dict(engine.dialect.create_connect_args(engine.url)[1])
    told.pop("context", None)  # how SQLAlchemy wants values
    settings = connect_args(search_path=schema, synchronous_commit="off")
    return {"kwargs": told | settings, "min_size": 1, "max_size": CONNECTIONS}


@contextmanager
def any_language() -> Iterator[None]:
    """Let Procrastinate know what waits already by a PostgreSQL that says so in another language than English, too.

    It reads the server's words, and gives up where they are others.
    """
    try:
        yield
    except (AssertionError, AttributeError) as error:
        refused = error.__context__
        if not isinstance(refused, psycopg.errors.UniqueViolation):
            raise
        raise UniqueViolation(constraint_name=refused.diag.constraint_name, queueing_lock=None) from None


class Connector(PsycopgConnector):
    """Procrastinate's own, whichever language the server speaks."""

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        """Do what Procrastinate asks for."""
        with any_language():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        """Do what Procrastinate asks for, and return a row."""
        with any_language():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row


class SyncConnector(SyncPsycopgConnector):
    """The same for threads."""

    def execute_query_all(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:
        """Do what Procrastinate asks for, and return the rows."""
        with any_language():
            return super().execute_query_all(query, **arguments)


class Queue:
    """Puts jobs where workers find them; from any thread."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.pool_args = pool_args(shelf.store.engine, shelf.schema)
        self._app = App(connector=SyncConnector(**self.pool_args))

    def open(self) -> None:
        """Make what is missing of the tables, however many workers start at the same time; raises StoreError."""
        with self.shelf.alone():
            try:
                self._app.open()
                if not self._app.check_connection():
                    self._app.schema_manager.apply_schema()
            except (ConnectorException, psycopg.Error) as error:
                raise self._unusable(error) from None

    def close(self) -> None:
        """Let go of the database."""
        self._app.close()

    def put(
        self, task: str, source: str, priority: Priority, *, lock: str, once: str | None = None, **args: Any
    ) -> bool:
        """Put a job there; return False when it waits there already. Raises StoreError."""
        told: dict[str, Any] = {
            "queue": queue_of(source, priority),
            "lock": lock,
            "queueing_lock": once,
            "priority": priority,
        }
        return self._put(task, told, args | {"source": source})

    def put_again(self, job: Job, seconds: int, attempt: int) -> bool:
        """Put a job there that was not finished, to be done in so many seconds, unless its like waits there already.

        Procrastinate's own way, which lets the job itself wait again, fails when its like does. Raises StoreError.
        """
        told: dict[str, Any] = {
            "queue": job.queue, "lock": job.lock, "queueing_lock": job.queueing_lock, "priority": job.priority,
        }  # fmt: skip
        if seconds:  # by the clock of the database, which decides: that of this machine may be ahead
            told["schedule_at"] = self.shelf.now() + timedelta(seconds=seconds)
        return self._put(job.task_name, told, job.task_kwargs | {"attempt": attempt})

    def _put(self, task: str, told: dict[str, Any], args: dict[str, Any]) -> bool:
        try:
            self._app.configure_task(task, **told).defer(**args)
        except AlreadyEnqueued:
            return False
        except (ConnectorException, AppNotOpen) as error:  # a webhook may come before the tables are there
            raise self._unusable(error) from None
        return True

    def _unusable(self, error: Exception) -> StoreError:
        reason = " ".join(str(error.__cause__ or error).split())
        return StoreError(f"database {self.shelf.store.shown}: the queue of jobs cannot be used: {reason}")
