"""`flagtrail forget` and `flagtrail hold` as users type them."""

import json
from datetime import UTC, datetime
from pathlib import Path

from flagtrail.event import ActorKind, Event
from flagtrail.rows import Reading
from flagtrail.store import Store
from tests.acceptance.conftest import Flagtrail

CONFIG = '[[person]]\nemail = "ada@acme.example"\nname = "Ada Lovelace"\nalso = ["m-4711-ada"]\n'


def test_a_person_is_forgotten_when_it_is_meant_and_nothing_holds_the_trail(
    flagtrail: Flagtrail, tmp_path: Path
) -> None:
    (tmp_path / "flagtrail.toml").write_text(CONFIG)
    ada = Event(
        vendor_id="1", occurred_at=datetime.now(UTC), actor_kind=ActorKind.MEMBER, actor_id="m-4711-ada",
        action="created", actor_name="A. Lovelace", vendor_action="x", object_key="flag",
        summary="Ada Lovelace made it",
    )  # fmt: skip
    with Store(f"sqlite:///{tmp_path / 'flagtrail.db'}") as store:
        store.add("acme", "configcat", [Reading("audit_log", [(ada, {"by": "Ada Lovelace"})])])
    assert flagtrail("forget").stdout == "nobody was forgotten yet\n"

    looked = flagtrail("forget", "ADA@acme.example", "--dry-run", "-o", "json")
    assert json.loads(looked.stdout)["rows"] == {"event": 1, "record": 1, "detail": 0}
    assert "ada" not in looked.stdout.lower()
    assert "A. Lovelace" in looked.stderr
    refused = flagtrail("forget", "ada@acme.example")
    assert (refused.returncode, "say --yes" in refused.stderr) == (2, True)
    assert flagtrail("forget", "...", "--yes").returncode == 2

    assert flagtrail("hold", "on", "--reason", "case 12").returncode == 0
    held = flagtrail("forget", "ada@acme.example", "--yes")
    assert (held.returncode, held.stdout, "(case 12)" in held.stderr) == (1, "", True)
    assert json.loads(flagtrail("hold", "status", "-o", "json").stdout)["on_hold"] is True
    assert flagtrail("hold", "off", "--reason", "closed").returncode == 0
    assert "the trail is not on hold" in flagtrail("hold", "status").stdout

    done = flagtrail("forget", "ada@acme.example", "--yes", "--reason", "request 1")
    assert done.returncode == 0, done.stderr
    assert "take it out" in done.stderr
    [act] = json.loads(flagtrail("forget", "-o", "json").stdout)
    assert (act["events"], act["records"], act["reason"], act["finished_at"] is None) == (1, 1, "request 1", False)
    [event] = json.loads(flagtrail("events", "-o", "json").stdout)
    assert {event[f"actor_{part}"] for part in ("id", "name", "email")} == {act["pseudonym"]}
    assert event["summary"] == f"{act['pseudonym']} made it"
    assert b"ovelace" not in (tmp_path / "flagtrail.db").read_bytes()
