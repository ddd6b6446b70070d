"""The conditions of a question as DuckDB decides them over the columns of the lake: they mean what those of SQL do."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    TIMESTAMP,
    Boolean,
    ColumnElement,
    Float,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
)

from flagtrail.conditions import in_state, inside, joined_texts, lacks, one_of
from flagtrail.impact import NUMBER, Range, parse_range
from flagtrail.lake.events import LAKE
from flagtrail.question import TEXT, Query, place_of
from flagtrail.window import iso
from flagtrail.words import spelled

HAS = {"comment": LAKE.c.comment != "", "impact": LAKE.c.impact.is_not(None)}


def meets(query: Query) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that an event is one that is asked for, in the asked time and after the cursor."""
    yield from _span(query)
    for name, values in query.wanted.items():
        yield _is_any(name, values)
    for name, values in query.unwanted.items():
        yield lacks(_is_any(name, values))
    if query.text:
        yield _has_text(query.text)
    if not query.linked:
        yield ~LAKE.c.linked


def _span(query: Query) -> Iterator[ColumnElement[bool]]:
    at, number = LAKE.c.occurred_at, LAKE.c.number
    if query.since:
        yield at >= _instant(query.since)
    if query.until:
        yield at < _instant(query.until)
    if query.after:
        moment, last = place_of(query.after)
        place = _instant(moment)
        # The first condition says nothing new, but leaves out files by their bounds.
        if query.oldest_first:
            yield and_(at >= place, or_(at > place, number > last))
        else:
            yield and_(at <= place, or_(at < place, number < last))


def _instant(at: datetime) -> ColumnElement[Any]:
    return cast(literal(iso(at), String), TIMESTAMP(timezone=True))


def _is_any(name: str, values: Iterable[str]) -> ColumnElement[bool]:
    if name == TEXT:
        return or_(*map(_has_text, values))
    if name == "is":
        return in_state(LAKE, values)
    if name == "has":
        return or_(*(HAS[value] for value in values))
    if name == "impact":
        return or_(*(_measured(parse_range(value)) for value in values))
    return one_of(LAKE, name, values)


def _measured(numbers: Range) -> ColumnElement[bool]:
    """Return the condition that the number of an impact lies in a range."""
    number: ColumnElement[Any] = literal_column(f"({NUMBER['duckdb'].format('')})", Float)
    return inside(number, numbers, numbers.low, numbers.high)


def _has_text(text: str) -> ColumnElement[bool]:
    """Return the condition that an event has a text: by Python's own words, of what has the letters of it."""
    joined = joined_texts(LAKE)
    letters = [word for word in spelled(text).replace('"', " ").split() if word.isascii()]
    near = [func.contains(func.lower(joined), word) for word in letters]
    decides = func.has_words(joined, text, type_=Boolean)
    return case((and_(*near), decides), else_=literal(value=False)) if near else decides == literal(value=True)
