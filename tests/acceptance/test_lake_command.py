"""`flagtrail lake` and `--from-lake` as users type them, and the daemon that does the same."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flagtrail.cli import main
from flagtrail.event import Event
from flagtrail.lake.running import Following
from flagtrail.lake.settings import LakeSettings
from flagtrail.rows import Reading
from flagtrail.store import Store
from tests.acceptance.conftest import Flagtrail

CONFIG = """
[lake]
path = "lake"
[lake.options]
timeout = "30s"
aws_secret_access_key = { env = "LAKE_SECRET" }
"""


def stored(folder: Path, *ids: str) -> None:
    with Store(f"sqlite:///{folder / 'flagtrail.db'}") as store:
        for id in ids:
            event = Event(vendor_id=id, occurred_at=datetime(2026, 3, 1, tzinfo=UTC), actor_kind="member",
                          actor_name="Ada Lovelace", actor_email="ada@acme.example", action="created",
                          vendor_action="x", object_key=f"flag-{id}")  # fmt: skip
            store.add("acme", "configcat", [Reading("audit_log", [(event, {"id": id})])])


def test_the_lake_is_kept_asked_compared_and_given_up(flagtrail: Flagtrail, tmp_path: Path) -> None:
    stored(tmp_path, "1", "2")
    (tmp_path / "flagtrail.toml").write_text(CONFIG)
    missing = flagtrail("lake")
    assert (missing.returncode, "LAKE_SECRET is not set" in missing.stderr) == (2, True)
    secret = {"LAKE_SECRET": "never-shown"}
    done = json.loads(flagtrail("lake", **secret).stdout)
    assert (done["why_built"], done["events"]) == ("it was not there", 2)
    [file] = flagtrail("lake", "--files", **secret).stdout.split()
    assert Path(file).parent == tmp_path / "lake" / "event" / "vendor=configcat" / "month=2026-03"
    told = flagtrail("events", "--from-lake", **secret)
    assert ("flag-1" in told.stdout, "from the lake, as of" in told.stderr) == (True, True)
    counts = json.loads(flagtrail("count", "--by", "actor", "-o", "json", "--from-lake", **secret).stdout)
    assert counts["counts"] == [{"actor": "ada@acme.example", "events": 2}]
    assert counts["as_of"] > "2026"
    Path(file).unlink()
    damaged = flagtrail("lake", "--check", **secret)
    assert (damaged.returncode, "never-shown" in damaged.stderr) == (2, False)
    assert json.loads(flagtrail("lake", "--rebuild", **secret).stdout)["built"] == 1

    assert flagtrail("forget", "ada@acme.example", "--yes", **secret).returncode == 0
    assert "person-" in flagtrail("events", "--from-lake", "-o", "csv", **secret).stdout
    assert json.loads(flagtrail("lake", "--check", **secret).stdout)["same"] is True
    assert "no changes are noted" in flagtrail("lake", "--stop").stderr


@pytest.mark.parametrize(
    ("config", "words", "told"),
    [
        ("", ["lake"], "where is the lake?"),
        ("", ["events", "--from-lake"], 'write path = "lake" under [lake]'),
        ('[lake]\npath = "lake"', ["events", "--from-lake"], "`flagtrail lake` makes one"),
        ('[lake]\npath = "lake"', ["count", "--from-lake"], "pip install 'flagtrail[lake]'"),
        ('[lake]\npath = "lake"', ["events", "--from-lake", "--follow"], "leave out --from-lake"),
        ('[lake]\npath = "lake"', ["lake", "--check", "--stop"], "use one of them"),
        ('[lake]\noptions = { account_key = "plain" }', ["lake"], "account_key is a secret"),
    ],
)
def test_what_is_missing_or_wrong_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], config: str,
    words: list[str], told: str,
) -> None:  # fmt: skip
    (tmp_path / "flagtrail.toml").write_text(config)
    monkeypatch.chdir(tmp_path)
    if "pip" in told:
        monkeypatch.setitem(sys.modules, "deltalake", None)
    monkeypatch.setattr(sys, "argv", ["flagtrail", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_the_daemon_follows_beside_and_ends_at_once(tmp_path: Path) -> None:
    stored(tmp_path, "1")
    settings = LakeSettings(every="10s")
    following = Following(f"sqlite:///{tmp_path / 'flagtrail.db'}", str(tmp_path / "lake"), settings)
    following.start()
    until = time.monotonic() + 20
    while not list(tmp_path.glob("lake/event/vendor=*/*/*.parquet")) and time.monotonic() < until:
        time.sleep(0.05)
    following.stop()
    assert following.wait(5)
    assert list(tmp_path.glob("lake/event/vendor=configcat/month=2026-03/*.parquet"))
