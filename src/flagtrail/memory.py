"""Keeps what a process takes of memory small while many threads read and store for hours."""

import os
import sys

# Numbers of glibc's mallopt(3). Whoever sets the variable beside one decides by themself.
ARENAS = (-8, 1, "MALLOC_ARENA_MAX")  # by itself each thread gets a heap of its own, and leaves holes in it
TRIM = (-1, 2**20, "MALLOC_TRIM_THRESHOLD_")  # bytes; by itself it grows with what was freed, which is then kept


def give_back() -> None:
    """Let glibc keep one heap for all threads, and give what is freed at its end back to the system.

    Costs no time that can be measured: Python lets one thread at a time allocate. Does nothing without glibc.
    """
    if sys.platform != "linux":
        return
    import ctypes  # half a megabyte, and rarely needed here

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    for number, value, variable in (ARENAS, TRIM):
        if mallopt is not None and variable not in os.environ:
            mallopt(number, value)
