"""Secrets and people: a canary goes through every failure, and must not be found anywhere afterwards."""

import base64
import io
import json
import logging
import re
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from flagtrail import logs
from flagtrail.connector import Connector
from flagtrail.errors import AccessDenied, SourceError
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.cassette import played
from flagtrail.testing.cast import PEOPLE
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail_configcat.simulator import USERNAME, ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.conftest import COMMAND, environment
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, Process, accepting, is_whole, wait_until
from tests.faults.test_credentials import header, with_secret

CANARY = "api-canary+5f0e/91=b7&c4-8d?2e%6a1f"
ROOT = Path(__file__).parents[2]
VENDORS = pytest.mark.parametrize("kind", [LaunchDarklySimulator, ConfigCatSimulator])


def forms(secret: str, user: str = "") -> set[bytes]:
    """Return the forms in which a secret may show: as it is, packed in base64 at any offset, for a URL, in hex."""
    raw = secret.encode()
    found = {
        raw,
        quote(secret).encode(),
        quote(secret, safe="").encode(),
        quote_plus(secret).encode(),
        raw.hex().encode(),
    }
    found |= {raw.hex().upper().encode(), json.dumps(secret).strip('"').encode(), repr(secret).strip("'").encode()}
    for text in (raw, f"{user}:{secret}".encode()):
        found.add(base64.b64encode(text).rstrip(b"="))
    for offset in range(3):  # inside of something longer: what does not depend on its neighbours
        packed = base64.b64encode(bytes(offset) + raw)
        found.add(packed[4 : len(packed) - 4])
        found.add(packed[4 : len(packed) - 4].replace(b"+", b"-").replace(b"/", b"_"))
    return found


def user_of(vendor: Simulator) -> str:
    return USERNAME if isinstance(vendor, ConfigCatSimulator) else ""


def hits(content: bytes | str, vendor: Simulator, secret: str = CANARY) -> list[bytes]:
    content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return [form for form in forms(secret, user_of(vendor)) if form in content]


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """Catch all that anybody logs, at the level of debugging, and what goes to stderr."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    root = logging.getLogger()
    level = root.level
    with redirect_stderr(told):
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        logs.configure(logging.DEBUG, json=True)
        yield told
        root.setLevel(level)
        root.removeHandler(handler)
    logs.configure(logging.ERROR)


def echo(code: int, secret: str) -> faults.Fault:
    """Refuse, and repeat the credential in the body, in headers and in the reason."""
    said = {"message": f"bad credential {secret}", "code": secret, "authorization": secret}
    return faults.status(code, said, {"x-echo": quote(secret), "www-authenticate": f"Basic realm={quote(secret)}"})


FAILURES: dict[str, Any] = {
    "refused": lambda given: echo(401, given),
    "forbidden": lambda given: echo(403, given),
    "absent": lambda given: echo(404, given),
    "bad request": lambda given: echo(400, given),
    "teapot": lambda given: echo(418, given),
    "slow down": lambda given: faults.status(429, {"message": given}, {"retry-after": "900"}),
    "broken": lambda given: echo(500, given),
    "text": lambda given: faults.status(502, f"upstream said {given}".encode(), {"content-type": "text/plain"}),
    "reset": lambda given: faults.reset(),
    "cut": lambda given: faults.cut(),
    "half": lambda given: faults.shortened(),
    "page": lambda given: faults.html(),
    "no list": lambda given: faults.body({"error": given}),
    "redirect": lambda given: faults.redirect(f"http://127.0.0.1:1/?token={quote(given)}"),
    "another kind": lambda given: faults.status(200, given.encode(), {"content-type": given}),
}


@pytest.mark.fault("F1", "the canary through every failure at the level of debugging")
@pytest.mark.parametrize("failure", FAILURES)
@VENDORS
def test_f1_no_failure_tells_the_secret(oracle: Oracle, tmp_path: Path, kind: type[Simulator], failure: str) -> None:
    with kind() as vendor, everything_logged() as told:
        vendor.fill(60, 30, seed=6)
        given = header(vendor, CANARY)
        connector = with_secret(vendor, CANARY)
        with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
            for skip in (0, 3):
                vendor.inject(accepting(vendor, {given}), times=skip or 1)
                vendor.inject(FAILURES[failure](given.removeprefix("Basic ")), times=ALWAYS)
                with Session(Source("acme", connector, start=timedelta(days=31)), store) as session:
                    session.api.attempts = 1
                    errors = session.fill().errors
                vendor.heal()
                assert errors
                told.write("\n".join(errors))
                for text in (repr(session.source), repr(session.api), repr(session), repr(connector), str(connector)):
                    told.write(text)
            told.write(repr(store.streams()) + repr(store.sources()) + repr(status(store)))
            oracle.check(store, vendor)
        oracle.holds("failed" in told.getvalue(), "something was logged")
        oracle.holds(hits(told.getvalue(), vendor) == [], "it is in what was told")
        for path in tmp_path.iterdir():
            oracle.holds(hits(path.read_bytes(), vendor) == [], f"it is in {path.name}")


@pytest.mark.fault("F1", "an exception that nobody foresaw, in the middle of a request")
@pytest.mark.parametrize("as_json", [True, False])
def test_f1_no_traceback_holds_a_secret_or_a_person(
    oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    with LaunchDarklySimulator() as vendor, everything_logged() as told:
        logs.configure(logging.DEBUG, json=as_json)
        vendor.fill(60, 30, seed=6)
        vendor.inject(accepting(vendor, {CANARY}), times=ALWAYS)
        connector = with_secret(vendor, CANARY)

        def broken(self: Any, stream: Any, record: Any) -> Any:
            headers = {"authorization": CANARY}
            person = record["member"]["email"] if "member" in record else PEOPLE[0].email
            raise RuntimeError(f"{len(headers)} {len(person)}")

        monkeypatch.setattr(type(connector), "event", broken)
        with (
            Store(f"sqlite:///{tmp_path / 'trail.db'}") as store,
            Session(Source("acme", connector, start=timedelta(days=31)), store) as session,
        ):
            told.write("\n".join(session.fill().errors))
            oracle.check(store, vendor)
        oracle.holds("RuntimeError" in told.getvalue(), "the bug is told")
        oracle.holds(hits(told.getvalue(), vendor) == [], "the secret is in a traceback")
        oracle.holds(not [one for one in PEOPLE if one.email in told.getvalue()], "a person is in a traceback")


@pytest.mark.fault("F1", "the traceback of an error of ours")
@VENDORS
def test_f1_the_whole_chain_of_an_error_is_without_the_secret(oracle: Oracle, kind: type[Simulator]) -> None:
    with kind() as vendor:
        given = header(vendor, CANARY)
        vendor.inject(echo(401, given.removeprefix("Basic ")), times=ALWAYS)
        connector = with_secret(vendor, CANARY)
        with connector.connect() as api, pytest.raises(AccessDenied) as raised:
            list(connector.streams(api))
        error: SourceError = raised.value
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + repr(vars(error))
        oracle.holds(hits(shown, vendor) == [], "it is in the error")
        assert error.__cause__ is None
        dumped = f"{connector!r} {connector} {connector.model_dump()} {connector.model_dump_json()}"
        oracle.holds(hits(dumped, vendor) == [], "it is in the settings")


@pytest.mark.fault("F2", "the canary is recorded on tape")
@VENDORS
def test_f2_a_tape_does_not_hold_the_credential(
    oracle: Oracle, tmp_path: Path, kind: type[Simulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAGTRAIL_RECORD", "1")
    vendor = kind()
    vendor.inject(accepting_later(vendor), times=ALWAYS)
    monkeypatch.setattr(vendor, "connect", lambda: with_secret(vendor, CANARY))
    tape = tmp_path / "tape.yaml"
    names = {"token", "username", "password"} & set(vendor.connector.model_fields)
    made_up: Connector = vendor.connector(**{name: SecretStr("made-up") for name in names})
    with (
        played(tape, made_up, vendor, 30) as connector,
        Store(f"sqlite:///{tmp_path / 'trail.db'}") as store,
        Session(Source("acme", connector, start=timedelta(days=31), parallel=1), store) as session,
    ):
        assert session.fill().errors == []
    content = tape.read_bytes()
    assert len(content) > 10_000
    oracle.holds(hits(content, vendor) == [], "it is on the tape")


def accepting_later(vendor: Simulator) -> faults.Fault:
    """Accept the canary, once the vendor has an address."""

    def play(request: Request, answer: Any) -> Reply:
        return accepting(vendor, {header(vendor, CANARY)})(request, answer)

    return play


@pytest.mark.fault("F2", "credentials in what is published")
def test_f2_no_file_of_the_project_holds_a_credential(oracle: Oracle) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    named = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    files = [path for path in named or ROOT.rglob("*.yaml") if path.is_file()]
    tapes = [path for path in files if path.suffix == ".yaml" and "cassettes" in path.parts]
    assert len(tapes) >= 2
    for vendor in (LaunchDarklySimulator(), ConfigCatSimulator()):
        for name, secret in _secrets_of(vendor).items():
            for path in tapes:
                oracle.holds(hits(path.read_bytes(), vendor, secret) == [], f"{name} is in {path.name}")
    real = re.compile(rb"\b(?:api|sdk|mob)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")
    for path in tapes:
        content = path.read_bytes()
        found = {one for one in real.findall(content) if b"-0000-4000-8000-" not in one}
        oracle.holds(not found, f"a token stands in {path.name}")
        oracle.holds(not re.search(rb"(?i)authorization:\s*\n\s*- (?!hidden)", content), f"{path.name} was not cleaned")


def _secrets_of(vendor: Simulator) -> dict[str, str]:
    vendor.start()
    try:
        return {
            name: value.get_secret_value()
            for name, value in vendor.settings().items()
            if isinstance(value, SecretStr) and name != "username"
        }
    finally:
        vendor.stop()


@pytest.mark.fault("F3", "ps, /proc, the database and its log, and every command, while the daemon runs")
def test_f3_the_secret_is_nowhere_around_a_running_daemon(oracle: Oracle, tmp_path: Path, store_url: str) -> None:
    kind: type[Simulator] = LaunchDarklySimulator if store_url.startswith("sqlite") else ConfigCatSimulator
    with kind() as vendor, Store(store_url) as store, store.engine.connect() as reader:
        vendor.fill(120, 30, seed=6)
        vendor.inject(accepting(vendor, {header(vendor, CANARY)}), times=ALWAYS)
        config = str(write_config(tmp_path, {"acme": vendor}, store_url, start="31d", every="1s"))
        secret = tmp_path / ("acme.token" if kind is LaunchDarklySimulator else "acme.password")
        secret.write_text(CANARY)
        assert secret.stat().st_mode & 0o777 == 0o600
        reader.exec_driver_sql("SELECT count(*) FROM event")  # keeps the write-ahead log from being folded away
        with Process("run", "--config", config, folder=tmp_path) as daemon:
            wait_until(lambda: is_whole(store, vendor), "all is read")
            wait_until(lambda: daemon.lines("tick"), "a tick is over")
            about = processes_of(daemon.pid)
            assert about
            oracle.holds(hits(b"\n".join(about), vendor) == [], "it is in a command line or an environment")
            listed = subprocess.run(["ps", "auxeww"], capture_output=True, check=False).stdout
            oracle.holds(hits(listed, vendor) == [], "ps shows it")
            for words in (["status", "-o", "json"], ["check", "-o", "json"]):
                told = subprocess.run(
                    [*COMMAND, *words, "--config", config], env=environment(), capture_output=True, check=True
                )
                oracle.holds(hits(told.stdout + told.stderr, vendor) == [], f"{words[0]} tells it")
            files = [path for path in tmp_path.iterdir() if path != secret and path.is_file()]
            if store_url.startswith("sqlite"):
                assert {"trail.db", "trail.db-wal"} <= {path.name for path in files}
            else:
                oracle.holds(hits(dumped(store), vendor) == [], "it is in a table")
            for path in files:
                oracle.holds(hits(path.read_bytes(), vendor) == [], f"it is in {path.name}")
            assert daemon.terminated()[0] == 0
        oracle.whole(store, vendor)


def processes_of(pid: int) -> list[bytes]:
    """Return the command lines and environments of a process and of its children."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if pid in (parent, int(entry.name)):
                found += [(entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()]
        except OSError:
            continue
    return found


def dumped(store: Store) -> str:
    """Return every value of every table as text."""
    with store.engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").all()
        return "\n".join(
            str(tuple(row)) for (name,) in tables for row in connection.exec_driver_sql(f"SELECT * FROM {name}")
        )


@pytest.mark.fault("F4", "the vendor's lists carry keys of its customers")
def test_f4_keys_in_the_vendors_lists_are_neither_stored_nor_logged(oracle: Oracle, tmp_path: Path) -> None:
    with LaunchDarklySimulator() as vendor, everything_logged() as told:
        vendor.fill(120, 30, seed=6)
        keys: set[str] = set()

        def noticing(body: Any) -> Any:
            keys.update(re.findall(r"(?:sdk|mob)-[0-9a-f-]{20,}", json.dumps(body)))
            return body

        vendor.inject(faults.edited(noticing), match="/api/v2/projects", times=ALWAYS)
        with (
            Store(f"sqlite:///{tmp_path / 'trail.db'}") as store,
            Session(Source("acme", vendor.connect(), start=timedelta(days=31)), store) as session,
        ):
            assert session.fill().errors == []
            oracle.whole(store, vendor)
        assert len(keys) >= 9
        content = (tmp_path / "trail.db").read_bytes() + told.getvalue().encode()
        oracle.holds(not [key for key in keys if hits(content, vendor, key)], "a key was kept")


@pytest.mark.fault("F4", "an entry carries a secret in its name and comment")
def test_f4_what_entries_say_is_not_logged(oracle: Oracle, tmp_path: Path) -> None:
    with LaunchDarklySimulator() as vendor, everything_logged() as told:
        vendor.add(name=f"https://hooks.example/{CANARY}", comment=CANARY)
        vendor.add(name=CANARY, kind="webhook", actions="createWebhook")
        vendor.inject(faults.cut(), match="auditlog", skip=2)
        with (
            Store(f"sqlite:///{tmp_path / 'trail.db'}") as store,
            Session(Source("acme", vendor.connect(), start=timedelta(days=31)), store) as session,
        ):
            assert session.fill().errors == []
            oracle.whole(store, vendor)
        oracle.holds(hits(told.getvalue(), vendor) == [], "it is in the log")


@pytest.mark.fault("F6", "people in logs and in errors")
@pytest.mark.parametrize("failure", ["cut", "half", "broken", "no list"])
def test_f6_nobody_is_named_in_a_log(oracle: Oracle, tmp_path: Path, failure: str) -> None:
    with LaunchDarklySimulator() as vendor, everything_logged() as told:
        vendor.fill(200, 30, seed=6)
        vendor.inject(FAILURES[failure]("nothing"), match="auditlog", skip=3, times=2)
        with (
            Store(f"sqlite:///{tmp_path / 'trail.db'}") as store,
            Session(Source("acme", vendor.connect(), start=timedelta(days=31)), store) as session,
        ):
            session.api.attempts = 2
            told.write("\n".join(session.fill().errors))
            oracle.check(store, vendor)
            assert session.fill().errors == []
            oracle.whole(store, vendor)
        said = told.getvalue()
        oracle.holds(not [one for one in PEOPLE if one.email in said or quote(one.email) in said], "somebody is named")
