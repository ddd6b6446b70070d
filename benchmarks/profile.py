"""Says where the CPU goes when flagtrail loads: microseconds for each event, by part and by function."""

import pstats
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.contenders import Contender, named
from benchmarks.measure import run
from benchmarks.tables import machine, markdown, write
from benchmarks.vendor import ROOT, Vendor

START, REST = "start: imports, migrations", "rest"
# Whose time a function's is: the first rule that fits, of a piece of its file's path and maybe its name. What no rule
# fits, such as builtins and the standard library, belongs to those who called it.
PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("JSON", "flagtrail/event.py", ("from_json", "to_json")),
    ("JSON", "/json/", ()),
    ("SQLite itself", "sqlalchemy/engine/default.py", ("do_execute", "do_executemany", "do_commit", "do_rollback")),
    (START, "importlib", ()),
    (START, "/alembic/", ()),
    (START, "flagtrail/migrations/", ()),
    (START, "", ("<module>",)),
    ("SQLAlchemy", "sqlalchemy/", ()),
    ("store: coverage, transactions", "flagtrail/store.py", ()),
    ("store: coverage, transactions", "flagtrail/database.py", ()),
    ("threads: timers, queues, locks", "/threading.py", ()),
    ("threads: timers, queues, locks", "/queue.py", ()),
    ("threads: timers, queues, locks", "/concurrent/futures/", ()),
    ("HTTP client", "/httpx/", ()),
    ("HTTP client", "/httpcore/", ()),
    ("HTTP client", "/h11/", ()),
    ("HTTP client", "/http/client.py", ()),
    ("HTTP client", "/urllib3/", ()),
    ("HTTP client", "/aiohttp/", ()),
    ("HTTP client", "/socket.py", ()),
    ("HTTP client", "/tenacity/", ()),
    ("HTTP client", "flagtrail/api.py", ()),
    ("HTTP client", "flagtrail/limit.py", ()),
    ("HTTP client", "flagtrail/clock.py", ()),
    ("rows: ids, digests, revisions", "flagtrail/rows.py", ()),
    ("rows: ids, digests, revisions", "flagtrail/revisions.py", ()),
    ("paging: order, range, claims", "flagtrail_launchdarkly/listing.py", ()),
    ("paging: order, range, claims", "flagtrail_launchdarkly/audit_log.py", ()),
    ("paging: order, range, claims", "flagtrail_launchdarkly/burst.py", ()),
    ("paging: order, range, claims", "flagtrail/window.py", ()),
    ("translation", "flagtrail_launchdarkly/", ()),
    ("translation", "flagtrail/event.py", ()),
    ("translation", "flagtrail/source.py", ()),
    ("translation", "/pydantic/", ()),
    ("reading and storing loops", "flagtrail/readers.py", ()),
    ("reading and storing loops", "flagtrail/sync.py", ()),
)
SHOWN = 15  # functions
SMALL = 0.005  # of the whole: a part that is less belongs to the rest


def main(
    events: Annotated[int, typer.Option(help="Entries of the simulated audit log.")] = 20_000,
    runs: Annotated[int, typer.Option(help="Runs without the profiler, whose median CPU time is divided up.")] = 3,
    write_results: Annotated[bool, typer.Option("--write/--no-write", help="Write RESULTS.md.")] = False,
) -> None:
    """Load with flagtrail, profiled and not, and print where the CPU goes."""
    (ours,) = named("ours")
    with tempfile.TemporaryDirectory() as folder, Vendor(events, Path(folder)) as vendor:
        cpu = median(run(ours, ours.python(), vendor, 3600.0).cpu for _ in range(runs))
        stats = profiled(ours, vendor, Path(folder))
    text = report(events, cpu, stats)
    typer.echo(f"\n{text}\n")
    if write_results:
        write("profile", text)


def profiled(contender: Contender, vendor: Vendor, folder: Path) -> pstats.Stats:
    """Return the profile of one run."""
    out = folder / "profile"
    words = [sys.executable, "-m", "benchmarks.profiled", str(contender.program), str(out)]
    subprocess.run([*words, vendor.url, vendor.token, str(folder / "profiled.db")], cwd=ROOT, check=True)
    return pstats.Stats(str(out))


Function = tuple[str, int, str]
"""File, line and name."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Whose time each function's is: its own part, or in parts its callers'."""

    stats: dict[Function, Any]
    known: dict[Function, dict[str, float]] = field(default_factory=dict)

    def of(self, function: Function) -> dict[str, float]:
        """Return the shares of the parts in a function's own time; they add up to one."""
        if function in self.known:
            return self.known[function]
        part = part_of(function)
        if part is not None:
            self.known[function] = {part: 1.0}
            return self.known[function]
        self.known[function] = {REST: 1.0}  # for one that calls itself, by whatever way
        self.known[function] = self.of_callers(function)
        return self.known[function]

    def of_callers(self, function: Function) -> dict[str, float]:
        """Return the shares of those who call a function, by how much of its own time they caused."""
        callers = {caller: numbers[2] for caller, numbers in self.stats[function][4].items()}
        whole = sum(callers.values())
        if not whole:
            return {REST: 1.0}
        shares: defaultdict[str, float] = defaultdict(float)
        for caller, seconds in callers.items():
            for part, share in self.of(caller).items():
                shares[part] += share * seconds / whole
        return shares


def part_of(function: Function) -> str | None:
    """Return the part that a function belongs to by itself; a module of ours without a rule is a part of its own."""
    file, _, name = function
    for part, piece, names in PARTS:
        if piece in file and (not names or name in names):
            return part
    own = file.startswith((str(ROOT / "src"), str(ROOT / "connectors")))
    return "/".join(Path(file).parts[-2:]) if own else None


def divided(stats: dict[Function, Any], cpu: float) -> dict[Function, float]:
    """Return the CPU seconds of each function by itself, without what profiling adds to each call.

    That is as much for every call as makes the sum what a run without the profiler takes.
    """
    calls = sum(numbers[1] for numbers in stats.values())
    added = max(0.0, (sum(numbers[2] for numbers in stats.values()) - cpu) / calls)
    return {function: max(0.0, numbers[2] - numbers[1] * added) for function, numbers in stats.items()}


def report(events: int, cpu: float, profile: pstats.Stats) -> str:
    """Return the tables; the whole is what a run without the profiler takes."""
    stats: dict[Function, Any] = profile.stats  # type: ignore[attr-defined]
    shares, parts, functions = Shares(stats), defaultdict[str, float](float), defaultdict[str, float](float)
    for function, seconds in divided(stats, cpu).items():
        for part, share in shares.of(function).items():
            parts[part] += seconds * share
        functions[shown(function)] += seconds
    whole = cpu * 1_000_000 / events  # microseconds
    each = whole / sum(parts.values())
    parts[REST] += sum(parts.pop(part) for part in list(parts) if part != REST and parts[part] * each < SMALL * whole)
    rows = [[part, f"{seconds * each:.1f}", f"{seconds * each / whole:.0%}"] for part, seconds in ranked(parts)]
    heaviest = [[name, f"{seconds * each:.1f}"] for name, seconds in ranked(functions)[:SHOWN]]
    return "\n".join([
        f"{events:,} entries, {whole:.0f} µs of CPU for each ({1_000_000 / whole:,.0f} events / CPU s).",
        f"Measured: {machine()}.",
        "",
        markdown(("part", "µs / event", "share"), [*rows, ["all", f"{whole:.1f}", "100%"]]),
        "",
        "The heaviest functions by themselves:",
        "",
        markdown(("function", "µs / event"), heaviest),
    ])  # fmt: skip


def ranked(seconds: dict[str, float]) -> list[tuple[str, float]]:
    """Return names and seconds, most first."""
    return sorted(seconds.items(), key=lambda found: -found[1])


def shown(function: Function) -> str:
    """Return a function as people know it."""
    file, _, name = function
    return f"`{name}`" if file == "~" else f"`{'/'.join(Path(file).parts[-2:])}: {name}`"


if __name__ == "__main__":
    typer.run(main)
