"""Keeps the lake up to date beside the daemon, in a thread and with a store of its own; that goes on without it."""

import threading

import structlog

from flagtrail.errors import FlagtrailError
from flagtrail.lake.keeping import Keeper, Watch
from flagtrail.lake.opening import open_lake
from flagtrail.lake.settings import LakeSettings
from flagtrail.store import Store

log = structlog.get_logger()


class Following(Watch):
    """Brings the lake up to date again and again, until `stop`."""

    def __init__(self, url: str, path: str, settings: LakeSettings) -> None:
        self.url, self.path, self.settings = url, path, settings
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lake", daemon=True)

    def start(self) -> None:
        """Begin, soon."""
        self._thread.start()

    def stop(self) -> None:
        """Let it end after the write that is under way."""
        self._stopped.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, and return whether it came; whatever is cut off is done again the next time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def ending(self) -> bool:
        """Return whether it was told to stop."""
        return self._stopped.is_set()

    def waiting(self) -> bool:
        """Return whether to go on waiting for another process."""
        return not self._stopped.is_set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow()
            except FlagtrailError as error:
                if not self._stopped.is_set():
                    log.error("lake_failed", error=str(error))
            except Exception:
                log.exception("lake_crashed")
            self._stopped.wait(self.settings.every.total_seconds())

    def _follow(self) -> None:
        with Store(self.url) as store:
            done = Keeper(store, open_lake(self.path, self.settings), self.settings, self).follow()
        if done.why_built:
            log.warning("lake_built", why=done.why_built, months=done.built, events=done.events)
        if done.writes:
            log.info("lake_updated", changes=done.changes, events=done.events, files=done.files,
                     seconds=round(done.seconds, 1))  # fmt: skip
