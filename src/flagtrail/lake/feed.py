"""Notes which events changed since the lake was brought up to date: triggers do, in the transaction that changes them.

So nothing is missed, whoever changed it, and a number that is committed later than a higher one is noted when it is
committed. The triggers and their tables are made when a lake is kept, and go with it: who keeps none pays nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateTable

from flagtrail.bulk import among
from flagtrail.columns import Instant, Number, where
from flagtrail.database import alone, guarded, writing
from flagtrail.store import Store

META = MetaData()
STATE = Table(
    "lake",
    META,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1: there is one row
    Column("table_id", String),  # by which the lake is known; null: it was not made yet
    Column("tried", Number, nullable=False),  # the number of the last write that was begun
    Column("done", Number, nullable=False),  # and of the last one that is known to have succeeded
    Column("building", String),  # the month up to which it was built; null: it is built
    Column("forgotten", Integer, nullable=False),  # how many acts of forgetting its files have been through
    Column("vacuumed_at", Instant),
)
CHANGE = Table(
    "lake_change",
    META,
    Column("position", Number, Identity(), primary_key=True),
    Column("number", Number, nullable=False),  # of an event that was stored, changed or deleted
    Column("id", String),  # what it had before; null: it was not there
    Column("related_event", String),
    Column("occurred_at", Instant),
    # Of what is new, which is most of it, the index holds nothing.
    Index("lake_change_before", "number", **where("occurred_at IS NOT NULL")),
)
BEGINNING = ""  # a month before all others
ALL = -1  # the number that stands for every event: the whole table was emptied at once
NAMES = ("lake_inserted", "lake_updated", "lake_deleted")
EMPTIED = "lake_emptied"  # one more, where a table can be emptied at once
SQLITE = (
    """CREATE TRIGGER lake_inserted AFTER INSERT ON event BEGIN
    INSERT INTO lake_change (number) VALUES (NEW.number); END""",
    """CREATE TRIGGER lake_updated AFTER UPDATE ON event BEGIN
    INSERT INTO lake_change (number, id, related_event, occurred_at)
    VALUES (OLD.number, OLD.id, OLD.related_event, OLD.occurred_at);
    INSERT INTO lake_change (number) SELECT NEW.number WHERE NEW.number <> OLD.number; END""",
    """CREATE TRIGGER lake_deleted AFTER DELETE ON event BEGIN
    INSERT INTO lake_change (number, id, related_event, occurred_at)
    VALUES (OLD.number, OLD.id, OLD.related_event, OLD.occurred_at); END""",
)
POSTGRESQL = (  # by the statement, which costs a load the least; -1 is `ALL`
    """CREATE FUNCTION lake_noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'TRUNCATE' THEN
      INSERT INTO lake_change (number) VALUES (-1);
    ELSIF TG_OP = 'INSERT' THEN
      INSERT INTO lake_change (number) SELECT number FROM added;
    ELSE
      INSERT INTO lake_change (number, id, related_event, occurred_at)
      SELECT number, id, related_event, occurred_at FROM before;
      IF TG_OP = 'UPDATE' THEN
        INSERT INTO lake_change (number) SELECT number FROM added EXCEPT SELECT number FROM before;
      END IF;
    END IF;
    RETURN NULL;
    END $$""",
    """CREATE TRIGGER lake_inserted AFTER INSERT ON event REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION lake_noted()""",
    """CREATE TRIGGER lake_updated AFTER UPDATE ON event REFERENCING OLD TABLE AS before NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION lake_noted()""",
    """CREATE TRIGGER lake_deleted AFTER DELETE ON event REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION lake_noted()""",
    "CREATE TRIGGER lake_emptied AFTER TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION lake_noted()",
)


@dataclass(frozen=True, slots=True)
class State:
    """How far the lake is; `STATE` says what each is."""

    table_id: str | None
    tried: int
    done: int
    building: str | None
    forgotten: int
    vacuumed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Note:
    """That an event was stored, changed or deleted, and what it had before: nothing, if it was not there."""

    position: int
    number: int
    id: str | None
    related_event: str | None
    occurred_at: datetime | None


def begin(store: Store) -> bool:
    """Let changes be noted from now on; return whether they were all the time until now."""
    with guarded(store.shown):
        with store.engine.connect() as connection:
            if _is_noting(connection):
                return True
        with writing(store.engine) as connection:
            alone(connection)
            if _is_noting(connection):
                return True
            _drop(connection)
            for table in META.sorted_tables:
                if not inspect(connection).has_table(table.name):
                    connection.execute(CreateTable(table))
                    for index in table.indexes:
                        index.create(connection)
            for statement in SQLITE if connection.dialect.name == "sqlite" else POSTGRESQL:
                connection.exec_driver_sql(statement)
            if connection.execute(select(STATE.c.id)).first() is None:
                connection.execute(STATE.insert().values(id=1, tried=0, done=0, building=BEGINNING, forgotten=0))
            connection.execute(STATE.update().values(building=BEGINNING))
    return False


def end(store: Store) -> bool:
    """Note no changes any more, and let nothing of it be left in the database; return whether any were noted."""
    with guarded(store.shown), writing(store.engine) as connection:
        alone(connection)
        if not is_kept(connection):
            return False
        _drop(connection)
        for table in META.sorted_tables:
            table.drop(connection, checkfirst=True)
    return True


def is_kept(connection: Connection) -> bool:
    """Return whether a lake of this database is kept."""
    return inspect(connection).has_table(STATE.name)


def _is_noting(connection: Connection) -> bool:
    """Return whether all triggers are there: a table that somebody made anew has none of them any more."""
    if not (is_kept(connection) and inspect(connection).has_table(CHANGE.name)):
        return False
    known = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'event'"
        if connection.dialect.name == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE tgrelid = 'event'::regclass AND tgenabled IN ('O', 'A')"
    )
    wanted = {*NAMES} if connection.dialect.name == "sqlite" else {*NAMES, EMPTIED}
    return wanted <= set(connection.exec_driver_sql(known).scalars())


def _drop(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    for name in (*NAMES, EMPTIED):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}" + ("" if sqlite else " ON event"))
    if not sqlite:
        connection.exec_driver_sql("DROP FUNCTION IF EXISTS lake_noted")


def waiting(store: Store) -> int:
    """Return how many changes the lake does not follow yet; 0 where none is kept."""
    with guarded(store.shown), store.engine.connect() as connection:
        if not (is_kept(connection) and inspect(connection).has_table(CHANGE.name)):
            return 0
        return connection.execute(select(func.count()).select_from(CHANGE)).scalar_one()


def state(store: Store) -> State:
    """Return how far the lake is."""
    columns = [column for column in STATE.c if column.name != "id"]
    with guarded(store.shown), store.engine.connect() as connection:
        return State(*connection.execute(select(*columns)).one())


def note(store: Store, *, consumed: Sequence[int] = (), **values: Any) -> None:
    """Remember how far the lake is, and let go of notes that it follows by now, by their positions."""
    with guarded(store.shown), writing(store.engine) as connection:
        if values:
            connection.execute(STATE.update().values(values))
        if consumed:
            connection.execute(CHANGE.delete().where(among(CHANGE.c.position, consumed, connection)))


def edge(store: Store) -> tuple[int, int]:
    """Return the highest position of a note, and how many notes there are.

    Those of transactions that have not ended yet may have a lower position: they are for the next time.
    """
    query = select(func.coalesce(func.max(CHANGE.c.position), 0), func.count())
    with guarded(store.shown), store.engine.connect() as connection:
        highest, count = connection.execute(query).one()
        return highest, count


def notes(connection: Connection, upto: int, limit: int | None) -> list[Note]:
    """Return the first notes up to a position."""
    columns = [CHANGE.c[name] for name in ("position", "number", "id", "related_event", "occurred_at")]
    query = select(*columns).where(CHANGE.c.position <= upto).order_by(CHANGE.c.position).limit(limit)
    return [Note(*row) for row in connection.execute(query)]


def places_before(connection: Connection, numbers: Iterable[int]) -> list[tuple[int, datetime]]:
    """Return when events happened before changes that are noted, whichever of those the lake follows, with numbers."""
    mine = among(CHANGE.c.number, numbers, connection)
    query = select(CHANGE.c.number, CHANGE.c.occurred_at).where(mine, text("occurred_at IS NOT NULL")).distinct()
    return [(row.number, row.occurred_at) for row in connection.execute(query)]
