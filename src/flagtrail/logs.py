"""Sets up the log: one line an event on stderr, for a person at a terminal, as JSON elsewhere."""

import logging
import os
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer


def configure(level: int = logging.INFO, *, json: bool | None = None) -> None:
    """Send every log line to stderr; `json` says the form, by default JSON unless stderr is a terminal."""
    # No tracebacks with the values of local variables: a credential, or what a person did, may stand in them.
    tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    as_json = not sys.stderr.isatty() if json is None else json
    form: list[Any] = (
        [tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=colour, exception_formatter=structlog.dev.plain_traceback)]
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
