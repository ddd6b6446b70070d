"""What the tests of faults share: patience, vendors with several credentials, and flagtrail as a process of its own."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.testing.simulator import Fault, Reply, Request, Simulator
from tests.acceptance.conftest import COMMAND, environment
from tests.conftest import held, shown

ALWAYS = 1_000_000


def wait_until(condition: Callable[[], object], what: str, seconds: float = 45.0) -> None:
    """Wait for a condition; that it never comes true is a failure."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"in {seconds:.0f} s it never happened that {what}"
        time.sleep(0.02)


def source_of(vendor: Simulator, **more: Any) -> Source:
    """Return a source of a vendor whose history lies in the last 30 days."""
    from datetime import timedelta

    return Source("acme", vendor.connect(), **({"start": timedelta(days=31)} | more))


def is_whole(store: Store, *vendors: Simulator, source: str = "acme") -> bool:
    """Return whether everything that the vendors show is stored."""
    return all(held(store, source) == shown(vendor) for vendor in vendors)


def at(number: int, action: Callable[[], object]) -> Fault:
    """Do something while the vendor answers its request of this number, counted from 1; the answer is the usual one."""
    count = 0

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        nonlocal count
        count += 1
        if count == number:
            action()
        return answer()

    return play


def accepting(vendor: Simulator, valid: set[str]) -> Fault:
    """Let a vendor accept exactly these values of the header `Authorization`; the set may change at any time."""
    from base64 import b64encode

    given = vendor.settings()
    if "token" in given:
        own = given["token"].get_secret_value()
    else:
        pair = ":".join(given[name].get_secret_value() for name in ("username", "password"))
        own = "Basic " + b64encode(pair.encode()).decode()

    def play(request: Request, answer: Callable[[], Reply]) -> Reply:
        if request.headers.get("authorization") not in valid:
            return Reply(401, {"code": "unauthorized", "message": "Invalid access token"})
        with vendor.lock:
            return vendor.reply(replace(request, headers=request.headers | {"authorization": own}))

    return play


class Process:
    """`flagtrail` with its log in a file; killed at the end of the block if it still runs."""

    def __init__(self, *words: str, folder: Path, command: list[str] | None = None, **options: Any) -> None:
        self.path = folder / f"{words[0]}-{time.monotonic_ns()}.log"
        variables = options.pop("variables", {})
        with self.path.open("wb") as log:
            self.popen = subprocess.Popen(
                [*(command or COMMAND), *words], cwd=folder, env=environment(**variables), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True, **options,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def text(self) -> str:
        """Return everything that it said so far."""
        return self.path.read_text(encoding="utf-8", errors="replace")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one kind."""
        found = []
        for line in self.text().splitlines():
            with suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict) and told.get("event") == event:
                    found.append(told)
        return found

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self, seconds: float = 60.0) -> int:
        """Wait for its end and return the exit code."""
        return self.popen.wait(seconds)

    def terminated(self) -> tuple[int, float]:
        """Send SIGTERM until it is heard; return the exit code and how many seconds it took."""
        started = time.monotonic()
        while self.alive and time.monotonic() - started < 60:
            self.signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(2)
        return self.end(1), time.monotonic() - started
