"""Lets projects and environments be asked for by their names too: a name stands for every key that it was seen with.

Names change and keys do not, and not every entry tells a name: a flag event has the key alone. A key means one thing in
each project only, so what is called so is left out by its key only where that key is called so wherever it occurs.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, literal, select

from flagtrail.facets import BETWEEN
from flagtrail.fields import like
from flagtrail.question import Query, widened
from flagtrail.schema import EVENT, FACET
from flagtrail.walk import ungathered

SCOPES = {"project": ("source",), "environment": ("source", "project")}  # in which a key means one thing
ANYTHING = "*"


class Called(NamedTuple):
    """A key in its scope, and a name that it was seen with; None where an event told only the key."""

    key: str
    scope: tuple[str, ...]
    name: str | None


def named(connection: Connection, query: Query) -> Query:
    """Return a question in which each project and environment stands with the keys of what is called so."""
    return named_by(query, lambda field: called(connection, field))


def named_by(query: Query, names_of: Callable[[str], Iterable[Called]]) -> Query:
    """Do what `named` does by what is told of each field."""
    wanted, unwanted = dict(query.wanted), dict(query.unwanted)
    for field in SCOPES:
        values, others = wanted.get(field, ()), unwanted.get(field, ())
        if not {*values, *others} - {ANYTHING}:
            continue
        known = list(names_of(field))
        if values:
            fits = like(values)
            wanted[field] = _with(values, (one.key for one in known if one.name and fits(one.name)))
        if others:
            unwanted[field] = _with(others, _keys_called_so_everywhere(known, others))
    return widened(query, wanted, unwanted)


def _with(values: tuple[str, ...], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*values, *keys]))


def _keys_called_so_everywhere(known: Iterable[Called], values: tuple[str, ...]) -> list[str]:
    """Return keys that have one of some names in each scope in which they occur."""
    fits = like(values)
    occurs: dict[str, dict[tuple[str, ...], bool]] = {}
    for one in known:
        scopes = occurs.setdefault(one.key, {})
        scopes[one.scope] = scopes.get(one.scope, False) or bool(one.name and fits(one.name))
    return sorted(key for key, scopes in occurs.items() if all(scopes.values()))


def called(connection: Connection, field: str) -> Iterator[Called]:
    """Yield every key of a field in each scope, with each name that it was seen with."""
    facets = list(connection.execute(select(FACET.c.value).where(FACET.c.field == f"{field}_name")).scalars())
    if "" in facets:  # something was too long to be kept
        yield from _told(connection, field, literal(value=True))
        return
    for facet in facets:
        key, name, *scope = facet.split(BETWEEN)
        yield Called(key, tuple(scope), name or None)
    yield from _told(connection, field, EVENT.c.number.in_(ungathered(connection)))


def _told(connection: Connection, field: str, among: ColumnElement[bool]) -> Iterator[Called]:
    """Yield what some events tell."""
    columns = (EVENT.c[field], EVENT.c[f"{field}_name"], *(EVENT.c[name] for name in SCOPES[field]))
    for key, name, *scope in connection.execute(select(*columns).where(among, EVENT.c[field] != "").distinct()):
        yield Called(key, tuple(one or "" for one in scope), name)
