"""Lets projects and environments be asked for by their names too: a name stands for every key that it was seen with.

Names change and keys do not, and not every entry tells a name: a flag event has the key alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sqlalchemy import Connection, select

from flagtrail.conditions import glob
from flagtrail.facets import BETWEEN
from flagtrail.fields import like
from flagtrail.question import Query
from flagtrail.schema import EVENT, FACET
from flagtrail.walk import ungathered

NAMED = ("project", "environment")


def named(connection: Connection, query: Query) -> Query:
    """Return a question in which each project and environment stands with the keys of what is called so."""
    if not any(name in asked for name in NAMED for asked in (query.wanted, query.unwanted)):
        return query
    project, environment = (_with_keys(connection, name, query.wanted.get(name, ())) for name in NAMED)
    unwanted = {
        name: _with_keys(connection, name, values) if name in NAMED else values
        for name, values in query.unwanted.items()
    }
    return replace(query, project=project, environment=environment, without=unwanted)


def _with_keys(connection: Connection, name: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return some values of a field, and the keys of what has one of them as its name."""
    fits = like(values)
    told = (key for value in values for each, key in _pairs(connection, name, value) if fits(each))
    return tuple(dict.fromkeys([*values, *told]))


def _pairs(connection: Connection, name: str, value: str) -> Iterator[tuple[str, str]]:
    """Yield names that may be the one asked for, each with a key that it was seen with."""
    called = EVENT.c[f"{name}_name"]
    wanted = f"{glob(value)}{BETWEEN}%"
    facets = select(FACET.c.value).where(
        FACET.c.field == f"{name}_name", FACET.c.value.ilike(wanted, escape="\\") | (FACET.c.value == "")
    )
    found: Iterable[str] = connection.execute(facets).scalars().all()
    pairs = select(called, EVENT.c[name]).where(called.is_not(None), EVENT.c[name].is_not(None)).distinct()
    if "" in found:  # one was too long to be kept
        yield from ((each, key) for each, key in connection.execute(pairs))
        return
    yield from ((each, key) for each, _, key in (one.partition(BETWEEN) for one in found))
    yield from ((each, key) for each, key in connection.execute(pairs.where(EVENT.c.number.in_(ungathered()))))
