"""Every command as a user runs it, against simulated vendors."""

import csv
import io
import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from flagtrail.event import Action
from flagtrail.testing import faults
from flagtrail.testing.configured import write_config
from flagtrail.testing.simulator import Simulator
from tests.acceptance.conftest import COMMAND, Flagtrail, environment

ALWAYS = 100_000


@pytest.fixture
def config(tmp_path: Path, vendors: dict[str, Simulator]) -> Path:
    return write_config(tmp_path, vendors, "sqlite:///trail.db", start="61d")


@pytest.fixture
def synced(config: Path, flagtrail: Flagtrail) -> Path:
    assert flagtrail("sync").returncode == 0
    return config


def test_help_names_every_command_and_each_has_examples(flagtrail: Flagtrail) -> None:
    listed = flagtrail("--help")
    assert listed.returncode == 0
    commands = ["init", "check", "sync", "backfill", "run", "serve", "mcp", "verify", "events", "count", "show",
                "around", "state", "export", "sql", "status", "connectors", "demo"]  # fmt: skip
    assert all(command in listed.stdout for command in commands)
    for command in commands:
        helped = flagtrail(command, "--help")
        assert helped.returncode == 0
        assert f"flagtrail {command}" in helped.stdout.split("Examples:")[1]


def test_init_writes_a_config_once_and_check_says_what_is_missing(tmp_path: Path, flagtrail: Flagtrail) -> None:
    assert flagtrail("init").returncode == 0
    written = (tmp_path / "flagtrail.toml").read_text()
    again = flagtrail("init")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert (tmp_path / "flagtrail.toml").read_text() == written
    checked = flagtrail("check")
    assert checked.returncode == 2
    assert checked.stderr.splitlines() == [
        "error: source 'acme-launchdarkly': token: environment variable LAUNCHDARKLY_TOKEN is not set or empty",
        "error: source 'acme-configcat': username: environment variable CONFIGCAT_USER is not set or empty",
        "error: source 'acme-configcat': password: environment variable CONFIGCAT_PASS is not set or empty",
    ]


def test_check_signs_in_and_lists_the_streams(config: Path, flagtrail: Flagtrail) -> None:
    checked = flagtrail("check")
    assert checked.returncode == 0
    assert "flag_events[web/production]" in checked.stdout
    assert "Fernweh Travel" in checked.stdout
    as_json = json.loads(flagtrail("check", "-o", "json").stdout)
    assert {stream["source"] for stream in as_json["streams"]} == {"acme-launchdarkly", "acme-configcat"}


def test_sync_then_events_show_both_vendors_side_by_side(synced: Path, flagtrail: Flagtrail) -> None:
    table = flagtrail("events", "--limit", "0")
    assert table.returncode == 0
    assert "launchdarkly" in table.stdout
    assert "configcat" in table.stdout
    assert "complete from" in table.stderr
    found = json.loads(flagtrail("events", "--limit", "0", "-o", "json").stdout)
    assert len(found) == 600
    times = [event["occurred_at"] for event in found]
    assert times == sorted(times, reverse=True)
    assert all(time.endswith("Z") for time in times)


def test_every_output_form_holds_the_same_events(synced: Path, flagtrail: Flagtrail) -> None:
    ids = [event["id"] for event in json.loads(flagtrail("events", "-n", "40", "-o", "json").stdout)]
    assert len(ids) == 40
    lines = flagtrail("events", "-n", "40", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids
    cells = csv.DictReader(io.StringIO(flagtrail("events", "-n", "40", "-o", "csv").stdout))
    assert [row["id"] for row in cells] == ids
    table = flagtrail("events", "-n", "40")
    assert all(id[:8] in table.stdout for id in ids)
    assert "there are more" in table.stderr


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--vendor", "configcat"], "vendor", "configcat"),
        (["--source", "acme-launchdarkly"], "source", "acme-launchdarkly"),
        (["--environment", "production"], "environment", "production"),
        (["--project", "web"], "project", "web"),
        (["--action", "turned_off"], "action", "turned_off"),
        (["--actor", "ana.silva@"], "actor_email", "ana.silva@fernweh.example"),
        (["--object", "checkout*"], "object_key", "checkout"),
        (["action:turned_off -source:acme-configcat"], "source", "acme-launchdarkly"),
    ],
)
def test_each_filter_gives_what_it_says(
    synced: Path, flagtrail: Flagtrail, words: list[str], name: str, value: str
) -> None:
    found = json.loads(flagtrail("events", *words, "--limit", "0", "-o", "json").stdout)
    assert found
    assert all((event[name] or "").lower().startswith(value) for event in found)
    assert len(found) < 600


def test_what_is_counted_is_what_is_shown(synced: Path, flagtrail: Flagtrail) -> None:
    found = json.loads(flagtrail("events", "action:turned_*", "-n", "0", "-o", "json", "--envelope").stdout)
    assert found["next"] is None
    assert found["completeness"]["complete"] is True
    assert found["completeness"]["verified_share"] == 0
    told = json.loads(
        flagtrail("count", "action:turned_*", "--by", "vendor,action", "--by", "week", "-o", "json").stdout
    )
    assert told["total"] == sum(group["events"] for group in told["counts"]) == len(found["events"]) > 0
    assert {group["vendor"] for group in told["counts"]} == {"launchdarkly", "configcat"}
    table = flagtrail("count", "--by", "actor", "--top", "2", "--zone", "Asia/Tokyo")
    assert len(table.stdout.splitlines()) == 3
    assert "of 600 events are in" in table.stderr
    assert "complete from" in table.stderr
    page = json.loads(flagtrail("events", "sort:oldest", "-n", "2", "-o", "json", "--envelope").stdout)
    rest = flagtrail("events", "sort:oldest", "-n", "0", "-o", "jsonl", "--after", page["next"]).stdout.splitlines()
    assert len(rest) == 598
    assert json.loads(rest[-1])["occurred_at"] >= page["events"][0]["occurred_at"]
    lines = flagtrail("count", "--by", "environment", "-o", "csv").stdout.splitlines()
    assert lines[0] == "environment,events"


def test_a_time_without_a_zone_is_the_readers_own(synced: Path, flagtrail: Flagtrail) -> None:
    newest = json.loads(flagtrail("events", "-n", "1", "-o", "json").stdout)[0]["occurred_at"]
    instant = datetime.fromisoformat(newest)
    for zone, hours in (("UTC", 0), ("Etc/GMT-5", 5)):
        local = datetime.fromtimestamp(instant.timestamp() + hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        found = json.loads(flagtrail("events", "--since", local, "-o", "json", TZ=zone).stdout)
        assert [event["occurred_at"] for event in found] == [newest]


def test_show_prints_one_event_with_its_record(synced: Path, flagtrail: Flagtrail) -> None:
    event = json.loads(flagtrail("events", "--vendor", "launchdarkly", "-n", "1", "-o", "json").stdout)[0]
    whole = json.loads(flagtrail("show", event["id"][:12], "-o", "json").stdout)
    assert whole["vendor_id"] == event["vendor_id"]
    assert whole["records"][0]["record"]["_id"] == event["vendor_id"]
    people = flagtrail("show", event["id"])
    assert '"_accountId"' in people.stdout
    assert flagtrail("show", "zzzz").returncode == 2


def test_status_shows_coverage_as_a_bar_and_as_json(synced: Path, flagtrail: Flagtrail) -> None:
    shown = flagtrail("status")
    assert shown.returncode == 0
    assert "█" in shown.stdout
    assert "100 %" in shown.stdout
    told = json.loads(flagtrail("status", "-o", "json").stdout)
    assert all(stream["gaps"] == [] and stream["covered_share"] == 1 for stream in told["streams"])
    assert sum(stream["events"] for stream in told["streams"]) >= 600
    kept = {each["action"]: each["events"] for each in told["unmapped_actions"]}
    with sqlite3.connect(synced.parent / "trail.db") as connection:
        counted = connection.execute("SELECT action, count(*) FROM event GROUP BY 1").fetchall()
    assert kept == {action: count for action, count in counted if action not in set(Action)}
    assert f"actions in the vendor's own words, for want of a verb: {min(kept)} ({kept[min(kept)]})" in shown.stdout


def test_plain_sql_reads_the_table(synced: Path) -> None:
    with sqlite3.connect(synced.parent / "trail.db") as connection:
        counted = connection.execute(
            "SELECT vendor, count(*) FROM event WHERE stream LIKE 'audit_log%' GROUP BY 1"
        ).fetchall()
    assert sorted(counted) == [("configcat", 300), ("launchdarkly", 300)]


def test_backfill_expects_reads_and_is_done_the_second_time(
    config: Path, flagtrail: Flagtrail, vendors: dict[str, Simulator]
) -> None:
    asked = ["backfill", "--since", "50d", "--until", "10d"]
    expected = flagtrail(*asked, "--dry-run")
    assert expected.returncode == 0
    assert "requests; nothing was read" in expected.stdout
    first = json.loads(flagtrail(*asked, "-o", "json").stdout)
    assert sum(source["new"] for source in first) > 300
    second = json.loads(flagtrail(*asked, "--source", "acme-configcat", "-o", "json").stdout)
    assert [(source["source"], source["new"]) for source in second] == [("acme-configcat", 0)]


def test_connectors_lists_the_settings(flagtrail: Flagtrail) -> None:
    listed = json.loads(flagtrail("connectors", "-o", "json").stdout)
    names = {setting["name"] for setting in listed["launchdarkly"]}
    assert names == {"token", "base_url", "flag_events", "only", "details"}
    assert all(setting["about"] for settings in listed.values() for setting in settings)
    assert "organizations" in flagtrail("connectors").stdout


def test_a_failing_source_is_told_in_one_line_and_the_other_carries_on(
    config: Path, flagtrail: Flagtrail, vendors: dict[str, Simulator]
) -> None:
    vendors["acme-configcat"].inject(faults.status(401), times=ALWAYS)
    result = flagtrail("sync", "-o", "json")
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("error: acme-configcat: ")
    assert "Public API credentials" in line
    new = {source["source"]: source["new"] for source in json.loads(result.stdout)}
    assert new["acme-launchdarkly"] >= 300
    status = flagtrail("status")
    assert status.returncode == 0


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (faults.status(403, {"message": "Forbidden. Access to the requested resource was denied."}), "Reader role"),
        (faults.status(404), "base_url"),
        (faults.html(), "instead of JSON"),
        (faults.redirect("https://elsewhere.example/"), "redirect"),
    ],
    ids=["403", "404", "html", "redirect"],
)
def test_each_refusal_says_what_to_do(
    config: Path, flagtrail: Flagtrail, vendors: dict[str, Simulator], fault: faults.Fault, told: str
) -> None:
    vendors["acme-launchdarkly"].inject(fault, times=ALWAYS)
    result = flagtrail("sync")
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert told in line
    assert "Traceback" not in result.stderr


def test_an_unreachable_host_is_told_in_one_line(tmp_path: Path, flagtrail: Flagtrail) -> None:
    (tmp_path / "flagtrail.toml").write_text(
        '[[source]]\nname = "a"\nconnector = "launchdarkly"\ntoken = { env = "T" }\nbase_url = "http://127.0.0.1:9"\n'
    )
    result = flagtrail("check", T="api-123", timeout=120)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "127.0.0.1:9 cannot be reached" in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["events", "--since", "yesterdayish"], "is not a span such as 90d"),
        (["events", "--since", "2026-13-01"], "is not a span such as 90d"),
        (["events", "--since", "1h", "--until", "2h"], "is not before"),
        (["backfill", "--since", "2026-03-01", "--until", "2026-02-01"], "is not before"),
        (["sync", "--source", "nobody"], "there is no source 'nobody'"),
        (["show", "1234567890abcdef"], "no event has an id"),
        (["events", "--source", "nobody"], "there is no source 'nobody'"),
        (["events", "--vendor", "nobody"], "there is no vendor 'nobody'"),
        (["status", "--source", "nobody"], "there is no source 'nobody'"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["events", "--limit", "many"], "--limit"),
        (["events", "enviroment:x"], "character 1: there is no field 'enviroment'; did you mean environment:?"),
        (["events", "source:acme-*", "--source", "b"], "two answers to one question"),
        (["events", "--zone", "Mars/Base"], "there is no zone 'Mars/Base'"),
        (["events", "--envelope"], "--envelope goes with -o json"),
        (["count", "--by", "size"], "events are not counted by 'size'"),
        (["sync", "--config", "missing.toml"], "flagtrail init"),
    ],
)
def test_wrong_use_is_told_in_one_line_with_exit_code_2(
    synced: Path, flagtrail: Flagtrail, words: list[str], told: str
) -> None:
    result = flagtrail(*words)
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert told in line


def test_asking_before_the_first_sync_says_what_to_do(config: Path, flagtrail: Flagtrail) -> None:
    for command in ("events", "status"):
        result = flagtrail(command)
        assert result.returncode == 2
        assert "flagtrail sync" in result.stderr
    assert not (config.parent / "trail.db").exists()


def test_asking_needs_no_secrets(synced: Path, flagtrail: Flagtrail) -> None:
    for file in synced.parent.glob("acme-*"):
        file.unlink()
    assert flagtrail("events").returncode == 0
    assert flagtrail("status").returncode == 0


@pytest.mark.parametrize("form", ["jsonl", "csv", "json", "table"])
def test_output_into_a_pipe_that_closes_ends_quietly(synced: Path, form: str) -> None:
    command = f"set -o pipefail; {' '.join(COMMAND)} events --limit 0 -o {form} | head -n 1"
    piped = subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=synced.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert piped.returncode == 0
    assert piped.stdout.count("\n") == 1
    assert "Traceback" not in piped.stderr


def test_an_interrupted_sync_says_so_and_goes_on_later(
    config: Path, vendors: dict[str, Simulator], flagtrail: Flagtrail
) -> None:
    for vendor in vendors.values():
        vendor.latency = 0.2
    sync = subprocess.Popen([*COMMAND, "sync"], cwd=config.parent, env=environment(), stderr=subprocess.PIPE, text=True)
    _until(lambda: sum(len(vendor.requests) for vendor in vendors.values()) > 8)
    sync.send_signal(signal.SIGINT)
    _, told = sync.communicate(timeout=30)
    assert sync.returncode == 130
    assert told.splitlines() == ["interrupted; what is stored stays, and the same command goes on from there"]
    for vendor in vendors.values():
        vendor.latency = 0.0
    assert flagtrail("sync").returncode == 0
    assert len(json.loads(flagtrail("events", "--limit", "0", "-o", "json").stdout)) == 600


def test_no_secret_is_in_any_output_or_in_the_database(
    synced: Path, flagtrail: Flagtrail, vendors: dict[str, Simulator]
) -> None:
    secrets = []
    for vendor in vendors.values():
        own = [value.get_secret_value() for value in vendor.settings().values() if isinstance(value, SecretStr)]
        vendor.inject(faults.status(401, {"message": " ".join(own)}), times=3)
        secrets += own
    assert len(secrets) == 3
    outputs = [flagtrail(*words) for words in (["sync"], ["check"], ["status"], ["connectors"])]
    told = "".join(result.stdout + result.stderr for result in outputs).encode()
    stored = b"".join(file.read_bytes() for file in synced.parent.glob("trail.db*"))
    assert not [secret for secret in secrets if secret.encode() in told + stored]


def test_the_daemon_finds_changes_logs_json_and_ends_at_sigterm(
    config: Path, vendors: dict[str, Simulator], flagtrail: Flagtrail
) -> None:
    write_config(config.parent, vendors, "sqlite:///trail.db", start="61d", every="1s")
    log = config.parent / "log"

    def events_of(vendor: str) -> list[Any]:
        found: list[Any] = json.loads(flagtrail("events", "--vendor", vendor, "--limit", "0", "-o", "json").stdout)
        return found

    with log.open("w") as file:
        daemon = subprocess.Popen([*COMMAND, "run"], cwd=config.parent, env=environment(), stderr=file)
        try:
            _until(lambda: {line["source"] for line in written(log) if line["event"] == "tick"} == set(vendors))
            vendors["acme-launchdarkly"].happen()
            _until(lambda: len(events_of("launchdarkly")) == 301, seconds=60)
        finally:
            daemon.send_signal(signal.SIGTERM)
            started = time.monotonic()
            assert daemon.wait(timeout=10) == 0
            assert time.monotonic() - started < 5
    told = [line["event"] for line in written(log) if not line["event"].startswith("serving")]  # that is beside it
    assert [told[0], told[-1]] == ["daemon_started", "daemon_stopped"]
    assert len(events_of("launchdarkly")) == 301


def test_the_daemon_ends_within_five_seconds_even_when_a_vendor_hangs(
    config: Path, vendors: dict[str, Simulator]
) -> None:
    for vendor in vendors.values():
        vendor.inject(faults.hang(30), times=ALWAYS, skip=2)
    daemon = subprocess.Popen(
        [*COMMAND, "run"], cwd=config.parent, env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert daemon.stderr is not None
    daemon.stderr.readline()
    time.sleep(2)
    daemon.send_signal(signal.SIGTERM)
    started = time.monotonic()
    _, rest = daemon.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert daemon.returncode == 0
    assert "Traceback" not in rest


def test_the_daemon_outlives_a_source_that_fails(config: Path, vendors: dict[str, Simulator]) -> None:
    write_config(config.parent, vendors, "sqlite:///trail.db", start="61d", every="1s")
    vendors["acme-configcat"].inject(faults.html(), times=ALWAYS)
    log = config.parent / "log"

    def ticks_of_other() -> list[dict[str, Any]]:
        return [line for line in written(log) if line["event"] == "tick" and line["source"] == "acme-launchdarkly"]

    with log.open("w") as file:
        daemon = subprocess.Popen([*COMMAND, "run"], cwd=config.parent, env=environment(), stderr=file)
        try:
            _until(lambda: len(ticks_of_other()) >= 2)
            _until(lambda: any(line.get("source") == "acme-configcat" and "error" in line for line in written(log)))
        finally:
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(timeout=10) == 0
    assert all(tick["errors"] == 0 for tick in ticks_of_other())


def test_the_demo_loads_shows_and_ends_by_itself_twice_in_a_row(tmp_path: Path, flagtrail: Flagtrail) -> None:
    for _ in range(2):
        result = flagtrail("demo", "--once", "--entries", "300")
        assert result.returncode == 0, result.stderr
        for told in ("launchdarkly", "configcat", "100 %", "How to go on", "flagtrail show"):
            assert told in result.stdout
    assert "events" in flagtrail("events", "--config", "flagtrail-demo/flagtrail-demo.toml", "--help").stdout
    assert flagtrail("events", "--config", "flagtrail-demo/flagtrail-demo.toml", "-n", "3").returncode == 0


def test_the_demo_leaves_a_real_trail_alone(synced: Path, flagtrail: Flagtrail) -> None:
    before = {file: file.read_bytes() for file in synced.parent.glob("*") if file.is_file()}
    assert flagtrail("demo", "--once", "--entries", "100", "--folder", ".").returncode == 0
    assert all(file.read_bytes() == content for file, content in before.items())


def test_a_dry_run_and_a_backfill_leave_status_as_it_was(synced: Path, flagtrail: Flagtrail) -> None:
    def told() -> object:
        found = json.loads(flagtrail("status", "-o", "json").stdout)
        return [(stream["stream"], stream["gaps"], stream["complete_until"]) for stream in found["streams"]]

    before = told()
    assert flagtrail("backfill", "--since", "400d", "--until", "380d", "--dry-run").returncode == 0
    assert told() == before
    assert flagtrail("backfill", "--since", "400d", "--until", "380d").returncode == 0
    assert told() == before


def test_a_backfill_into_the_future_ends_at_the_present(config: Path, flagtrail: Flagtrail) -> None:
    told = flagtrail("backfill", "--since", "2d", "--until", "2099-01-01", "--dry-run", "-o", "json")
    assert json.loads(told.stdout)["requests"] < 100


def test_the_answer_says_when_it_is_not_complete(
    config: Path, vendors: dict[str, Simulator], flagtrail: Flagtrail
) -> None:
    vendors["acme-configcat"].inject(faults.status(401), times=ALWAYS)
    assert flagtrail("sync").returncode == 1
    told = flagtrail("events", "-n", "3").stderr
    assert "not everything is here (acme-configcat)" in told
    assert "complete from" in flagtrail("events", "-n", "3", "--source", "acme-launchdarkly").stderr


def test_every_asking_command_works_on_postgresql(
    tmp_path: Path, vendors: dict[str, Simulator], flagtrail: Flagtrail, postgres: Callable[[], str]
) -> None:
    write_config(tmp_path, vendors, postgres(), start="61d")
    assert flagtrail("sync").returncode == 0
    found = json.loads(flagtrail("events", "--text", "flag", "--limit", "0", "-o", "json").stdout)
    assert found
    assert json.loads(flagtrail("show", found[0]["id"], "-o", "json").stdout)["records"]
    assert "100 %" in flagtrail("status").stdout
    assert len(flagtrail("events", "--limit", "0", "-o", "csv").stdout.splitlines()) >= 601


def test_the_demo_goes_on_until_it_is_interrupted(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--entries", "100"], cwd=tmp_path, env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert demo.stdout is not None
    told = ""
    for line in demo.stdout:
        told += line
        if "Ctrl-C" in line:
            break
    [page] = re.findall(r"The page is at (http://127\.0\.0\.1:\d+)", told)
    assert "<title>Timeline" in httpx.get(page, timeout=20).text
    time.sleep(10)
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=10)
    assert demo.returncode == 0
    assert "launchdarkly" in rest or "configcat" in rest, "no live change was shown"
    assert "Traceback" not in rest


def written(log: Path) -> list[dict[str, Any]]:
    """Return the lines of a log of JSON that are whole by now."""
    return [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()]


def _until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
