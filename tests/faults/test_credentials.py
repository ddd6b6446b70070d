"""Faults of credentials: narrowed, revoked, replaced, somebody else's, of the wrong kind."""

import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from flagtrail import discovery, refusals
from flagtrail.connector import Connector
from flagtrail.source import Source
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.conftest import COMMAND, environment
from tests.conftest import held, rows, shown
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, Process, accepting, is_whole, source_of, wait_until

OLD, NEW = "api-11111111-old-1111-1111-111111111111", "api-22222222-new-2222-2222-222222222222"
AUDIT_LOGS = {"launchdarkly": "/api/v2/auditlog?", "configcat": "auditlogs?"}
VENDORS = pytest.mark.parametrize("kind", [LaunchDarklySimulator, ConfigCatSimulator])


def with_secret(vendor: Simulator, secret: str) -> Connector:
    """Return a vendor's connector with another token, or password."""
    settings = vendor.settings()
    name = "token" if "token" in settings else "password"
    return vendor.connector(**(settings | {name: SecretStr(secret)}))


def header(vendor: Simulator, secret: str) -> str:
    """Return the `Authorization` that a connector with this secret sends."""
    settings = vendor.settings()
    if "token" in settings:
        return secret
    return "Basic " + b64encode(f"{settings['username'].get_secret_value()}:{secret}".encode()).decode()


def reading(vendor: Simulator, secret: str, **more: Any) -> Source:
    return Source("acme", with_secret(vendor, secret), **({"start": timedelta(days=31)} | more))


def windows_asked(vendor: Simulator, secret: str) -> list[tuple[str, ...]]:
    """Return the pages of audit logs that were answered to a secret."""
    return [
        (one.path, *(f"{name}={value}" for name, value in sorted(one.query.items())))
        for one in vendor.requests
        if one.headers["authorization"] == header(vendor, secret) and one.status == 200 and "auditlog" in one.path
        and one.method == "GET"
    ]  # fmt: skip


@pytest.mark.fault("E1", "a role is narrowed: 200 with fewer entries")
def test_e1_what_is_no_longer_shown_to_us_stays_and_is_not_marked(oracle: Oracle, store: Store) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(200, 30, seed=6, flag_events=0)
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        oracle.whole(store, vendor)
        before = held(store, "acme")

        def narrowed(body: Any) -> Any:
            if isinstance(body, dict) and isinstance(body.get("items"), list):
                body["items"] = [item for item in body["items"] if "accesses" not in item]
            return body

        vendor.inject(faults.edited(narrowed), match="/api/v2/auditlog", times=ALWAYS)
        vendor.clock.advance(3600)
        with Session(source_of(vendor), store) as session:
            session.fill()
        oracle.holds(held(store, "acme") == before, "nothing is taken away")
        oracle.holds(
            rows(store, "SELECT count(*) FROM event WHERE vanished_at IS NOT NULL") == [(0,)], "nothing is marked"
        )


@pytest.mark.fault("E2", "a credential is revoked in the middle of a load, and replaced")
@pytest.mark.parametrize("page", [4, 6, 9])
@VENDORS
def test_e2_a_load_goes_on_exactly_where_the_credential_was_revoked(
    oracle: Oracle, store: Store, kind: type[Simulator], page: int
) -> None:
    with kind() as vendor:
        vendor.fill(1500 if kind is ConfigCatSimulator else 300, 30, seed=6)
        valid = {header(vendor, OLD)}
        vendor.inject(faults.status(401), match=AUDIT_LOGS[vendor.connector.vendor], skip=page, times=ALWAYS)
        for _ in range(400):  # the fault above comes first when it is its turn
            vendor.inject(accepting(vendor, valid))
        with Session(reading(vendor, OLD, parallel=1), store) as session:
            assert any("401" in error for error in session.fill().errors)
        oracle.check(store, vendor)
        refused = [one for one in vendor.requests if one.status == 401]
        oracle.holds(len(refused) <= 2, f"{len(refused)} requests were refused before it stopped")
        vendor.heal()
        valid.clear()
        valid.add(header(vendor, NEW))
        vendor.inject(accepting(vendor, valid), times=ALWAYS)
        with Session(reading(vendor, NEW, parallel=1), store) as session:
            assert session.fill().errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)
        assert [gap for stream in status(store) for gap in stream.gaps] == []
        read = windows_asked(vendor, OLD)
        if kind is LaunchDarklySimulator:  # numbered pages prove a window when the last one is there
            again = set(read) & set(windows_asked(vendor, NEW))
            oracle.holds(not again, f"read twice: {again}")
        assert len(read) == page


@pytest.mark.fault("E2", "a credential is revoked while the work is being counted")
def test_e2_a_refusal_while_counting_stops_the_run_at_once(oracle: Oracle, store: Store) -> None:
    with ConfigCatSimulator() as vendor:
        vendor.fill(300, 30, seed=6)
        vendor.inject(faults.status(401), match=AUDIT_LOGS["configcat"], skip=1, times=ALWAYS)
        with Session(source_of(vendor, parallel=1), store) as session:
            assert any("401" in error for error in session.fill().errors)
        oracle.check(store, vendor)
        refused = [one for one in vendor.requests if one.status == 401]
        oracle.holds(len(refused) == 1, f"{len(refused)} requests were refused before it stopped")


@pytest.mark.fault("E2", "a credential stays refused: it is tried again now and then only")
@VENDORS
def test_e2_a_refused_credential_is_not_tried_at_every_tick(
    oracle: Oracle, store: Store, kind: type[Simulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 0.0
    for module in (discovery, refusals):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + ahead))
    with kind() as vendor:
        vendor.fill(60, 30, seed=6)
        valid: set[str] = set()
        vendor.inject(accepting(vendor, valid), times=ALWAYS)
        with Session(reading(vendor, OLD), store) as session:
            for _ in range(60):  # an hour of ticks
                [error] = session.fill().errors
                assert "401" in error
                ahead += 60.0
            oracle.holds(2 <= len(vendor.requests) <= 13, f"{len(vendor.requests)} requests in an hour")
            valid.add(header(vendor, OLD))
            ahead += 301.0
            assert session.fill().errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


@pytest.mark.fault("E3", "the plan, or a permission, does not offer flag events")
@pytest.mark.parametrize("insights", ["forbidden", "absent"])
def test_e3_flag_events_that_are_not_offered_are_named_and_the_rest_is_read(
    oracle: Oracle, store: Store, insights: str
) -> None:
    with LaunchDarklySimulator(insights=insights) as vendor:
        vendor.fill(120, 30, seed=6)
        with Session(source_of(vendor), store) as session:
            report = session.fill()
            assert report.error is None, "the credential itself is fine"
            assert report.streams["audit_log"].error is None
            refused = [stream.error or "" for name, stream in report.streams.items() if name != "audit_log"]
            assert refused
            oracle.holds(all("engineering insights" in error for error in refused), "each says what is missing")
            asked = len(vendor.requests)
            session.fill()
            oracle.holds(len(vendor.requests) - asked <= 1, "it is not asked for at every tick")
        oracle.whole(store, vendor)
        assert held(store, "acme") == {"audit_log": shown(vendor)["audit_log"]}
        for state in store.streams():
            assert bool(state.error) == (state.stream != "audit_log")


@pytest.mark.fault("E3", "the token signs in, and may see nothing")
def test_e3_a_token_without_a_role_is_told_from_one_that_does_not_sign_in(oracle: Oracle, store: Store) -> None:
    with LaunchDarklySimulator(permitted=False) as vendor:
        vendor.fill(60, 30, seed=6)
        with Session(source_of(vendor), store) as session:
            errors = session.fill().errors
        assert errors
        oracle.holds(any("403" in error and "Reader" in error for error in errors), "it says what the token needs")
        oracle.holds(not any("401" in error for error in errors), "it is not taken for a wrong token")
        oracle.check(store, vendor)
        assert [window for stream in status(store) for window in stream.covered] == []
        vendor.switches.permitted = True
        with Session(source_of(vendor), store) as session:
            assert session.fill().errors == []
        oracle.whole(store, vendor)


@pytest.mark.fault("E4", "two tokens are valid, and the one is put in the place of the other")
@VENDORS
def test_e4_after_a_restart_only_the_new_credential_is_used_and_nothing_is_missing(
    oracle: Oracle, store_url: str, tmp_path: Path, kind: type[Simulator]
) -> None:
    with kind() as vendor, Store(store_url) as store:
        vendor.fill(200, 30, seed=6)
        valid = {header(vendor, OLD), header(vendor, NEW)}
        vendor.inject(accepting(vendor, valid), times=ALWAYS)
        config = str(write_config(tmp_path, {"acme": vendor}, store_url, start="31d", every="1s"))
        secret = next(tmp_path.glob("acme.token")) if kind is LaunchDarklySimulator else tmp_path / "acme.password"
        secret.write_text(OLD)
        with Process("run", "--config", config, folder=tmp_path) as daemon:
            wait_until(lambda: is_whole(store, vendor), "all is read")
            oracle.check(store, vendor)
            secret.write_text(NEW)
            assert daemon.terminated()[0] == 0
        asked = len(vendor.requests)
        valid.remove(header(vendor, OLD))
        vendor.happen()
        with Process("run", "--config", config, folder=tmp_path) as daemon:
            wait_until(lambda: is_whole(store, vendor), "the newest is read")
            wait_until(lambda: daemon.lines("tick"), "a tick is over")
            assert daemon.terminated()[0] == 0
        used = {one.headers["authorization"] for one in vendor.requests[asked:]}
        oracle.holds(used == {header(vendor, NEW)}, "the old one is used no more")
        oracle.whole(store, vendor)


@pytest.mark.fault("E5", "the token of another account")
@pytest.mark.parametrize("settled", [True, False], ids=["after a load", "in the middle of a load"])
def test_e5_a_token_of_another_account_is_refused_and_nothing_is_mixed(
    oracle: Oracle, store: Store, settled: bool
) -> None:
    with LaunchDarklySimulator() as ours, LaunchDarklySimulator() as theirs:
        ours.fill(100, 30, seed=6)
        theirs.fill(100, 30, seed=7)

        def other(body: Any) -> Any:
            return body | {"accountId": "another-account"}

        theirs.inject(faults.edited(other), match="caller-identity", times=ALWAYS)
        if not settled:
            ours.inject(faults.status(401), match=AUDIT_LOGS["launchdarkly"], skip=2, times=ALWAYS)
        with Session(source_of(ours), store) as session:
            session.fill()
        ours.heal()
        before = held(store, "acme")
        claimed = [stream.covered for stream in status(store)]
        with Session(Source("acme", theirs.connect(), start=timedelta(days=31)), store) as session:
            errors = session.fill().errors
        oracle.holds(any("another-account" in error for error in errors), "it says whose token it is")
        oracle.holds(held(store, "acme") == before, "no row of the other account is here")
        assert [stream.covered for stream in status(store)] == claimed
        oracle.holds(not [one for one in theirs.requests if "auditlog" in one.path], "its log is not even read")
        with Session(source_of(ours), store) as session:
            assert session.fill().errors == []
        oracle.whole(store, ours)


@pytest.mark.fault("E5", "an SDK key, a `Bearer ` before the token, a wrong or an empty one")
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (LaunchDarklySimulator, lambda token: "sdk-7c0e1a55-90aa-4b1c-8d5e-canary000001"),
        (LaunchDarklySimulator, lambda token: f"Bearer {token}"),
        (LaunchDarklySimulator, lambda token: token[:-1]),
        (ConfigCatSimulator, lambda token: token.upper()),
    ],
    ids=["sdk", "bearer", "cut", "configcat"],
)
def test_e5_a_credential_of_the_wrong_kind_is_refused_at_once_and_not_repeated(
    oracle: Oracle, tmp_path: Path, kind: type[Simulator], change: Callable[[str], str]
) -> None:
    with kind() as vendor:
        vendor.fill(60, 30, seed=6)
        url = f"sqlite:///{tmp_path / 'trail.db'}"
        config = str(write_config(tmp_path, {"acme": vendor}, url, start="31d"))
        file = tmp_path / ("acme.token" if kind is LaunchDarklySimulator else "acme.password")
        wrong = change(file.read_text())
        file.write_text(wrong)
        for word in ("check", "sync"):
            words = [*COMMAND, word, "--config", config]
            told = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60, check=False)
            said = told.stdout + told.stderr
            assert told.returncode == 1, said
            oracle.holds("401" in said and "acme" in said, "it says who refuses")
            oracle.holds(wrong not in said and wrong.split()[-1] not in said, "the secret is not repeated")
            assert "Traceback" not in said
        oracle.holds(len(vendor.requests) == 2, "one request for each look")
        with Store(url) as store:
            assert rows(store, "SELECT count(*) FROM event") == [(0,)]
            oracle.check(store, vendor)
