"""Looks at a source as soon as its vendor says that something happened there: webhooks, which are hints and never data.

All that a webhook can do is to make one look come sooner. So one that is forged changes nothing, one that is lost costs
the wait until the next look, and one that is doubled or replayed costs a request.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from flagtrail.report import Report
from flagtrail.source import Source

TOLERANCE = timedelta(minutes=5)  # between the time in a signature and ours
PAUSE = 3.0  # seconds between two looks because of nudges: a storm of them costs no more
AGAIN = (
    5.0,
    20.0,
)  # seconds before more looks, while they bring nothing: the vendor's log may be later than its webhook

log = structlog.get_logger()


class Nudges:
    """Takes webhooks for some sources, and looks at these: one nudge of a source waits at most.

    `look` is called with a source's name, in a thread of that source's own, and returns what came of it.
    """

    def __init__(self, sources: Iterable[Source], look: Callable[[str], Report | None], pause: float = PAUSE) -> None:
        self.know(sources)
        self._look, self._pause = look, pause
        self._waiting: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def know(self, sources: Iterable[Source]) -> None:
        """Take webhooks for these sources from now on, as far as they have secrets for them."""
        self.sources = {source.name: source for source in sources if source.webhook_secrets}

    def accept(self, name: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether a request is a webhook for a source, and if so, let that be looked at soon; never waits."""
        refused = self._refused(self.sources.get(name), headers, body)
        if refused:
            log.info("nudge_refused", source=name if name in self.sources else None, reason=refused)
            return False
        self.nudge(name)
        return True

    def nudge(self, name: str) -> None:
        """Let a source be looked at soon."""
        with self._lock:
            waiting = self._waiting.get(name)
            if waiting is None and not self._stopped.is_set():
                waiting = self._waiting[name] = threading.Event()
                threading.Thread(target=self._look_at, args=(name, waiting), name=f"{name}-nudged", daemon=True).start()
        if waiting is not None:
            waiting.set()

    def stop(self) -> None:
        """Look no more; a look that goes on ends with its session."""
        self._stopped.set()
        with self._lock:
            for waiting in self._waiting.values():
                waiting.set()

    def _refused(self, source: Source | None, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return why a request is no webhook for a source; None when it is one."""
        if source is None:
            return "no source of this name has a webhook_secret"
        secrets = (secret.get_secret_value().encode() for secret in source.webhook_secrets)
        tried = (source.connector.nudge(secret, headers, body) for secret in secrets)
        found = next((nudge for nudge in tried if nudge is not None), None)
        if found is None:
            return "it is not signed with a webhook_secret of this source"
        if found.sent_at is not None and abs(datetime.now(UTC) - found.sent_at) > TOLERANCE:
            return "it was signed too long ago, or the clocks differ"
        return None

    def _look_at(self, name: str, waiting: threading.Event) -> None:
        """Look whenever there was a nudge, and again a little later while that brings nothing."""
        while waiting.wait() and not self._stopped.is_set():
            waiting.clear()  # what comes from now on may be about something newer than this look sees
            report = self._look(name)
            for seconds in AGAIN:
                if self._brought(report) or waiting.wait(seconds):
                    break
                report = self._look(name)
            self._stopped.wait(self._pause)

    def _brought(self, report: Report | None) -> bool:
        """Return whether a look brought something, or cannot bring anything by being repeated."""
        return report is None or report.new > 0 or bool(report.errors) or self._stopped.is_set()
