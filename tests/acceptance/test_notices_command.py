"""`flagtrail notices` as users type it: what waits and what was given up, sending and dropping it, trying sinks."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flagtrail.notices import outbox
from flagtrail.store import Store
from tests.acceptance.conftest import Flagtrail
from tests.sinks import add, collector, place, rule

SECRET = "xoxb-secret-0123456789"
CONFIG = """
[[sink]]
name = "ops"
kind = "slack"
url = {{ env = "SLACK" }}
[[sink]]
name = "audit"
kind = "webhook"
url = "{}"
[[notice]]
name = "prod"
to = ["ops", "audit"]
"""


def test_messages_are_shown_sent_again_and_dropped(flagtrail: Flagtrail, tmp_path: Path) -> None:
    (tmp_path / "flagtrail.toml").write_text(CONFIG.format("https://audit.example"))
    with Store(f"sqlite:///{tmp_path / 'flagtrail.db'}") as store:
        collecting = collector(store, rule())
        add(store, "old", ago=timedelta(days=400))
        for id in "abc":
            add(store, id)
            collecting.collect()
        for _ in "ab":
            found = outbox.claim(store, "ops", datetime.now(UTC), timedelta(0))
            assert found
            outbox.not_sent(store, found, "hooks.slack.com answers 404: no_service", None)
        text = flagtrail("notices").stdout
        assert " ".join(text.splitlines()[1].split()).startswith("prod 20")
        assert text.splitlines()[1].split()[-1] == "1", "one change was too old"
        assert text.count("dead") == 2
        assert text.count("404: no_service") == 2
        assert text.count("due 20") == 1
        told = json.loads(flagtrail("notices", "-o", "json").stdout)
        assert [(one["number"], one["state"], one["tries"]) for one in told["notices"]] == [
            (1, "dead", 1), (2, "dead", 1), (3, "waiting", 0),
        ]  # fmt: skip
        assert told["rules"][0]["too_old"] == 1
        assert flagtrail("notices", "--drop", "1").stderr == "1 message is dropped\n"
        assert flagtrail("notices", "--retry", "all").stderr == "1 message is sent, by `flagtrail run`\n"
        for words in (("--drop", "1"), ("--retry", "x"), ("--retry", "2", "--drop", "3")):
            done = flagtrail("notices", *words)
            assert (done.returncode, done.stdout) == (2, "")
            assert len(done.stderr.splitlines()) == 1
        assert [(notice.number, notice.tries) for notice in outbox.notices(store, "waiting")] == [(2, 0), (3, 0)]


def test_sinks_are_tried(flagtrail: Flagtrail, tmp_path: Path) -> None:
    with place() as target:
        (tmp_path / "flagtrail.toml").write_text(CONFIG.format(target.url))
        slack = {"SLACK": f"{target.url}/services/{SECRET}"}
        done = flagtrail("notices", "test", "prod", **slack)
        assert (done.returncode, done.stdout.split()) == (0, ["ops:", "sent", "audit:", "sent"])
        assert target.got[0].json["text"].startswith("prod: a test, nothing has happened")
        assert target.got[1].json[0]["type"] == "flagtrail.test"
        target.answer(403, f"no {SECRET}".encode())
        done = flagtrail("notices", "test", "ops", **slack)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: ops: 127.0.0.1 answers 403: no ***\n")
        done = flagtrail("notices", "test", "nobody", **slack)
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is: prod, ops, audit" in done.stderr
