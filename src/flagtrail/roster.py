"""Keeps a session for each source that is read, and exchanges them while the others go on."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from flagtrail.limit import Limiter
from flagtrail.report import Report
from flagtrail.source import Source
from flagtrail.sync import Session
from flagtrail.turns import Turns

BEAT = 5.0  # seconds between two signs of life of an engine


class Roster(ABC):
    """The sources that are read; what lets their turns come is an engine, a subclass. An engine is started once.

    Sources with the same credential share its limits.
    """

    def __init__(self, sources: Iterable[Source], turns: Turns) -> None:
        self.turns, self.store, self.pulse = turns, turns.store, turns.pulse
        self.limiters: dict[Any, Limiter] = {}
        self.sessions = [self._session(source) for source in sources]
        self.leaving: list[Session] = []  # they finish what is under way

    @property
    def everybody(self) -> list[Session]:
        """The sessions, and those that are leaving."""
        return [*self.sessions, *self.leaving]

    @abstractmethod
    def start(self) -> None:
        """Let every source be read from now on."""

    @abstractmethod
    def due_now(self) -> None:
        """Let everything be due at once."""

    @abstractmethod
    def look_at(self, session: Session) -> Report | None:
        """Let the newest time of a source be looked at now; return what came of it as far as that is known."""

    @abstractmethod
    def _begin(self, session: Session) -> None:
        """Let a source be read that is new."""

    @abstractmethod
    def _end(self, session: Session) -> None:
        """Let no new turn of a source begin."""

    @abstractmethod
    def _stop(self) -> None:
        """Let no new turn of any source begin."""

    def exchange(self, sources: Iterable[Source]) -> dict[str, list[str]]:
        """Read these sources from now on; return the names of those that were added, changed and removed.

        What is under way of a source that is changed or removed ends after the pages that are read already are stored.
        """
        wanted = {source.name: source for source in sources}
        had = {session.source.name: session for session in self.sessions}
        gone = [session for name, session in had.items() if session.source != wanted.get(name)]
        self.pulse.forget(session.source.name for session in gone)
        for session in gone:
            self._end(session)
            session.stopping.set()
            self.leaving.append(session)
        new = [self._session(source) for name, source in wanted.items() if name not in had or had[name] in gone]
        staying = [session for session in self.sessions if session not in gone]
        self.sessions = sorted([*staying, *new], key=lambda session: list(wanted).index(session.source.name))
        for session in new:
            self._begin(session)
        return {
            "added": [name for name in wanted if name not in had],
            "changed": [session.source.name for session in gone if session.source.name in wanted],
            "removed": [session.source.name for session in gone if session.source.name not in wanted],
        }

    def sweep(self) -> None:
        """Let go of sessions that have left and have nothing under way any more."""
        for session in [each for each in self.leaving if not self.pulse.is_busy(each)]:
            session.connection.leave()
            self.leaving.remove(session)

    def shut_down(self) -> None:
        """Let nothing begin any more, and wait for the end of what is under way."""
        self._stop()
        while any(self.pulse.is_busy(session) for session in self.everybody):
            time.sleep(0.05)

    def _session(self, source: Source) -> Session:
        session = self._connected(source)
        session.api.tell(lambda status: self.pulse.answered(source.name, status))
        return session

    def _connected(self, source: Source) -> Session:
        return Session(source, self.store, limiters=self.limiters)
