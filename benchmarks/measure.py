"""Runs a contender against a vendor and says what came of it and what it cost."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

from benchmarks.contenders import CannotInstall, Contender
from benchmarks.vendor import Vendor

RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB


@dataclass(frozen=True, slots=True)
class Run:
    """One run, or the medians of several. CPU is user and system time of the process and of its children."""

    stored: float
    lost: float
    foreign: float
    requests: float
    wall: float
    cpu: float
    peak: float
    """Bytes of memory, at most, of its largest process."""
    disk: float
    """Bytes of its database when it was done, with other database files that it leaves beside it."""
    server: float
    """CPU seconds of the simulated vendor: not the contender's, but they share the machine."""

    @property
    def per_cpu_second(self) -> float:
        """Events stored for each CPU second."""
        return self.stored / self.cpu

    @property
    def per_second(self) -> float:
        """Events stored for each second on the clock."""
        return self.stored / self.wall


@dataclass(frozen=True, slots=True)
class Result:
    """What several runs of a contender came to; without `medians` it did not get to the end, and `failure` says why."""

    contender: Contender
    runs: int = 0
    medians: Run | None = None
    failure: str = ""


def result(contender: Contender, vendor: Vendor, runs: int, limit: float) -> Result:
    """Run a contender so many times; a run that fails, or takes longer than `limit` seconds, is the last one."""
    try:
        python = contender.python()
        done = [run(contender, python, vendor, limit) for _ in range(runs)]
    except (CannotInstall, RunFailed) as error:
        what = "cannot be installed" if isinstance(error, CannotInstall) else "did not get to the end"
        return Result(contender, failure=f"{what}: {error}")
    return Result(contender, runs, medians(done))


class RunFailed(Exception):
    """A contender ended with an error, or was ended; the text is the end of what it said."""


def run(contender: Contender, python: Path, vendor: Vendor, limit: float) -> Run:
    """Load everything once into a new database."""
    with tempfile.TemporaryDirectory(prefix="flagtrail-bench-") as name:
        folder = Path(name)
        database = folder / "loaded.db"
        vendor.asked()
        with (folder / "said.txt").open("w+", encoding="utf-8") as said:
            words = [str(python), str(contender.program), vendor.url, vendor.token, str(database)]
            began = time.monotonic()
            process = subprocess.Popen(words, stdout=said, stderr=said, cwd=folder, start_new_session=True)
            try:
                status, used = _wait(process, began + limit)
            finally:
                _end(process)
            wall = time.monotonic() - began
            if status:
                said.seek(0)
                lines = [line for line in said.read().splitlines() if line.strip()] or [f"it ended with {status}"]
                reason = f"it took longer than {limit:.0f} s" if wall >= limit else lines[-1][-300:]
                raise RunFailed(reason)
        asked = vendor.asked()
        ids = stored_ids(database, contender.ids)
        disk = sum(path.stat().st_size for path in folder.glob("loaded*"))
    return Run(
        stored=len(ids & vendor.truth),
        lost=len(vendor.truth - ids),
        foreign=len(ids - vendor.truth),
        requests=asked.requests,
        wall=wall,
        cpu=used.ru_utime + used.ru_stime,
        peak=used.ru_maxrss * RSS_UNIT,
        disk=disk,
        server=asked.cpu,
    )


def _wait(process: subprocess.Popen[bytes], until: float) -> tuple[int, resource.struct_rusage]:
    """Return how a process ended and what it used, with its children; it is ended when its time is over."""
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, used
        if time.monotonic() > until:
            process.kill()
        time.sleep(0.005)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a contender and what it has started, if anything of it is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def stored_ids(database: Path, query: str) -> frozenset[str]:
    """Return the vendor's ids in a database; none when it has no such table."""
    rows = sqlite3.connect(database)
    try:
        return frozenset(str(id_) for (id_,) in rows.execute(query))
    except sqlite3.OperationalError:
        return frozenset()
    finally:
        rows.close()


def medians(runs: list[Run]) -> Run:
    """Return the median of each number by itself, of lost entries the most: losing is no matter of luck."""
    numbers = {field.name: median(getattr(run, field.name) for run in runs) for field in fields(Run)}
    return Run(**{**numbers, "lost": max(run.lost for run in runs), "stored": min(run.stored for run in runs)})
