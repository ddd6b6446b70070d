"""What the daemon does for one source at a time: a tick, older gaps, upkeep. What goes wrong is logged, and no more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from structlog.contextvars import bound_contextvars

from flagtrail import traces
from flagtrail.errors import FlagtrailError
from flagtrail.pulse import Pulse, Turn
from flagtrail.report import Report, Watch
from flagtrail.status import aging
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.upkeep import delete_old, fetch_details, verify_due

UPKEEP = 60.0  # seconds between looks for verifications that are due, for which full forms may be fetched meanwhile
EVENTS = {  # how a turn that reads ends: well, with an error that can be explained, with one that cannot
    "tick": ("tick", "tick_failed", "tick_crashed"),
    "catch_up": ("catch_up", "catch_up_failed", "catch_up_crashed"),
}

log = structlog.get_logger()


class Turns:
    """The jobs of a source; `after` is told of each report of a tick, in the thread of its source."""

    def __init__(self, store: Store, pulse: Pulse, after: Callable[[Report], None] | None = None) -> None:
        self.store, self.pulse, self.after = store, pulse, after

    def tick(self, session: Session) -> Report | None:
        """Look at the newest windows of one source; what goes wrong is logged, and tried again at the next tick."""
        report = self._read(session, "tick", session.look)
        if report is not None and self.after is not None:
            self.after(report)
        return report

    def catch_up(self, session: Session) -> Report | None:
        """Fill the older gaps of one source; what goes wrong is logged, and tried again soon."""
        return self._read(session, "catch_up", session.catch_up)

    def upkeep(self, session: Session) -> None:
        """Verify what is due of one source, and fetch full forms of entries; what goes wrong is logged."""
        name = session.source.name
        with self._turn(session, "upkeep") as turn:
            try:
                self._keep_up(session, turn)
            except FlagtrailError as error:
                log.error("upkeep_failed", source=name, error=str(error))
                traces.failed(error)
            except Exception:
                log.exception("upkeep_crashed", source=name)
                traces.failed("upkeep_crashed")

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

    def _read(self, session: Session, what: str, read: Callable[[Watch], Report]) -> Report | None:
        name = session.source.name
        done, failed, crashed = EVENTS[what]
        with self._turn(session, what) as turn:
            try:
                report = read(turn)
            except FlagtrailError as error:
                log.error(failed, source=name, error=str(error))
                traces.failed(error)
                return None
            except Exception:
                log.exception(crashed, source=name)
                traces.failed(crashed)
                return None
            self.pulse.note(report, session)
            if report.error:
                traces.failed(report.error)
            if what == "tick" or report.new or report.errors:
                changed = sum(stream.changed for stream in report.streams.values())
                log.info(done, source=report.source, new=report.new, changed=changed, requests=report.requests,
                         streams=len(report.streams), errors=len(report.errors))  # fmt: skip
            return report

    def _keep_up(self, session: Session, turn: Turn) -> None:
        name = session.source.name
        self.store.gather()
        self.store.write_back()
        for aged in aging(self.store, name):
            log.warning("entries_age_out", source=name, stream=aged.state.stream, at=str(aged.ages_out_at))
        for report in verify_due(session):
            streams = report.streams.values()
            log.info("verified", source=name, streams=[stream.stream.name for stream in streams],
                     found=sum(stream.found for stream in streams), differing=report.differing,
                     vanished=sum(len(stream.vanished) for stream in streams), requests=report.requests,
                     error=report.error)  # fmt: skip
            turn.move()
        deleted = delete_old(session)
        if deleted:
            log.info("deleted", source=name, events=deleted, older_than=str(session.source.keep))
        elif deleted is None:
            log.info("not_deleted", source=name, reason="the trail is on hold")
        turn.move()
        fetched = fetch_details(session, UPKEEP)
        if fetched.stored or fetched.error:
            log.info("details", source=name, stored=fetched.stored, gone=fetched.gone, error=fetched.error)
