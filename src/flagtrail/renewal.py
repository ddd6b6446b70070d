"""Connects a source, and anew when its vendor refuses its secrets and the config names others by then.

So whoever rotates a secret restarts nothing.
"""

import threading
import time
from dataclasses import replace
from typing import Any

import httpx
import structlog

from flagtrail.api import Api
from flagtrail.errors import ConfigError
from flagtrail.limit import Limiter
from flagtrail.source import Source

RENEW_EVERY = 60.0  # seconds between looks for other secrets while a credential stays refused

log = structlog.get_logger()


class Connection:
    """A source, and the API of its vendor with its present secrets."""

    def __init__(self, source: Source, transport: httpx.BaseTransport | None, limiters: dict[Any, Limiter]) -> None:
        self.source = source
        self._transport, self._limiters = transport, limiters
        self.api = self._connected(source)
        self._former: list[Api] = []  # those with secrets that are no longer used
        self._renewing = threading.Lock()
        self._renewed_at = float("-inf")
        self._stopped = False

    def stop(self) -> None:
        """Wake whoever waits for the vendor, and let nothing more be asked, by any source with this credential."""
        self._stopped = True
        for api in (self.api, *self._former):
            api.close()

    def leave(self) -> None:
        """Let go of what connects to the vendor; other sources with the same credential go on."""
        for api in (self.api, *self._former):
            api.leave()

    def renew(self, used: Api) -> bool:
        """Take the secrets that the config names by now; return whether there are others than those that were used."""
        with self._renewing:
            if self.api is not used:
                return True  # another job of this source was faster
            if time.monotonic() - self._renewed_at < RENEW_EVERY:
                return False
            self._renewed_at = time.monotonic()
            source = _renewed(self.source)
            if source is None:
                return False
            api = self._connected(source)
            api.succeeds(used)
            self._former.append(used)
            self.source, self.api = source, api
            if self._stopped:
                api.close()
            return True

    def _connected(self, source: Source) -> Api:
        api = source.connector.connect(self._transport)
        api.limited_with(self._limiters, source.reserve)
        return api


def _renewed(source: Source) -> Source | None:
    """Return a source with the secrets that the config names by now; None when they are the same, or cannot be had."""
    if source.renewal is None:
        return None
    try:
        connector = source.renewal()
    except ConfigError as error:
        log.warning("secrets_not_renewed", source=source.name, error=str(error))
        return None
    if connector == source.connector:
        return None
    log.info("secrets_renewed", source=source.name)
    return replace(source, connector=connector)
