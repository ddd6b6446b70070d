"""Exporting, following and asking with SQL, as a user runs them."""

import csv
import io
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flagtrail.event import Event
from flagtrail.exports import Format, jsonl
from flagtrail.query import Query, events
from flagtrail.rows import Reading
from flagtrail.store import Store
from tests.acceptance.conftest import COMMAND, Flagtrail, environment

START = datetime(2026, 1, 10, tzinfo=UTC)


def add(store: Store, first: int, count: int = 1) -> None:
    page = [
        (
            Event(
                vendor_id=str(number),
                occurred_at=START + timedelta(days=number),
                action="turned_on",
                vendor_action="x",
                actor_name="=Ada",
                environment=("Production", "test")[number % 2],
                summary=f"turned on flag {number}",
            ),
            {"id": number},
        )
        for number in range(first, first + count)
    ]
    store.add("acme", "launchdarkly", [Reading("audit_log", page)])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with 60 events of three months, where a config leads to."""
    (tmp_path / "flagtrail.toml").write_text('[[source]]\nname = "acme"\nconnector = "launchdarkly"\n')
    with Store(f"sqlite:///{tmp_path / 'flagtrail.db'}") as opened:
        opened.note_source("acme", "launchdarkly", None)
        add(opened, 0, 60)
        yield opened


def test_every_format_goes_to_a_file_and_those_of_lines_to_a_pipe(
    store: Store, flagtrail: Flagtrail, tmp_path: Path
) -> None:
    for form in Format:
        done = flagtrail("export", "--format", form, "--out", f"out-{form}")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert f"60 events in out-{form}" in done.stderr
        assert "not everything is here" in done.stderr, "what is missing is said"
        if form is not Format.PARQUET:
            written = (tmp_path / f"out-{form}").read_text()
            assert len(written.splitlines()) == (61 if form is Format.CSV else 60)
    assert flagtrail("export").stdout == (tmp_path / "out-jsonl").read_text()
    assert len(list((tmp_path / "out-parquet").glob("month=*/part-0.parquet"))) == 3
    with (tmp_path / "out-jsonl").open("rb") as lines:
        back = list(jsonl.read(lines))
    expected = list(events(store, Query(limit=0)))
    assert back == [{name: row[name] for name in back[0]} for row in expected]


def test_the_filters_are_those_of_events(store: Store, flagtrail: Flagtrail) -> None:
    assert store
    words = ["--environment", "production", "--since", "2026-02-01", "--text", "flag"]
    shown = flagtrail("events", *words, "--limit", "0", "-o", "csv").stdout
    assert flagtrail("export", *words, "--format", "csv").stdout == shown
    assert 10 < len(shown.splitlines()) < 30
    assert {row["actor_name"] for row in csv.DictReader(io.StringIO(shown))} == {"'=Ada"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "parquet"], "name it with --out FOLDER"),
        (["--out", "."], "is a folder: name a file in it"),
        (["--out", "nowhere/x"], "does not exist"),
        (["--format", "xml"], "--format"),
        (["--since", "1h", "--until", "2h"], "is not before"),
        (["--source", "nobody"], "there is no source 'nobody'"),
        (["--format", "parquet", "--out", "trail", "--since", "2026-02-02T00:00Z"], "write --since 2026-02-01T00:00Z"),
        (["--format", "parquet", "--out", "flagtrail.toml"], "is a file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    words: list[str], told: str, store: Store, flagtrail: Flagtrail, tmp_path: Path
) -> None:
    assert store
    before = set(tmp_path.iterdir())
    done = flagtrail("export", *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert set(tmp_path.iterdir()) <= before


def test_following_prints_the_last_ones_and_then_each_as_it_is_stored(store: Store, tmp_path: Path) -> None:
    words = [*COMMAND, "events", "--follow", "--environment", "production", "-n", "2", "-o", "jsonl"]
    program = subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(60, program.kill)
    watchdog.start()
    assert program.stdout is not None
    assert [json.loads(program.stdout.readline())["vendor_id"] for _ in range(2)] == ["56", "58"]
    add(store, 60, 2)
    assert json.loads(program.stdout.readline())["vendor_id"] == "60"
    program.send_signal(signal.SIGINT)
    rest, told = program.communicate(timeout=20)
    watchdog.cancel()
    assert (rest, program.returncode) == ("", 130)
    [position] = [line.rpartition(" ")[2] for line in told.splitlines() if "--follow --after" in line]
    add(store, 62, 1)
    again = subprocess.Popen(
        [*COMMAND, "events", "--follow", "--after", position], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE
    )
    watchdog = threading.Timer(60, again.kill)
    watchdog.start()
    assert again.stdout is not None
    shown = ""
    while "turned on flag 62" not in shown and (line := again.stdout.readline()):
        shown += line.decode()
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=20)
    watchdog.cancel()
    assert "turned on flag 61" in shown
    assert "turned on flag 62" in shown
    assert "turned on flag 59" not in shown  # 60 may be: it was interrupted while it was shown


def test_following_refuses_what_has_an_end_or_no_place(store: Store, flagtrail: Flagtrail) -> None:
    assert store
    for words, told in (
        (["-o", "json"], "-o jsonl"),
        (["--after", "x"], "no position"),
        (["--after", "YWZ0ZXIgOTk"], "another"),
    ):
        done = flagtrail("events", "--follow", *words)
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_sql_is_a_table_in_a_terminal_and_for_programs_what_is_asked(
    store: Store, flagtrail: Flagtrail, tmp_path: Path
) -> None:
    assert store
    statement = "SELECT day, sum(changes) AS changes FROM daily GROUP BY day ORDER BY day"
    lines = flagtrail("sql", statement).stdout.splitlines()
    assert json.loads(lines[0]) == {"day": "2026-01-10", "changes": 1}
    assert len(lines) == 60
    assert len(json.loads(flagtrail("sql", statement, "-o", "json").stdout)) == 60
    cut = flagtrail("sql", statement, "-n", "3", "-o", "csv")
    assert [row["day"] for row in csv.DictReader(io.StringIO(cut.stdout))] == ["2026-01-10", "2026-01-11", "2026-01-12"]
    assert "the first 3 rows are shown, there are more: --limit 0 shows all" in cut.stderr
    assert "2026-01-10        1" in flagtrail("sql", statement, "-o", "table").stdout
    program = subprocess.run(
        [*COMMAND, "sql", "-"], input="SELECT 5 AS five;\n", cwd=tmp_path, env=environment(), text=True,
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(program.stdout) == {"five": 5}
    for wrong in ("DELETE FROM event", "SELECT nothing", "-"):
        done = flagtrail("sql", wrong)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_a_disk_that_is_full_is_told_in_one_line_and_the_old_file_stays(store: Store, tmp_path: Path) -> None:
    assert store
    (tmp_path / "changes").write_text("old")
    command = f"ulimit -f 40; {' '.join(COMMAND)} export --format ocsf --out changes"  # of 1024 bytes
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == "error: changes cannot be written: File too large; nothing of it was replaced\n"
    assert (tmp_path / "changes").read_text() == "old"
    assert not list(tmp_path.glob(".*.part"))
