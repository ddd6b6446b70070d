"""Traces what the daemon does by OpenTelemetry, where that is configured and installed; else it costs nothing.

Spans: `round` (a job of a source), `window` (one that is read) and `store` (a transaction).
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flagtrail.errors import ConfigError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
MISSING = "traces take OpenTelemetry, which is not installed: pip install 'flagtrail[otel]'"
ENDING = 0.5  # seconds in which the last spans are sent
NOTHING: AbstractContextManager[None] = nullcontext()

P = ParamSpec("P")
R = TypeVar("R")
_tracer: Any = None


def wanted(endpoint: str | None) -> bool:
    """Return whether traces are to go somewhere, by the config or by the environment."""
    return endpoint is not None or any(os.environ.get(name) for name in ENDPOINTS)


def begin(endpoint: str | None, version: str) -> Callable[[], None]:
    """Trace from now on; return what ends it, and sends the rest. Raises ConfigError without the library.

    Without an endpoint the environment says where to, and all else about how, as OpenTelemetry has it:
    https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
    """
    global _tracer  # noqa: PLW0603 - one for the process, so that a span costs no look for its tracer
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError(MISSING) from None
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or "flagtrail"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    where = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=where)))
    _tracer = provider.get_tracer("flagtrail", version)

    def end() -> None:
        global _tracer  # noqa: PLW0603
        _tracer = None
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(ENDING)  # nobody waits for a collector that does not answer

    return end


def span(name: str, parent: Any = None, **about: Any) -> AbstractContextManager[Any]:
    """Return a span for the time of a block; an error that leaves the block is told in it. `parent` is a `here()`."""
    return NOTHING if _tracer is None else _span(name, parent, about)


@contextmanager
def _span(name: str, parent: Any, about: dict[str, Any]) -> Iterator[Any]:
    told = {f"flagtrail.{key}": value for key, value in about.items() if value is not None}
    with _tracer.start_as_current_span(name, parent, attributes=told) as made:
        yield made


def failed(error: object) -> None:
    """Say in the span of this thread that it came to no good end."""
    if _tracer is not None:
        from opentelemetry.trace import Status, StatusCode, get_current_span

        get_current_span().set_status(Status(StatusCode.ERROR, str(error)))


def here() -> Any:
    """Return this thread's place in the trace, for spans of other threads; None when nothing is traced."""
    if _tracer is None:
        return None
    from opentelemetry.context import get_current

    return get_current()


def traced(name: str, about: Callable[P, dict[str, Any]]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Trace each call of a function as a span; `about` takes its arguments, and returns those of `span`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            if _tracer is None:
                return function(*args, **options)
            with span(name, **about(*args, **options)):
                return function(*args, **options)

        return call

    return decorate
