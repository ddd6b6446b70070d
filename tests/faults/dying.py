"""A sync, or the making of a database, that is killed at its n-th step; it runs in a process of its own."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from multiprocessing import get_context
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql import psycopg  # noqa: F401 - imported before the fork, not in each child
from sqlalchemy.dialects.sqlite import pysqlite  # noqa: F401
from sqlalchemy.engine.default import DefaultDialect

from flagtrail import api
from flagtrail.migrations import upgrade  # noqa: F401
from flagtrail.notices import outbox
from flagtrail.notices.outbox import To
from flagtrail.notices.sending import Sender
from flagtrail.notices.webhook_sink import Webhook
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.simulator import Simulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.sinks import collector, rule

EVERYTHING = rule(to=[To("ops", 100, sums_up=False)])
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.dying"])


def killed_at_every_step(work: Callable[..., None], *arguments: Any, first: int = 1, each: int = 1) -> Any:
    """Run something in processes that are killed at its first step, at its second, and so on; yield after each kill.

    It ends with a process that came to its end. Only `each` so many-th step is one, counted from the first.
    """
    for number in count(first, each):
        process = CONTEXT.Process(target=work, args=(number, *arguments))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            return
        assert process.exitcode == -signal.SIGKILL, process.exitcode
        yield number


def sync(at: int, url: str, base_url: str) -> None:
    """Sync the audit log of LaunchDarkly into an existing database; die at a step."""
    with Store(url) as store:
        _die(at, reading=True)
        with Session(audit_log_at(base_url), store) as session:
            assert session.fill().errors == []


def create(at: int, url: str) -> None:
    """Make a database; die at a step."""
    _die(at, reading=False)
    Store(url).close()


def audit_log_at(base_url: str) -> Source:
    """Return a source with the audit log of the simulated LaunchDarkly, read one window after the other."""

    class Elsewhere(LaunchDarklySimulator):
        url = base_url

    connector = Elsewhere().connect().model_copy(update={"flag_events": False})
    return replace(Source("acme", connector, start=timedelta(days=31)), parallel=1)


def audit_log_of(vendor: Simulator) -> Source:
    """Return the same for a vendor in this process."""
    return audit_log_at(vendor.url)


def tell(at: int, url: str, target: str) -> None:
    """Collect what was stored for a rule, and send it; die at a step, and leave the lease to whoever comes next."""
    with Store(url) as store:
        _die(at, reading=False)
        collector(store, EVERYTHING).collect()
        sending = Sender(store, "ops", Webhook(url=SecretStr(target)), lease=timedelta())
        while found := outbox.claim(store, "ops", datetime.now(UTC), sending.lease):
            sending.send(found)


def _die(at: int, *, reading: bool) -> None:
    """Kill this process at its n-th step: before each statement of a write, around each COMMIT, at each answer."""
    lock, steps = threading.Lock(), count(1)

    def step(*_: object, **__: object) -> None:
        with lock:
            if next(steps) == at:
                os.kill(os.getpid(), signal.SIGKILL)

    commit, read = DefaultDialect.do_commit, api._read

    def before(connection: Connection, *_: object) -> None:
        if connection.get_execution_options().get("write"):
            step()

    def commit_between_steps(self: DefaultDialect, connection: Any) -> None:
        step()
        commit(self, connection)
        step()

    def read_and_step(*arguments: Any) -> Any:
        body = read(*arguments)
        step()
        return body

    event.listen(Engine, "before_cursor_execute", before)
    DefaultDialect.do_commit = commit_between_steps  # type: ignore[method-assign]
    if reading:
        api._read = read_and_step
