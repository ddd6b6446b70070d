"""`flagtrail verify` as a user runs it: what it finds, what it heals, what it says, and how it exits."""

import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flagtrail.config import load, store_url
from flagtrail.status import StreamStatus, status
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing import faults
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.acceptance.conftest import Flagtrail

ALWAYS = 100_000
DAY_MS = 86_400_000
COUNTS = "auditlog/counts"


@pytest.fixture
def vendors() -> Iterator[dict[str, Any]]:
    """Both vendors, each with a short history; LaunchDarkly without flag events."""
    with LaunchDarklySimulator(insights="absent") as launchdarkly, ConfigCatSimulator() as configcat:
        launchdarkly.fill(150, 60, seed=5)
        configcat.fill(150, 60, seed=5)
        yield {"acme-launchdarkly": launchdarkly, "acme-configcat": configcat}


def configured(folder: Path, vendors: dict[str, Simulator], **more: Any) -> Path:
    path = write_config(folder, vendors, "sqlite:///trail.db", **({"start": "61d"} | more))
    text = path.read_text().replace('connector = "launchdarkly"', 'connector = "launchdarkly"\nflag_events = false')
    path.write_text(text)
    return path


@pytest.fixture
def synced(tmp_path: Path, vendors: dict[str, Any]) -> Path:
    sync(configured(tmp_path, vendors))
    return tmp_path


def sync(path: Path) -> None:
    """Read every source of a config; in this process, which is quicker."""
    config = load(path)
    with Store(store_url(config, path)) as store:
        for source in config.sources():
            with Session(source, store) as session:
                assert session.fill().errors == []


def stored(folder: Path) -> list[StreamStatus]:
    with Store(f"sqlite:///{folder / 'trail.db'}") as store:
        return status(store)


def ask(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "trail.db") as connection:
        return connection.execute(query).fetchall()


def delete(folder: Path, count: int, *tables: str) -> set[str]:
    """Delete the rows of some events behind flagtrail's back, and return their ids."""
    chosen = ask(folder, "SELECT id, number FROM event ORDER BY id")[::7][:count]
    assert len(chosen) == count
    with sqlite3.connect(folder / "trail.db") as connection:
        for table in tables:
            connection.executemany(f"DELETE FROM {table} WHERE number = ?", [(number,) for _, number in chosen])
    connection.close()
    return {str(id_) for id_, _ in chosen}


def streams(told: str) -> list[dict[str, Any]]:
    return [stream for source in json.loads(told) for stream in source["streams"]]


def total(told: str, name: str) -> int:
    return sum(int(stream[name]) for stream in streams(told))


def seen(flagtrail: Flagtrail) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(flagtrail("status", "-o", "json").stdout)["streams"]
    return found


def test_a_whole_trail_is_verified_and_status_says_so(synced: Path, flagtrail: Flagtrail) -> None:
    assert all(stream.verified_share == 0 for stream in stored(synced))
    result = flagtrail("verify", COLUMNS="80")
    assert (result.returncode, result.stderr) == (0, "")
    _, first, table, second, other = re.split(r"\n?^(acme-\w+)  .*$", result.stdout, flags=re.MULTILINE)
    assert (first, second) == ("acme-launchdarkly", "acme-configcat")
    assert table.split()[:4] == ["stream", "verified", "audit_log", "2"]
    assert [line.split("  ")[0] for line in other.split("\n")[2:4]] == [
        "audit_log Fernweh Travel",
        "audit_log Fernweh Labs",
    ]
    assert "healed" not in result.stdout
    assert all(stream["verified_share"] == 1 for stream in seen(flagtrail))
    [line] = [line for line in flagtrail("status").stdout.splitlines() if line.startswith("audit_log  ")]
    assert line.count("100 %") == 2  # covered, and verified


def test_rows_deleted_behind_its_back_are_healed_and_it_exits_with_0(synced: Path, flagtrail: Flagtrail) -> None:
    before = ask(synced, "SELECT id, summary FROM event ORDER BY id")
    gone = delete(synced, 9, "event", "record")
    result = flagtrail("verify")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("healed, ") >= 2
    assert ask(synced, "SELECT id, summary FROM event ORDER BY id") == before
    assert sum(stream["healed"] for stream in seen(flagtrail)) == len(gone)
    assert "verification found and stored" in flagtrail("status").stdout
    assert total(flagtrail("verify", "-o", "json").stdout, "found") == 0


def test_json_tells_every_verdict_and_what_was_found(synced: Path, flagtrail: Flagtrail) -> None:
    delete(synced, 5, "event")
    result = flagtrail("verify", "-o", "json")
    assert total(result.stdout, "found") == 5
    for source in json.loads(result.stdout):
        assert source["error"] is None
        assert source["requests"] > 0
    for stream in streams(result.stdout):
        assert stream["error"] is None
        verdicts = sorted(stream["verdicts"], key=lambda verdict: verdict["since"])
        assert {verdict["outcome"] for verdict in verdicts} <= {"verified", "healed"}
        assert all(verdict["since"].endswith("Z") and verdict["since"] < verdict["until"] for verdict in verdicts)
        assert sum(verdict["found"] for verdict in verdicts) == stream["found"]


def test_deep_finds_other_content_that_no_number_tells(
    synced: Path, vendors: dict[str, Any], flagtrail: Flagtrail
) -> None:
    vendor = vendors["acme-launchdarkly"]
    edited = sorted(vendor.truth()["audit_log"])[40]
    vendor.edit(edited, comment="said later")
    by_numbers = flagtrail("verify", "-o", "json")
    assert (by_numbers.returncode, total(by_numbers.stdout, "changed")) == (0, 0)
    deep = flagtrail("verify", "--deep", "-o", "json")
    assert (deep.returncode, total(deep.stdout, "changed")) == (0, 1)
    assert {v["method"] for stream in streams(deep.stdout) for v in stream["verdicts"]} == {"contents"}
    assert ask(synced, "SELECT vendor_id, revision FROM event WHERE revision > 1") == [(edited, 2)]
    [(kept,)] = ask(synced, "SELECT count(*) FROM record JOIN event USING (number) WHERE comment = 'said later'")
    assert kept == 2


def test_it_exits_with_1_when_something_differs_and_says_where(
    synced: Path, vendors: dict[str, Any], flagtrail: Flagtrail
) -> None:
    vendor = vendors["acme-launchdarkly"]
    moment = vendor.clock.ms() - 40 * DAY_MS

    def one_more(request: Request, answer: Any) -> Reply:
        reply: Reply = answer()
        for bucket in reply.body["buckets"]:
            if bucket["timestamp"] <= moment < bucket["timestamp"] + reply.body["bucketIntervalMs"]:
                bucket["count"] += 1
        return reply

    vendor.inject(one_more, match=COUNTS, times=ALWAYS)
    result = flagtrail("verify")
    assert result.returncode == 1
    [line] = [line for line in result.stdout.splitlines() if "differs in" in line]
    assert line.startswith("  audit_log: differs in ")
    assert "the vendor counts" in line
    assert "audit_log differs from" in flagtrail("status").stdout
    vendor.heal()
    assert flagtrail("verify").returncode == 0
    assert all(stream.verified_share == 1 for stream in stored(synced))


def test_numbers_of_something_else_are_said_and_are_no_failure(
    synced: Path, vendors: dict[str, Any], flagtrail: Flagtrail
) -> None:
    vendors["acme-launchdarkly"].switches.counts_off_by = 3
    result = flagtrail("verify")
    assert (result.returncode, result.stderr) == (0, "")
    assert "  audit_log: not verifiable: " in result.stdout.split("acme-configcat")[0]
    assert "is not verifiable by numbers" in flagtrail("status").stdout
    assert flagtrail("verify", "--deep", "-s", "acme-launchdarkly").returncode == 0
    assert [one.verified_share for one in stored(synced) if one.state.source == "acme-launchdarkly"] == [1.0]


@pytest.mark.parametrize("deep", [[], ["--deep"]], ids=["numbers", "deep"])
def test_it_exits_with_1_when_a_vendor_is_down_and_verifies_the_other(
    synced: Path, vendors: dict[str, Any], flagtrail: Flagtrail, deep: list[str]
) -> None:
    vendors["acme-configcat"].inject(faults.status(401), times=ALWAYS)
    result = flagtrail("verify", *deep, "-o", "json")
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("error: acme-configcat: ")
    assert "Public API credentials" in line
    told = {source["source"]: source for source in json.loads(result.stdout)}
    assert "401" in told["acme-configcat"]["error"]
    assert told["acme-launchdarkly"]["error"] is None
    shares = {(stream.state.source, stream.verified_share) for stream in stored(synced)}
    assert shares == {("acme-configcat", 0), ("acme-launchdarkly", 1)}


def test_a_vendor_that_cannot_be_reached_is_told_in_one_line(
    synced: Path, vendors: dict[str, Any], flagtrail: Flagtrail
) -> None:
    vendors["acme-configcat"].stop()
    result = flagtrail("verify", "--source", "acme-configcat", timeout=120)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "cannot be reached" in line
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--since", "1d", "--until", "5d"], "--since 1d is not before --until 5d"),
        (["--since", "2026-03-01", "--until", "2026-03-01"], "is not before"),
        (["--until", "1969-01-01"], "is not before"),
        (["--since", "yesterdayish"], "is not a span such as 90d"),
        (["--source", "nobody"], "there is no source 'nobody'"),
        (["--config", "missing.toml"], "flagtrail init"),
        (["-o", "csv"], "'csv'"),
    ],
)
def test_wrong_use_is_told_in_one_line_with_exit_code_2(
    tmp_path: Path, vendors: dict[str, Any], flagtrail: Flagtrail, words: list[str], told: str
) -> None:
    configured(tmp_path, vendors)
    result = flagtrail("verify", *words)
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert result.stdout == ""
    assert not any(vendor.requests for vendor in vendors.values())


def test_a_window_is_verified_and_nothing_else(synced: Path, flagtrail: Flagtrail) -> None:
    result = flagtrail("verify", "--since", "20d", "--until", "10d", "-o", "json")
    assert result.returncode == 0
    for stream in streams(result.stdout):
        instants = [
            datetime.fromisoformat(verdict[name]) for verdict in stream["verdicts"] for name in ("since", "until")
        ]
        assert abs(max(instants) - min(instants) - timedelta(days=10)) < timedelta(
            seconds=1
        )  # each bound has a moment of its own
    assert all(0.15 < stream.verified_share < 0.18 for stream in stored(synced))


def test_one_source_is_verified_and_the_other_is_not_asked(
    synced: Path, vendors: dict[str, Any], flagtrail: Flagtrail
) -> None:
    before = len(vendors["acme-launchdarkly"].requests)
    result = flagtrail("verify", "-s", "acme-configcat", "-o", "json")
    assert [source["source"] for source in json.loads(result.stdout)] == ["acme-configcat"]
    assert len(vendors["acme-launchdarkly"].requests) == before


def test_before_the_first_sync_there_is_nothing_to_verify(
    tmp_path: Path, vendors: dict[str, Any], flagtrail: Flagtrail
) -> None:
    configured(tmp_path, vendors)
    result = flagtrail("verify", "-o", "json")
    assert (result.returncode, result.stderr) == (0, "")
    assert all(stream["verdicts"] == [] for stream in streams(result.stdout))


def test_what_vanished_stays_and_status_says_why(synced: Path, vendors: dict[str, Any], flagtrail: Flagtrail) -> None:
    vendor = vendors["acme-launchdarkly"]
    web = [
        id_ for id_ in sorted(vendor.truth()["audit_log"], key=vendor.truth()["audit_log"].get)
        if vendor.trail.audit_log.entries[id_].change.resources[0].startswith("proj/web:env/production")
    ]  # fmt: skip
    gone = web[10:13]
    for id_ in gone:
        vendor.remove(id_)
    result = flagtrail("verify")
    assert result.returncode == 0
    assert "3 no longer shown: unexplained" in result.stdout
    assert len(ask(synced, "SELECT id FROM event WHERE stream = 'audit_log'")) == 150
    told = flagtrail("status").stdout
    assert "3 entries are no longer shown by the vendor: for a reason that cannot be told from here" in told
    assert {"unexplained": 3} in [stream.vanished for stream in stored(synced)]


def test_status_shows_what_is_lost_for_good(tmp_path: Path, vendors: dict[str, Any], flagtrail: Flagtrail) -> None:
    vendors["acme-configcat"].retention_days = 35
    sync(configured(tmp_path, {"acme-configcat": vendors["acme-configcat"]}, retention="35d"))
    [line] = [line for line in flagtrail("status").stdout.splitlines() if "lost for good" in line]
    assert "the vendor keeps entries for 35d only" in line
    told = seen(flagtrail)
    assert all(any(gap["permanent"] for gap in stream["gaps"]) for stream in told)
    assert all(stream["covered_share"] < 0.6 for stream in told)
    assert flagtrail("verify").returncode == 0
    assert all(stream.verified_share > 0.99 for stream in stored(tmp_path))


def test_status_warns_before_entries_age_out(tmp_path: Path, vendors: dict[str, Any], flagtrail: Flagtrail) -> None:
    path = configured(tmp_path, {"acme-configcat": vendors["acme-configcat"]}, start="20d", retention="35d")
    vendors["acme-configcat"].inject(faults.status(404), match="auditlogs", times=ALWAYS)
    assert flagtrail("sync").returncode == 1
    assert "entries that were not read yet age out at the vendor in " in flagtrail("status").stdout
    assert all(stream["ages_out_at"] for stream in seen(flagtrail))
    vendors["acme-configcat"].heal()
    sync(path)
    assert "age out" not in flagtrail("status").stdout
