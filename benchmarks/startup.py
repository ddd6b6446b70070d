"""Measures how long the command line takes to start: `python -m benchmarks.startup`.

Each command runs several times, in turn with the others, and the medians are printed: CPU seconds, which other work on
the machine hardly changes, and seconds on the wall. What Python and its libraries take by themselves stands above. All
is compiled before, as pip does when it installs a wheel.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import NamedTuple

from flagtrail import logs
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.configured import write_config
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

FLAGTRAIL = (sys.executable, "-m", "flagtrail")
COMMANDS: dict[str, tuple[str, ...]] = {
    "python -c pass": (sys.executable, "-c", "pass"),
    'python -c "import typer, rich"': (sys.executable, "-c", "import typer, rich"),
    'python -c "import sqlmodel"': (sys.executable, "-c", "import sqlmodel"),
    "flagtrail --help": (*FLAGTRAIL, "--help"),
    "flagtrail events --help": (*FLAGTRAIL, "events", "--help"),
    "flagtrail events --limit 1": (*FLAGTRAIL, "events", "--limit", "1"),
    "flagtrail events --limit 1 -o json": (*FLAGTRAIL, "events", "--limit", "1", "-o", "json"),
    "flagtrail status": (*FLAGTRAIL, "status"),
}
ENTRIES, DAYS = 300, 60.0


class Taken(NamedTuple):
    """Seconds that one run of a command took."""

    cpu: float
    wall: float


def taken(command: tuple[str, ...], folder: Path) -> Taken:
    """Run a command, and return how long it took."""
    # Where modules are found compiled, also when they come from a working copy that nobody may write to.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    before, started = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    wall, after = time.perf_counter() - started, getrusage(RUSAGE_CHILDREN)
    return Taken(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def fill(folder: Path) -> None:
    """Write a config and an SQLite database with a few hundred events into a folder."""
    with LaunchDarklySimulator() as vendor, Store(f"sqlite:///{folder / 'trail.db'}") as store:
        vendor.fill(ENTRIES, DAYS, seed=5)
        write_config(folder, {"acme": vendor}, "sqlite:///trail.db")
        with Session(Source("acme", vendor.connect()), store) as session:
            assert session.fill().errors == []


def measured(runs: int, folder: Path) -> dict[str, Taken]:
    """Return the median of several runs of each command."""
    told: dict[str, list[Taken]] = {name: [] for name in COMMANDS}
    for command in COMMANDS.values():
        taken(command, folder)
    for _ in range(runs):
        for name, command in COMMANDS.items():
            told[name].append(taken(command, folder))
    return {name: Taken(*map(median, zip(*each, strict=True))) for name, each in told.items()}


def main() -> None:
    """Print how long each command takes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9, help="how often each command runs")
    runs = parser.parse_args().runs
    logs.configure(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="flagtrail-startup-") as name:
        fill(Path(name))
        found = measured(runs, Path(name))
    sys.stdout.write(f"{'':36}  CPU s  wall s\n")
    for command, each in found.items():
        sys.stdout.write(f"{command:36}  {each.cpu:5.2f}  {each.wall:6.2f}\n")


if __name__ == "__main__":
    main()
