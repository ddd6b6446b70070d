"""Tells how it goes as metrics for Prometheus: what the store knows is read from it anew, the rest from the pulse.

So the numbers are those of the table, whoever wrote it, and after a restart nothing begins again at zero but what is
counted in this process: requests and lines of the log.
"""

import platform
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from flagtrail import __version__, logs
from flagtrail.counts import count_by_action
from flagtrail.errors import StoreError
from flagtrail.event import Action
from flagtrail.lake import feed
from flagtrail.pulse import Pulse
from flagtrail.readiness import Why, readiness
from flagtrail.status import NOT_READ, StreamStatus, overview
from flagtrail.status_json import is_gone
from flagtrail.store import Gap, Store
from flagtrail.verdicts import Outcome

OTHER = "other"  # every action that no shared verb fits: their words are the vendor's, and without end
GAPS = ("not_read", "failing", "unreadable", "lost")
USUAL = ("200", "401", "429", "none")  # statuses that are told before the first such answer, so that a rise is seen
SOURCE = ("source", "vendor")
STREAM = ("source", "vendor", "stream")


def exposed(
    store: Store, configured: Collection[str], pulse: Pulse | None, accept: str | None = None
) -> tuple[bytes, str]:
    """Return the metrics in the text form that is accepted, and its content type; `configured` as in `readiness`."""
    registry = CollectorRegistry()
    registry.register(_Ours(store, configured, pulse))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accept or "")
    return encode(registry), kind


class _Ours(Collector):
    def __init__(self, store: Store, configured: Collection[str], pulse: Pulse | None) -> None:
        self.store, self.configured, self.pulse = store, configured, pulse

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering collects nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from _process(self.store, self.pulse)
        reasons = {reason.why for reason in readiness(self.store, self.configured, self.pulse)}
        yield _gauge("not_ready", "Whether /readyz says no, by its reason.", {(why,): why in reasons for why in Why},
                     ("reason",))  # fmt: skip
        try:
            stored = [*_streams(self.store, self.configured), *_sources(self.store, self.configured, self.pulse),
                      _events(self.store), _lake(self.store)]  # fmt: skip
        except StoreError:
            stored = []
        yield _gauge("database_up", "Whether the database could be asked for these metrics.", {(): bool(stored)})
        yield from stored
        if self.pulse is not None:
            yield from _daemon(self.pulse, self.configured)


def _gauge(name: str, about: str, values: Mapping[Any, float], labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(f"flagtrail_{name}", about, labels=labels)
    for key, value in values.items():
        family.add_metric([str(part) for part in key], float(value))
    return family


def _counter(name: str, about: str, values: Mapping[Any, float], labels: tuple[str, ...]) -> Metric:
    family = CounterMetricFamily(f"flagtrail_{name}", about, labels=labels)
    for key, value in values.items():
        family.add_metric([str(part) for part in key], float(value))
    return family


def _process(store: Store, pulse: Pulse | None) -> Iterator[Metric]:
    told = (__version__, platform.python_version(), store.engine.dialect.name)
    yield _gauge("build_info", "What runs; its value is always 1.", {told: 1}, ("version", "python", "database"))
    yield _gauge("daemon", "Whether this process reads the sources; else it only serves.", {(): pulse is not None})
    lines = {(event, level): count for (event, level), count in logs.counted().items()}
    about = "Warnings and errors that this process has logged, by the name of the event."
    yield _counter("log_lines", about, lines, ("event", "level"))


def _streams(store: Store, configured: Collection[str]) -> Iterator[Metric]:
    """Yield what is known of each stream; of those that are gone, and of sources that are, only how many."""
    now = datetime.now(UTC)
    looks = {look.source: look for look in store.sources()}
    found = [each for each in overview(store) if not configured or each.state.source in configured]
    states: Counter[tuple[str, str, str]] = Counter()
    lag, covered, verified, gaps, differing, headroom = ({} for _ in range(6))  # type: ignore[var-annotated]
    for each in found:
        state = each.state
        gone = is_gone(each, looks.get(state.source))
        for name in ("read", "failing", "gone"):
            states[state.source, state.vendor, name] += name == (
                "gone" if gone else "failing" if state.error else "read"
            )
        if gone:
            continue
        name_of = (state.source, state.vendor, state.stream)
        until = each.covered[-1].until if each.covered else each.wanted.since if each.wanted else None
        if until is not None:
            lag[name_of] = (now - until).total_seconds()
        covered[name_of], verified[name_of] = each.share, each.verified_share
        gaps |= {(*name_of, kind): count for kind, count in _gaps(each).items()}
        differing[name_of] = sum(verdict.outcome is Outcome.DIFFERS for verdict in each.verdicts)
        if each.headroom is not None:
            headroom[name_of] = each.headroom.total_seconds()
    yield _gauge("streams", "Streams by how the last look at them went; gone: the vendor shows them no more.", states,
                 (*SOURCE, "state"))  # fmt: skip
    about = "How far behind the present the newest covered time is; from the wanted start on while nothing is covered."
    yield _gauge("stream_settled_lag_seconds", about, lag, STREAM)
    yield _gauge("stream_covered_ratio", "Share of the wanted time that is covered, 0 to 1.", covered, STREAM)
    about = "Share of the covered time that was compared with the vendor and agrees, 0 to 1."
    yield _gauge("stream_verified_ratio", about, verified, STREAM)
    yield _gauge("stream_gaps", "Gaps in what is wanted, by why they are there.", gaps, (*STREAM, "reason"))
    about = "Windows that differ from the vendor after everything was tried."
    yield _gauge("stream_count_mismatches", about, differing, STREAM)
    about = "For how long nothing could be read before the vendor drops what was not read; with a retention only."
    yield _gauge("stream_retention_headroom_seconds", about, headroom, STREAM)


def _gaps(stream: StreamStatus) -> dict[str, int]:
    counts = Counter(_kind(gap) for gap in stream.gaps)
    return {kind: counts[kind] for kind in GAPS}


def _kind(gap: Gap) -> str:
    """Return why there is a gap, in one of the words that a label may have."""
    if gap.permanent:
        return "lost"
    if gap.reason == NOT_READ:
        return "not_read"
    return "failing" if gap.reason.startswith(NOT_READ) else "unreadable"


def _sources(store: Store, configured: Collection[str], pulse: Pulse | None) -> Iterator[Metric]:
    now = datetime.now(UTC)
    looks = {look.source: look for look in store.sources() if not configured or look.source in configured}
    vendors: Mapping[str, str] = configured if isinstance(configured, Mapping) else dict.fromkeys(configured, "")
    vendors = {**vendors, **{name: look.vendor for name, look in looks.items()}}
    ages: dict[tuple[str, str], float] = {}
    failing: dict[tuple[str, str], float] = {}
    for name, vendor in vendors.items():
        look = looks.get(name)
        at = look.succeeded_at if look else None
        ages[name, vendor] = (now - at).total_seconds() if at else float("inf")
        failing[name, vendor] = bool(look and look.error)
    about = "How long ago the last look without an error was; +Inf when there was none."
    yield _gauge("source_last_success_age_seconds", about, ages, SOURCE)
    yield _gauge("source_failing", "Whether the last look ended with an error.", failing, SOURCE)
    if pulse is not None:
        refused, stuck = pulse.refused.copy(), {turn.source for turn in pulse.stuck()}
        about = "Whether the vendor refuses the credential."
        yield _gauge("source_refused", about, {key: key[0] in refused for key in ages}, SOURCE)
        about = "Whether a job of the source shows no sign of life."
        yield _gauge("source_stuck", about, {key: key[0] in stuck for key in ages}, SOURCE)


def _events(store: Store) -> Metric:
    known = set(Action)
    counts: Counter[tuple[str, str]] = Counter()
    for (vendor, action), count in count_by_action(store).items():
        counts[vendor, action if action in known else OTHER] += count
    # No counter: `keep` and a restored backup make it fall.
    return _gauge("events", "Events in the table, by what was done.", counts, ("vendor", "action"))


def _lake(store: Store) -> Metric:
    about = "Changes of events that the lake does not hold yet; 0 where none is kept."
    return _gauge("lake_waiting_changes", about, {(): feed.waiting(store)})


def _daemon(pulse: Pulse, configured: Collection[str]) -> Iterator[Metric]:
    requests = {(source, status): 0 for source in configured for status in USUAL} | pulse.counted()
    about = "Requests to the vendor since this process began, by the status of the answer; none: there was no answer."
    yield _counter("requests", about, requests, ("source", "status"))
    left, size = {}, {}
    shared: dict[int, list[str]] = {}
    limiters = pulse.limiters.copy()
    for name, limiter in sorted(limiters.items()):
        shared.setdefault(id(limiter), []).append(name)
    for names in shared.values():
        for limit, (remaining, whole) in limiters[names[0]].left().items():
            left[",".join(names), limit], size[",".join(names), limit] = remaining, whole
    labels = ("credential", "limit")
    about = "Requests that a limit of the vendor still allows; a credential is named by the sources that share it."
    yield _gauge("rate_budget_remaining_requests", about, left, labels)
    yield _gauge("rate_budget_size_requests", "Requests that a limit of the vendor allows in all.", size, labels)
    about = "Whether the config was taken over when it was read last."
    yield _gauge("config_reload_successful", about, {(): pulse.reload_failed is None})
    about = "How long ago the config that holds now was taken over."
    yield _gauge("config_age_seconds", about, {(): time.time() - pulse.reloaded_at.timestamp()})
