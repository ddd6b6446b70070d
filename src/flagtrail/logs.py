"""Sets up the log: one line an event on stderr, for a person at a terminal, as JSON elsewhere."""

import logging
import os
import sys
from typing import Any

import structlog


def configure(level: int = logging.INFO, *, json: bool | None = None) -> None:
    """Send every log line to stderr; `json` says the form, by default JSON unless stderr is a terminal."""
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    as_json = not sys.stderr.isatty() if json is None else json
    form: list[Any] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=colour)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *form,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # httpx logs whole URLs with their queries, and APScheduler each tick that is skipped because one still runs.
    for name in ("httpx", "httpcore", "apscheduler"):
        logging.getLogger(name).setLevel(logging.ERROR)
