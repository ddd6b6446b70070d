"""Lends HTTP connections to requests, and ends the answers that take too long in all, however steadily they drip.

They are httpx's transports: its client adds redirects, cookies and proxies to them, which flagtrail must not have, and
takes a third of a request's CPU time for it (benchmarks/RESULTS.md).
"""

import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import httpx

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0  # the longest silence
TOTAL_SECONDS = 60.0  # the longest answer: httpx times each silence, and a drip is none


class Line:
    """One connection to the vendor, used by one request at a time; `closed` once its time was over."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self.transport = transport
        self.closed = False

    def send(self, request: httpx.Request) -> httpx.Response:
        """Return the beginning of an answer, to be read and closed; raises httpx.TransportError."""
        timeouts = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS).as_dict()
        request.extensions = {"timeout": timeouts}
        response = self.transport.handle_request(request)
        response.request = request
        return response

    def close(self) -> None:
        """Hang up, also while somebody waits for an answer."""
        self.closed = True
        self.transport.close()


class Lines:
    """The connections of one credential: never more than there were requests at the same time. Safe for many threads.

    One thread watches over all that is lent; a timer for each request would cost as much as the request.
    """

    def __init__(self, transport: httpx.BaseTransport | None) -> None:
        self.idle: deque[Line] = deque()
        self._transport = transport
        self._lent: dict[Line, float] = {}  # until when, by time.monotonic
        self._changed = threading.Condition()
        self._wakes_at = float("inf")
        self._watched = self._stopped = False

    @contextmanager
    def lend(self) -> Iterator[Line]:
        """Lend a line to one request; it is closed under the borrower's hands when the time for an answer is over."""
        try:
            line = self.idle.pop()
        except IndexError:
            line = Line(self._transport or httpx.HTTPTransport(verify=_authorities(), trust_env=False))
        try:
            self._watch(line, time.monotonic() + TOTAL_SECONDS)
            yield line
        finally:
            with self._changed:
                self._lent.pop(line, None)
            if self._stopped:
                line.close()
            elif not line.closed:
                self.idle.append(line)

    def stop(self) -> None:
        """Keep no line any more that comes back."""
        self._stopped = True

    def close(self) -> None:
        """Close every line that is not lent."""
        self.stop()
        while self.idle:
            self.idle.pop().close()
        with self._changed:
            self._changed.notify_all()

    def _watch(self, line: Line, until: float) -> None:
        with self._changed:
            self._lent[line] = until
            if not self._watched:
                threading.Thread(target=self._end_overdue, name="flagtrail-lines", daemon=True).start()
                self._watched = True
            elif until < self._wakes_at:
                self._changed.notify_all()

    def _end_overdue(self) -> None:
        """Close lines whose time is over, until none is lent."""
        while True:
            with self._changed:
                now = time.monotonic()
                overdue = [line for line, until in self._lent.items() if until <= now]
                for line in overdue:
                    del self._lent[line]
                if not self._lent and not overdue:
                    self._watched, self._wakes_at = False, float("inf")
                    return
            for line in overdue:
                line.close()
            with self._changed:
                self._wakes_at = min(self._lent.values(), default=now)
                self._changed.wait(max(0.0, self._wakes_at - time.monotonic()))


@cache
def _authorities() -> ssl.SSLContext:
    """Return whom to believe a server's name; read once, because it takes longer than many a request."""
    return httpx.create_ssl_context(trust_env=False)
