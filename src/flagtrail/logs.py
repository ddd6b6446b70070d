"""Sets up the log: one line an event on stderr, for a person at a terminal, as JSON elsewhere.

An event has a fixed name, listed in docs/operations.md, and what it is about stands beside it: `source`, `stream`,
`window`. Warnings and errors are counted by their names, for the metrics.
"""

import logging
import os
import sys
import threading
from collections import Counter
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

COUNTED = ("warning", "error")

_counts: Counter[tuple[str, str]] = Counter()
_lock = threading.Lock()


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
            _count,
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


def catch_all() -> None:
    """Let what libraries log, and what ends a thread, be lines of our log too: a reader of JSON lines reads no others.

    For a process that goes on until it is told to end.
    """
    logging.getLogger().handlers[:] = [_ToOurs(logging.WARNING)]
    threading.excepthook = _thread_ended


def counted() -> dict[tuple[str, str], int]:
    """Return how many warnings and errors were logged by this process, by event and level."""
    with _lock:
        return dict(_counts)


def _count(logger: Any, method: str, event: Any) -> Any:
    if event["level"] in COUNTED:
        with _lock:
            _counts[str(event["event"]), event["level"]] += 1
    return event


class _ToOurs(logging.Handler):
    """Hands what a library logs to our log, under one name, whatever it says."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        said = {"logger": record.name, "said": record.getMessage(), "exc_info": record.exc_info}
        if record.levelno >= logging.ERROR:
            log.error("library_failed", **said)
        else:
            log.warning("library_warned", **said)


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        name = ended.thread.name if ended.thread else None
        structlog.get_logger().error("thread_crashed", thread=name, exc_info=ended.exc_value)
