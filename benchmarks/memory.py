"""Says how much memory flagtrail takes: the daemon at rest, and a first load that grows and grows."""

import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.contenders import named
from benchmarks.tables import machine, markdown, write
from benchmarks.vendor import ROOT, Vendor
from flagtrail.testing.configured import write_config
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

MB = 1_000_000
IDLE_MB, LOADING_MB = 100, 150  # what each is promised to stay under


@dataclass(slots=True)
class Memory:
    """What a process took over time: seconds since it began and resident bytes, about ten times a second."""

    seen: list[tuple[float, int]] = field(default_factory=list)
    peak: int = 0

    def look(self, pid: int, seconds: float) -> None:
        """Add what a process takes now; nothing when it is gone."""
        resident, peak = resident_bytes(pid)
        if resident:
            self.seen.append((seconds, resident))
            self.peak = max(self.peak, peak)

    def at(self, share: float) -> int:
        """Return what it took when this share of its time was over."""
        return self.seen[min(len(self.seen) - 1, int(len(self.seen) * share))][1] if self.seen else 0


def resident_bytes(pid: int) -> tuple[int, int]:
    """Return what a process holds in memory, now and at most; zeros when it is gone."""
    status = Path(f"/proc/{pid}/status")
    if Path("/proc/self/status").exists():
        try:
            told = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status.read_text(encoding="ascii"), re.MULTILINE))
        except (FileNotFoundError, ProcessLookupError):
            return 0, 0
        return int(told.get("VmRSS", 0)) * 1024, int(told.get("VmHWM", 0)) * 1024
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    resident = int(done.stdout.strip() or 0) * 1024
    return resident, resident


def watched(process: subprocess.Popen[bytes], seconds: float | None = None) -> Memory:
    """Return what a process took until it ended, or until it was ended after so many seconds."""
    memory, began = Memory(), time.monotonic()
    while process.poll() is None:
        now = time.monotonic() - began
        memory.look(process.pid, now)
        if seconds is not None and now > seconds:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
            break
        time.sleep(0.1)
    if process.returncode not in (0, 130):
        raise RuntimeError(f"it ended with {process.returncode}")
    return memory


def idle(entries: int, seconds: float) -> Memory:
    """Return what the daemon takes that follows both vendors, each with so much history."""
    with (
        tempfile.TemporaryDirectory() as name,
        LaunchDarklySimulator() as launchdarkly,
        ConfigCatSimulator() as configcat,
    ):
        folder = Path(name)
        launchdarkly.fill(entries)
        configcat.fill(entries)
        vendors = {"acme-launchdarkly": launchdarkly, "acme-configcat": configcat}
        config = write_config(folder, vendors, "sqlite:///flagtrail.db", every="5s")
        for words in (["sync"], ["run"]):
            with (folder / "said.txt").open("ab") as said:
                command = [sys.executable, "-m", "flagtrail", *words, "--config", str(config)]
                process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
                memory = watched(process, seconds if words == ["run"] else None)
    return memory


def loading(events: int) -> Memory:
    """Return what a first load of so many entries takes."""
    (ours,) = named("ours")
    with tempfile.TemporaryDirectory() as folder, Vendor(events, Path(folder)) as vendor:
        words = [str(ours.python()), str(ours.program), vendor.url, vendor.token, str(Path(folder) / "loaded.db")]
        return watched(subprocess.Popen(words, cwd=ROOT))


def main(
    loads: Annotated[str, typer.Option(help="Entries of the loads, with commas.")] = "200000,1000000",
    seconds: Annotated[float, typer.Option(help="How long the daemon runs.")] = 20.0,
    entries: Annotated[int, typer.Option(help="Entries of each vendor that the daemon follows.")] = 1_000,
    write_results: Annotated[bool, typer.Option("--write/--no-write", help="Write RESULTS.md.")] = False,
) -> None:
    """Run the daemon and some loads, and print how much memory they take."""
    rest = idle(entries, seconds)
    rows = [row(f"daemon at rest, two vendors, {seconds:.0f} s", rest, IDLE_MB)]
    typer.echo(f"the daemon took {rest.peak / MB:.0f} MB", err=True)
    for events in map(int, loads.split(",")) if loads else ():
        memory = loading(events)
        typer.echo(f"loading {events:,} took {memory.peak / MB:.0f} MB", err=True)
        rows.append(row(f"loading {events:,} entries", memory, LOADING_MB))
    shares = ("at 10% of the time", "at 50%", "at 90%")
    text = "\n".join([
        "Resident memory in MB (of a million bytes).",
        f"Measured: {machine()}.",
        "",
        markdown(("", *shares, "at most", "promised"), rows),
    ])  # fmt: skip
    typer.echo(f"\n{text}\n")
    if write_results:
        write("memory", text)


def row(title: str, memory: Memory, promised: int) -> list[str]:
    """Return a line of the table."""
    taken = [memory.at(share) for share in (0.1, 0.5, 0.9)] + [memory.peak]
    kept = "" if memory.peak < promised * MB else ": not kept"
    return [title, *(f"{size / MB:.0f}" for size in taken), f"under {promised}{kept}"]


if __name__ == "__main__":
    typer.run(main)
