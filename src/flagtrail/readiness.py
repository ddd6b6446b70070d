"""Tells whether what is asked of this process can be answered: why not, in words of which there are few."""

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from flagtrail.errors import StoreError
from flagtrail.pulse import Pulse
from flagtrail.store import Store


class Why(StrEnum):
    """Why something is not ready."""

    DATABASE = "database_unusable"
    SCHEMA = "migrations_missing"
    UNREAD = "no_source_read"
    REFUSED = "source_refused"
    STUCK = "source_stuck"
    STILL = "loop_stopped"


class Reason(NamedTuple):
    """Why something is not ready; `source` is whose fault it is, `detail` what to tell a person who may know it."""

    why: Why
    source: str | None
    detail: str


def readiness(store: Store, configured: Collection[str], pulse: Pulse | None) -> list[Reason]:
    """Return every reason for which this process is not ready, none when it is.

    `configured` are the sources that there should be. Without a pulse no daemon runs here: then only the database, and
    whether anything was ever read into it, can be told.
    """
    found = [] if pulse is None else _of_the_daemon(pulse)
    try:
        missing = store.outdated()
        looks = [] if missing else store.sources()
    except StoreError as error:
        return [Reason(Why.DATABASE, None, str(error)), *found]
    if missing:
        return [Reason(Why.SCHEMA, None, missing), *found]
    known = [look for look in looks if not configured or look.source in configured]
    if not any(look.succeeded_at for look in known):
        names = ", ".join(sorted(configured)) or "any source"
        return [Reason(Why.UNREAD, None, f"no look at {names} has succeeded yet"), *found]
    return found


def _of_the_daemon(pulse: Pulse) -> list[Reason]:
    found = [] if pulse.is_alive else [Reason(Why.STILL, None, "the loop of the daemon does not tick any more")]
    found += [Reason(Why.REFUSED, name, error) for name, error in sorted(pulse.refused.copy().items())]
    for turn in pulse.stuck():
        found.append(Reason(Why.STUCK, turn.source, f"{turn.job} has shown no sign of life for {turn.idle_for:.0f} s"))
    return found
