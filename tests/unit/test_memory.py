"""What a load takes of memory: what is freed goes back, and the promise of `benchmarks.memory` holds for a short one.

`python -m benchmarks.memory` measures long ones, which take minutes.
"""

import os
import platform
import subprocess
import sys

import pytest

from benchmarks.memory import LOADING_MB, MB, loading
from flagtrail import memory

ENTRIES = 8_000
# By itself, glibc keeps up to twice the largest piece that was ever freed.
PROGRAM = """
import os
from flagtrail import memory
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
memory.give_back()
large = b"x" * (32 << 20)
del large
before = resident()
pieces = [b"x" * (1 << 20) for _ in range(20)]
del pieces
print(resident() - before)
"""


def kept_bytes(**environment: str) -> int:
    """Return what a process keeps of 20 MiB that it has freed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed, and can be told not to")
def test_what_is_freed_is_given_back_unless_the_environment_says_otherwise() -> None:
    assert kept_bytes() < 2 * MB
    assert kept_bytes(MALLOC_TRIM_THRESHOLD_=str(1 << 30), MALLOC_MMAP_THRESHOLD_=str(1 << 25)) > 15 * MB


def test_nothing_is_done_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    memory.give_back()


def test_a_load_takes_less_than_is_promised() -> None:
    taken = loading(ENTRIES)
    assert len(taken.seen) > 10
    assert 50 * MB < taken.peak < LOADING_MB * MB
