"""Whatever happens while the lake is written or read, and wherever it lies, no row and no promise is lost."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as arrow
import pytest
from sqlalchemy import column, func, select, text, update

from flagtrail import forget
from flagtrail.connector import Stream
from flagtrail.database import writing
from flagtrail.errors import ConfigError, LakeError, StoreError
from flagtrail.event import Event
from flagtrail.keep import delete_older
from flagtrail.lake import change, feed
from flagtrail.lake.asking import Asking
from flagtrail.lake.comparing import compare
from flagtrail.lake.keeping import Keeper
from flagtrail.lake.lock import LAKE_LOCK
from flagtrail.lake.opening import open_lake
from flagtrail.lake.settings import LakeSettings, is_secret
from flagtrail.lake.table import DeltaTable
from flagtrail.metrics import exposed
from flagtrail.query import Query, count
from flagtrail.query import events as find_events
from flagtrail.rows import Reading
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.window import Window
from tests.integration.mess import LOG, START, Mess
from tests.integration.test_lake import SETTINGS, assert_same, claimed, follow, held_anywhere, in_lake, keeper

WEEK = timedelta(days=7)
SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # where the database makes no difference


def add(store: Store, *days: int, **values: Any) -> None:
    """Store an event of each of some days after the start, of which everything before a day later is covered."""
    for day in days:
        at = START + timedelta(days=day)
        event = Event(vendor_id=f"{day}", occurred_at=at, action="updated", vendor_action="x", **values)
        store.add("acme", "v", [Reading(LOG, [(event, {"n": day})], covers=Window(START, at + timedelta(days=1)))])


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, first: Callable[[], Any]) -> None:
    """Let something else happen once, before a method is called the first time."""
    real, done = getattr(owner, name), list[bool]()

    def doing(*args: Any, **options: Any) -> Any:
        if not done:
            done.append(True)
            first()
        return real(*args, **options)

    monkeypatch.setattr(owner, name, doing)


def wanted(store: Store, tmp_path: Path) -> tuple[Path, datetime]:
    """Return where a lake goes, and when the second of two events happened; all since the first is wanted."""
    add(store, 1, 40)
    store.register("acme", "v", Stream(LOG), wanted_since=START)
    return tmp_path / "lake", START + timedelta(days=40)


def test_who_is_forgotten_while_the_lake_is_written_is_in_no_file_after_the_next_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, person = tmp_path / "lake", ["ada@acme.example", "Ada Lovelace"]
    add(store, 1, actor_kind="member", actor_name=person[1], actor_email=person[0])
    follow(store, path, vacuum=WEEK)
    add(store, 2)
    once(monkeypatch, Keeper, "_compact", lambda: forget.forget(store, person, None, lambda *_: None))
    follow(store, path, vacuum=WEEK)
    assert "Lovelace" in held_anywhere(path), "its rows were changed after they were read"
    follow(store, path, vacuum=WEEK)
    assert "Lovelace" not in held_anywhere(path)
    assert_same(store, path)


def test_what_moves_out_of_a_crowded_month_meanwhile_is_in_one_month(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "MOST", 9)
    monkeypatch.setattr(change, "CROWDED", 4)
    path = tmp_path / "lake"
    add(store, *range(20), 40, 80)
    follow(store, path)
    with writing(store.engine) as connection:
        connection.execute(update(EVENT).where(EVENT.c.number % 2 == 0).values(summary="changed"))

    def move() -> None:
        with writing(store.engine) as connection:
            connection.execute(update(EVENT).where(EVENT.c.number == 1).values(occurred_at=START + timedelta(days=100)))

    once(monkeypatch, Keeper, "_write_month", move)
    follow(store, path)
    assert [row["number"] for row in in_lake(path)] == list(range(1, 23)), "each is somewhere, once"
    follow(store, path)
    assert_same(store, path)


@SQLITE
def test_a_claim_that_is_taken_back_while_the_lake_is_opened_is_not_made(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, later = wanted(store, tmp_path)
    follow(store, path)

    def keep() -> None:
        assert delete_older(store, "acme", later, seconds=5) == 1
        follow(store, path)

    once(monkeypatch, DeltaTable, "files", keep)
    assert claimed(path) == [(later, later + timedelta(days=1))]


def test_what_is_deleted_while_the_lake_is_written_is_not_claimed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, later = wanted(store, tmp_path)
    once(monkeypatch, Keeper, "_drain", lambda: delete_older(store, "acme", later, seconds=5))
    follow(store, path)
    assert [row["number"] for row in in_lake(path)] == [2]
    assert claimed(path) == [(later, later + timedelta(days=1))]


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)  # SQLite's lock is a file's, and stays
def test_who_has_lost_the_lock_writes_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lake"
    add(store, 1)
    follow(store, path)
    add(store, 2)

    def end_connection() -> None:
        with writing(store.engine) as connection:
            mine = select(column("pid")).select_from(text("pg_locks")).where(text(f"objid = {LAKE_LOCK}"))
            assert connection.execute(select(func.pg_terminate_backend(mine.scalar_subquery()))).scalar()

    once(monkeypatch, Keeper, "_begin_write", end_connection)
    with pytest.raises(StoreError, match="terminat"):
        follow(store, path)
    assert len(in_lake(path)) == 1
    follow(store, path)
    assert_same(store, path)


@SQLITE
def test_a_count_of_everything_is_of_the_lake(store: Store, tmp_path: Path) -> None:
    add(store, 1, 2, 40)
    follow(store, tmp_path / "lake")
    with Asking(open_lake(str(tmp_path / "lake"), SETTINGS)) as lake:
        for query in (Query(linked=True), Query()):
            for by in ([], ["hour"]):
                assert lake.count(query, by) == count(store, query, by), (query, by)


@SQLITE
def test_a_path_with_signs_that_engines_read_otherwise_holds_a_lake_too(store: Store, tmp_path: Path) -> None:
    mess, path = Mess(store, 3), tmp_path / "environment=other" / "it's a 100% *lake?* ü #1"
    for _ in range(5):
        mess.write()
    follow(store, path)
    mess.write()
    follow(store, path)
    assert compare(keeper(store, path)).differences == []
    with Asking(open_lake(str(path), SETTINGS)) as lake:
        query = Query(environment="production", limit=0)
        assert list(lake.events(query)) == list(find_events(store, query))
        assert lake.count(Query(), ["environment"]).total > 0
    with pytest.raises(ConfigError, match="because of '%20' in it"):
        open_lake(str(tmp_path / "a%20lake"), SETTINGS)


@SQLITE
def test_a_table_of_something_else_is_left_alone_and_one_with_other_columns_made_anew(
    store: Store, tmp_path: Path
) -> None:
    path, other = tmp_path / "lake", tmp_path / "other"
    deltalake.write_deltalake(str(other / "event"), arrow.table({"month": ["2026-03"], "what": ["else"]}))
    add(store, 1, 40)
    for rebuild in (False, True):
        with pytest.raises(ConfigError, match="not written"):
            keeper(store, other).follow(rebuild=rebuild)
    assert deltalake.DeltaTable(str(other / "event")).version() == 0
    follow(store, path)
    table = deltalake.DeltaTable(str(path / "event"))
    table.alter.add_columns([deltalake.Field("older", deltalake.schema.PrimitiveType("string"))])
    assert "columns" in str(follow(store, path).why_built)
    assert_same(store, path)


def test_how_many_changes_wait_is_a_metric(store: Store, tmp_path: Path) -> None:
    def waiting() -> str:
        told = exposed(store, (), None)[0].decode()
        return next(line for line in told.splitlines() if line.startswith("flagtrail_lake_waiting_changes "))

    add(store, 1)
    assert waiting().endswith(" 0.0"), "no lake is kept"
    follow(store, tmp_path / "lake")
    assert waiting().endswith(" 0.0")
    add(store, 2, 3)
    assert waiting().endswith(" 2.0")
    feed.end(store)
    assert waiting().endswith(" 0.0")


def test_secrets_of_object_stores_are_known_by_their_names() -> None:
    for name in ("aws_secret_access_key", "azure_storage_access_key", "master_key", "AZURE_STORAGE_SAS_KEY",
                 "aws_sse_customer_key_base64", "bearer_token", "account_key"):  # fmt: skip
        assert is_secret(name), name
    for name in ("aws_access_key_id", "aws_region", "aws_web_identity_token_file", "azure_client_id"):
        assert not is_secret(name), name


def test_no_credential_of_an_address_is_told(tmp_path: Path) -> None:
    settings = LakeSettings(options={"timeout": "1s"})
    for url in ("s3://name:hidden@bucket/lake", "odd://name:hidden@place/lake"):
        with pytest.raises((LakeError, ConfigError)) as raised:
            open_lake(url, settings.model_copy(update={"options": {"aws_endpoint_url": "http://127.0.0.1:9",
                      "aws_allow_http": "true", "max_retries": "0", "aws_region": "x"}})).events.version()  # fmt: skip
        assert "hidden" not in str(raised.value), url
