"""Walks the events of a question from the newest on, reading about as many as it gives.

First along time for a while: what is frequent is found there. What is not is looked up where `search` says it may be,
beside the few events that were not gathered yet.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    any_,
    false,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from flagtrail.bulk import among
from flagtrail.conditions import EXACT, Query, meets, place_of, span
from flagtrail.schema import EVENT, GATHERED, TALLY, WAITING
from flagtrail.search import match, milliseconds, narrowed
from flagtrail.window import EPOCH, MILLISECOND, from_ms, iso

STEPS = 3000  # events along time before anything else is tried
FEW = 64  # values of an actor or an object that PostgreSQL is asked for one by one
FETCHED = 1000  # rows at a time
SPANS = (50_000, 500_000)  # events along time whose words PostgreSQL is asked for before those of all the others
ENDLESS = from_ms(253_402_300_799_999)
NEWEST = (EVENT.c.occurred_at.desc(), EVENT.c.number.desc())
Row = dict[str, Any]


class Walk:
    """One question, asked on one connection: in one transaction, so that all parts see the same events."""

    def __init__(self, connection: Connection, query: Query, columns: Iterable[ColumnElement[Any]]) -> None:
        self.connection = connection
        self.query = query
        self.shown = select(*columns)
        self.sqlite = connection.dialect.name == "sqlite"
        self.meets = meets(query, connection.dialect.name)

    def rows(self) -> Iterator[Row]:
        """Yield the events, newest first; not more than the limit."""
        found = self._all()
        return islice(found, self.query.limit) if self.query.limit else found

    def _all(self) -> Iterator[Row]:
        query = self.query if self.sqlite else self._from_where_any_are()
        asked = match(self.connection, query) if self.sqlite else None
        if asked is not None and asked.streams:
            yield from self._with_ungathered(self._in_sqlite(query, asked.marks), query)
            return
        filtered = any(getattr(query, name) for name in (*EXACT, "actor", "object", "text"))
        helped = filtered and (asked is not None or not self.sqlite)
        edge = self._back_from(span(query), STEPS) if helped else None
        if edge is None:
            yield from self._along_time(span(query))
            return
        yield from self._along_time(and_(span(query), EVENT.c.occurred_at >= edge))
        older = replace(query, until=min(edge, query.until or edge), after=None)
        found = self._in_sqlite(older, asked.marks) if asked else self._in_postgresql(older)
        yield from self._with_ungathered(found, older)

    def _from_where_any_are(self) -> Query:
        """Return the question without the newest time, where a vendor or a source has no events."""
        query = self.query
        mine = [(name, value) for name in ("vendor", "source") if (value := getattr(query, name))]
        if not mine:
            return query
        before = min(query.until or ENDLESS, place_of(query.after)[0] + MILLISECOND if query.after else ENDLESS)
        of_it = [func.lower(TALLY.c[name]) == func.lower(literal(value)) for name, value in mine]
        newest = select(TALLY.c.hour).where(*of_it, TALLY.c.events > 0, TALLY.c.hour < before)
        hour: datetime | None = self.connection.execute(newest.order_by(TALLY.c.hour.desc()).limit(1)).scalar()
        of_it = [func.lower(EVENT.c[name]) == func.lower(literal(value)) for name, value in mine]
        fresh = select(func.max(EVENT.c.occurred_at)).where(EVENT.c.number.in_(ungathered()), *of_it)
        moment: datetime | None = self.connection.execute(fresh).scalar()
        ends = [*([hour + timedelta(hours=1)] if hour else []), *([moment + MILLISECOND] if moment else [])]
        end = max(ends, default=EPOCH)
        return replace(query, until=end) if end < before else query

    def _back_from(self, span: ColumnElement[bool], steps: int) -> datetime | None:
        """Return the time so many events back; None when there are not so many."""
        query = select(EVENT.c.occurred_at).where(span).order_by(*NEWEST).limit(1).offset(steps)
        return self.connection.execute(query).scalar()

    def _along_time(self, span: ColumnElement[bool]) -> Iterator[Row]:
        return self._run(self.shown.where(span, self.meets).order_by(*NEWEST))

    def _run(self, statement: Select[Any]) -> Iterator[Row]:
        if self.query.limit:
            found = self.connection.execute(statement.limit(self.query.limit))
        else:
            found = self.connection.execute(statement, execution_options={"yield_per": FETCHED})
        for row in found.mappings():
            yield dict(row)

    def _with_ungathered(self, found: Iterator[Row], query: Query) -> Iterator[Row]:
        """Yield events together with those that were not gathered yet, each once."""
        statement = self.shown.where(EVENT.c.number.in_(ungathered()), self.meets, beside_indexes(span(query)))
        fresh = [dict(row) for row in self.connection.execute(statement).mappings()]
        last = None
        for row in merge(found, sorted(fresh, key=_place, reverse=True), key=_place, reverse=True):
            if row["number"] != last:
                yield row
            last = row["number"]

    def _in_sqlite(self, query: Query, asked: str) -> Iterator[Row]:
        if not asked:
            return
        before = query.until or ENDLESS
        if query.after:
            before = min(before, place_of(query.after)[0] + MILLISECOND)
        found = milliseconds(self.connection, asked, query.since, before)
        size = max(self.query.limit, 16) if self.query.limit else FETCHED
        while moments := list(islice(found, size)):
            times = among(EVENT.c.occurred_at, [iso(from_ms(ms)) for ms in moments], self.connection)
            wanted = self.shown.where(times, self.meets, beside_indexes(span(query)))
            yield from sorted(map(dict, self.connection.execute(wanted).mappings()), key=_place, reverse=True)
            size = min(2 * size, FETCHED)

    def _in_postgresql(self, query: Query) -> Iterator[Row]:
        conditions, one_of, values = narrowed(self.connection, query)
        if one_of is not None and not values:
            return iter(())
        # What decides tells the planner nothing that what finds does not, and it would count both.
        decides = beside_indexes(self.meets)
        if one_of is not None:  # those of one object or person are few already
            conditions = []
        statement = self.shown.where(span(query), decides, *conditions)
        if one_of is None:
            return (
                self._in_text(query, conditions)
                if query.text and not conditions
                else self._run(statement.order_by(*NEWEST))
            )
        if len(values) > FEW or not self.query.limit:
            statement = statement.where(one_of == any_(literal(values, ARRAY(String))))
            return self._run(statement.order_by(*NEWEST))
        each = func.unnest(literal(values, ARRAY(String))).table_valued("value", name="wanted").render_derived()
        inner = statement.where(one_of == each.c.value).order_by(*NEWEST).limit(self.query.limit).lateral("found")
        outer = select(inner).select_from(each.join(inner, literal(value=True)))
        return self._run(outer.order_by(inner.c.occurred_at.desc(), inner.c.number.desc()))

    def _in_text(self, query: Query, conditions: Sequence[ColumnElement[bool]]) -> Iterator[Row]:
        """Yield the events with some words; what the index of words finds is fetched from the newest time first."""
        rest = query
        for steps in SPANS if self.query.limit else ():
            edge = self._back_from(span(rest), steps)
            if edge is None:
                break
            yield from self._found_first(span(replace(rest, since=max(edge, query.since or edge))), conditions)
            rest = replace(rest, until=edge)
        yield from self._found_first(span(rest), conditions)

    def _found_first(self, span: ColumnElement[bool], conditions: Sequence[ColumnElement[bool]]) -> Iterator[Row]:
        inner = select(EVENT.c.number).where(span, self.meets, *conditions).cte("found").prefix_with("MATERIALIZED")
        return self._run(self.shown.join(inner, inner.c.number == EVENT.c.number).order_by(*NEWEST))


def beside_indexes(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return a condition that SQLite and PostgreSQL look at, and choose no index for."""
    return func.coalesce(condition, false())


def ungathered() -> Any:
    """Return the numbers of the events that were not gathered yet, or changed since."""
    upto = func.coalesce(select(GATHERED.c.upto).scalar_subquery(), 0)  # somebody may have emptied the tables
    return union_all(select(EVENT.c.number).where(EVENT.c.number > upto), select(WAITING.c.number))


def _place(row: Mapping[str, Any]) -> tuple[datetime, int]:
    return row["occurred_at"], row["number"]
