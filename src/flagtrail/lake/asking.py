"""Asks the lake what is asked of the database, through DuckDB: the same events, in the same order, by the same cursors.

Months are read one span after the other in the order of the question, so that a page of the newest changes costs the
newest month, and all that is ever in memory are the events of one span.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property, partial
from typing import Any, Self

from sqlalchemy import ColumnElement, Select, literal_column, select
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql.base import PGDialect

from flagtrail.completeness import Completeness, completeness_of
from flagtrail.errors import ConfigError, LakeError
from flagtrail.event import from_json
from flagtrail.exports.columns import COLUMNS, DOCUMENTS, INSTANTS
from flagtrail.fields import like
from flagtrail.histogram import Counted, Counts, counted_by, dimension
from flagtrail.lake import standing
from flagtrail.lake.change import quoted
from flagtrail.lake.conditions import meets
from flagtrail.lake.events import LAKE, NAMES, month_of, schema
from flagtrail.lake.table import MISSING, DeltaTable, File, shown
from flagtrail.naming import named_by
from flagtrail.question import Query, QueryError, place_of
from flagtrail.schema import EVENT
from flagtrail.window import EPOCH
from flagtrail.words import has_words

ROWS = 2000  # at a time
PATTERNS = "*?="  # signs in a path that DuckDB reads as a pattern, or as the name and value of a column
MORE = 2  # times as many months are read at once, as long as there were too few events in those before
SHOWN = tuple(column.name for column in EVENT.c)
_DIALECT: Any = PGDialect(paramstyle="qmark")  # type: ignore[no-untyped-call]  # DuckDB takes PostgreSQL's SQL
_DIALECT._backslash_escapes = False


class Asking:
    """The lake as it was when this began; what is written meanwhile is not seen."""

    def __init__(self, tables: Sequence[DeltaTable]) -> None:
        """Open the lake, whose tables are those of events and of coverage; raises LakeError, ConfigError."""
        self._events, self._coverage = tables
        here = shown(self._events.uri)
        if not self._events.exists():
            raise ConfigError(f"there is no lake at {here} yet; `flagtrail lake` makes one")
        while True:
            claimed = self._coverage.version()
            found = standing.standing_from(self._coverage.rows())  # before the files: it claims no more than they hold
            if found is None:
                raise ConfigError(f"the lake at {here} was not built yet; `flagtrail lake` does it")
            self.standing, self._version = found, self._events.version()
            self.files = self._events.files(self._version)
            if self._coverage.version() == claimed:  # else a claim may have been taken back, and events deleted since
                return

    @property
    def _through_arrow(self) -> bool:
        """Whether Arrow reads the files: an object store's, and those on a path that DuckDB takes for a pattern."""
        return "://" in self._events.uri or any(sign in self._events.uri for sign in PATTERNS)

    @cached_property
    def _engine(self) -> Any:
        try:
            import duckdb
        except ImportError:
            raise ConfigError(MISSING) from None
        alone: Any = {"autoinstall_known_extensions": False, "python_enable_replacements": False}
        engine = duckdb.connect(":memory:", config=alone)
        engine.execute("SET TimeZone = 'UTC'")
        engine.create_function("has_words", has_words, ["VARCHAR", "VARCHAR"], "BOOLEAN")
        if self._through_arrow:  # which has what the table was opened by
            engine.register("whole", self._events.dataset(self._version))
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if "_engine" in self.__dict__:
            self._engine.close()

    @property
    def as_of(self) -> datetime:
        """The moment that the lake follows the database up to."""
        return self.standing.as_of

    def named(self, query: Query) -> Query:
        """Return a question in which each project and environment stands with the keys of what is called so."""
        return named_by(query, lambda field: self.standing.names[field])

    def check_known(self, query: Query) -> None:
        """Raise QueryError when a source or a vendor is asked for that the lake has never seen."""
        for name in ("source", "vendor"):
            known = sorted({str(getattr(look, name)) for look in self.standing.looks})
            for value in query.wanted.get(name, ()):
                if known and not any(map(like([value]), known)):
                    raise QueryError(f"there is no {name} {value!r} in the lake; there is: {', '.join(known)}")

    def completeness(self, query: Query, configured: Iterable[str] = (), now: datetime | None = None) -> Completeness:
        """Return how complete the answer to a question is, by what was known when the lake was written."""
        looks, states, evidence = self.standing.looks, self.standing.states, self.standing.evidence
        now = now or datetime.now(UTC)
        return completeness_of(
            self.named(query), looks, states, lambda _: evidence, configured=configured, now=now
        )  # fmt: skip

    def events(self, query: Query) -> Iterator[dict[str, Any]]:
        """Yield events as `query.events` does."""
        query = self.named(query)
        place = (LAKE.c.occurred_at, LAKE.c.number)
        order = place if query.oldest_first else tuple(column.desc() for column in place)
        statement = select(*(LAKE.c[name] for name in SHOWN)).where(*meets(query)).order_by(*order)
        left = query.limit
        for files in self._spans(query):
            for row in self._rows(statement.limit(left) if query.limit else statement, files):
                yield _shown(row)
                left -= 1
            if query.limit and left <= 0:
                return

    def count(self, query: Query, by: Sequence[str] = (), top: int = 0, zone: tzinfo | None = UTC) -> Counted:
        """Return how many events there are by some dimensions, as `query.count` does. Raises QueryError."""
        return counted_by(partial(self._counts, self.named(query)), by, top, zone)

    def _counts(self, query: Query, by: Sequence[str], bucket: timedelta | None) -> Counts:
        group: list[ColumnElement[Any]] = [dimension(name, LAKE).label(f"by_{at}") for at, name in enumerate(by)]
        if bucket:
            seconds = round(bucket.total_seconds())
            group.insert(0, literal_column(f"CAST(floor(epoch(occurred_at) / {seconds}) AS BIGINT)").label("place"))
        statement = select(*group, sql.count().label("events")).select_from(LAKE).where(*meets(query))
        counts: Counts = Counter()
        for row in self._rows(statement.group_by(*group), self._files(query)):
            *key, number = row.values()
            if number:
                counts[(EPOCH + key[0] * bucket, *key[1:]) if bucket else tuple(key)] += number
        return counts

    def sums(self, batches: Iterable[Any] | None, without: Sequence[int] = ()) -> Iterator[tuple[str, str, int, str]]:
        """Yield for each vendor and month how many rows there are, and a sum of their hashes.

        The rows are those given, as batches of Arrow's, or those of the lake, without some numbers.
        """
        import pyarrow as arrow

        self._engine.register("left_out", arrow.table({"number": arrow.array(without, arrow.int64())}))
        asked = f"""SELECT vendor, month, count(*), CAST(sum(CAST(hash({", ".join(NAMES)}) AS HUGEINT)) AS VARCHAR)
            FROM event ANTI JOIN left_out USING (number) GROUP BY vendor, month"""  # noqa: S608
        if batches is None:
            with self._guarded():
                self._look_at(self.files)
                yield from self._engine.execute(asked).fetchall()
            return
        self._engine.execute("DROP VIEW IF EXISTS event")
        self._engine.register("event", arrow.RecordBatchReader.from_batches(schema(), iter(batches)))
        found = self._engine.execute(asked).fetchall()
        self._engine.unregister("event")
        yield from found

    def _spans(self, query: Query) -> Iterator[list[File]]:
        """Yield the files of the asked time in the order of the question, of more and more months together."""
        by_month: dict[str, list[File]] = {}
        for file in self._files(query):
            by_month.setdefault(file.month, []).append(file)
        months, size = sorted(by_month, reverse=not query.oldest_first), 1
        while months:
            some, months = months[:size], months[size:]
            yield [file for month in some for file in by_month[month]]
            size *= MORE if query.limit else 1

    def _files(self, query: Query) -> list[File]:
        """Return the files in which events of the asked time, and after the cursor, can stand."""
        since, until = query.since, query.until
        if query.after:
            at = place_of(query.after)[0]
            since, until = (max(since or at, at), until) if query.oldest_first else (since, min(until or at, at))
        first, last = (month_of(at) if at else None for at in (since, until))
        return [f for f in self.files if not ((first and f.month < first) or (last and f.month > last))]

    def _look_at(self, files: Sequence[File]) -> None:
        """Let `event` be what stands in some files."""
        if self._through_arrow:
            months = ", ".join(sorted({quoted(file.month) for file in files}))
            source = f"SELECT * FROM whole WHERE month IN ({months})"  # noqa: S608
        else:
            uris = ", ".join(quoted(file.uri) for file in files)
            types = "{'vendor': VARCHAR, 'month': VARCHAR}"
            source = f"SELECT * FROM read_parquet([{uris}], hive_partitioning = true, hive_types = {types})"  # noqa: S608
        if not files:
            empty = ", ".join(f"NULL AS {name}" for name in NAMES)
            source = f"SELECT {empty} WHERE false"
        self._engine.execute(f"CREATE OR REPLACE TEMP VIEW event AS {source}")

    def _rows(self, statement: Select[Any], files: Sequence[File]) -> Iterator[dict[str, Any]]:
        asked = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        values = [asked.params[name] for name in asked.positiontup or ()]
        with self._guarded():
            self._look_at(files)
            found = self._engine.sql(str(asked), params=values)
            for batch in found.to_arrow_reader(ROWS):
                yield from batch.to_pylist()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn what DuckDB and Arrow raise into a LakeError of one line."""
        import duckdb

        try:
            yield
        except (duckdb.Error, OSError) as error:
            told = self._events.told(error)
            raise LakeError(
                f"lake {shown(self._events.uri)}: {told}; ask again, in case it was just written anew; `flagtrail lake "
                "--check` compares it, --rebuild makes it anew"
            ) from None


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the database gives it."""
    for name in INSTANTS:
        row[name] = row[name] and row[name].astimezone(UTC)
    for name in DOCUMENTS:
        row[name] = None if row[name] is None else from_json(row[name])
    return row


assert set(SHOWN) == {"number", *COLUMNS}
