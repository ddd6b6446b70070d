"""A database of any earlier schema is brought to the present one with all that it holds, and goes on being filled.

What both vendors show is stored once, and written down again in the shape that each schema had.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url

from flagtrail import packing
from flagtrail.counts import count_by_action
from flagtrail.database import _engine, writing
from flagtrail.gather import Gathering
from flagtrail.language import parse
from flagtrail.migrations import HEAD, KNOWN
from flagtrail.migrations.upgrade import upgrade
from flagtrail.query import event, events
from flagtrail.schema import DETAIL, EVENT, GAP, VERDICT
from flagtrail.schema.forgetting import FORGOTTEN, HOLD, IDENTITY, IDENTITY_KEY
from flagtrail.schema.notices import FINDING, NOTICE, RULE
from flagtrail.schema.whole import METADATA
from flagtrail.store import Store
from flagtrail.testing.simulator import Simulator
from flagtrail.tokens import check, create
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held, shown
from tests.faults.scene import sync

MADE = {"tally", "total", "facet", "waiting", "gathered"}  # out of the events, and anew whenever that is needed
KEPT = [table for table in METADATA.sorted_tables if table.name not in MADE]
NUMBERED, COUNTED, ERA, EVENTS_OF = "0003", "0006", "0012", ("record", "detail")
QUESTIONS = ("action:turned_on,turned_off", "flag -actor:ana*", "environment:production sort:oldest", "is:vanished")
NOW = datetime.now(UTC).replace(microsecond=0)


class Trail(NamedTuple):
    """A trail of the present schema, the vendors that it was read from, and a token for it."""

    store: Store
    vendors: dict[str, Simulator]
    token: str


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trail]:
    """Both vendors, all that they show, and a row in every other table."""
    url = f"sqlite:///{tmp_path_factory.mktemp('newest') / 'trail.db'}"
    with (
        pytest.MonkeyPatch.context() as patch,
        LaunchDarklySimulator() as launchdarkly,
        ConfigCatSimulator() as configcat,
        Store(url) as store,
    ):
        patch.setattr(packing, "SAMPLES", 40)  # so that most records need a dictionary
        launchdarkly.fill(120, 5, seed=3)
        configcat.fill(60, 5, seed=3)
        fresh = launchdarkly.add(launchdarkly.clock.ms() - 60_000, comment="because")
        vendors: dict[str, Simulator] = {"ld": launchdarkly, "cc": configcat}
        for name, vendor in vendors.items():
            sync(vendor, store, source=name)
        launchdarkly.edit(fresh, comment="because of the ticket")
        sync(launchdarkly, store, source="ld")
        token = create(store, "grafana", ["read"])
        _fill_the_rest(store)
        store.gather()
        yield Trail(store, vendors, token)


def _fill_the_rest(store: Store) -> None:
    place = {"source": "ld", "stream": "audit_log"}
    found = {"since": NOW - timedelta(days=9), "until": NOW - timedelta(days=8)}
    with writing(store.engine) as connection:
        connection.execute(insert(GAP), place | found | {
            "reason": "not kept", "stored": 0, "seen_at": NOW, "permanent": True})  # fmt: skip
        connection.execute(insert(VERDICT), place | found | {
            "method": "counts", "checked_at": NOW, "verdict": "verified", "expected": 7, "stored": 7})  # fmt: skip
        body = store.packing.pack(connection, "launchdarkly/audit_log", [b'{"full": "form"}'])[0]
        done = select(func.min(DETAIL.c.number)).scalar_subquery()
        connection.execute(
            update(DETAIL).where(DETAIL.c.number == done), {"state": "done", "tried_at": NOW, "body": body}
        )
        connection.execute(update(EVENT).where(EVENT.c.number == 4), {
            "vanished_at": NOW, "vanished_reason": "unexplained", "provisional": True})  # fmt: skip
        connection.execute(insert(RULE), {"rule": "prod", "position": 9, "began_at": NOW, "left_out": 1})
        connection.execute(insert(NOTICE), {
            "rule": "prod", "sink": "ops", "key": "prod-1", "events": [1, 2], "more": 0, "state": "waiting",
            "made_at": NOW, "due_at": NOW})  # fmt: skip
        connection.execute(insert(FINDING), {"rule": "prod", "key": "gap", "seen_at": NOW})
        connection.execute(insert(IDENTITY_KEY), {"id": 1, "key": bytes(range(32))})
        connection.execute(insert(IDENTITY), {
            "digest": bytes(32), "pseudonym": "person-3f9a1c2e", "words": 2, "begins": 1, "within": True})  # fmt: skip
        connection.execute(insert(FORGOTTEN), {
            "pseudonym": "person-3f9a1c2e", "begun_at": NOW, "finished_at": NOW, "dictionaries": []})  # fmt: skip
        connection.execute(insert(HOLD), {"since": NOW, "reason": "case 7", "until": NOW})


def test_every_table_has_rows_here(trail: Trail) -> None:
    with trail.store.engine.connect() as connection:
        empty = [table.name for table in KEPT if not connection.scalar(select(func.count()).select_from(table))]
        assert empty == []
        assert connection.scalar(text("SELECT max(revision) FROM record")) == 2


class Shape:
    """The tables as they were in a schema: what a database of then can hold of what is stored now."""

    def __init__(self, connection: Connection, version: str) -> None:
        self.version = version
        there = inspect(connection)
        names = {table.name: {each["name"] for each in there.get_columns(table.name)} for table in KEPT
                 if there.has_table(table.name)}  # fmt: skip
        self.columns = {table: names[table.name] for table in KEPT if table.name in names}

    def shared(self, table: Any) -> list[str]:
        """Return the columns that mean the same then and now."""
        return [c.name for c in table.c if c.name in self.columns[table] and c.name not in ("number", "body")]

    def write(self, trail: Trail, connection: Connection) -> None:
        """Store what the trail holds, as it was done then."""
        with trail.store.engine.connect() as now:
            ids = {number: id for number, id in now.execute(select(EVENT.c.number, EVENT.c.id))}  # noqa: C416
            for table, columns in self.columns.items():
                old = Table(table.name, MetaData(), *(self._column(table, name) for name in sorted(columns)))
                rows = [self._row(trail, now, table, dict(row), ids) for row in now.execute(_all(table)).mappings()]
                connection.execute(insert(old), [{name: row[name] for name in columns} for row in rows])
                if (
                    "number" in columns
                    and connection.dialect.name == "postgresql"
                    and table in (EVENT, NOTICE, FORGOTTEN, HOLD)
                ):
                    last = f"setval(pg_get_serial_sequence('{table.name}', 'number'), max(number))"
                    connection.execute(text(f"SELECT {last} FROM {table.name}"))

    def _column(self, table: Any, name: str) -> Any:
        if name == "event_id" or (name == "body" and self.version < NUMBERED):
            return Column(name, String if name == "event_id" else Text)
        return Column(name, table.c[name].type)

    def _row(
        self, trail: Trail, now: Connection, table: Any, row: dict[str, Any], ids: dict[int, str]
    ) -> dict[str, Any]:
        if table.name in EVENTS_OF and self.version < NUMBERED:
            row["event_id"] = ids[row["number"]]
            row["body"] = row["body"] and trail.store.packing.unpack(now, row["body"]).decode()
        return row

    def read(self, store: Store) -> dict[str, list[str]]:
        """Return what a trail of the present schema holds of it, in an order that does not depend on numbers."""
        found = {}
        with store.engine.connect() as connection:
            for table in self.columns:
                columns = [table.c[name] for name in self.shared(table)]
                query = select(*columns)
                if table.name in EVENTS_OF:
                    query = select(EVENT.c.id.label("of"), *columns).join(EVENT, EVENT.c.number == table.c.number)
                elif "number" in self.columns[table]:
                    query = select(table.c.number.label("of"), *columns)
                rows = [list(row) for row in connection.execute(query).all()]
                found[table.name] = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
        return found


def _all(table: Any) -> Any:
    return select(table).order_by(*table.primary_key.columns)


def answers(store: Store) -> list[Any]:
    """Return what people are told: events of some questions, counts, and every record that was kept."""
    # Of one millisecond, events stand in the order of their numbers, which were given by an upgrade only.
    asked = [sorted(one["id"] for one in events(store, parse(question, NOW))) for question in QUESTIONS]
    ids = [one["id"] for one in events(store, parse("", NOW))]
    records = {id: [one["record"] for one in event(store, id)[0]["records"]] for id in sorted(ids)[::7]}
    return [asked, sorted(ids), count_by_action(store), records]


@pytest.mark.parametrize("version", KNOWN)
def test_a_database_of_every_schema_is_upgraded_whole(trail: Trail, store_url: str, version: str) -> None:
    engine = _engine(make_url(store_url))
    with writing(engine) as connection:
        upgrade(connection, version)
        shape = Shape(connection, version)
        shape.write(trail, connection)
        if "0004" <= version < COUNTED:  # counted as it was then: nothing of that may be left
            connection.execute(
                text("INSERT INTO tally VALUES ('2026-01-01T00:00:00.000Z', 'launchdarkly', 'ld', 99, 0)")
            )
            connection.execute(text("UPDATE gathered SET upto = 99"))
    if version >= COUNTED:
        _gather(engine, version)
    engine.dispose()

    with Store(store_url) as store:
        assert store.outdated() is None
        assert shape.read(store) == shape.read(trail.store)
        assert answers(store) == answers(trail.store)
        assert not store.recount(), "what was counted before the upgrade is right"
        store.gather()
        assert not store.recount()
        assert version < "0008" or check(store, trail.token)
        for name, vendor in trail.vendors.items():
            stored, before = held(store, name), len(vendor.requests)
            report = sync(vendor, store, source=name)
            assert sum(stream.new + stream.changed for stream in report.streams.values()) == 0, "it was all there"
            assert len(vendor.requests) - before <= len(vendor.truth()) + 3, "what was covered is covered"
            assert held(store, name) == stored == shown(vendor)


def _gather(engine: Engine, version: str) -> None:
    """Count what is stored as it was done then: in the same tables but for a column that tells when they were begun."""
    if version < ERA:
        with writing(engine) as connection:
            connection.execute(text("ALTER TABLE gathered ADD COLUMN era INTEGER NOT NULL DEFAULT 0"))
    Gathering(engine).catch_up()
    if version < ERA:
        with writing(engine) as connection:
            connection.execute(text("ALTER TABLE gathered DROP COLUMN era"))


def test_an_upgrade_that_is_cut_leaves_the_database_as_it_was(trail: Trail, store_url: str) -> None:
    engine = _engine(make_url(store_url))
    with writing(engine) as connection:
        upgrade(connection, KNOWN[0])
        shape = Shape(connection, KNOWN[0])
        shape.write(trail, connection)
    with pytest.raises(RuntimeError), writing(engine) as connection:
        _upgrade_until_the_power_goes(connection)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == KNOWN[0]
        assert Shape(connection, KNOWN[0]).columns == shape.columns
    engine.dispose()
    with Store(store_url) as store:
        assert shape.read(store) == shape.read(trail.store)


def _upgrade_until_the_power_goes(connection: Connection) -> None:
    upgrade(connection, HEAD)
    raise RuntimeError("the power goes")


def test_the_newest_version_is_the_last_of_a_row_without_gaps() -> None:
    from flagtrail.migrations import versions

    steps = sorted(path.stem.removeprefix("step_") for path in Path(versions.__file__).parent.glob("step_*.py"))
    assert tuple(steps) == KNOWN
