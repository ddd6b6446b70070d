"""What the command `mcp` does: it answers an assistant over stdin and stdout, until stdin ends."""

import os
import signal
import sys
from pathlib import Path

from flagtrail import logs
from flagtrail.cli.asking import open_store
from flagtrail.config import load
from flagtrail.errors import ConfigError


def serve(config: Path | None) -> None:
    """Answer until stdin ends, or SIGTERM or SIGINT comes; raises ConfigError when the SDK is missing."""
    try:
        from flagtrail.assistants.server import serve as answer  # takes an extra, and half a second
        from flagtrail.assistants.tools import Trail
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise ConfigError("assistants need the official SDK: pip install 'flagtrail[mcp]'") from None
    logs.configure()
    settings = load(config)
    timeout = settings.serve.timeout
    with open_store(config) as store:
        store.only_read()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _end())
        answer(Trail(store, settings.vendors(), settings.people(), timeout.total_seconds()))
        _end()


def _end() -> None:
    """End at once: a question may be under way still; nothing is written, so nothing can be lost."""
    sys.stderr.flush()
    os._exit(0)
