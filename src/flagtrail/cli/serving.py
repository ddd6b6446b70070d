"""What the command `serve` does: the HTTP API and nothing else, until it is told to end."""

import os
import signal
import sys
import threading
from pathlib import Path

from flagtrail import logs
from flagtrail.cli.asking import open_store
from flagtrail.config import load, store_url
from flagtrail.errors import ConfigError
from flagtrail.serving import parse_address
from flagtrail.web.access import require_tokens
from flagtrail.web.server import Server, listening

ENDING = 4.0  # seconds for what is under way


def serve(listen: str | None, config: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; raises ConfigError when the address cannot be used, or lacks a token."""
    logs.configure()
    settings = load(config)
    chosen = settings.serve
    if listen is not None:
        try:
            chosen = chosen.model_copy(update={"listen": parse_address(listen)})
        except ValueError as error:
            raise ConfigError(f"--listen: {error}") from None
    with open_store(config) as store:
        require_tokens(store, chosen)
    try:
        listening(chosen.listen).close()
    except OSError as error:
        raise ConfigError(f"{chosen.listen} cannot be listened at: {error.strerror or error}") from None
    server = Server(store_url(settings, config), chosen, settings.vendors(), settings.people())
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    server.start()
    while not told.wait(1.0):  # awake each second: a signal may reach another thread
        pass
    server.stop()
    if not server.wait(ENDING):
        sys.stderr.flush()
        os._exit(0)  # an answer is under way still; nothing is written, so nothing can be lost
