"""Reads the config again while the daemon runs: what it says of sources and people holds at once."""

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from flagtrail.config import Config, load
from flagtrail.nudges import Nudges
from flagtrail.source import Source

if TYPE_CHECKING:
    from flagtrail.web.server import Server

AT_ONCE = {"source", "person"}  # tables whose changes need no restart

log = structlog.get_logger()


class Reloading:
    """The config that this process began with, and how it is read again; `server` and `nudges` are told, once there."""

    def __init__(self, config: Config, path: Path | None, only: list[str] | None) -> None:
        self.begun_with, self.path, self.only = config, path, only
        self.server: Server | None = None
        self.nudges: Nudges | None = None

    def reread(self) -> list[Source]:
        """Return the sources of the config as it is now; raises ConfigError, and nothing is taken over then."""
        config = load(self.path)
        sources = config.sources(self.only)
        restart = [name for name in Config.model_fields if self._waits(config, name)]
        if config.notice and config.person != self.begun_with.person:
            restart.append("notice")  # whom its questions mean was looked up at the start
        if restart:
            log.warning("restart_needed", tables=list(dict.fromkeys(restart)))
        if self.nudges is not None:
            self.nudges.know(sources)
        if self.server is not None:
            self.server.reconfigure(config.vendors(), config.people())
        return sources

    def _waits(self, config: Config, table: str) -> bool:
        """Return whether a table differs from the one that this process began with, and holds after a restart only."""
        return table not in AT_ONCE and getattr(config, table) != getattr(self.begun_with, table)
