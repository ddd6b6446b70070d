"""SQL that only reads: what people ask is answered, and what would change anything, or take too long, is refused."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from flagtrail.connector import Stream
from flagtrail.database import writing
from flagtrail.errors import ConfigError
from flagtrail.event import Event, Ref
from flagtrail.exports import parquet
from flagtrail.query import Query, events
from flagtrail.rows import Reading
from flagtrail.sql import asked
from flagtrail.status import status
from flagtrail.store import Store
from flagtrail.window import Window

DOCS = Path(__file__).parents[2] / "docs"
NOW = datetime.now(UTC).replace(microsecond=0)


def filled(url: str) -> Store:
    """Return a store with two sources, a flag event beside its audit entry and one without, coverage and a gap."""
    store = Store(url)
    start = NOW - timedelta(days=40)
    for source, vendor in (("acme", "launchdarkly"), ("other", "configcat")):
        store.note_source(source, vendor, None)
        store.register(source, vendor, Stream("audit_log", label="Web"), wanted_since=start, settled_at=NOW)
        page = [
            (
                Event(
                    vendor_id=str(number), occurred_at=NOW - timedelta(hours=number * 30), vendor_action="x",
                    action=("turned_on", "turned_off", "targeting_changed")[number % 3], actor_name="Ada",
                    actor_email="ada@example.com", object_kind="flag", object_key=f"flag-{number % 5}", project="web",
                    environment=("Production", "test")[number % 2], summary=f"change {number}", comment="INC-2231",
                    changes=[{"path": "/on", "before": False, "after": True}],  # type: ignore[list-item]
                ),
                {"id": number},
            )
            for number in range(20)
        ]  # fmt: skip
        store.add(source, vendor, [Reading("audit_log", page, Window(start, NOW - timedelta(days=1)))])
    effects = [
        (
            Event(
                vendor_id=f"e{number}", occurred_at=NOW, action="updated", vendor_action="x", impact={"size": "large"},
                related_event=Ref("audit_log", number),
            ),
            {"id": f"e{number}"},
        )
        for number in ("0", "gone")
    ]  # fmt: skip
    lost = Window(start, start + timedelta(days=2))
    store.add("acme", "launchdarkly", [Reading("flag_events[web/production]", effects)])
    store.register("acme", "launchdarkly", Stream("empty"), wanted_since=start, settled_at=NOW)
    store.note_lost("acme", "empty", [lost], "it aged out")
    return store


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def trail(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('a folder with % and # in it')}/trail.db"
    else:
        url = request.getfixturevalue("postgres")()
    with filled(url) as store:
        yield store


def answer(store: Store, statement: str, timeout: float = 30) -> list[dict[str, Any]]:
    with asked(store, statement, timeout) as found:
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def refused(store: Store, statement: str, timeout: float = 30) -> str:
    with pytest.raises(ConfigError) as error:
        answer(store, statement, timeout)
    assert "\n" not in str(error.value)
    return str(error.value)


def blocks(page: str, language: str) -> list[str]:
    """Return the examples of a page in a language, such as `sql`, or `sql postgresql` for those of one database."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def test_every_example_of_the_docs_gives_rows(trail: Store) -> None:
    both, mine = blocks("sql.md", "sql"), blocks("sql.md", f"sql {trail.engine.dialect.name}")
    assert len(both) >= 4
    assert mine
    for statement in (*both, *mine):
        assert answer(trail, statement), statement


def test_the_docs_name_every_column_of_every_view(trail: Store) -> None:
    page = (DOCS / "sql.md").read_text(encoding="utf-8")
    for view in ("change", "daily", "completeness"):
        with asked(trail, f"SELECT * FROM {view}") as found:
            [described] = re.findall(rf"^## {view}\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
            assert re.findall(r"^\| `(\w+)` \|", described, re.MULTILINE) == found.columns


def test_a_change_is_a_row_of_the_view_as_it_is_of_the_command(trail: Store) -> None:
    found = answer(trail, "SELECT id, actor, object, impact_size FROM change ORDER BY occurred_at DESC, number DESC")
    shown = list(events(trail, Query(limit=0)))
    assert [row["id"] for row in found] == [row["id"] for row in shown]
    assert [row["impact_size"] for row in found] == [(row["impact"] or {}).get("size") for row in shown]
    assert [row["impact_size"] for row in found].count("large") == 2
    assert {row["actor"] for row in found} == {"Ada", "unknown"}
    [total] = answer(trail, "SELECT sum(changes) AS changes, min(day) AS first FROM daily")
    assert total == {"changes": 41, "first": min(row["occurred_at"] for row in shown).date().isoformat()}


def test_completeness_is_what_status_says(trail: Store) -> None:
    found = {(row["source"], row["stream"]): row for row in answer(trail, "SELECT * FROM completeness")}
    streams = status(trail)
    assert len(found) == len(streams) == 3
    for stream in streams:
        row = found[stream.state.source, stream.state.stream]
        assert row["covered"] == pytest.approx(stream.share, abs=1e-6)
        assert row["lost"] == sum(gap.permanent for gap in stream.gaps)
        assert (row["covered_until"] is None) == (not stream.covered)
    assert found["acme", "empty"]["covered"] == 0
    assert 0.97 < found["acme", "audit_log"]["covered"] < 1


WRITES = [
    "DELETE FROM event",
    "UPDATE event SET actor_name = 'Eve'",
    "INSERT INTO gathered VALUES (2, 0)",
    "DROP TABLE event",
    "CREATE TABLE mine (x int)",
    "CREATE TEMP TABLE mine (x int)",
    "SELECT 1; DELETE FROM event",
    "SELECT 1;; DROP TABLE event",
    "COMMIT; DELETE FROM event",
    "/* SELECT */ DELETE FROM event",
    "-- SELECT\nDELETE FROM event",
    "WITH gone AS (DELETE FROM event RETURNING *) SELECT * FROM gone",
    "WITH x AS (SELECT 1) DELETE FROM event",
    "BEGIN",
    "",
    ";",
    "SELECT '\0'",
]
WRITES_OF = {
    "sqlite": [
        "ATTACH DATABASE 'other.db' AS other",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = ON",
        "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')",
        "SELECT fts3_tokenizer('simple', x'00')",
        "WITH x AS (SELECT 1) INSERT INTO gathered SELECT 5, 5",
        "REINDEX",
        "VALUES (1); PRAGMA query_only = OFF",
        "SELECT * FROM pragma_journal_mode('delete')",
        "SELECT zeroblob(1000000000)",
    ],
    "postgresql": [
        "COPY event TO PROGRAM 'cat'",
        "COPY event TO '/tmp/x'",
        "DO $$ BEGIN COMMIT; END $$",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT pg_catalog.set_config('statement_timeout', '0', false)",
        "SELECT \"set_config\"('role', 'none', false)",
        "SELECT U&\"set!005fconfig\" UESCAPE '!' ('x', 'y', false)",
        "SET TRANSACTION READ WRITE",
        "SELECT nextval(pg_get_serial_sequence('event', 'number'))",
        "SELECT setval(pg_get_serial_sequence('event', 'number'), 1)",
        "SELECT lo_create(0)",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM pg_ls_dir('/')",
        "SELECT pg_sleep(10)",
        "SELECT pg_advisory_lock(1718378855)",
        "SELECT pg_try_advisory_xact_lock(1718378855)",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "SELECT query_to_xml('DELETE FROM event', true, true, '')",
        "SELECT * FROM ts_stat('SELECT pg_read_file(1)')",
        "SELECT pg_notify('x', 'y')",
        "SELECT pg_switch_wal()",
        "SELECT * INTO mine FROM event",
        "SELECT * FROM event FOR UPDATE",
        "LOCK TABLE event",
        "TABLE event; DROP TABLE event",
        "WITH x AS MATERIALIZED (UPDATE event SET actor_name = 'Eve' RETURNING *) SELECT * FROM x",
        "EXPLAIN ANALYZE DELETE FROM event",
        "DECLARE c CURSOR FOR SELECT 1",
        "PREPARE p AS DELETE FROM event",
    ],
}


@pytest.mark.parametrize("first_word_counts", [True, False])
def test_nothing_can_be_changed(trail: Store, first_word_counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answer(trail, "SELECT * FROM event ORDER BY number")
    statements = [*WRITES, *WRITES_OF[trail.engine.dialect.name]]
    if not first_word_counts:  # which makes a plainer message, and nothing depends on it
        monkeypatch.setattr("flagtrail.sql.BEGINS", re.compile(""))
        statements = [each for each in statements if each.strip("; ")]
    for statement in statements:
        assert refused(trail, statement), statement
    assert answer(trail, "SELECT * FROM event ORDER BY number") == before
    assert len(before) == 42


def test_the_transaction_itself_refuses_to_write(postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the list of names the read-only transaction of PostgreSQL still stands."""
    with Store(postgres()) as store:
        with writing(store.engine) as connection:
            connection.execute(text("CREATE TABLE mine (x int)"))
            connection.execute(
                text(
                    "CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql STABLE AS "
                    "$$ BEGIN EXECUTE 'INSERT INTO mine VALUES (1)'; RETURN 1; END $$"
                )
            )
        assert "read-only" in refused(store, "SELECT sneaky()") or "non-volatile" in refused(store, "SELECT sneaky()")
        monkeypatch.setattr("flagtrail.sql._refuse_effects", lambda *_: None)
        assert "read-only transaction" in refused(store, "SELECT nextval(pg_get_serial_sequence('event', 'number'))")
        assert "read-write mode" in refused(store, "SELECT set_config('transaction_read_only', 'off', false)")
        assert answer(store, "SELECT count(*) AS n FROM mine") == [{"n": 0}]


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 1000000000) b",
}


def test_a_statement_that_takes_too_long_is_ended(trail: Store) -> None:
    began = time.monotonic()
    assert "took longer than 0.3 s" in refused(trail, ENDLESS[trail.engine.dialect.name], 0.3)
    many = ENDLESS[trail.engine.dialect.name].replace("count(*)", "*")
    assert "took longer than 0.3 s" in refused(trail, many, 0.3), "also while rows come"
    assert time.monotonic() - began < 15


def test_a_mistake_is_told_in_one_line(trail: Store) -> None:
    assert re.search("nonexistent", refused(trail, "SELECT * FROM\n nonexistent"))
    assert "syntax" in refused(trail, "SELECT FROM WHERE")
    assert "SELECT, WITH or VALUES" in refused(trail, "EXPLAIN DELETE FROM event")


def test_values_are_plain_and_columns_have_a_name_each(trail: Store) -> None:
    with asked(trail, "SELECT 1 AS a, 2 AS a, 3 AS a, NULL AS b, 0.5 AS c, 'x;y' AS d /* ; */ ; ") as found:
        assert found.columns == ["a", "a_2", "a_3", "b", "c", "d"]
        assert list(found.rows) == [(1, 2, 3, None, 0.5, "x;y")]
    [one] = answer(trail, "SELECT occurred_at, changes, truncated FROM event WHERE vendor_id = '0' AND source = 'acme'")
    assert one["occurred_at"] == NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert one["truncated"] in (0, False)
    [body] = answer(trail, "SELECT body FROM record WHERE number = 1")
    assert body["body"].startswith("28b52ffd")
    assert answer(trail, "SELECT sum(number) AS s FROM event")[0]["s"] == sum(range(1, 43))
    assert answer(trail, "(SELECT 1 AS x)") if trail.engine.dialect.name == "postgresql" else True


def test_what_json_holds_can_be_asked_for_in_sqlite(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'trail.db'}") as store:
        assert answer(store, "SELECT sum(value) AS s FROM json_each('[1,2]')") == [{"s": 3}]
        deep = "WITH x(t) AS (VALUES ('{\"a\": [true, 5]}')) SELECT fullkey, atom FROM x, json_tree(t) WHERE atom = 5"
        assert answer(store, deep) == [{"fullkey": "$.a[1]", "atom": 5}]
        assert "only reading" in refused(store, "SELECT * FROM pragma_journal_mode('delete')")


def test_numbers_and_instants_without_end_are_told_as_text(postgres: Callable[[], str]) -> None:
    with Store(postgres()) as store:
        [one] = answer(
            store,
            "SELECT 1e5000::numeric AS long, -1e5000::numeric AS below, 1e300::numeric AS whole, 0.5 + 1e400 AS part, "
            "'nan'::numeric AS none, 12::numeric AS short, '24:00'::time AS late, '[1e5000]'::jsonb AS held",
        )
        assert one == {
            "long": "1" + "0" * 5000, "below": "-1" + "0" * 5000, "whole": 10**300, "part": "1" + "0" * 400 + ".5",
            "none": "nan", "short": 12, "late": "24:00:00", "held": "[1" + "0" * 5000 + "]",
        }  # fmt: skip
        [one] = answer(
            store,
            "SELECT 'infinity'::timestamptz AS a, '-infinity'::timestamp AS b, 'infinity'::date AS c, "
            "'20000-01-01'::date AS d, '0044-03-15 BC'::timestamptz AS e, ARRAY['infinity'::timestamptz] AS f, "
            "'2026-03-01 12:00+02'::timestamptz AS g, '2026-03-01'::date AS h",
        )
        assert one == {
            "a": "infinity", "b": "-infinity", "c": "infinity", "d": "20000-01-01", "e": "0044-03-15 00:00:00+00 BC",
            "f": ["infinity"], "g": "2026-03-01T10:00:00.000Z", "h": "2026-03-01",
        }  # fmt: skip


def test_a_role_that_may_only_read_can_ask_and_nothing_else(postgres: Callable[[], str]) -> None:
    """The statements of the docs that make such a role, and flagtrail as that role."""
    url = postgres()
    with filled(url):
        pass
    [statements] = blocks("sql.md", "sql role")
    admin = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for statement in statements.replace("flagtrail", str(make_url(url).database)).split(";"):
            if statement.strip():
                connection.execute(text(statement.replace(":", "\\:")))
    admin.dispose()
    as_reader = make_url(url).set(username="reader").render_as_string(hide_password=False)
    with Store(as_reader, create=False) as store:
        assert answer(store, "SELECT count(*) AS n FROM change") == [{"n": 41}]
        assert list(events(store, Query()))
        with store.engine.begin() as connection:
            connection.execute(text("SET TRANSACTION READ WRITE"))
            with pytest.raises(ProgrammingError, match="permission denied"):
                connection.execute(text("DELETE FROM event"))


def test_duckdb_reads_the_exported_parquet(trail: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    count = parquet.write(events(trail, Query(limit=0, linked=True)), Path("trail"))
    recipes = blocks("export.md", "sql duckdb")
    assert len(recipes) >= 2
    for recipe in recipes:
        assert duckdb.sql(recipe).fetchall(), recipe
    assert duckdb.sql("SELECT count(*) FROM 'trail/month=*/*.parquet'").fetchall() == [(count,)]


def test_reading_is_possible_while_somebody_writes(trail: Store) -> None:
    with asked(trail, "SELECT number FROM event ORDER BY number") as found:
        first = next(found.rows)
        with writing(trail.engine) as connection:
            connection.execute(text("UPDATE event SET comment = 'later' WHERE number = 42"))
        assert [first, *found.rows] == [(number,) for number in range(1, 43)]


def test_the_core_of_sql_imports_no_terminal() -> None:
    program = "import sys, flagtrail.sql; print('rich' in sys.modules, 'psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]
