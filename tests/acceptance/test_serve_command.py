"""The trail over HTTP, as users start it: `serve`, `run`, `token`, every command of docs/http.md."""

import json
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from flagtrail.store import Store
from flagtrail.testing.simulator import Simulator
from tests.acceptance.conftest import COMMAND, Flagtrail, environment
from tests.serving import fill

DOCS = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
DEFAULT = "127.0.0.1:8421"
SOURCE = '[[source]]\nname = "acme"\nconnector = "launchdarkly"\ntoken = {{ env = "TOKEN" }}\nbase_url = "{}"\n'


PERSON = '[[person]]\nemail = "ada@example.com"\nalso = ["the countess"]\n'


def free() -> str:
    """Return an address that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def running(folder: Path, *words: str, token: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run flagtrail in a folder until the block ends."""
    started = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, env=environment(TOKEN=token), stderr=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate(timeout=10)


def answered(address: str, path: str = "/api/v1/events", **headers: str) -> httpx.Response:
    """Return the answer of somebody who may be starting still."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx.get(f"http://{address}{path}", headers=headers, timeout=10)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def ended(process: subprocess.Popen[str], within: float = 5.0) -> str:
    """Send SIGTERM, and return what stood on stderr; it ends in time, and well."""
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert time.monotonic() - begun < within
    return told


@pytest.fixture
def trail(tmp_path: Path) -> str:
    """An address, in a config beside a database with a trail."""
    address = free()
    (tmp_path / "flagtrail.toml").write_text(f'[serve]\nlisten = "{address}"\n{PERSON}', encoding="utf-8")
    with Store(f"sqlite:///{tmp_path / 'flagtrail.db'}") as store:
        fill(store)
    return address


def asked(words: list[str], token: str) -> httpx.Response:
    """Do what curl does with the options that the documents use."""
    headers, params, url, given = {}, {}, "", iter(words)
    for word in given:
        if word == "-H":
            name, _, value = next(given).partition(": ")
            headers[name] = value.replace("$TOKEN", token)
        elif word == "--data-urlencode":
            name, _, value = next(given).partition("=")
            params[name] = value
        elif word in ("-o", "--max-time"):
            next(given)
        elif not word.startswith("-"):
            url = word
    assert url, words
    with httpx.stream("GET", url, params=params or None, headers=headers, timeout=10) as answer:
        if "-sN" not in words:
            answer.read()
        return answer


def test_the_commands_of_the_docs_work(tmp_path: Path, flagtrail: Flagtrail, trail: str) -> None:
    lines = [line.removeprefix("$ ") for block in re.findall(r"```console\n(.*?)```", DOCS, re.DOTALL)
             for line in block.splitlines()]  # fmt: skip
    assert lines[0] == "flagtrail serve"
    token = ""
    with running(tmp_path, "serve") as server:
        answered(trail)
        for line in lines[1:]:
            program, *words = shlex.split(line.replace(DEFAULT, trail))
            if program == "flagtrail":
                done = flagtrail(*words)
                assert done.returncode == 0, done.stderr
                if "grafana" in words and "create" in words:
                    token = done.stdout.strip()
                elif words == ["token", "list"]:
                    assert "grafana" in done.stdout
                    assert token not in done.stdout
            else:
                if "$TOKEN" in line:
                    token = flagtrail("token", "create", "again").stdout.strip()
                answer = asked(words, token)
                assert answer.status_code == 200, line
        log = ended(server)
    assert sum('"request"' in line for line in log.splitlines()) >= sum(line.startswith("curl") for line in lines)
    assert token not in log


def test_another_address_needs_a_token_and_one_that_is_taken_is_told(
    tmp_path: Path, flagtrail: Flagtrail, trail: str
) -> None:
    refused = flagtrail("serve", "--listen", "0.0.0.0:0")
    assert (refused.returncode, "`flagtrail token create` makes one" in refused.stderr) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = flagtrail("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (told.returncode, "Address already in use" in told.stderr) == (2, True)
    assert flagtrail("serve", "--listen", "8421").returncode == 2
    token = flagtrail("token", "create", "one").stdout.strip()
    place = f"0.0.0.0:{trail.rpartition(':')[2]}"
    with running(tmp_path, "serve", "--listen", place) as server:
        assert answered(trail).status_code == 401
        by_name = answered(trail, "/api/v1/events?actor=the+countess", Authorization=f"Bearer {token}")
        assert by_name.json()["events"], "a [[person]] is asked for by any name"
        assert flagtrail("token", "revoke", "one").returncode == 0
        assert answered(trail, Authorization=f"Bearer {token}").status_code == 401
        ended(server)


def test_tokens_are_made_listed_and_revoked(flagtrail: Flagtrail, trail: str) -> None:
    made = flagtrail("token", "create", "siem", "--scope", "export", "--expires", "90d")
    assert re.fullmatch(r"flagtrail_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n", made.stdout)
    assert "--expires: 'soon' is not a span" in flagtrail("token", "create", "x", "--expires", "soon").stderr
    assert flagtrail("token", "revoke", "siem").returncode == 0
    [row] = json.loads(flagtrail("token", "list", "-o", "json").stdout)
    assert (row["name"], row["scopes"], row["usable"]) == ("siem", ["export"], False)
    assert "revoked" in flagtrail("token", "list").stdout


def test_the_daemon_serves_and_ends_in_time_though_somebody_listens(
    tmp_path: Path, vendors: dict[str, Simulator]
) -> None:
    address = free()
    source, token = SOURCE.format(vendors["acme-launchdarkly"].url), token_of(vendors)
    (tmp_path / "flagtrail.toml").write_text(f'[serve]\nlisten = "{address}"\n{source}', encoding="utf-8")
    with running(tmp_path, "run", token=token) as daemon:
        assert answered(address).status_code == 200
        listening = threading.Event()

        def listen() -> None:
            with httpx.stream("GET", f"http://{address}/api/v1/live", timeout=30) as answer:
                for _ in answer.iter_lines():
                    listening.set()

        listener = threading.Thread(target=listen)
        listener.start()
        assert listening.wait(10)
        ended(daemon)
        listener.join(5)
        assert not listener.is_alive()


def test_the_daemon_reads_although_it_cannot_serve(tmp_path: Path, vendors: dict[str, Simulator]) -> None:
    source, token = SOURCE.format(vendors["acme-launchdarkly"].url), token_of(vendors)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "flagtrail.toml").write_text(f'[serve]\nlisten = "{listen}"\n{source}', encoding="utf-8")
        with running(tmp_path, "run", token=token) as daemon:
            log = list(until_it_read(daemon))
            ended(daemon)
    [failed] = [line for line in log if line["event"] == "serving_failed"]
    assert failed["error"].startswith("Address already in use; another `listen` in [serve]")


def test_the_daemon_serves_the_page_unless_it_is_switched_off(tmp_path: Path, vendors: dict[str, Simulator]) -> None:
    source, token = SOURCE.format(vendors["acme-launchdarkly"].url), token_of(vendors)
    told = {}
    for name, table in (("on", ""), ("off", "[serve]\nenabled = false\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "flagtrail.toml").write_text(table + source, encoding="utf-8")
        with running(folder, "run", token=token) as daemon:
            lines = list(until_it_read(daemon, serves=name == "on"))
            lines += [json.loads(line) for line in ended(daemon).splitlines()]
        told[name] = [line["listen"] for line in lines if line["event"] in ("serving", "serving_failed")]
    # Another daemon of this machine may hold the address: then that is said, and it goes on.
    assert told == {"on": [DEFAULT], "off": []}


def token_of(vendors: dict[str, Simulator]) -> str:
    """Return the credential that the simulated LaunchDarkly takes."""
    token = vendors["acme-launchdarkly"].settings()["token"]
    assert isinstance(token, SecretStr)
    return token.get_secret_value()


def until_it_read(daemon: subprocess.Popen[str], *, serves: bool = True) -> Iterator[Any]:
    """Yield lines of a daemon's log until it has stored something, and has tried to serve if it does."""
    read, tried = False, not serves
    assert daemon.stderr is not None
    late = threading.Timer(60, daemon.kill)
    late.start()
    for text in daemon.stderr:
        line = json.loads(text)
        read = read or bool(line.get("new"))  # of a tick, or of older gaps
        tried = tried or line["event"].startswith("serving")
        yield line
        if read and tried:
            late.cancel()
            return
