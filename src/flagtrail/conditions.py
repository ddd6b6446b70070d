"""The exact SQL of a question: whatever finds candidates quickly, these conditions decide."""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Float,
    FromClause,
    Numeric,
    String,
    and_,
    cast,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import UserDefinedType

from flagtrail.fields import BY_NAME
from flagtrail.impact import NUMBER, Range, parse_range
from flagtrail.question import TEXT, Query, place_of
from flagtrail.schema import EVENT
from flagtrail.spelling import DOTTED, KELVIN, KEPT, LETTER, expressions_of

TEXTS = ("summary", "comment", "object_key", "object_name", "location", "actor_name")
LONG_TEXT = 100_000  # characters of an event that PostgreSQL's index of words reads
# To the letter what PostgreSQL's index is of, or it would not be used.
WORDS = (
    "to_tsvector('simple'::regconfig, regexp_replace("
    "regexp_replace(replace(replace(left({}, {}), '{}', 'i '), '{}', 'k'), '[^{}]+', ' ', 'g'), "
    "'(^| )([0-9])', '\\1{}\\2', 'g'))"
).format(" || ' ' || ".join(f"coalesce(event.{name}, '')" for name in TEXTS), LONG_TEXT, DOTTED, KELVIN, KEPT, LETTER)
COMMENTED = EVENT.c.comment != literal_column("''")


class _TsQuery(UserDefinedType[str]):
    """What PostgreSQL's index of words is asked for; SQLAlchemy's own brings all of that database along."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name."""
        return "TSQUERY"


class folded(FunctionElement[str]):  # noqa: N801
    """A text in lower case: what PostgreSQL takes for it, and in SQLite what Python does."""

    name = "folded"
    type = String()
    inherit_cache = True


class alike(FunctionElement[bool]):  # noqa: N801
    """Whether a text is like a pattern, in which a backslash escapes, whatever the case of both."""

    name = "alike"
    type = Boolean()
    inherit_cache = True


@compiles(folded, "postgresql")
def _lower(element: folded, compiler: Any, **more: Any) -> str:
    return str(compiler.process(func.lower(*element.clauses), **more))


@compiles(folded)
def _folded(element: folded, compiler: Any, **more: Any) -> str:
    return str(compiler.process(func.folded(*element.clauses), **more))


@compiles(alike, "postgresql")
def _ilike(element: alike, compiler: Any, **more: Any) -> str:
    value, pattern = element.clauses
    return str(compiler.process(value.ilike(pattern, escape="\\").self_group(), **more))


@compiles(alike)
def _like(element: alike, compiler: Any, **more: Any) -> str:
    value, pattern = element.clauses
    return str(compiler.process(folded(value).like(folded(pattern), escape="\\").self_group(), **more))


def span(query: Query) -> ColumnElement[bool]:
    """Return the condition that an event lies in the time that is asked for, and after the cursor."""
    found: list[ColumnElement[bool]] = []
    if query.since:
        found.append(EVENT.c.occurred_at >= query.since)
    if query.until:
        found.append(EVENT.c.occurred_at < query.until)
    if query.after:
        at, number = place_of(query.after)
        place = tuple_(literal(at, EVENT.c.occurred_at.type), literal(number))
        here = tuple_(EVENT.c.occurred_at, EVENT.c.number)
        found.append(here > place if query.oldest_first else here < place)
    return and_(True, *found)


def meets(query: Query, dialect: str) -> ColumnElement[bool]:
    """Return the condition that an event is one that is asked for, apart from its time."""
    return and_(True, *_conditions(query, dialect))


def _conditions(query: Query, dialect: str) -> Iterator[ColumnElement[bool]]:
    for name, values in query.wanted.items():
        yield _is_any(name, values, dialect)
    for name, values in query.unwanted.items():
        yield lacks(_is_any(name, values, dialect))
    if query.text:
        yield _has_text(query.text, dialect)
    if not query.linked:
        # A scalar, which is looked up for each event that is shown: a join would read the whole table first.
        entry = EVENT.alias("entry")
        linked = select(entry.c.number).where(entry.c.id == EVENT.c.related_event).scalar_subquery()
        yield or_(EVENT.c.related_event.is_(None), linked.is_(None))


def lacks(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition of what another does not hold of, also where it can be told neither way."""
    return not_(func.coalesce(condition, false()))


def _is_any(name: str, values: Iterable[str], dialect: str) -> ColumnElement[bool]:
    """Return the condition that an event has one of some values in a field, or one of some texts."""
    if name == TEXT:
        return or_(*(_has_text(value, dialect) for value in values))
    if name == "is":
        return in_state(EVENT, values)
    if name == "has":
        has = {"comment": COMMENTED, "impact": shown_impact(lambda event: event.c.impact.is_not(None))}
        return or_(*(has[value] for value in values))
    if name == "impact":
        ranges = [parse_range(value) for value in values]
        return shown_impact(lambda event: or_(*(measured(each, event, dialect) for each in ranges)))
    return one_of(EVENT, name, values)


def in_state(table: FromClause, values: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that an event, in a table that has its columns, is in one of some states."""
    states = {
        "vanished": table.c.vanished_at.is_not(None),
        "provisional": table.c.provisional,
        "truncated": table.c.truncated,
    }
    return or_(*(states[value] for value in values))


def one_of(table: FromClause, name: str, values: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that a field, in a table that has its columns, has one of some values."""
    values = list(values)
    patterns = [glob(value) for value in values if "*" in value]
    whole = [value for value in values if "*" not in value]
    if name == "actor":
        patterns += [f"%{escaped(value)}%" for value in whole]
        whole = []
    columns = [table.c[column] for column in BY_NAME[name].columns]
    found: list[ColumnElement[bool]] = [alike(column, literal(pattern)) for column in columns for pattern in patterns]
    found += [folded(column).in_([folded(literal(value)) for value in whole]) for column in columns if whole]
    return or_(*found)


def shown_impact(condition: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Return whether a condition holds of the event whose impact is shown: its own, or that of its newest flag event.

    `condition` is called with a table of events, and gives what has to hold of one.
    """
    other: ColumnElement[bool] = effect_of(condition)
    return or_(and_(EVENT.c.impact.is_not(None), condition(EVENT)), and_(EVENT.c.impact.is_(None), other))


def effect_of(value: Callable[[Any], ColumnElement[Any]]) -> ColumnElement[Any]:
    """Return a value of the newest flag event that belongs to an event; `value` is called with its table."""
    effect = EVENT.alias("effect")
    mine = select(value(effect)).where(effect.c.related_event == EVENT.c.id)
    return mine.order_by(effect.c.occurred_at.desc(), effect.c.number.desc()).limit(1).scalar_subquery()


def measured(numbers: Range, event: Any, dialect: str) -> ColumnElement[bool]:
    """Return the condition that the number of an impact lies in a range."""
    number: ColumnElement[Any] = literal_column(f"({NUMBER[dialect].format(event.name + '.')})", Float)
    # A cast would give SQLite's comparison an affinity that its index has not, and all of that would be read.
    low, high = (
        literal(end, Float) if dialect == "sqlite" else cast(literal(end, Float), Numeric)
        for end in (numbers.low, numbers.high)
    )
    return inside(number, numbers, low, high)


def inside(number: ColumnElement[Any], numbers: Range, low: Any, high: Any) -> ColumnElement[bool]:
    """Return the condition that a number lies in a range, whose ends are given as the database compares them."""
    found = []
    if numbers.low > -inf:
        found.append(number >= low if numbers.from_low else number > low)
    if numbers.high < inf:
        found.append(number <= high if numbers.to_high else number < high)
    return and_(*found) if found else number.is_not(None)


def _has_text(text: str, dialect: str) -> ColumnElement[bool]:
    if dialect != "postgresql":
        return func.has_words(joined_texts(), text) == 1
    return and_(*(joined_texts().regexp_match(literal(each, String)) for each in expressions_of(text)))


def has_terms(terms: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition of what meets all of some terms, for which PostgreSQL has an index."""
    vector: Any = literal_column(WORDS)
    has: ColumnElement[bool] = vector.op("@@")(literal(" & ".join(terms), String).cast(_TsQuery))
    return has


def joined_texts(event: FromClause = EVENT) -> ColumnElement[str]:
    """Return all that people read of an event, in a table that has its columns, as one text."""
    parts = [func.coalesce(event.c[name], "") for name in TEXTS]
    whole: Any = parts[0]
    for part in parts[1:]:
        whole = whole.op("||")(literal(" ")).op("||")(part)
    return whole  # type: ignore[no-any-return]


def glob(pattern: str) -> str:
    """Return the LIKE pattern of one in which only `*` stands for any characters."""
    return escaped(pattern).replace("*", "%")


def escaped(text: str) -> str:
    """Return text that LIKE takes literally."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
