"""A daemon's life on PostgreSQL: it upgrades an older store, is nudged, killed, and started again; nothing is lost."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.engine import make_url

from flagtrail.database import _engine, writing
from flagtrail.migrations import KNOWN
from flagtrail.migrations.upgrade import upgrade
from flagtrail.notices.outbox import SENT, begun, notices
from flagtrail.schema.notices import NOTICE
from flagtrail.store import Store
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Simulator
from tests.acceptance.soaking import SECRET, signed
from tests.acceptance.test_crash import assert_claims_hold
from tests.acceptance.test_serve_command import free
from tests.conftest import held, rows, shown
from tests.faults.running import Process, wait_until
from tests.integration.test_upgrades import Shape, Trail, trail  # noqa: F401 - a fixture
from tests.sinks import Got, Place, place

OLD = KNOWN[4]
SOON = 20.0  # seconds in which a webhook brings a change, on a busy machine too: without one it takes an hour


class Life:
    """The daemon's config, and the vendors and the sink around it."""

    def __init__(self, folder: Path, url: str, vendors: dict[str, Simulator], sink: Place) -> None:
        self.folder, self.vendors, self.sink, self.address = folder, vendors, sink, free()
        self.wanted = {name: set[str]() for name in vendors}  # changes that are to be told
        (folder / "secret").write_text(SECRET, encoding="utf-8")
        path = write_config(folder, vendors, url, start="8d", every="1h", settle="2s", webhook_secret="SECRET")
        text = path.read_text(encoding="utf-8").replace('"SECRET"', f'{{ file = "{folder}/secret" }}')
        text += f'[serve]\nlisten = "{self.address}"\n'
        text += f'[[sink]]\nname = "everybody"\nkind = "webhook"\nurl = "{sink.url}"\n'
        path.write_text(text + '[[notice]]\nname = "all"\nto = "everybody"\ngroup = "1s"\n', encoding="utf-8")
        self.config = str(path)

    def run(self) -> Process:
        return Process("run", "--config", self.config, folder=self.folder)

    def happen(self, times: int = 1) -> None:
        """Let something happen at both vendors."""
        for name, vendor in self.vendors.items():
            before = _log(vendor)
            for _ in range(times):
                vendor.happen()
            self.wanted[name] |= _log(vendor) - before

    def nudge(self, *, secret: str = SECRET) -> list[int]:
        """Send a webhook of each vendor, and return the answers' statuses."""
        return [
            httpx.post(f"http://{self.address}/webhooks/{name}", content=b"{}", timeout=20,
                       headers=signed(vendor.connector.vendor, secret, b"{}")).status_code
            for name, vendor in self.vendors.items()
        ]  # fmt: skip

    def is_whole(self, store: Store) -> bool:
        """Return whether every change is in the table, as the log that a webhook wakes tells it."""
        stored = {name: set().union(*held(store, name).values()) for name in self.vendors}
        return all(ids <= stored[name] for name, ids in self.wanted.items())

    def untold(self) -> set[str]:
        return set().union(*self.wanted.values()) - {id for got in self.sink.got for id in got.ids}


def _log(vendor: Simulator) -> set[str]:
    """Return the ids of what a vendor's audit logs show."""
    return {id for stream, ids in shown(vendor).items() if stream.startswith("audit_log") for id in ids}


@pytest.mark.timeout(240)
def test_a_daemon_that_upgrades_is_nudged_and_killed_loses_nothing_and_tells_each_change_once(
    trail: Trail,  # noqa: F811
    postgres: Callable[[], str],
    tmp_path: Path,
) -> None:
    url = postgres()
    engine = _engine(make_url(url))
    with writing(engine) as connection:
        upgrade(connection, OLD)
        earlier = Shape(connection, OLD)
        earlier.write(trail, connection)
    engine.dispose()
    with ExitStack() as stack:
        sink = stack.enter_context(place())
        life = Life(tmp_path, url, trail.vendors, sink)
        with life.run() as daemon:
            wait_until(lambda: daemon.lines("serving") and len(daemon.lines("tick")) > 1, "it upgrades, and reads")
            store = stack.enter_context(Store(url, create=False))
            wait_until(lambda: "all" in begun(store), "it tells of what comes from now on")
            assert earlier.read(store)["record"] == earlier.read(trail.store)["record"]
            life.happen(3)
            assert life.nudge(secret="forged") == [401, 401]
            assert not life.is_whole(store), "nobody looks because of a forged webhook"
            started = time.monotonic()
            for _ in range(2):  # a webhook may come twice
                assert life.nudge() == [204, 204]
            wait_until(lambda: life.is_whole(store), "a webhook brings what happened")
            assert time.monotonic() - started < SOON
            wait_until(lambda: not life.untold(), "it is told")

            def kill(_: Got) -> None:
                daemon.signal(signal.SIGKILL)
                daemon.end()

            sink.before = kill
            life.happen()
            assert life.nudge() == [204, 204]
            wait_until(lambda: not daemon.alive, "it is killed while it tells of a change")
            sink.before = lambda got: None
        life.happen(2)  # while nobody listens: these webhooks are lost
        with writing(store.engine) as connection:  # some minutes pass
            connection.execute(update(NOTICE).values(leased_until=datetime.now(UTC)))
        with life.run() as daemon:
            wait_until(lambda: life.is_whole(store), "what happened meanwhile is read")
            wait_until(lambda: not life.untold(), "and told")
            wait_until(lambda: all(one.state == SENT for one in notices(store, "waiting", "dead")), "nothing waits")
            wait_until(
                lambda: all(held(store, name) == shown(each) for name, each in life.vendors.items()), "all is there"
            )
            assert daemon.terminated()[0] == 0
        assert_claims_hold(store, life.vendors)
        assert rows(store, "SELECT count(*), count(DISTINCT id) FROM event") == [(stored := _count(store), stored)]
        keys: dict[str, set[str]] = {}
        for got in sink.got:
            for id in got.ids:
                keys.setdefault(id, set()).add(got.key)
        assert all(len(several) == 1 for several in keys.values()), "a message that comes twice has one key"
        assert len(sink.got) == len({got.key for got in sink.got}) + 1, "only the one that was being sent comes twice"


def _count(store: Store) -> int:
    return sum(len(ids) for source in ("ld", "cc") for ids in held(store, source).values())
