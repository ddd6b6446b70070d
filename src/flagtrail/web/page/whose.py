"""Finds the changes of one person: by everything that may mean them, and then by who it really was."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flagtrail.event import ActorKind
from flagtrail.people import People
from flagtrail.query import Query, cursor_of, events
from flagtrail.store import Store

Row = Mapping[str, Any]
LARGEST = 1000  # changes that are read at once


def question_of(people: People, key: str) -> Query:
    """Return a question that holds all changes of the person with a key of `People`, and maybe some of others."""
    vendor, _, rest = key.partition(":")
    kind, _, which = rest.partition(":")
    if kind in set(ActorKind):
        return Query(vendor=vendor, actor_kind=kind, actor=_beginning(which) if which else ())
    return Query(actor=[_beginning(identity) for identity in people.identities(key)])


def _beginning(identity: str) -> str:
    """Return the pattern of a whole value: without a `*`, any part of one would do."""
    return f"{identity}*"


def is_whose(people: People, key: str) -> Callable[[Row], bool]:
    """Return whether a change is one of the person with a key."""
    return lambda row: people.person(row).key == key


def changes(store: Store, query: Query, fits: Callable[[Row], bool], most: int) -> tuple[list[dict[str, Any]], str]:
    """Return the first changes of a question that fit, and the cursor after which there are more; empty when not.

    However many others with similar names stand between them, all are found.
    """
    found: list[dict[str, Any]] = []
    after, size = query.after, most + 1
    while True:  # whoever asks bounds the time
        page = list(events(store, replace(query, limit=size, after=after)))
        found += filter(fits, page)
        if len(found) > most:
            return found[:most], cursor_of(found[most - 1])
        if len(page) < size:
            return found, ""
        after, size = cursor_of(page[-1]), min(2 * size, LARGEST)
