"""What the tests of verification share: sources that have read everything, and what a verification reports."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from flagtrail.report import Verification
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Simulator
from flagtrail.verdicts import Outcome
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, shown

DAY_MS = 86_400_000
ALWAYS = 100_000
LOG = "audit_log"
COUNTS = "auditlog/counts"
KINDS = [LaunchDarklySimulator, ConfigCatSimulator]


def source_of(vendor: Simulator, **more: Any) -> Source:
    options = {"flag_events": False} if isinstance(vendor, LaunchDarklySimulator) else {}
    connector = vendor.connector(**vendor.settings(), **options)
    return Source("acme", connector, **({"start": timedelta(days=61)} | more))


def loaded(vendor: Simulator, store: Store, **more: Any) -> Session:
    """Return a session that has read everything."""
    session = Session(source_of(vendor, **more), store)
    assert session.fill().errors == []
    return session


def streams_of(vendor: Simulator) -> list[str]:
    return [LOG] if isinstance(vendor, LaunchDarklySimulator) else list(vendor.truth())


def outcomes(report: Verification) -> set[Outcome]:
    return {verdict.outcome for stream in report.streams.values() for verdict in stream.verdicts}


def found(report: Verification) -> int:
    return sum(stream.found for stream in report.streams.values())


def vanished(report: Verification) -> dict[str, str]:
    return {id: why for stream in report.streams.values() for id, why in stream.vanished.items()}


def delete(store: Store, ids: list[str], tables: tuple[str, ...]) -> None:
    """Delete rows behind the store's back."""
    with store.engine.begin() as connection:
        for id in ids:
            number = connection.execute(text("SELECT number FROM event WHERE id = :id"), {"id": id}).scalar()
            for table in tables:
                connection.execute(text(f"DELETE FROM {table} WHERE number = :number"), {"number": number})


def assert_whole(store: Store, vendor: Simulator) -> None:
    wanted = {stream: ids for stream, ids in shown(vendor).items() if stream in streams_of(vendor)}
    assert held(store, "acme") == wanted
