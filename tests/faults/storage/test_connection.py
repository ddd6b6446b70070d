"""PostgreSQL is far away: the connection is cut, the server goes, or ends what is under way."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from flagtrail.errors import StoreError
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows
from tests.faults.conftest import Oracle
from tests.faults.running import ALWAYS, at, is_whole, source_of
from tests.faults.storage.filling import administration, fill, hang_up_all
from tests.faults.storage.proxy import Proxy


@pytest.fixture
def postgres_url(postgres: Callable[[], str]) -> str:
    return postgres()


@pytest.fixture
def little() -> Iterator[LaunchDarklySimulator]:
    """LaunchDarkly with four pages of audit log and nothing else: few transactions, so that each can have its turn."""
    with LaunchDarklySimulator() as simulator:
        simulator.fill(70, 30, seed=6, flag_events=0)
        yield simulator


def audit_log_of(vendor: LaunchDarklySimulator) -> Source:
    connector = vendor.connect().model_copy(update={"flag_events": False})
    return replace(source_of(vendor, parallel=1), connector=connector)


@pytest.mark.fault("D5", "the connection is cut in COMMIT, before or after it took effect")
@pytest.mark.parametrize("lose", ["request", "answer"])
def test_d5_a_commit_of_unknown_outcome_is_harmless(
    oracle: Oracle, little: LaunchDarklySimulator, postgres_url: str, lose: str
) -> None:
    source = audit_log_of(little)
    with Store(postgres_url) as store, Proxy(postgres_url) as proxy, Store(proxy.url) as far:
        said: list[str] = []
        for number in range(1, 40):
            with Session(source, far) as session:
                proxy.lose_at, proxy.lose = proxy.commits + number, lose
                before = counted(store)
                added = counting_adds(far)
                try:
                    errors = session.fill().errors
                except StoreError as error:
                    said.append(str(error))
                    assert proxy.lost
                    if added[-1:] == ["failed"]:
                        oracle.holds((counted(store) > before + sum(n for n in added if isinstance(n, int)))
                                     == (lose == "answer"), "the outcome is what the test means it to be")  # fmt: skip
                else:
                    assert errors == []
                    assert proxy.lost == 0, "a lost COMMIT went unnoticed"
                    break
                finally:
                    proxy.lost = 0
            oracle.check(store, little)
            with Session(source, far) as session:
                assert session.fill().errors == []
            oracle.whole(store, little)
            assert is_whole(store, little)
            emptied(store)
        assert number > 3, "every transaction of a sync had its turn"
        assert not [one for one in said if "\n" in one]


def counted(store: Store) -> int:
    [(count,)] = rows(store, "SELECT count(*) FROM event")
    assert isinstance(count, int)
    return count


def counting_adds(store: Store) -> list[int | str]:
    """Return the list to which each `write` of a store appends how many events were new, or that it failed."""
    told: list[int | str] = []
    write = type(store).write

    def counting(*args: Any, **more: Any) -> Any:
        told.append("failed")
        added = write(store, *args, **more)
        told[-1] = len(added.new)
        return added

    store.write = counting  # type: ignore[method-assign]
    return told


def emptied(store: Store) -> None:
    with store.engine.begin() as connection:
        for table in ("event", "record", "coverage", "gap", "stream"):
            connection.execute(text(f"DELETE FROM {table}"))


@pytest.mark.fault("D5", "PostgreSQL goes away in the middle of a sync, and comes back")
@pytest.mark.parametrize("request_number", [2, 6, 12])
def test_d5_a_server_that_goes_away_and_comes_back_costs_nothing(
    oracle: Oracle, vendor: LaunchDarklySimulator, postgres_url: str, request_number: int
) -> None:
    with Store(postgres_url) as store, Proxy(postgres_url) as proxy, Store(proxy.url) as far:
        vendor.inject(at(request_number, proxy.down), times=ALWAYS)
        with Session(source_of(vendor), far) as session:
            with pytest.raises(StoreError) as raised:
                session.fill()
            assert "\n" not in str(raised.value)
            oracle.check(store, vendor)
            with pytest.raises(StoreError):
                session.fill()
            vendor.heal()
            proxy.up()
            assert session.fill().errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


@pytest.mark.fault("D5", "PostgreSQL is not there, or refuses us")
def test_d5_an_absent_server_is_told_in_one_line_without_the_password(oracle: Oracle, postgres_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused = make_url(postgres_url).set(database="no_such_database", password="pass-word").render_as_string(False)
    for url in (f"postgresql://flagtrail:pass-word@127.0.0.1:{port}/trail", refused):
        with pytest.raises(StoreError) as raised:
            Store(url)
        said = str(raised.value)
        oracle.holds("pass-word" not in said, "the password is not told")
        oracle.holds("\n" not in said and "[store] url" in said, "it says what to do, in one line")


@pytest.mark.fault("D5", "PostgreSQL ends our session in the middle of a transaction")
def test_d5_a_session_that_is_ended_anywhere_leaves_no_half_page(
    oracle: Oracle, little: LaunchDarklySimulator, postgres_url: str
) -> None:
    source = audit_log_of(little)
    with Store(postgres_url) as store, Store(postgres_url) as cut, administration(postgres_url) as admin:
        statements = 0
        turn = 0

        def end(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            nonlocal statements
            statements += 1
            if statements == turn:
                pid = cursor.connection.info.backend_pid
                admin.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        event.listen(cut.engine, "before_cursor_execute", end)
        said: list[str] = []
        for turn in range(1, 200):
            statements = 0
            with Session(source, cut) as session:
                try:
                    session.fill()
                except StoreError as error:
                    said.append(str(error))
            oracle.check(store, little)
            if statements < turn:
                break
            emptied(store)
        assert len(said) > 10
        assert not [one for one in said if "\n" in one]
        with Session(source, store) as session:
            assert session.fill().errors == []
        oracle.whole(store, little)
        assert is_whole(store, little)


@pytest.mark.fault("D5", "PostgreSQL ends idle sessions")
def test_d5_sessions_that_were_ended_between_two_ticks_are_not_noticed(
    oracle: Oracle, vendor: LaunchDarklySimulator, postgres_url: str
) -> None:
    with (
        Store(postgres_url) as store,
        Session(source_of(vendor), store) as session,
        administration(postgres_url) as admin,
    ):
        assert session.fill().errors == []
        assert hang_up_all(admin) >= 1
        vendor.happen()
        assert session.fill().errors == []
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)


@pytest.mark.fault("D5", "the server's isolation is serializable, and several write at once")
def test_d5_a_strict_isolation_of_the_server_makes_nobody_fail(
    oracle: Oracle, vendor: LaunchDarklySimulator, postgres_url: str
) -> None:
    with administration(postgres_url) as admin:
        name = make_url(postgres_url).database
        admin.execute(text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"))
    errors: list[str] = []

    def run() -> None:
        with Store(postgres_url) as own:
            try:
                errors.extend(fill(vendor, own))
            except StoreError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Store(postgres_url) as store:
        assert rows(store, "SHOW default_transaction_isolation") == [("serializable",)]
        oracle.whole(store, vendor)
        assert is_whole(store, vendor)
