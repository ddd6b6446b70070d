"""What docs/operations.md and the files in config say of the log and of the metrics is what the code has."""

import ast
import io
import json
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flagtrail import logs, systemd
from flagtrail.pulse import Pulse
from flagtrail.readiness import Why

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LEVELS = {"log", "debug", "info", "warning", "error", "exception"}


def logged_by(file: Path) -> Iterator[str]:
    """Yield the name of each event that a module logs: a text, or what stands in its EVENTS."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "EVENTS"
            and isinstance(node.value, ast.Dict)
        ):
            for value in node.value.values:
                yield from (each.value for each in ast.walk(value) if isinstance(each, ast.Constant))
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
            continue
        if "log" not in ast.unparse(node.func.value) and ast.unparse(node.func.value) != "bound":
            continue
        name = node.args[node.func.attr == "log"]
        if isinstance(name, ast.Constant):
            yield name.value
        else:
            assert "EVENTS" in file.read_text(encoding="utf-8"), f"{file.name}:{node.lineno} has no fixed name"


def test_every_event_of_the_log_is_in_the_docs_and_no_other() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "connectors").glob("flagtrail_*/*.py")]
    names = {name for file in files for name in logged_by(file)}
    told = DOCS.partition("## The log")[2].partition("\n## ")[0]
    assert names == set(re.findall(r"^\| `([a-z_]+)` \|", told, re.MULTILINE))


def test_every_reason_of_readiness_is_in_the_docs() -> None:
    told = DOCS.partition("## Health")[2].partition("\n## ")[0]
    assert set(Why) == set(re.findall(r"^\| `([a-z_]+)` \|", told, re.MULTILINE))


def test_a_process_tells_systemd_how_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not systemd.tell("READY=1")
    for address in (str(tmp_path / "socket"), f"\0flagtrail-{tmp_path.name}-{time.monotonic_ns()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
            heard.bind(address)
            heard.settimeout(5)
            monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
            assert systemd.tell("READY=1", "STATUS=well")
            assert heard.recv(100) == b"READY=1\nSTATUS=well"
    assert not systemd.tell("READY=1"), "nobody hears it any more, which is no reason to fail"


def test_a_watchdog_is_fed_only_as_often_as_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    assert systemd.Watchdog().every is None
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert systemd.Watchdog().every == 15.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.Watchdog().every is None, "it watches another process"


def test_a_turn_is_stuck_when_nothing_of_its_own_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = Pulse()
    with pulse.turn("acme", "tick") as turn:
        turn.moved_at -= 1000
        [stuck] = pulse.stuck()
        assert stuck.where()[0].endswith(" where")
        pulse.answered("other", "200")
        assert pulse.stuck(), "another source was heard"
        pulse.answered("acme", "200")
        assert not pulse.stuck(), "the vendor answers while it finds out what to read"
        turn.planned(3, None)
        turn.moved_at -= 1000
        pulse.answered("acme", "599")
        assert pulse.stuck(), "another job of the source may have asked"
        turn.finished()
        assert not pulse.stuck()
    assert pulse.counted() == {("other", "200"): 1, ("acme", "200"): 1, ("acme", "5xx"): 1}


def test_a_loop_that_began_has_to_go_on() -> None:
    pulse = Pulse()
    assert pulse.is_alive
    pulse.beat("loop")
    pulse.beat("scheduler")
    assert pulse.is_alive
    pulse._beats["scheduler"] -= 31
    assert not pulse.is_alive


def test_whatever_happens_every_line_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    before = logs.counted().get(("library_warned", "warning"), 0)
    logs.configure()
    logs.catch_all()
    try:
        logging.getLogger("somebody").warning("too %s", "late")
        thread = threading.Thread(target=lambda: {}["nothing"], name="mine")
        thread.start()
        thread.join()
    finally:
        logs.configure(logging.ERROR)
    warned, crashed = [json.loads(line) for line in told.getvalue().splitlines()]
    assert (warned["event"], warned["logger"], warned["said"]) == ("library_warned", "somebody", "too late")
    assert (crashed["event"], crashed["thread"], crashed["level"]) == ("thread_crashed", "mine", "error")
    assert crashed["exception"][0]["exc_type"] == "KeyError"
    assert logs.counted()["library_warned", "warning"] == before + 1
