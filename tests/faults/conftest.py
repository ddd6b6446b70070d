"""The oracle behind every test of a fault, and the table that `make faults` prints.

A test is marked with the fault it injects, `@pytest.mark.fault("C3", "429 storms, every form of Retry-After")`, and
lets the oracle compare the store with what the simulated vendor shows, as often as it likes: each comparison is a run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from flagtrail import retries
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.testing.simulator import Simulator
from flagtrail.window import to_ms
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows

PROPERTY = "fault"


@dataclass
class Oracle:
    """Compares stores with vendors, and counts what should never be."""

    id: str
    title: str
    runs: int = 0
    lost: int = 0
    duplicated: int = 0
    unexplained: int = 0
    ever: dict[int, set[tuple[str, str]]] = field(default_factory=dict)

    def see(self, vendor: Simulator) -> None:
        """Remember what a vendor shows now; needed before it stops showing something that may be stored by then."""
        seen = self.ever.setdefault(id(vendor), set())
        seen.update((stream, entry) for stream, ids in vendor.truth().items() for entry in ids)

    def check(self, store: Store, vendor: Simulator, source: str = "acme") -> None:
        """Check at any moment: what is covered is stored, once; what is stored was shown; what is not has a reason."""
        self.see(vendor)
        self._compare(store, vendor, source, whole=False)

    def whole(self, store: Store, vendor: Simulator, source: str = "acme") -> None:
        """Check at the end: besides, everything that the vendor shows is stored, or lies in a gap that says why."""
        self.see(vendor)
        self._compare(store, vendor, source, whole=True)

    def holds(self, condition: object, promise: str) -> None:
        """Check something else that the fault must not change; it counts as unexplained when it did."""
        self.runs += 1
        self.unexplained += not condition
        assert condition, promise

    def _compare(self, store: Store, vendor: Simulator, source: str, *, whole: bool) -> None:
        self.runs += 1
        # Claims first, rows after them, and then what is shown: somebody may be writing meanwhile.
        states = {one.state.stream: one for one in status(store, source)}
        found = rows(store, f"SELECT stream, vendor_id FROM event WHERE source = '{source}'")
        self.see(vendor)
        held = {(str(stream), str(entry)) for stream, entry in found}
        lost, silent = [], []
        for stream, ids in vendor.truth().items():
            known = states.get(stream)
            covered = [(w.since_ms, w.until_ms) for w in known.covered] if known else []
            told = [(to_ms(g.window.since), to_ms(g.window.until)) for g in known.gaps] if known else []
            wanted = (to_ms(known.wanted.since), to_ms(known.wanted.until)) if known and known.wanted else None
            for entry, ms in ids.items():
                if (stream, entry) in held:
                    continue
                if any(a <= ms < b for a, b in covered):
                    lost.append((stream, entry))
                elif any(a <= ms < b for a, b in told):
                    continue
                elif whole or (wanted and wanted[0] <= ms < wanted[1]):
                    silent.append((stream, entry))
        phantoms = held - self.ever[id(vendor)]
        doubled = len(found) - len(held)
        broken = rows(
            store,
            "SELECT count(*) FROM event e LEFT JOIN record r ON e.number = r.number AND e.revision = r.revision"
            " WHERE r.number IS NULL",
        )
        self.lost += len(lost)
        self.duplicated += doubled
        self.unexplained += len(silent) + len(phantoms) + int(str(broken[0][0]))
        assert not lost, f"covered and not stored: {lost[:5]}"
        assert not doubled, f"{doubled} rows too many"
        assert not silent, f"neither stored nor in a gap: {silent[:5]}"
        assert not phantoms, f"stored and never shown: {sorted(phantoms)[:5]}"
        assert broken == [(0,)], "an event without its record"


@pytest.fixture
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    """The oracle of the fault that the test is marked with; its counts go into the table."""
    marker = request.node.get_closest_marker("fault")
    assert marker is not None, "mark the test with the fault that it injects"
    found = Oracle(*marker.args)
    yield found
    assert found.runs, "the oracle was never asked"
    request.node.user_properties.append(
        (PROPERTY, [found.id, found.title, found.runs, found.lost, found.duplicated, found.unexplained])
    )


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Store]:
    """A new SQLite store, where the kind of database does not matter."""
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as opened:
        yield opened


@pytest.fixture(params=[LaunchDarklySimulator, ConfigCatSimulator], ids=["launchdarkly", "configcat"])
def vendor(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """Each vendor, with some days of history and few streams."""
    with request.param() as simulator:
        if isinstance(simulator, LaunchDarklySimulator):
            del simulator.trail.projects[1:]
        simulator.fill(50, 5, seed=8)
        yield simulator


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass before the next try."""
    monkeypatch.setattr(retries, "wait", lambda state: 0.0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print a table of runs, losses, doubles and what is unexplained; of all tests what is not zero, and the sum."""
    told = [
        [*value, report.failed]
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not told:
        return
    whole = any("faults" in arg for arg in config.invocation_params.args)
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'fault':74} {'runs':>5} {'lost':>5} {'duplicated':>10} {'unexplained':>11}")
    total = [0, 0, 0, 0]
    for (id_, title), lines in groupby(sorted(told, key=_order), key=lambda line: (line[0], line[1])):
        numbers = [sum(column) for column in list(zip(*lines, strict=True))[2:6]]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        if whole or any(numbers[1:]):
            _write(terminalreporter, f"{id_:4} {title}", numbers)
    _write(terminalreporter, "all", total)
    if config.cache is not None:
        config.cache.set("flagtrail/lost", total[1:])


def _order(line: list[Any]) -> tuple[str, int, str]:
    return line[0][0], int(line[0][1:]), line[1]


def _write(reporter: Any, name: str, numbers: list[int]) -> None:
    runs, lost, duplicated, unexplained = numbers
    reporter.write_line(
        f"{name[:74]:74} {runs:5} {lost:5} {duplicated:10} {unexplained:11}",
        green=not (lost or duplicated or unexplained),
        red=bool(lost or duplicated or unexplained),
    )
