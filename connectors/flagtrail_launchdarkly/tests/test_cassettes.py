"""What LaunchDarkly answered on tape still gives the same table. The tape was recorded from the simulator."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from pydantic import SecretStr
from sqlalchemy import text

from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.testing.cassette import played
from flagtrail.window import Window
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

TAPE = Path(__file__).parent / "cassettes" / "a_month.yaml"
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
MONTH = Window(NOW - timedelta(days=31), NOW)
RECORDS = 120


def test_a_month_on_tape_is_read_whole(tmp_path: Path) -> None:
    connector = LaunchDarkly(token=SecretStr("api-made-up"))
    with (
        played(TAPE, connector, LaunchDarklySimulator(), NOW, RECORDS) as reader,
        Store(f"sqlite:///{tmp_path / 'trail.db'}") as store,
        Session(Source("tape", reader, parallel=1), store) as session,
    ):
        report = session.fill(MONTH)
        assert report.errors == []
        with store.engine.connect() as connection:
            stored = connection.execute(text("SELECT count(*) FROM event WHERE stream LIKE 'audit_log%'")).scalar()
            newest = connection.execute(text("SELECT max(occurred_at) FROM event")).scalar()
        coverage = [store.coverage("tape", stream) for stream in report.streams]
    assert stored == RECORDS
    assert MONTH.since.isoformat() < str(newest) < NOW.isoformat()
    settled = NOW - timedelta(minutes=15)
    assert all(len(windows) == 1 and windows[0].since == MONTH.since for windows in coverage)
    assert all(settled - timedelta(minutes=1) < windows[0].until <= NOW for windows in coverage)


def test_the_tape_holds_several_pages_and_no_credential() -> None:
    tape = yaml.safe_load(TAPE.read_text(encoding="utf-8"))
    asked = [interaction["request"] for interaction in tape["interactions"]]
    assert len([request for request in asked if "auditlog" in request["uri"]]) > 3
    assert all(request["headers"]["authorization"] == ["hidden"] for request in asked)
    assert all(request["uri"].startswith("https://app.launchdarkly.com/") for request in asked)
