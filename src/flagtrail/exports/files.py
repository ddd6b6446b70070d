"""Writes a file so that it appears whole or not at all: beside its place, and then into it."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path beside a file's to write to, which takes the file's place when all went well; else it is removed.

    Raises OSError.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file; what is no ordinary file, such as a named pipe, is written to as it is. Raises OSError."""
    path = path.resolve()
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as opened:
            opened.writelines(chunks)
        return
    with whole(path) as beside, beside.open("wb") as opened:
        opened.writelines(chunks)
