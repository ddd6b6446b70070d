"""Starts the simulated vendor in a process of its own, and asks it what it was asked."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Asked:
    """What a vendor was asked since it was asked for it last, and the CPU seconds that this took it."""

    requests: int
    cpu: float


class Vendor:
    """A simulated vendor with so many entries, as a context manager; `truth` holds the ids of all of them.

    `clean` gives each entry a millisecond of its own. `json_bytes` is the size of the entries as the vendor sends them.
    """

    def __init__(self, events: int, folder: Path, *, clean: bool = False) -> None:
        self.events = events
        self.clean = clean
        self._truth = folder / "truth.txt"
        words = [sys.executable, "-m", "benchmarks.server", "--events", str(events), "--truth", str(self._truth)]
        self._words = [*words, "--clean"] if clean else words
        self._process: subprocess.Popen[str] | None = None
        self.url = self.token = ""
        self.json_bytes = 0
        self.truth: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        told = self._hear()
        self.url, self.token, self.json_bytes = told["url"], told["token"], told["json_bytes"]
        self.truth = frozenset(self._truth.read_text(encoding="ascii").split())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def asked(self) -> Asked:
        """Return what was asked since the last call."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Asked(**self._hear())

    def _hear(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated vendor ended by itself ({self._process.wait()})")
        told: dict[str, Any] = json.loads(line)
        return told
