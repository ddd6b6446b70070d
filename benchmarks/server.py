"""The simulated vendor as a process of its own, so that its work is not counted as the client's.

It says in one JSON line where it is, and answers each line on its standard input with what it was asked and what that
cost since the line before. It ends with its input. `benchmarks.vendor` is the other side of it.
"""

import argparse
import resource
import sys
from pathlib import Path

import orjson

from flagtrail_launchdarkly.simulation.account import TOKEN
from flagtrail_launchdarkly.simulation.log import Log
from flagtrail_launchdarkly.simulator import AUDIT_LOG, LaunchDarklySimulator

DAYS = 364.0  # a year less a day: nobody's window of a year ends before the history does
QUIET_MS = 3_600_000  # nothing in the last hour, so that it makes no difference when a run starts
TOGETHER = 45  # entries of one millisecond, more than two pages hold


def main() -> None:
    """Serve a history until the standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--clean", action="store_true", help="every entry has a millisecond of its own")
    parser.add_argument("--truth", type=Path, required=True, help="where the ids of all entries are written, by line")
    options = parser.parse_args()
    simulator = LaunchDarklySimulator(insights="absent")
    fill(simulator, options.events, clean=options.clean)
    truth = simulator.truth()[AUDIT_LOG]
    size = sum(len(orjson.dumps(simulator.shown(AUDIT_LOG, id_))) for id_ in truth)
    options.truth.write_text("\n".join(truth), encoding="ascii")
    with simulator:
        say({"url": simulator.url, "token": TOKEN, "events": len(truth), "json_bytes": size})
        cpu = cpu_seconds()
        for _ in sys.stdin:
            with simulator.lock:
                asked = len(simulator.requests)
                simulator.requests.clear()
            spent, cpu = cpu_seconds() - cpu, cpu_seconds()
            say({"requests": asked, "cpu": spent})


def fill(simulator: LaunchDarklySimulator, events: int, *, clean: bool) -> None:
    """Add exactly so many entries: with ties and bursts as they happen and one of 45 more, or all of them apart."""
    together = 0 if clean or events < 10 * TOGETHER else TOGETHER
    now = simulator.clock.ms()
    simulator.fill(events - together, DAYS, seed=7, flag_events=0, end_ms=now - QUIET_MS)
    if together:
        simulator.burst(now - 40 * QUIET_MS, together)
    if clean:
        spread(simulator)


def spread(simulator: LaunchDarklySimulator) -> None:
    """Give each entry a millisecond of its own, as near as possible to the one it had."""
    entries = sorted(simulator.trail.audit_log.entries.values(), key=lambda entry: entry.ms)
    free = 0
    for entry in entries:
        entry.ms = max(entry.ms, free)
        free = entry.ms + 1
    simulator.trail.audit_log = Log()
    simulator.trail.audit_log.extend(entries)


def cpu_seconds() -> float:
    """Return the CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def say(told: dict[str, object]) -> None:
    """Write one line of JSON."""
    sys.stdout.write(orjson.dumps(told).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
