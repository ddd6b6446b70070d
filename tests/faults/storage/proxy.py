"""What stands between flagtrail and PostgreSQL, so that the way to it can break."""

import re
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy.engine import make_url


class Proxy:
    """Stands between flagtrail and PostgreSQL on 127.0.0.1; it can hang up, and lose a COMMIT or its answer."""

    def __init__(self, url: str) -> None:
        self.to = make_url(url)
        self.commits = 0
        self.lose_at = 0
        self.lose: str | None = None  # "request" or "answer"
        self.lost = 0
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._up = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._listening.close()

    @property
    def url(self) -> str:
        name = self.to.database
        return f"postgresql://{self.to.username}@127.0.0.1:{self._port}/{name}"

    def down(self) -> None:
        """Cut every connection, and let no new one through."""
        self._up = False
        with self._lock:
            for one in self._open:
                _reset(one)
            self._open.clear()

    def up(self) -> None:
        self._up = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if not self._up:
                _reset(client)
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self.to.query['host']}/.s.PGSQL.{self.to.port or 5432}")
            with self._lock:
                self._open += [client, server]
            losing = threading.Event()
            threading.Thread(target=self._there, args=(client, server, losing), daemon=True).start()
            threading.Thread(target=self._back, args=(client, server, losing), daemon=True).start()

    def _there(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if re.search(rb"\bCOMMIT\b", data):
                    self.commits += 1
                    if self.commits == self.lose_at:
                        self.lost += 1
                        if self.lose == "request":
                            break
                        losing.set()
                server.sendall(data)
        _reset(client)
        _reset(server) if not losing.is_set() else None

    def _back(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if losing.is_set() and b"COMMIT\0" in data:
                    break
                client.sendall(data)
        _reset(client)
        _reset(server)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
