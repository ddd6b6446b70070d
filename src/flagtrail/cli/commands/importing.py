"""Imports what a command needs when it begins, and never before."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (20_000, 20, 20)  # new objects, and rounds, before garbage is looked for: parsed pages are many, and no cycles


@contextmanager
def importing() -> Iterator[None]:
    """Let modules be imported without looking for garbage, which takes a fifth of the time: they are none.

    Garbage is collected afterwards, but never looked for among them, also not at the very end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*SELDOM)
        gc.enable()
