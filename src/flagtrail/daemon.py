"""Runs every source on its schedule until it is told to stop."""

import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Final

import structlog

from flagtrail import systemd
from flagtrail.errors import FlagtrailError
from flagtrail.pulse import Pulse, Turn
from flagtrail.report import Report
from flagtrail.roster import Roster
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.threads import Threads
from flagtrail.turns import Turns

AWAKE = 1.0  # seconds that a signal may have to wait
JUMP = 5.0  # seconds between our clock and the passing of time after which somebody has set it: ticks are due anew
GRACE = 4.0  # seconds for the pages under way to be stored; then the rest stays a gap for the next start
STOP: Final = "stop"
RELOAD: Final = "reload"

log = structlog.get_logger()


class Daemon:
    """Lets an engine read the sources: newest windows, older gaps, upkeep; hears signals, and sees that it moves."""

    def __init__(
        self, sources: list[Source], store: Store, *, after: Callable[[Report], None] | None = None,
        ending: Callable[[], None] | None = None, reread: Callable[[], list[Source]] | None = None,
        pulse: Pulse | None = None, engine: Callable[[list[Source], Turns], Roster] = Threads,
    ) -> None:  # fmt: skip
        """Prepare to read the sources; `after` is told of each report, in the thread of its source.

        `ending` is called as soon as it begins to end, so that what runs beside it can end at the same time. `reread`
        reads the config again, at SIGHUP, and returns the sources in it, or raises FlagtrailError.
        """
        self.store = store
        self.ending, self.reread = ending, reread
        self.pulse = pulse or Pulse()
        self.told: queue.SimpleQueue[str | list[Source] | None] = queue.SimpleQueue()  # put to within signal handlers
        turns = Turns(store, self.pulse, after)
        self.tick, self.catch_up, self.upkeep = turns.tick, turns.catch_up, turns.upkeep
        self.roster = engine(sources, turns)
        self._rereading = self._again = False
        self._stuck: set[Turn] = set()
        self._watchdog = systemd.Watchdog()

    @property
    def sessions(self) -> list[Session]:
        """The sources that are read, connected."""
        return self.roster.sessions

    def run(self) -> bool:
        """Read until SIGTERM, SIGINT or `stop`; return whether everything came to its end within the grace."""
        on_terminal = sys.stderr.isatty()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._signalled)
            if self.reread is not None:
                signal.signal(signal.SIGHUP, self._hung_up)
        self.pulse.beat("loop")
        self.roster.start()
        log.info("daemon_started", sources=[session.source.name for session in self.sessions], store=self.store.shown)
        systemd.tell("READY=1")
        ahead = time.time() - time.monotonic()
        while True:  # awake each second: a signal may reach another thread
            with suppress(queue.Empty):
                said = self.told.get(timeout=AWAKE)
                if said == STOP or (said == RELOAD and on_terminal and not sys.stderr.isatty()):
                    break  # the terminal is gone, and nobody could read any more what we say
                self._reload() if said == RELOAD else self._take_over(said)
            ahead = self._look_at_clock(ahead)
            self._look_around()
        return self._shut_down()

    def stop(self) -> None:
        """Make `run` return soon."""
        self.told.put(STOP)

    def look_at(self, source: str) -> Report | None:
        """Let a source be looked at now, by its name, whenever that is due; None when there is no such source."""
        found = next((session for session in self.sessions if session.source.name == source), None)
        return self.roster.look_at(found) if found else None

    def reload(self) -> None:
        """Make `run` read the config again soon."""
        self.told.put(RELOAD)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.told.put(STOP)

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        self.told.put(RELOAD)

    def _reload(self) -> None:
        """Read the config in a thread of its own: a program that prints a secret may take its time."""
        if self._rereading:
            self._again = True
        elif self.reread is not None:
            self._rereading = True
            systemd.tell(*systemd.reloading())
            threading.Thread(target=self._reread, args=[self.reread], name="rereading", daemon=True).start()

    def _reread(self, reread: Callable[[], list[Source]]) -> None:
        sources = None
        try:
            sources = reread()
            self.pulse.reload_failed = None
        except FlagtrailError as error:
            self.pulse.reload_failed = str(error)
            log.error("config_refused", error=str(error))
        except Exception:
            self.pulse.reload_failed = "that is a bug; the log tells more"
            log.exception("reload_crashed")
        self.told.put(sources)

    def _take_over(self, sources: object) -> None:
        """Read the sources of the new config; None when there is none, and the old one stays."""
        if isinstance(sources, list):
            changes = self.roster.exchange(sources)
            self.pulse.reloaded_at = datetime.now(UTC)
            log.info("config_reloaded", **changes)
        self._rereading = False
        systemd.tell("READY=1")
        if self._again:
            self._again = False
            self._reload()

    def _look_at_clock(self, ahead: float) -> float:
        """Let everything be due anew when somebody has set our clock; return how far it is ahead of time's passing."""
        now = time.time() - time.monotonic()
        if abs(now - ahead) <= JUMP:
            return ahead
        log.warning("clock_was_set", now=str(datetime.now(UTC)))
        self.roster.due_now()
        return now

    def _look_around(self) -> None:
        """Show that we live, and tell of what does not move, and of what moves again."""
        self.pulse.beat("loop")
        if self.pulse.is_alive:
            self._watchdog.live()
        self.roster.sweep()
        stuck = set(self.pulse.stuck())
        for turn in stuck - self._stuck:
            log.error("source_stuck", source=turn.source, job=turn.job, seconds=round(turn.idle_for), at=turn.where())
        for turn in self._stuck - stuck:
            log.info("source_moves", source=turn.source, job=turn.job)
        self._stuck = stuck

    def _shut_down(self) -> bool:
        log.info("daemon_stopping")
        systemd.tell("STOPPING=1")
        if self.ending is not None:
            self.ending()
        ending = threading.Thread(target=self._end, daemon=True)
        ending.start()
        ending.join(GRACE)
        log.info("daemon_stopped", clean=not ending.is_alive())
        return not ending.is_alive()

    def _end(self) -> None:
        """Let everything end; a database that does not answer may keep it from that for longer than the grace."""
        for session in self.roster.everybody:
            session.stop()
        self.roster.shut_down()
