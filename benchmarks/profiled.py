"""Runs a loader with every thread of it profiled by its own CPU clock, and keeps the numbers of all of them together.

Waiting costs nothing by that clock: neither for a lock, nor for the network, nor for the interpreter.
"""

import cProfile
import importlib.util
import pstats
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType


def profile_threads(profiles: list[cProfile.Profile]) -> None:
    """Let every thread that starts from now on add its profile."""
    start = threading.Thread.start

    def start_profiled(thread: threading.Thread) -> None:
        run = thread.run
        profile = cProfile.Profile(time.thread_time)
        profiles.append(profile)
        thread.run = lambda: profile.runcall(run)  # type: ignore[method-assign]
        start(thread)

    threading.Thread.start = start_profiled  # type: ignore[method-assign, assignment]


def loaded(path: Path) -> ModuleType:
    """Return a program as a module."""
    spec = importlib.util.spec_from_file_location("loader", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(program: str, out: str, *arguments: str) -> None:
    """Run a program's `load` profiled, its imports too, and write the numbers to a file that `pstats` reads."""
    profiles: list[cProfile.Profile] = [cProfile.Profile(time.thread_time)]
    profile_threads(profiles)
    with suppress(SystemExit):
        profiles[0].runcall(lambda: loaded(Path(program)).load(*arguments))
    stats = pstats.Stats(profiles[0])
    for profile in profiles[1:]:
        stats.add(profile)
    stats.dump_stats(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
