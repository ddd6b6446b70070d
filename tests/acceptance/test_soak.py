"""The daemon for as long as FLAGTRAIL_SOAK says (`make soak SOAK=1h`): nothing is lost, untold, or told wrong.

Both vendors change a hundred times as often as those of a busy account and fail at random, webhooks come, the sink
refuses messages, and the daemon is killed and started again. Every check but those at the end is made all the time.
"""

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from flagtrail.store import Store
from flagtrail.when import parse_span
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.soaking import Soak, stored
from tests.acceptance.test_crash import assert_claims_hold
from tests.acceptance.test_serve_command import free
from tests.conftest import held, rows, shown
from tests.faults.running import wait_until
from tests.sinks import place

SECONDS = parse_span(os.environ.get("FLAGTRAIL_SOAK", "12s")).total_seconds()
MOST = 200 * 2**20  # bytes of memory
UNDER_WAY = 32  # requests of a process that was killed, which the vendor lists later
GROWTH = (16 if SECONDS >= 120 else 48) * 2**20  # of it, while a process goes on; a short soak sees it warm up


@pytest.mark.timeout(SECONDS * 2 + 600)
def test_a_soak_loses_nothing_and_tells_the_truth(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    if os.environ.get("FLAGTRAIL_SOAK_DATABASE") == "postgresql":
        new: Callable[[], str] = request.getfixturevalue("postgres")
        url = new()
    quotas = {"global": (10_000, 10_000), "route": (10_000, 10_000)}
    with LaunchDarklySimulator(quotas=quotas) as ld, ConfigCatSimulator() as cc, place() as sink, Store(url) as store:
        ld.fill(300, 7, seed=8)
        cc.fill(300, 7, seed=8)
        vendors = {"ld": ld, "cc": cc}
        soak = Soak(tmp_path, url, free(), vendors, sink, seed=int(os.environ.get("FLAGTRAIL_SOAK_SEED", "1")))
        try:
            soak.start()
            wait_until(lambda: all(held(store, name) == shown(each) for name, each in vendors.items()), "all is read")
            before = {name: told_of(shown(each)) for name, each in vendors.items()}
            soak.live(SECONDS, store)
            soak.calm(max(6.0, SECONDS / 10))
            wait_until(
                lambda: all(held(store, name) == shown(each) for name, each in vendors.items()), "nothing is lost"
            )
            unsent = "SELECT number, state, tries, error FROM notice WHERE state <> 'sent'"
            new = set().union(*(told_of(shown(each)) - before[name] for name, each in vendors.items()))
            # A message that a daemon was sending when it was killed is sent by another after three minutes.
            wait_until(lambda: new <= {id for got in sink.got for id in got.ids}, "every change is told", 240)
            wait_until(lambda: not rows(store, unsent), "every message has arrived", 240)
            print(soak.summary(SECONDS, len(new)))  # noqa: T201

            assert_claims_hold(store, vendors)
            assert_told_once(sink)
            assert max(soak.memory) < MOST
            assert soak.growth < GROWTH
            assert_metrics_are_true(soak, store)
            assert soak.missing == []
            assert soak.process is not None
            assert soak.process.terminated()[0] == 0
            errors = [line for event in ("tick_crashed", "catch_up_crashed", "upkeep_crashed", "notices_crashed",
                      "request_crashed", "connector_bug") for path in tmp_path.glob("run-*.log")
                      for line in path.read_text().splitlines() if f'"{event}"' in line]  # fmt: skip
            assert errors == []
        finally:
            soak.end()


def told_of(streams: dict[str, set[str]]) -> set[str]:
    """Return the entries that notices tell of: flag events are told with the audit entry that they belong to."""
    return {id for stream, ids in streams.items() if not stream.startswith("flag_events") for id in ids}


def assert_told_once(sink: object) -> None:
    """Check that a message that came twice had one key and told of the same, and no change stands in two messages."""
    by_key: dict[str, set[frozenset[str]]] = defaultdict(set)
    keys: dict[str, set[str]] = defaultdict(set)
    for got in sink.got:  # type: ignore[attr-defined]
        by_key[got.key].add(frozenset(got.ids))
        for id in got.ids:
            keys[id].add(got.key)
    assert all(len(told) == 1 for told in by_key.values())
    assert all(len(each) == 1 for each in keys.values())
    assert len(sink.got) > len(by_key), "none came twice"  # type: ignore[attr-defined]


def assert_metrics_are_true(soak: Soak, store: Store) -> None:
    """Check the metrics against the table and the vendors' own lists of requests, once nothing happens any more."""
    asked = {name: len(each.requests) - soak.asked_before[name] for name, each in soak.vendors.items()}
    metrics = soak.metrics()
    after = {name: len(each.requests) - soak.asked_before[name] for name, each in soak.vendors.items()}
    assert metrics["flagtrail_events"] == stored(store)
    assert set(metrics["flagtrail_stream_covered_ratio"].values()) == {1.0}
    assert sum(metrics["flagtrail_stream_gaps"].values()) == 0
    assert sum(metrics["flagtrail_not_ready"].values()) == 0
    for name, count in metrics["flagtrail_requests_total"].items():
        assert count >= asked[name] - UNDER_WAY, "it tells of fewer requests than it made"
        assert metrics["answered"][name] <= after[name], "it tells of answers that the vendor did not give"
