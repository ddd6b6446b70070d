"""Keeps what verifications found: which time of a stream was compared with the vendor, and how it came out."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import and_, delete, insert, select

from flagtrail.covering import lock_streams
from flagtrail.database import guarded, writing
from flagtrail.schema import VERDICT
from flagtrail.store import Store
from flagtrail.window import Window, merge, subtract


class Method(StrEnum):
    """What was compared: only how many entries there are, or which and what is in them."""

    COUNTS = "counts"
    CONTENTS = "contents"


class Outcome(StrEnum):
    """How a comparison came out.

    `healed`: entries were missing and are stored now. `differs`: the vendor's numbers and its list disagree, so that a
    person has to look. `not verifiable`: the vendor tells no numbers, or numbers of something else.
    """

    VERIFIED = "verified"
    HEALED = "healed"
    DIFFERS = "differs"
    NOT_VERIFIABLE = "not verifiable"


class Verdict(NamedTuple):
    """What was found in one window; `expected` and `stored` are None where only a part of the window is left of it."""

    window: Window
    outcome: Outcome
    checked_at: datetime
    method: Method
    expected: int | None = None
    stored: int | None = None
    found: int = 0
    changed: int = 0
    vanished: int = 0
    reason: str | None = None

    @property
    def told_by_counts(self) -> bool:
        """Whether two numbers are what differs, rather than that a window cannot be read."""
        return self.expected is not None and self.expected != self.stored


def note_verdicts(store: Store, source: str, stream: str, verdicts: Iterable[Verdict]) -> None:
    """Remember verdicts; older ones of the same method end where they begin, but what was healed stays on record."""
    with guarded(store.shown), writing(store.engine) as connection:
        told = [verdict._replace(reason=store.unnamed(connection, verdict.reason)) for verdict in verdicts]
        lock_streams(connection, source, [stream])
        for verdict in told:
            mine = and_(VERDICT.c.source == source, VERDICT.c.stream == stream, VERDICT.c.method == verdict.method)
            window = verdict.window
            touched = and_(mine, VERDICT.c.since < window.until, VERDICT.c.until > window.since)
            superseded = and_(touched, VERDICT.c.verdict != Outcome.HEALED)
            old = [_verdict(row) for row in connection.execute(select(VERDICT).where(superseded))]
            connection.execute(delete(VERDICT).where(superseded))
            same = and_(mine, VERDICT.c.since == window.since, VERDICT.c.checked_at == verdict.checked_at)
            connection.execute(delete(VERDICT).where(same))
            rest = [
                earlier._replace(window=part, expected=None, stored=None, found=0, changed=0, vanished=0)
                for earlier in old
                for part in subtract(earlier.window, [window])
            ]
            connection.execute(insert(VERDICT), [_row(source, stream, each) for each in (verdict, *rest)])


def verdicts_of(store: Store, source: str, stream: str) -> list[Verdict]:
    """Return every verdict of a stream that is kept, the newest first."""
    query = select(VERDICT).where(VERDICT.c.source == source, VERDICT.c.stream == stream)
    with guarded(store.shown), store.engine.connect() as connection:
        return [_verdict(row) for row in connection.execute(query.order_by(VERDICT.c.checked_at.desc()))]


def all_verdicts(store: Store, inside: Window | None = None) -> dict[tuple[str, str], list[Verdict]]:
    """Return every verdict that is kept, or that touches a window, by source and stream."""
    query = select(VERDICT)
    if inside is not None:
        query = query.where(VERDICT.c.since < inside.until, VERDICT.c.until > inside.since)
    found: dict[tuple[str, str], list[Verdict]] = {}
    with guarded(store.shown), store.engine.connect() as connection:
        for row in connection.execute(query):
            found.setdefault((row.source, row.stream), []).append(_verdict(row))
    return found


def current(verdicts: Iterable[Verdict], method: Method | None = None) -> list[Verdict]:
    """Return the newest verdict on each moment, cut to where it is the newest; oldest time first.

    One that says nothing, because numbers are not verifiable, stands only where there is no other.
    """
    told: list[Verdict] = []
    taken: list[Window] = []
    newest_first = sorted(verdicts, key=lambda verdict: verdict.checked_at, reverse=True)
    newest_first.sort(key=lambda verdict: verdict.outcome is Outcome.NOT_VERIFIABLE)
    for verdict in newest_first:
        if method in (None, verdict.method):
            told += [verdict._replace(window=part) for part in subtract(verdict.window, taken)]
            taken = merge([*taken, verdict.window])
    return sorted(told, key=lambda verdict: verdict.window)


def distrust(store: Store, source: str, stream: str) -> None:
    """Forget what was verified by numbers that turned out to be numbers of something else."""
    mine = and_(VERDICT.c.source == source, VERDICT.c.stream == stream, VERDICT.c.method == Method.COUNTS)
    with guarded(store.shown), writing(store.engine) as connection:
        connection.execute(delete(VERDICT).where(mine, VERDICT.c.verdict != Outcome.HEALED))


def _verdict(row: Any) -> Verdict:
    return Verdict(
        Window(row.since, row.until),
        Outcome(row.verdict),
        row.checked_at,
        Method(row.method),
        row.expected,
        row.stored,
        row.found,
        row.changed,
        row.vanished,
        row.reason,
    )


def _row(source: str, stream: str, verdict: Verdict) -> dict[str, Any]:
    named = verdict._asdict()
    window, outcome = named.pop("window"), named.pop("outcome")
    return {
        "source": source,
        "stream": stream,
        "since": window.since,
        "until": window.until,
        "verdict": str(outcome),
    } | named
