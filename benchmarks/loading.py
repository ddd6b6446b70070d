"""Loads the same history with flagtrail, with its peers and with less, and prints what each lost and what it cost."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.contenders import REFERENCE, named
from benchmarks.measure import Result, Run, result
from benchmarks.tables import machine, markdown, write
from benchmarks.vendor import Vendor

HISTORIES = {
    "tied": "with ties, a few bursts and 45 entries of one millisecond, as audit logs have them",
    "clean": "in which every entry has a millisecond of its own",
}
MB = 1_000_000


def main(
    events: Annotated[int, typer.Option(help="Entries of the simulated audit log.")] = 100_000,
    runs: Annotated[int, typer.Option(help="Runs of each contender, of which the medians are shown.")] = 3,
    slow_runs: Annotated[int, typer.Option(help="Runs of those that take minutes.")] = 1,
    only: Annotated[str | None, typer.Option(help="Names with commas: ours,bare,naive,dlt,airbyte,singer.")] = None,
    history: Annotated[str, typer.Option(help="tied, clean, or both with a comma.")] = "tied,clean",
    limit: Annotated[float, typer.Option(help="Seconds that one run may take.")] = 1800.0,
    write_results: Annotated[bool, typer.Option("--write/--no-write", help="Write RESULTS.md.")] = False,
) -> None:
    """Load the same history with each contender, each in a process of its own, and print tables."""
    try:
        contenders = named(only)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from None
    for kind in history.split(","):
        with tempfile.TemporaryDirectory() as folder, Vendor(events, Path(folder), clean=kind == "clean") as vendor:
            results = []
            for contender in contenders:
                results.append(result(contender, vendor, slow_runs if contender.slow else runs, limit))
                typer.echo(progress(results[-1]), err=True)
            text = report(kind, vendor, results)
        typer.echo(f"\n{text}\n")
        if write_results:
            write(f"loading-{kind}", text)


def progress(done: Result) -> str:
    """Return one line about a contender."""
    if done.medians is None:
        return f"{done.contender.name}: {done.failure}"
    m = done.medians
    return f"{done.contender.name}: {m.stored:,.0f} stored, {m.lost:,.0f} lost, {m.wall:.1f} s, {m.cpu:.1f} s of CPU"


def report(kind: str, vendor: Vendor, results: Sequence[Result]) -> str:
    """Return the tables of one history, with what they mean."""
    size = vendor.json_bytes / vendor.events
    done = [(r, r.medians) for r in results if r.medians is not None]
    reference = next((m for r, m in done if r.contender.name == REFERENCE), None)
    best = max((m for r, m in done if r.contender.peer), key=lambda m: m.per_cpu_second, default=None)
    busiest = max((m.server / m.requests * 1000 for _, m in done if m.requests), default=0.0)
    lines = [
        f"{vendor.events:,} entries of {size:,.0f} bytes of JSON each, {HISTORIES[kind]}.",
        f"Measured: {machine()}.",
        "",
        markdown(
            ("", "runs", "stored", "**lost**", "requests", "wall s", "CPU s", "peak MB", "disk B/event", "disk ÷ JSON"),
            [_what(r, m, vendor) for r, m in done],
        ),
        "",
        markdown(
            ("", "events / CPU s", "events / s", "of the bare loop", "of the best peer"),
            [_speed(r, m, reference, best) for r, m in done],
        ),
        "",
        f"The simulated vendor, in a process of its own, took at most {busiest:.2f} ms of CPU for a request.",
        "",
        *(f"* **{r.contender.title}**, {r.contender.told}." for r in results),
        *(f"* **{r.contender.title}** {r.failure}" for r in results if r.failure),
    ]
    return "\n".join(lines)


def _what(done: Result, m: Run, vendor: Vendor) -> list[str]:
    per_event = m.disk / m.stored if m.stored else 0.0
    return [
        done.contender.title, str(done.runs), f"{m.stored:,.0f}", f"{m.lost:,.0f}", f"{m.requests:,.0f}",
        f"{m.wall:.1f}", f"{m.cpu:.1f}", f"{m.peak / MB:,.0f}", f"{per_event:,.0f}",
        f"{per_event / (vendor.json_bytes / vendor.events):.2f}",
    ]  # fmt: skip


def _speed(done: Result, m: Run, reference: Run | None, best: Run | None) -> list[str]:
    others = (reference, best)
    ratios = [f"{m.per_cpu_second / other.per_cpu_second:.2f}" if other and other.stored else "" for other in others]
    return [done.contender.title, f"{m.per_cpu_second:,.0f}", f"{m.per_second:,.0f}", *ratios]


if __name__ == "__main__":
    typer.run(main)
