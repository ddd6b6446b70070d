"""What the tests of the database share: one look at the vendor, one more that makes all whole, and an administrator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.faults.conftest import Oracle
from tests.faults.running import is_whole, source_of

AUDIT_LOG = "/api/v2/auditlog?"


def fill(vendor: LaunchDarklySimulator, store: Store, **more: Any) -> list[str]:
    """Sync once, as a new process would, and return the errors."""
    with Session(source_of(vendor, **more), store) as session:
        return session.fill().errors


def assert_heals(oracle: Oracle, vendor: LaunchDarklySimulator, store: Store) -> None:
    """Check that one more sync, with nobody's help, makes everything whole."""
    assert fill(vendor, store) == []
    oracle.whole(store, vendor)
    assert is_whole(store, vendor)


@contextmanager
def administration(url: str) -> Iterator[Connection]:
    """Another connection to the same PostgreSQL server, with every statement a transaction of its own."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def hang_up_all(connection: Connection) -> int:
    """End every other session of the database; return how many there were."""
    ended = connection.execute(
        text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    ).all()
    return len(ended)
