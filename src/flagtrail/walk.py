"""Walks the events of a question in their order, reading about as many as it gives.

First along time for a while: what is frequent is found there. What is not is looked up where `search` says it may be,
beside the few events that were not gathered yet.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    any_,
    false,
    func,
    literal,
    select,
    union_all,
)

from flagtrail.bulk import among
from flagtrail.conditions import meets, one_of, span
from flagtrail.question import Query, place_of
from flagtrail.rarest import ByWords, rarest
from flagtrail.schema import EVENT, GATHERED, TALLY, TOTAL, WAITING
from flagtrail.search import Asked, effects, held, match, milliseconds, narrowed, places_of
from flagtrail.window import EPOCH, MILLISECOND, from_ms, iso

STEPS = 3000  # events along time before anything else is tried
FEW = 64  # values of an actor or an object that PostgreSQL is asked for one by one
FETCHED = 1000  # rows at a time
SPANS = (20_000, 200_000)  # events along time whose words PostgreSQL is asked for before those of all the others
MANY = 50  # events with some words in the larger of these spans
ENDLESS = from_ms(253_402_300_799_999)
NEWEST = (EVENT.c.occurred_at.desc(), EVENT.c.number.desc())
OLDEST = (EVENT.c.occurred_at, EVENT.c.number)
Row = dict[str, Any]


class Walk:
    """One question, asked on one connection: in one transaction, so that all parts see the same events."""

    def __init__(self, connection: Connection, query: Query, columns: Iterable[ColumnElement[Any]]) -> None:
        self.connection = connection
        self.query = query
        self.shown = select(*columns)
        self.sqlite = connection.dialect.name == "sqlite"
        self.meets = meets(query, connection.dialect.name)
        self.order = OLDEST if query.oldest_first else NEWEST

    def rows(self) -> Iterator[Row]:
        """Yield the events, newest or oldest first; not more than the limit."""
        found = self._all()
        return islice(found, self.query.limit) if self.query.limit else found

    def _all(self) -> Iterator[Row]:
        places = places_of(self.connection, self.query)
        if places is not None and not places["source"]:
            yield from self._with_ungathered(iter(()), self.query)
            return
        query = self.query if self.sqlite else self._from_where_any_are()
        measured = effects(self.connection, query)
        asked = match(self.connection, query) if self.sqlite and measured is None else None
        if asked is not None and asked.streams:
            yield from self._with_ungathered(self._in_sqlite(query, asked.marks), query)
            return
        if measured is not None and len(measured) <= STEPS:  # as many as would be walked along first
            yield from self._measured(query, measured)
            return
        index = held(query)
        helped = query.is_filtered and not (self.sqlite and measured is None and asked is None and index is None)
        edge = self._edge(query, STEPS) if helped else None
        if edge is None:
            yield from self._along_time(query)
            return
        near, far = _divided(query, edge)
        yield from self._along_time(near)
        yield from self._elsewhere(far, measured, asked, index, places)

    def _elsewhere(
        self,
        query: Query,
        measured: list[int] | None,
        asked: Asked | None,
        index: ColumnElement[bool] | None,
        places: dict[str, list[str]] | None,
    ) -> Iterator[Row]:
        """Yield the events that are not found soon along time."""
        if measured is not None:
            yield from self._measured(query, measured)
        elif asked is not None:
            yield from self._with_ungathered(self._in_sqlite(query, asked.marks), query)
        elif self.sqlite and index is not None:
            yield from self._run(self.shown.where(span(query), self.meets, index).order_by(*self.order))
        else:
            yield from self._with_ungathered(self._in_postgresql(query, places), query)

    def _measured(self, query: Query, numbers: list[int]) -> Iterator[Row]:
        """Yield the events that are meant, of those with an impact that is asked for."""
        known = among(EVENT.c.number, numbers, self.connection)
        yield from self._found_first(beside_indexes(span(query)), self.meets, known)

    def _from_where_any_are(self) -> Query:
        """Return the question without the time at its beginning in which a vendor or a source has no events."""
        query = self.query
        mine = [(name, query.wanted[name]) for name in ("vendor", "source") if name in query.wanted]
        if not mine or query.oldest_first:
            return query
        before = min(query.until or ENDLESS, place_of(query.after)[0] + MILLISECOND if query.after else ENDLESS)
        of_it = [one_of(EVENT, name, values) for name, values in mine]
        fresh = select(func.max(EVENT.c.occurred_at)).where(EVENT.c.number.in_(ungathered(self.connection)), *of_it)
        moments = (self.connection.execute(fresh).scalar(), self._newest_gathered(mine, before))
        end = max((moment + MILLISECOND for moment in moments if moment), default=EPOCH)
        return replace(query, until=end) if end < before else query

    def _newest_gathered(self, mine: Iterable[tuple[str, tuple[str, ...]]], before: datetime) -> datetime | None:
        """Return the newest time before another in which there may be a gathered event of a vendor or a source."""
        of_it = [one_of(TOTAL, name, values) for name, values in mine]
        streams = select(TOTAL.c.source, TOTAL.c.stream).where(*of_it, TOTAL.c.events > 0).distinct().limit(FEW + 1)
        if len(self.connection.execute(streams).all()) > FEW:  # one of so many has events soon
            of_it = [one_of(TALLY, name, values) for name, values in mine]
            hours = select(TALLY.c.hour).where(*of_it, TALLY.c.events > 0, TALLY.c.hour < before)
            hour: datetime | None = self.connection.execute(hours.order_by(TALLY.c.hour.desc()).limit(1)).scalar()
            return hour + timedelta(hours=1) if hour else None
        each = streams.subquery("each")
        inside = (EVENT.c.source == each.c.source, EVENT.c.stream == each.c.stream, EVENT.c.occurred_at < before)
        newest = (
            select(EVENT.c.occurred_at).where(*inside).order_by(EVENT.c.occurred_at.desc()).limit(1).lateral("newest")
        )
        found = select(func.max(newest.c.occurred_at)).select_from(each.join(newest, literal(value=True)))
        moment: datetime | None = self.connection.execute(found).scalar()
        return moment

    def _edge(self, query: Query, steps: int) -> datetime | None:
        """Return the time so many events on from the beginning of a question; None when there are not so many."""
        found = select(EVENT.c.occurred_at).where(span(query)).order_by(*self.order).limit(1).offset(steps)
        return self.connection.execute(found).scalar()

    def _along_time(self, query: Query) -> Iterator[Row]:
        decides = self.meets if self.sqlite else beside_indexes(self.meets)
        return self._run(self.shown.where(span(query), decides).order_by(*self.order))

    def _run(self, statement: Select[Any]) -> Iterator[Row]:
        if self.query.limit:
            found = self.connection.execute(statement.limit(self.query.limit))
        else:
            found = self.connection.execute(statement, execution_options={"yield_per": FETCHED})
        for row in found.mappings():
            yield dict(row)

    def _with_ungathered(self, found: Iterator[Row], query: Query) -> Iterator[Row]:
        """Yield events together with those that were not gathered yet, each once."""
        numbers = ungathered(self.connection)
        statement = self.shown.where(EVENT.c.number.in_(numbers), self.meets, beside_indexes(span(query)))
        fresh = self._sorted(dict(row) for row in self.connection.execute(statement).mappings())
        last = None
        for row in merge(found, fresh, key=_place, reverse=not self.query.oldest_first):
            if row["number"] != last:
                yield row
            last = row["number"]

    def _sorted(self, rows: Iterable[Row]) -> list[Row]:
        return sorted(rows, key=_place, reverse=not self.query.oldest_first)

    def _in_sqlite(self, query: Query, asked: str) -> Iterator[Row]:
        if not asked:
            return
        found = milliseconds(self.connection, asked, query)
        size = max(self.query.limit, 16) if self.query.limit else FETCHED
        while moments := list(islice(found, size)):
            times = among(EVENT.c.occurred_at, [iso(from_ms(ms)) for ms in moments], self.connection)
            wanted = self.shown.where(times, self.meets, beside_indexes(span(query)))
            yield from self._sorted(map(dict, self.connection.execute(wanted).mappings()))
            size = min(2 * size, FETCHED)

    def _in_postgresql(self, query: Query, places: dict[str, list[str]] | None) -> Iterator[Row]:
        conditions, one_of, values = narrowed(self.connection, query, places)
        if one_of is not None and not values:
            return iter(())
        if query.text:
            few = [] if one_of is None else [one_of == any_(literal(values, ARRAY(Integer)))]
            found = rarest(self.connection, query.text, [*conditions, *few])
            if found is not None:
                return self._in_text(query, found)
        # What decides tells the planner nothing that what finds does not, and it would count both.
        decides = beside_indexes(self.meets)
        if one_of is not None:  # those of one object or person are few already
            conditions = []
        statement = self.shown.where(span(query), decides, *conditions)
        if one_of is None:
            return self._run(statement.order_by(*self.order))
        if len(values) > FEW or not self.query.limit:
            statement = statement.where(one_of == any_(literal(values, ARRAY(Integer))))
            return self._run(statement.order_by(*self.order))
        each = func.unnest(literal(values, ARRAY(Integer))).table_valued("value", name="wanted").render_derived()
        inner = statement.where(one_of == each.c.value).order_by(*self.order).limit(self.query.limit).lateral("found")
        outer = select(inner).select_from(each.join(inner, literal(value=True)))
        return self._run(outer.order_by(*self._in_order(inner)))

    def _in_order(self, table: FromClause) -> list[ColumnElement[Any]]:
        place: list[ColumnElement[Any]] = [table.c.occurred_at, table.c.number]
        return place if self.query.oldest_first else [column.desc() for column in place]

    def _in_text(self, query: Query, finding: ByWords) -> Iterator[Row]:
        """Yield the events with some words; what the index of words finds is fetched from where the question begins."""
        decides = beside_indexes(self.meets)  # what the index has of a word may be less than the word
        near, rest, edge = query, query, None
        for steps in SPANS if self.query.limit else ():
            edge = self._edge(rest, steps)
            if edge is None:
                break
            near, rest = _divided(rest, edge)
            yield from self._found_first(span(near), decides, *finding.conditions)
        # They are rare by now, and all of the time before is long: to gather that from an index would take the longest.
        # Where the words are not, what else is asked for spares reading many events that have only them.
        inside = span(rest) if edge is None else beside_indexes(span(rest))
        others = finding.others if edge is None or self._are_many(near, finding) else []
        yield from self._found_first(inside, decides, *finding.conditions, *others)

    def _are_many(self, near: Query, finding: ByWords) -> bool:
        """Return whether words are so frequent that reading every event with them would take long."""
        if not finding.others:
            return False
        having = select(func.count()).select_from(EVENT).where(span(near), *finding.conditions)
        return bool(self.connection.execute(having).scalar_one() >= MANY)

    def _found_first(self, *conditions: ColumnElement[bool]) -> Iterator[Row]:
        """Yield events whose places are found before anything else of them is read."""
        found = select(EVENT.c.number, EVENT.c.occurred_at).where(*conditions).cte("found").prefix_with("MATERIALIZED")
        # Only of a limit does PostgreSQL believe that they are few.
        first = select(found.c.number).order_by(*self._in_order(found)).limit(self.query.limit or None).subquery()
        return self._run(self.shown.join(first, first.c.number == EVENT.c.number).order_by(*self.order))


def _divided(query: Query, edge: datetime) -> tuple[Query, Query]:
    """Return a question in two: up to the millisecond of an edge, and what comes after that in its order."""
    if query.oldest_first:
        return replace(query, until=edge + MILLISECOND), replace(query, since=edge + MILLISECOND, after=None)
    return replace(query, since=edge), replace(query, until=edge, after=None)


def beside_indexes(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return a condition that SQLite and PostgreSQL look at, and choose no index for."""
    return func.coalesce(condition, false())


def ungathered(connection: Connection | None = None) -> Any:
    """Return the numbers of the events that were not gathered yet, or changed since.

    With a connection, whose transaction has to see the same throughout, the last number that was gathered is fetched
    first: of one that it does not know, PostgreSQL guesses that a third of all events is above it, and reads them all.
    """
    upto: Any = func.coalesce(select(GATHERED.c.upto).scalar_subquery(), 0)  # somebody may have emptied the tables
    if connection is not None:
        upto = connection.execute(select(upto)).scalar_one()
    return union_all(select(EVENT.c.number).where(EVENT.c.number > upto), select(WAITING.c.number))


def _place(row: Mapping[str, Any]) -> tuple[datetime, int]:
    return row["occurred_at"], row["number"]
