"""The address of the vendors' webhooks: what is signed makes a source be looked at, and everything else is refused."""

import hmac
import socket
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from flagtrail.nudges import Nudges
from flagtrail.report import Report
from flagtrail.serving import Address, ServeSettings
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.web.server import Server
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

SECRET = "a-webhook-secret"
LARGEST = 65_536


class Nowhere(LaunchDarklySimulator):
    url = "http://127.0.0.1:1"  # type: ignore[assignment]


@pytest.fixture(scope="module")
def looked() -> list[str]:
    return []


@pytest.fixture(scope="module")
def api(looked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that asks for tokens, and tells somebody of webhooks."""
    url = f"sqlite:///{tmp_path_factory.mktemp('webhooks') / 'trail.db'}"
    Store(url).close()

    def look(name: str) -> Report | None:
        looked.append(name)
        return None

    source = Source("acme", Nowhere().connect(), webhook_secrets=(SecretStr(SECRET),))
    nudges = Nudges([source], look, pause=0.01)
    settings = ServeSettings(listen=Address("127.0.0.1", 0), origins=["https://tools.example.com"])
    server = Server(url, settings, again=0.1, nudges=nudges)
    server.start()
    assert server.listens.wait(20)
    with httpx.Client(base_url=f"http://{server.address}", timeout=20) as client:
        yield client
    nudges.stop()
    server.stop()
    assert server.wait(10)


def signed(body: bytes) -> dict[str, str]:
    return {"X-LD-Signature": hmac.new(SECRET.encode(), body, sha256).hexdigest()}


@pytest.mark.parametrize("body", [b"", b"{}", b"\x00\xff" * (LARGEST // 2)], ids=["empty", "short", "largest"])
def test_a_signed_webhook_makes_its_source_be_looked_at(api: httpx.Client, looked: list[str], body: bytes) -> None:
    looked.clear()
    answer = api.post("/webhooks/acme", content=body, headers=signed(body))
    assert (answer.status_code, answer.content) == (204, b"")
    deadline = time.monotonic() + 10
    while not looked:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert looked == ["acme"]


def test_one_in_chunks_is_taken_too(api: httpx.Client) -> None:
    assert api.post("/webhooks/acme", content=iter([b"{", b"}"]), headers=signed(b"{}")).status_code == 204


def test_everything_else_is_refused_and_does_not_tell_which_sources_there_are(
    api: httpx.Client, looked: list[str]
) -> None:
    time.sleep(0.1)
    looked.clear()
    body, large = b"{}", b"x" * (LARGEST + 1)
    refused = [
        api.post("/webhooks/acme", content=body),
        api.post("/webhooks/acme", content=body + b" ", headers=signed(body)),
        api.post("/webhooks/other", content=body, headers=signed(body)),
    ]
    assert {(answer.status_code, answer.content) for answer in refused} == {(401, refused[0].content)}
    good = signed(body)
    for status, answer in (
        (413, api.post("/webhooks/acme", content=large, headers=signed(large))),
        (413, api.post("/webhooks/acme", content=iter([large]), headers=signed(large))),
        (413, api.post("/webhooks/acme/more", content=body, headers=good)),
        (413, api.post("/webhooks/", content=body, headers=good)),
        (413, api.post("/api/v1/events", content=body, headers=good)),
        (413, api.request("GET", "/webhooks/acme", content=body, headers=good)),
        (413, api.put("/webhooks/acme", content=body, headers=good)),
        (405, api.get("/webhooks/acme")),
        (421, api.post("/webhooks/acme", content=body, headers=good | {"Host": "evil.example"})),
        (403, api.post("/webhooks/acme", content=body, headers=good | {"Origin": "https://evil.example"})),
        (403, api.post("/webhooks/acme", content=body, headers=good | {"Sec-Fetch-Site": "cross-site"})),
    ):
        assert answer.status_code == status, (status, answer.text)
    time.sleep(0.2)
    assert looked == []


def test_one_that_takes_too_long_is_not_waited_for(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagtrail.web.webhooks.SLOWEST", 0.2)
    with socket.create_connection((api.base_url.host, api.base_url.port or 0), timeout=10) as slow:
        head = f"POST /webhooks/acme HTTP/1.1\r\nHost: {api.base_url.netloc.decode()}\r\nContent-Length: 9\r\n\r\n{{"
        slow.sendall(head.encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


def test_who_only_serves_says_so(tmp_path: Path) -> None:
    from tests.serving import served

    url = f"sqlite:///{tmp_path / 'trail.db'}"
    Store(url).close()
    with served(url) as client:
        answer = client.post("/webhooks/acme", content=b"{}", headers=signed(b"{}"))
    assert answer.status_code == 404
    assert "`flagtrail run`" in answer.json()["detail"]
