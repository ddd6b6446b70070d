"""Serves the page and the API in a thread of its own, beside whatever else the process does.

What fails is tried again. What answers is loaded when somebody asks for the first time: a daemon that nobody looks at
needs no memory for it.
"""

import errno
import logging
import select
import socket
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING

import structlog

from flagtrail.errors import FlagtrailError
from flagtrail.nudges import Nudges
from flagtrail.people import People
from flagtrail.pulse import Pulse
from flagtrail.serving import Address, ServeSettings
from flagtrail.store import Store

if TYPE_CHECKING:
    import uvicorn

    from flagtrail.web.access import Trail

AGAIN = 30.0  # seconds until it is tried again, when the address is taken or the database cannot be opened
AWAKE = 0.25  # seconds until it is looked up whether to end, while nobody has asked yet
GRACE = 2  # seconds for answers under way to be finished
BACKLOG = 128  # connections that wait to be accepted
CONNECTIONS = 500  # at the same time; more get a 503 at once

log = structlog.get_logger()


class Server:
    """The page and the API, until `stop`: it has a store of its own, so that who asks never waits for who stores."""

    def __init__(
        self, url: str, settings: ServeSettings, configured: Collection[str] = (), people: People | None = None,
        again: float = AGAIN, pulse: Pulse | None = None, nudges: Nudges | None = None,
    ) -> None:  # fmt: skip
        self.url, self.settings, self.configured, self.again = url, settings, configured, again
        self.people, self.pulse, self.nudges = people, pulse, nudges
        self.address: Address | None = None
        self.listens = threading.Event()
        self._stopped = threading.Event()
        self._running: uvicorn.Server | None = None
        self._trail: Trail | None = None
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="serving", daemon=True)

    def start(self) -> None:
        """Begin to serve, soon."""
        self._thread.start()

    def reconfigure(self, configured: Collection[str], people: People) -> None:
        """Answer from now on for these sources and people."""
        self.configured, self.people = configured, people
        if self._trail is not None:
            self._trail.configured, self._trail.people = configured, people

    def stop(self) -> None:
        """Let it end: no more requests, and live connections end at once."""
        self._stopped.set()
        if self._trail is not None:
            self._trail.live.close()
            self._trail.exports.close()
        if self._running is not None:
            self._running.should_exit = True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, and return whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # what it would tell, we do
        while not self._stopped.is_set():
            try:
                self._serve()
            except FlagtrailError as error:
                self._failed(str(error))
            except OSError as error:
                taken = "; another `listen` in [serve] or `enabled = false`" if error.errno == errno.EADDRINUSE else ""
                self._failed(f"{error.strerror or error}{taken}")
            except Exception:
                log.exception("serving_crashed", listen=str(self.settings.listen))
            self.listens.clear()
            self._stopped.wait(self.again)

    def _failed(self, error: str) -> None:
        """Log why it does not serve, once for as long as the reason stays the same."""
        if error != self._failure:
            log.warning("serving_failed", listen=str(self.settings.listen), error=error)
        self._failure = error

    def _serve(self) -> None:
        with listening(self.settings.listen) as sock, Store(self.url, create=False) as store:
            if self.settings.asks_for_tokens:
                from flagtrail.web.access import require_tokens

                require_tokens(store, self.settings)
            host, port = sock.getsockname()[:2]
            self.address, self._failure = Address(host, port), ""
            log.info("serving", listen=str(self.address), tokens=self.settings.asks_for_tokens)
            self.listens.set()
            while not self._stopped.is_set() and not select.select([sock], [], [], AWAKE)[0]:
                pass
            if not self._stopped.is_set():
                self._answer(sock, store)

    def _answer(self, sock: socket.socket, store: Store) -> None:
        """Load what answers, and answer whoever connects until it is told to end."""
        import uvicorn

        from flagtrail.web.app import app

        made = app(store, self.settings, self.configured, self.people, self.pulse, self.nudges)
        self._trail = made.state.trail
        self.reconfigure(self.configured, self.people or People())  # the config may have been read again meanwhile
        # HTTP/1.1 only, no proxy's headers believed, nothing said about the software.
        config = uvicorn.Config(
            made, http="h11", ws="none", loop="asyncio", log_config=None, access_log=False, proxy_headers=False,
            server_header=False, limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=GRACE,
        )  # fmt: skip
        self._running = uvicorn.Server(config)
        if not self._stopped.is_set():
            self._running.run(sockets=[sock])


def listening(address: Address) -> socket.socket:
    """Return a socket that listens; raises OSError."""
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, _, _, place = found[0]
    # By this protocol's number asyncio knows whose answers not to hold back: without it each takes 40 ms more.
    sock = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(place)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
