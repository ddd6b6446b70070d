"""Webhooks of vendors: only a signed one makes anybody look, and a storm of them costs few looks."""

import hmac
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from pydantic import SecretStr

from flagtrail.nudges import Nudges
from flagtrail.report import Report, StreamReport
from flagtrail.source import Source
from flagtrail.testing.simulator import Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

OLD, NEW = b"an-old-secret", b"configcat_whsk_new"
ID = "b616ca659d154a5fb907dd8475792eeb"
BODY = '{"kind": "flag", "name": "\u2794"}'.encode()


def launchdarkly(secret: bytes = NEW, body: bytes = BODY) -> dict[str, str]:
    return {"x-ld-signature": hmac.new(secret, body, sha256).hexdigest()}


def configcat(*secrets: bytes, body: bytes = BODY, id: str = ID, at: datetime | None = None) -> dict[str, str]:
    stamp = str(int((at or datetime.now(UTC)).timestamp()))
    signed = (id + stamp).encode() + body
    signatures = [b64encode(hmac.new(secret, signed, sha256).digest()).decode() for secret in secrets or (NEW,)]
    names = ("x-configcat-webhook-id", "x-configcat-webhook-timestamp", "x-configcat-webhook-signature-v1")
    return dict(zip(names, (id, stamp, ",".join(signatures)), strict=True))


def source(vendor: type[Simulator], name: str) -> Source:
    class Elsewhere(vendor):  # type: ignore[valid-type, misc]
        url = "http://127.0.0.1:1"

    return Source(name, Elsewhere().connect(), webhook_secrets=(SecretStr(OLD.decode()), SecretStr(NEW.decode())))


class Looks:
    """What is looked at, and what a look brings."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.brings = 1
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self, name: str) -> Report:
        self.names.append(name)
        assert self.may_end.wait(10)
        return Report(name, streams={"audit_log": StreamReport(None, new=self.brings)})  # type: ignore[arg-type]

    def are(self, number: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.names) < number:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.05)
        assert len(self.names) == number


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def nudges(looks: Looks) -> Iterator[Nudges]:
    unsigned = Source("silent", source(LaunchDarklySimulator, "x").connector)
    known = [source(LaunchDarklySimulator, "ld"), source(ConfigCatSimulator, "cc"), unsigned]
    made = Nudges(known, looks, pause=0.2)
    yield made
    made.stop()


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_a_webhook_that_is_signed_with_any_of_the_secrets_makes_one_look_at_its_source(
    nudges: Nudges, looks: Looks, secret: bytes
) -> None:
    assert nudges.accept("ld", launchdarkly(secret), BODY)
    looks.are(1)
    assert nudges.accept("cc", configcat(b"somebody else's", secret), BODY)
    looks.are(2)
    assert looks.names == ["ld", "cc"]


GUID = f"{ID[:8]}-{ID[8:12]}-{ID[12:16]}-{ID[16:20]}-{ID[20:]}"
MINUTES = timedelta(minutes=1)


def test_a_configcat_webhook_may_have_an_id_with_dashes(nudges: Nudges) -> None:
    assert nudges.accept("cc", configcat(id=GUID, at=datetime.now(UTC) - 4 * MINUTES), BODY)


@pytest.mark.parametrize(
    ("name", "headers", "body"),
    [
        ("nobody", launchdarkly(), BODY),
        ("silent", launchdarkly(), BODY),
        ("ld", {}, BODY),
        ("ld", launchdarkly(b"wrong"), BODY),
        ("ld", launchdarkly(), BODY + b" "),
        ("ld", {"x-ld-signature": "\u00e9" * 64}, BODY),
        ("ld", configcat(), BODY),
        ("cc", {}, BODY),
        ("cc", configcat(b"wrong"), BODY),
        ("cc", configcat(), b""),
        ("cc", launchdarkly(), BODY),
        ("cc", configcat(at=datetime.now(UTC) - 60 * MINUTES), BODY),
        ("cc", configcat(at=datetime.now(UTC) + 6000 * MINUTES), BODY),
        # The same signed bytes, divided elsewhere.
        ("cc", configcat(body=b"5" + BODY, id=ID) | {"x-configcat-webhook-timestamp": "17000000005"}, BODY),
        ("cc", configcat(id=ID + "1"), BODY),
        ("cc", configcat(*[b"many"] * 20, NEW), BODY),
    ],
)
def test_anything_else_makes_nobody_look(
    nudges: Nudges, looks: Looks, name: str, headers: dict[str, str], body: bytes
) -> None:
    assert not nudges.accept(name, headers, body)
    looks.are(0)


def test_nudges_during_a_look_lead_to_one_more_and_not_before_a_pause(nudges: Nudges, looks: Looks) -> None:
    looks.may_end.clear()
    nudges.nudge("ld")
    looks.are(1)
    for _ in range(1000):
        nudges.nudge("ld")
    looks.are(1)
    began = time.monotonic()
    looks.may_end.set()
    looks.are(2)
    assert time.monotonic() - began >= 0.2


def test_a_look_that_brings_nothing_is_repeated_and_one_that_brings_something_is_not(
    looks: Looks, nudges: Nudges, monkeypatch: Any
) -> None:
    monkeypatch.setattr("flagtrail.nudges.AGAIN", (0.1, 0.1))
    looks.brings = 0
    nudges.nudge("ld")
    looks.are(3)


def test_nobody_looks_after_the_end(nudges: Nudges, looks: Looks) -> None:
    nudges.nudge("ld")
    looks.are(1)
    nudges.stop()
    nudges.nudge("ld")
    nudges.nudge("cc")
    looks.are(1)
