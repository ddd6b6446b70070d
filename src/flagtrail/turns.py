"""What the daemon does for one source at a time: a tick, older gaps, upkeep. What goes wrong is logged, and no more."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from flagtrail import traces
from flagtrail.errors import FlagtrailError
from flagtrail.pulse import Pulse, Turn
from flagtrail.report import Report, Verification
from flagtrail.status import aging
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.upkeep import delete_old, fetch_details, verify_due

UPKEEP = 60.0  # seconds between looks for verifications that are due, for which full forms may be fetched meanwhile
EVENTS = {  # how a turn ends: well, with an error that can be explained, with one that cannot
    "tick": ("tick", "tick_failed", "tick_crashed"),
    "catch_up": ("catch_up", "catch_up_failed", "catch_up_crashed"),
    "upkeep": ("verified", "upkeep_failed", "upkeep_crashed"),
    "plan": ("planned", "plan_failed", "plan_crashed"),
    "read": ("read", "read_failed", "read_crashed"),
}

Result = TypeVar("Result")
log = structlog.get_logger()


class Turns:
    """The jobs of a source; `after` is told of each report of a tick, in the thread of its source."""

    def __init__(self, store: Store, pulse: Pulse, after: Callable[[Report], None] | None = None) -> None:
        self.store, self.pulse, self.after = store, pulse, after

    def tick(self, session: Session) -> Report | None:
        """Look at the newest windows of one source; what goes wrong is logged, and tried again at the next tick."""
        report = self.read(session, "tick", session.look)
        if report is not None and self.after is not None:
            self.after(report)
        return report

    def catch_up(self, session: Session) -> Report | None:
        """Fill the older gaps of one source; what goes wrong is logged, and tried again soon."""
        return self.read(session, "catch_up", session.catch_up)

    def upkeep(self, session: Session, verify: Callable[[Session], Iterable[Verification]] = verify_due) -> bool | None:
        """Verify what is due of one source, and fetch full forms of entries; what goes wrong is logged."""
        return self.take(session, "upkeep", lambda turn: self._keep_up(session, turn, verify))

    def verify(self, session: Session, stream: str) -> bool | None:
        """Verify what is due of one stream; what goes wrong is logged."""
        return self.take(session, "upkeep", lambda turn: _tell_verified(verify_due(session, stream), turn))

    def read(self, session: Session, what: str, read: Callable[[Turn], Report]) -> Report | None:
        """Take a turn that reads, and return what came of it; None when it could not be finished."""

        def reading(turn: Turn) -> Report:
            report = read(turn)
            self.pulse.note(report, session)
            if report.error:
                traces.failed(report.error)
            if what == "tick" or report.new or report.errors:
                changed = sum(stream.changed for stream in report.streams.values())
                # Jobs of one source that a worker does at the same time cannot tell whose requests are whose.
                told = {} if session.shared else {"requests": report.requests, "streams": len(report.streams)}
                log.info(EVENTS[what][0], source=report.source, new=report.new, changed=changed,
                         errors=len(report.errors), **told)  # fmt: skip
            return report

        return self.take(session, what, reading)

    def take(self, session: Session, what: str, do: Callable[[Turn], Result]) -> Result | None:
        """Take a turn; what goes wrong is logged by the names in EVENTS, and None is returned."""
        name = session.source.name
        _, failed, crashed = EVENTS[what]
        with self._turn(session, what) as turn:
            try:
                return do(turn)
            except FlagtrailError as error:
                log.error(failed, source=name, error=str(error))
                traces.failed(error)
                return None
            except Exception:
                log.exception(crashed, source=name)
                traces.failed(crashed)
                return None

    @contextmanager
    def _turn(self, session: Session, job: str) -> Iterator[Turn]:
        """Tell of a turn while it is under way: whatever is logged or traced meanwhile belongs to it."""
        name = session.source.name
        with (
            bound_contextvars(source=name, job=job),
            traces.span("round", source=name, job=job),
            self.pulse.turn(name, job, session) as turn,
        ):
            turn.trace = traces.here()
            yield turn

    def _keep_up(self, session: Session, turn: Turn, verify: Callable[[Session], Iterable[Verification]]) -> bool:
        name = session.source.name
        self.store.gather()
        self.store.write_back()
        for aged in aging(self.store, name):
            log.warning("entries_age_out", source=name, stream=aged.state.stream, at=str(aged.ages_out_at))
        _tell_verified(verify(session), turn)
        deleted = delete_old(session)
        if deleted:
            log.info("deleted", source=name, events=deleted, older_than=str(session.source.keep))
        elif deleted is None:
            log.info("not_deleted", source=name, reason="the trail is on hold")
        turn.move()
        fetched = fetch_details(session, UPKEEP)
        if fetched.stored or fetched.error:
            log.info("details", source=name, stored=fetched.stored, gone=fetched.gone, error=fetched.error)
        return True


def _tell_verified(reports: Iterable[Verification], turn: Turn) -> bool:
    for report in reports:
        streams = report.streams.values()
        log.info("verified", source=report.source, streams=[stream.stream.name for stream in streams],
                 found=sum(stream.found for stream in streams), differing=report.differing,
                 vanished=sum(len(stream.vanished) for stream in streams), requests=report.requests,
                 error=report.error)  # fmt: skip
        turn.move()
    return True
