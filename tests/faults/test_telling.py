"""Notices, and webhooks of vendors, while processes are killed and webhooks are lost, doubled and forged."""

import hmac
import signal
import socket
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from flagtrail.notices.outbox import WAITING, begun, notices
from flagtrail.schema.notices import NOTICE
from flagtrail.store import Store
from flagtrail.testing.configured import write_config
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import held
from tests.faults import dying
from tests.faults.conftest import Oracle
from tests.faults.running import Process, wait_until
from tests.sinks import Got, add, collector, place

SECRET = "a-webhook-secret"
CHANGES = 12  # that come while processes are killed, one before each


@pytest.mark.fault("N1", "kill -9 before and after every statement and commit of collecting and sending notices")
def test_n1_each_change_is_told_at_least_once_and_one_that_comes_twice_has_the_same_key(
    oracle: Oracle, store_url: str
) -> None:
    wanted = set[str]()
    with Store(store_url) as store, place() as target:
        collector(store, dying.EVERYTHING)
        kills = 0
        add(store, "first")
        for kills in dying.killed_at_every_step(dying.tell, store_url, target.url):
            if len(wanted) < CHANGES:
                wanted.add(str(kills))
                add(store, str(kills))
        keys: dict[str, set[str]] = {}
        for got in target.got:
            for id in got.ids:
                keys.setdefault(id, set()).add(got.key)
        oracle.holds(keys.keys() == {"first", *wanted}, "every change is told")
        oracle.holds(all(len(several) == 1 for several in keys.values()), "under one key, however often")
        oracle.holds(notices(store, WAITING) == [], "nothing waits")
        assert len(target.got) > len({got.key for got in target.got}), "somebody was killed after it had sent"
        assert kills > 12


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Daemon:
    """`flagtrail run` that looks at its vendor once an hour, or at a webhook, and tells a sink of all that it finds."""

    def __init__(self, folder: Path, vendor: LaunchDarklySimulator, url: str, target: str) -> None:
        self.folder, self.vendor, self.port = folder, vendor, free_port()
        self.path = write_config(folder, {"acme": vendor}, url, every="1h", flag_events=False)
        (folder / "secret").write_text(SECRET)
        self.path.write_text(
            self.path.read_text()
            + f'webhook_secret = {{ file = "{folder}/secret" }}\n'
            + f'[serve]\nlisten = "127.0.0.1:{self.port}"\npublic_url = "https://trail.example.com"\n'
            + f'[[sink]]\nname = "ops"\nkind = "webhook"\nurl = "{target}"\n'
            + '[[notice]]\nname = "all"\nto = "ops"\ngroup = "1s"\n'
        )

    def process(self) -> Process:
        return Process("run", "--config", self.path, folder=self.folder)

    def webhook(self, body: bytes = b"{}", source: str = "acme", secret: str = SECRET) -> int:
        """Send a webhook to somebody who may be starting still, and return the answer's status."""
        signature = hmac.new(secret.encode(), body, sha256).hexdigest()
        address = f"http://127.0.0.1:{self.port}/webhooks/{source}"
        deadline = time.monotonic() + 30
        while True:
            try:
                return httpx.post(address, content=body, headers={"X-LD-Signature": signature}, timeout=10).status_code
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def newest(vendor: LaunchDarklySimulator) -> str:
    """Let something happen, and return the vendor's id of it."""
    vendor.happen()
    log = vendor.truth()["audit_log"]
    return max(log, key=lambda id: log[id])


def told(got: list[Got]) -> dict[str, list[str]]:
    """Return the keys of the messages by the changes that they tell of."""
    keys: dict[str, list[str]] = {}
    for each in got:
        for id in each.ids:
            keys.setdefault(id, []).append(each.key)
    return keys


@pytest.mark.fault("N2", "webhooks of the vendor doubled, forged and lost; kill -9 of the daemon that is sending")
def test_n2_a_webhook_brings_a_change_within_seconds_and_a_kill_while_it_is_told_loses_nothing(
    oracle: Oracle, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'trail.db'}"
    with LaunchDarklySimulator() as vendor, Store(url) as store, place() as target:
        vendor.fill(20, 5, seed=3)
        daemon = Daemon(tmp_path, vendor, url, target.url)
        with daemon.process() as process:
            wait_until(lambda: is_whole_log(store, vendor) and "all" in begun(store), "it has read and begun")
            lost = newest(vendor)
            assert daemon.webhook(secret="forged") == 401
            assert daemon.webhook(source="nobody") == 401
            time.sleep(1)
            oracle.holds(not is_whole_log(store, vendor), "a forged webhook makes nobody look")
            change, began = newest(vendor), time.monotonic()
            assert [daemon.webhook() for _ in range(3)] == [204] * 3
            wait_until(lambda: is_whole_log(store, vendor), "the change is in the table")
            oracle.holds(time.monotonic() - began < 10, "within seconds")
            wait_until(lambda: {lost, change} <= told(target.got).keys(), "it is told, and what no webhook told of too")

            def kill(_: Got) -> None:
                process.signal(signal.SIGKILL)
                process.end()

            target.before = kill
            killing = newest(vendor)
            assert daemon.webhook() == 204
            wait_until(lambda: killing in told(target.got), "somebody was killed while sending")
            target.before = lambda got: None
            oracle.holds(not process.alive, "it is dead")
        with store.engine.begin() as connection:  # some minutes pass
            connection.execute(update(NOTICE).values(leased_until=datetime.now(UTC)))
        with daemon.process() as process:
            wait_until(lambda: notices(store, WAITING) == [], "the next one sends it")
            wait_until(lambda: len(told(target.got)[killing]) > 1, "again")
            wait_until(lambda: process.lines("daemon_started"), "it hears signals")
            assert process.terminated()[0] == 0
        keys = told(target.got)
        oracle.holds(len(set(keys[killing])) == 1, "under the same key")
        oracle.holds(len(keys[lost]) == len(keys[change]) == 1, "and nothing else")
        oracle.holds(is_whole_log(store, vendor), "the trail is whole")
        assert SECRET not in process.text()


def is_whole_log(store: Store, vendor: LaunchDarklySimulator) -> bool:
    return held(store, "acme").get("audit_log") == set(vendor.truth()["audit_log"])
