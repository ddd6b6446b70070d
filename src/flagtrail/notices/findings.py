"""Finds what people should know of the trail itself: gaps, refused sources and streams, entries that age out."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import select

from flagtrail.database import guarded
from flagtrail.notices.message import Finding, clean
from flagtrail.notices.settings import About
from flagtrail.report import Report
from flagtrail.schema import GAP
from flagtrail.status import aging
from flagtrail.store import Store
from flagtrail.window import iso

Place = tuple[str, str | None]  # a source, and a stream of it; None is the whole source


def _key(about: About, *parts: str | None) -> str:
    return json.dumps([about, *parts], ensure_ascii=False, separators=(",", ":"))


class Findings:
    """What is wrong with the trail by now: gaps and what ages out by the tables, refusals by the daemon's reports."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._refused: dict[Place, Finding] = {}
        self._fine: set[Place] = set()  # where a look has succeeded after the last refusal, if there was any
        self._lock = threading.Lock()

    def heard(self, report: Report) -> None:
        """Take over what a look at a source was refused; from any thread."""
        refused = {(report.source, stream): str(error) for stream, error in report.refused.items()}
        fine: set[Place] = {(report.source, name) for name, state in report.streams.items() if not state.error}
        if report.streams and not report.error:
            fine.add((report.source, None))
        with self._lock:
            self._fine = (self._fine | fine) - refused.keys()
            kept = {place: finding for place, finding in self._refused.items() if place not in self._fine}
            self._refused = kept | {place: _refusal(*place, error) for place, error in refused.items()}

    def beginning(self, kinds: Iterable[About]) -> list[str]:
        """Return the keys of what a new rule does not tell of: the gaps that there are."""
        return [finding.key for finding in self._gaps()] if About.GAP in kinds else []

    def now(self, kinds: Iterable[About]) -> tuple[list[Finding], Callable[[str], bool]]:
        """Return what is wrong, and what says of the key of something else whether that is over.

        A refusal is over when a look here has succeeded: another process may have told of it.
        """
        kinds = list(kinds)
        with self._lock:
            refused, fine = list(self._refused.values()), frozenset(self._fine)
        found = refused if About.REFUSED in kinds else []
        found += self._gaps() if About.GAP in kinds else []
        found += self._aging() if About.RETENTION in kinds else []

        def over(key: str) -> bool:
            about, source, stream, *_ = json.loads(key)
            return about in kinds and (about != About.REFUSED or (source, stream) in fine)

        return found, over

    def _gaps(self) -> Iterator[Finding]:
        with guarded(self.store.shown), self.store.engine.connect() as connection:
            rows = connection.execute(select(GAP).order_by(GAP.c.since)).all()
        for row in rows:
            span = f"{iso(row.since)} to {iso(row.until)}"
            lost = "was lost for good" if row.permanent else "cannot be read whole"
            text = f"{row.source}: {row.stream} {lost} from {span}: {clean(row.reason)}"
            yield Finding(About.GAP, _key(About.GAP, row.source, row.stream, span), row.source, row.stream, text)

    def _aging(self) -> Iterator[Finding]:
        for source in sorted({stream.source for stream in self.store.streams()}):
            for status in aging(self.store, source):
                stream = status.state.stream
                at = f" on {status.ages_out_at:%Y-%m-%d %H:%M} UTC" if status.ages_out_at else ""
                text = f"{source}: entries of {stream} that were not read are dropped by the vendor{at}"
                yield Finding(About.RETENTION, _key(About.RETENTION, source, stream), source, stream, text)


def _refusal(source: str, stream: str | None, error: str) -> Finding:
    what = f"{source} is refused" if stream is None else f"{source}: {stream} is refused"
    return Finding(About.REFUSED, _key(About.REFUSED, source, stream), source, stream, f"{what}: {clean(error)}")
