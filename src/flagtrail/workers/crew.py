"""The engine of many machines: this process is one of the workers that share the jobs of all sources."""

from collections.abc import Iterable

from flagtrail.limit import Limiter
from flagtrail.operating import EngineSettings
from flagtrail.report import Report
from flagtrail.roster import Roster
from flagtrail.source import Source
from flagtrail.sync import Session
from flagtrail.turns import Turns
from flagtrail.workers.jobs import Jobs
from flagtrail.workers.ledger import SharedLedger
from flagtrail.workers.queue import Queue
from flagtrail.workers.shelf import Behind, Listing, Shelf
from flagtrail.workers.shift import Shift


class Crew(Roster):
    """The sources that this worker reads together with others; nothing here knows of the others."""

    def __init__(self, sources: Iterable[Source], turns: Turns, settings: EngineSettings) -> None:
        self.settings = settings
        self.shelf = Shelf(turns.store)
        self.queue = Queue(self.shelf)
        self.jobs = Jobs(turns, self.queue, self._named)
        self._shifts: list[Shift] = []
        super().__init__(sources, turns)

    def start(self) -> None:
        """Let every source be read from now on; raises StoreError."""
        self.queue.open()
        self._change_shifts()

    def exchange(self, sources: Iterable[Source]) -> dict[str, list[str]]:
        """Read these sources from now on; return the names of those that were added, changed and removed."""
        changes = super().exchange(sources)
        if any(changes.values()):
            self._change_shifts()
        return changes

    def sweep(self) -> None:
        """Let go of what has ended, and let new credentials have ledgers."""
        super().sweep()
        self._shifts = [shift for shift in self._shifts if not shift.is_over]
        self._share_limits()

    def due_now(self) -> None:
        """Let every source be planned at once, and its ticks come by the clock as it is now."""
        for session in self.sessions:
            self.look_at(session)
        self._change_shifts()  # whose Procrastinate would wait until a clock that was set back has caught up

    def look_at(self, session: Session) -> Report | None:
        """Let a source be planned at once; what comes of it is known to whoever reads it."""
        name = session.source.name
        self.turns.take(session, "plan", lambda turn: self.jobs.put_plan(name))  # which is logged when it fails
        return Report(name)

    def _connected(self, source: Source) -> Session:
        session = Session(source, self.store, limiters=self.limiters, memory=Listing(self.shelf, source.name))
        session.behind = Behind(self.shelf, source.name)
        return session

    def _named(self, source: str) -> Session | None:
        return next((session for session in self.sessions if session.source.name == source), None)

    def _change_shifts(self) -> None:
        """Take jobs of the present sources; the former shift ends what it has begun meanwhile."""
        self._share_limits()
        for shift in self._shifts:
            shift.stop()
        sources = [session.source for session in self.sessions]
        self._shifts.append(Shift(self.jobs, sources, self.settings, self.pulse))
        self._shifts[-1].start()

    def _share_limits(self) -> None:
        """Give each credential a ledger; it goes by the first name of its sources, which every worker knows."""
        first: dict[int, tuple[Limiter, str]] = {}
        for session in sorted(self.sessions, key=lambda session: session.source.name):
            first.setdefault(id(session.api.limiter), (session.api.limiter, session.source.name))
        for limiter, name in first.values():
            if not isinstance(limiter.ledger, SharedLedger) or limiter.ledger.credential != name:
                limiter.ledger = SharedLedger(self.shelf, name)

    def _begin(self, session: Session) -> None:
        """Do nothing: a new shift knows it."""

    def _end(self, session: Session) -> None:
        """Do nothing: a new shift does not know it."""

    def _stop(self) -> None:
        for shift in self._shifts:
            shift.stop()
        for shift in self._shifts:
            shift.join()
        self.queue.close()
