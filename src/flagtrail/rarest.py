"""Decides by which words of a text PostgreSQL finds events: the rarest, and what else is asked for where that helps."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from flagtrail.conditions import has_terms
from flagtrail.schema import EVENT
from flagtrail.spelling import terms_of

CAPITAL = "É"  # of which not every server knows the small letter
MORE = 4  # times as many events are worth putting together, so that fewer have to be looked at
FREQUENT_FROM = 0.03  # share of events with a word; of words that it does not know, PostgreSQL expects 0.02


class ByWords(NamedTuple):
    """What PostgreSQL finds a text by, and other conditions that spare reading much."""

    conditions: list[ColumnElement[bool]]
    others: list[ColumnElement[bool]]


def rarest(connection: Connection, text: str, others: list[ColumnElement[bool]]) -> ByWords | None:
    """Return what PostgreSQL finds a text by, beside other conditions that it has indexes for.

    The index of words puts all events of a beginning together before it tells the first, so terms are not looked for
    of which many more events are expected than of the rarest, and other conditions only if even fewer are. None when
    each term is frequent, and the other conditions are not: those are to be looked for alone. None also when the index
    has nothing of the text.
    """
    folds = connection.execute(select(func.lower(CAPITAL) == CAPITAL.lower())).scalar_one()
    terms = terms_of(text, folds=folds)
    if not terms:
        return None
    numbers = {term: _expected(connection, [has_terms([term])]) for term in terms} if others or terms[1:] else {}
    least = min(numbers.values(), default=0)
    found = [term for term in terms if numbers.get(term, 0) <= MORE * least]
    expected = _expected(connection, others) if others else least
    if MORE * expected < least and least > FREQUENT_FROM * _expected(connection, []):
        return None
    fewer = others if expected < least else []
    return ByWords([has_terms(found), *fewer], [] if fewer else others)


def _expected(connection: Connection, conditions: Iterable[ColumnElement[bool]]) -> int:
    """Return how many events PostgreSQL expects to meet some conditions; it reads none for that."""
    asked = select(EVENT.c.number).where(*conditions).compile(dialect=connection.dialect)
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {asked}", dict(asked.params)).scalar_one()
    return int(plan[0]["Plan"]["Plan Rows"])
