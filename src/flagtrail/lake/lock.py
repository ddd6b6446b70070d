"""Lets one process at a time write the lake of a database; who is killed lets go by that."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from flagtrail.database import guarded
from flagtrail.errors import LakeError
from flagtrail.store import Store

LAKE_LOCK = 0x6C616B65  # any number; PostgreSQL's advisory locks are named by one
EVERY = 0.2  # seconds between two tries


@contextmanager
def alone_with_the_lake(store: Store, waiting: Callable[[], bool]) -> Iterator[Callable[[], object]]:
    """Wait until nobody else writes the lake, and let nobody; `waiting` says whether to go on waiting.

    Raises LakeError when it says no. Gives a function that raises StoreError when others may be let in by now: the lock
    of PostgreSQL goes with its connection.
    """
    with _tries(store) as (take, hold):
        while not take():
            if not waiting():
                raise LakeError("another process is bringing the lake up to date; it does what this one would do")
            time.sleep(EVERY)
        yield hold


@contextmanager
def _tries(store: Store) -> Iterator[tuple[Callable[[], bool], Callable[[], object]]]:
    """Give a function that takes the lock, or returns false, and one that fails when it was lost.

    It is let go at the end of the block.
    """
    if store.engine.dialect.name == "postgresql":
        with guarded(store.shown), store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                yield (
                    lambda: bool(connection.execute(select(func.pg_try_advisory_lock(LAKE_LOCK))).scalar()),
                    lambda: connection.execute(select(1)),
                )
            finally:
                try:
                    connection.execute(select(func.pg_advisory_unlock_all()))  # the connection goes back, and is kept
                except SQLAlchemyError:
                    connection.invalidate()  # and the lock with it
        return
    path = Path(f"{store.engine.url.database}-lake")
    try:
        file = path.open("a")
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror}; by it one process keeps others out") from None
    with file:
        yield lambda: _locked(file.fileno()), lambda: None


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
