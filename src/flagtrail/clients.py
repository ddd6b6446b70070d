"""Lends httpx clients to requests, and ends the answers that take too long in all, however steadily they drip."""

import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import httpx

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0  # the longest silence
TOTAL_SECONDS = 60.0  # the longest answer: httpx times each silence, and a drip is none


class Clients:
    """The clients of one credential: never more than there were requests at the same time. Safe for many threads.

    One thread watches over all that is lent; a timer for each request would cost as much as the request.
    """

    def __init__(self, headers: Mapping[str, str], transport: httpx.BaseTransport | None) -> None:
        self.idle: deque[httpx.Client] = deque()
        self.headers = dict(headers)
        self._transport = transport
        self._lent: dict[httpx.Client, float] = {}  # until when, by time.monotonic
        self._changed = threading.Condition()
        self._wakes_at = float("inf")
        self._watched = self._stopped = False

    @contextmanager
    def lend(self) -> Iterator[httpx.Client]:
        """Lend a client to one request; it is closed under the borrower's hands when the time for an answer is over."""
        try:
            client = self.idle.pop()
        except IndexError:
            client = self._new()
        self._watch(client, time.monotonic() + TOTAL_SECONDS)
        try:
            yield client
        finally:
            with self._changed:
                self._lent.pop(client, None)
            if self._stopped:
                client.close()
            elif not client.is_closed:
                self.idle.append(client)

    def stop(self) -> None:
        """Keep no client any more that comes back."""
        self._stopped = True

    def close(self) -> None:
        """Close every client that is not lent."""
        self.stop()
        while self.idle:
            self.idle.pop().close()
        with self._changed:
            self._changed.notify_all()

    def _new(self) -> httpx.Client:
        return httpx.Client(
            headers=self.headers,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            transport=self._transport,
            verify=_authorities(),
            follow_redirects=False,
            trust_env=False,  # a proxy variable must not silently reroute the credential
        )

    def _watch(self, client: httpx.Client, until: float) -> None:
        with self._changed:
            self._lent[client] = until
            if not self._watched:
                self._watched = True
                threading.Thread(target=self._end_overdue, name="flagtrail-clients", daemon=True).start()
            elif until < self._wakes_at:
                self._changed.notify_all()

    def _end_overdue(self) -> None:
        """Close clients whose time is over, until none is lent."""
        while True:
            with self._changed:
                now = time.monotonic()
                overdue = [client for client, until in self._lent.items() if until <= now]
                for client in overdue:
                    del self._lent[client]
                if not self._lent and not overdue:
                    self._watched, self._wakes_at = False, float("inf")
                    return
            for client in overdue:
                client.close()
            with self._changed:
                self._wakes_at = min(self._lent.values(), default=now)
                self._changed.wait(max(0.0, self._wakes_at - time.monotonic()))


@cache
def _authorities() -> ssl.SSLContext:
    """Return whom to believe a server's name; read once, because it takes longer than many a request."""
    return httpx.create_ssl_context(trust_env=False)
