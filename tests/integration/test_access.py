"""Who is answered over HTTP: tokens, names, pages of other sites; and what no answer, no row and no log tells."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import time_machine
from sqlalchemy import text

from flagtrail.errors import ConfigError
from flagtrail.rows import Reading
from flagtrail.serving import Address, ServeSettings, parse_address
from flagtrail.store import Store
from flagtrail.tokens import check, create, note_use, revoke, tokens
from flagtrail.web.access import require_tokens
from flagtrail.web.server import Server
from tests.conftest import told
from tests.serving import event, fill, served

EVENTS = "/api/v1/events"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a trail."""
    made = f"sqlite:///{tmp_path_factory.mktemp('access') / 'trail.db'}"
    with Store(made) as store:
        fill(store)
    return made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_is_good_for_its_scopes_until_it_ends(store: Store, store_url: str) -> None:
    reader, exporter = create(store, "reader", ["read"], timedelta(days=1)), create(store, "exporter", ["export"])
    with served(store_url, tokens=True) as api:
        missing = api.get(EVENTS)
        assert missing.status_code == 401
        assert missing.headers["www-authenticate"] == 'Bearer realm="flagtrail"'
        assert api.get(EVENTS, headers=bearer(reader)).status_code == 200
        refused = api.get("/api/v1/export", headers=bearer(reader))
        assert refused.status_code == 403
        assert "lacks the scope export" in refused.json()["detail"]
        assert api.get("/api/v1/export", headers=bearer(exporter)).status_code == 200
        assert api.get(EVENTS, headers=bearer(exporter)).status_code == 403
        for wrong in (reader[:-1], reader + "x", reader.replace("_", "", 1), "flagtrail_0_0", "nonsense", "ü" * 9):
            answer = api.get(EVENTS, headers={"Authorization": f"Bearer {wrong}".encode()})
            assert answer.status_code == 401, wrong
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert api.get(EVENTS, headers={"Authorization": "Basic eA=="}).status_code == 401
        revoke(store, "exporter")
        assert api.get("/api/v1/export", headers=bearer(exporter)).status_code == 401
        deadline = time.monotonic() + 10
        while not (used := {each.name: each.used_at for each in tokens(store)})["reader"]:
            assert time.monotonic() < deadline, "the use was not noted"
            time.sleep(0.05)
        assert used["reader"] <= datetime.now(UTC)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=1)):
        assert check(store, reader) is None
    assert check(store, reader) is not None


def test_only_a_digest_of_a_token_is_kept(store: Store) -> None:
    made = create(store, "one", ["read"])
    _, key, secret = made.split("_", 2)
    with store.engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM token")).one()
    assert secret not in str(row)
    with pytest.raises(ConfigError, match="already"):
        create(store, "one", ["read"])
    for name, scopes in (("", ["read"]), ("a b", ["read"]), ("good", []), ("good", ["write"])):
        with pytest.raises(ConfigError):
            create(store, name, scopes)
    with pytest.raises(ConfigError, match="no token called 'two'"):
        revoke(store, "two")
    earlier = datetime(2026, 1, 1, tzinfo=UTC)
    note_use(store, key, earlier + timedelta(hours=1))
    note_use(store, key, earlier)
    assert tokens(store)[0].used_at == earlier + timedelta(hours=1)


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, False),
        ({"listen": "[::1]:1"}, False),
        ({"hosts": ["localhost"]}, False),
        ({"tokens": True}, True),
        ({"listen": "0.0.0.0:1"}, True),
        ({"listen": "trail.example.com:1"}, True),
        ({"hosts": ["trail.example.com"]}, True),
    ],
)
def test_without_a_token_only_this_machine_is_answered(store: Store, settings: dict[str, Any], asks: bool) -> None:
    chosen = ServeSettings.model_validate(settings)
    assert chosen.asks_for_tokens is asks
    if asks:
        create(store, "old", ["read"], timedelta(microseconds=1))
        with pytest.raises(ConfigError, match="none is usable"):
            require_tokens(store, chosen)
        create(store, "good", ["read"])
    require_tokens(store, chosen)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "LOCALHOST:8421"}, 200),
        ({"Host": "[::1]:8421"}, 200),
        ({"Host": "evil.example.com"}, 421),
        ({"Host": "127.0.0.1.evil.example.com:8421"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"X-Forwarded-For": "203.0.113.5"}, 401),
        ({"Forwarded": "for=203.0.113.5"}, 401),
    ],
)
def test_other_names_and_pages_of_other_sites_are_refused(
    here: httpx.Client, headers: dict[str, str], status: int
) -> None:
    assert here.get(EVENTS, headers=headers).status_code == status


@pytest.fixture(scope="module")
def here(url: str) -> Any:
    with served(url) as api:
        yield api


def test_a_page_of_the_same_origin_and_of_a_named_one_may_read(url: str, here: httpx.Client) -> None:
    own = str(here.base_url).rstrip("/")
    assert here.get(EVENTS, headers={"Origin": own}).status_code == 200
    with served(url, origins=["https://tools.example.com"]) as api:
        named = {"Origin": "https://tools.example.com"}
        answer = api.get(EVENTS, headers=named)
        assert answer.headers["access-control-allow-origin"] == "https://tools.example.com"
        asked = named | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        allowed = api.options(EVENTS, headers=asked)
        assert allowed.status_code == 200
        assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
        assert api.get(EVENTS, headers={"Origin": "https://evil.example.com"}).status_code == 403


def test_every_answer_says_that_it_is_not_to_be_kept_guessed_or_framed(here: httpx.Client) -> None:
    for path in (EVENTS, "/nothing", "/api/v1/events?limit=0", "/api/docs"):
        headers = here.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == ("no-referrer" if path.startswith("/api/") else "same-origin")
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_what_is_too_large_or_of_another_method_is_refused(here: httpx.Client) -> None:
    for answer, status in (
        (here.get(EVENTS, params={"text": "x" * 9000}), 414),
        (here.request("GET", EVENTS, content=b"x"), 413),
        (here.request("GET", EVENTS, content=iter([b"x"])), 413),
        (here.post(EVENTS), 405),
        (here.delete("/api/v1/streams"), 405),
        (here.get("/api/nothing"), 404),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    assert here.post(EVENTS).headers["allow"] == "GET"


def test_the_page_of_the_api_fetches_nothing_from_elsewhere(here: httpx.Client) -> None:
    page = here.get("/api/docs")
    assert "//" not in page.text.replace("<!DOCTYPE html>", "")
    for part in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert f'"docs/{part}"' in page.text
        assert here.get(f"/api/docs/{part}").status_code == 200
    assert here.get("/api/docs/favicon.png").status_code == 404
    assert here.get("/api/openapi.json").json()["info"]["title"] == "flagtrail"


def test_a_bug_is_told_to_nobody_but_the_log(url: str, monkeypatch: pytest.MonkeyPatch, logged: list[Any]) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    with served(url) as api:
        monkeypatch.setattr("flagtrail.web.counts.question", broken)
        answer = api.get("/api/v1/count")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        monkeypatch.setattr("flagtrail.web.page.coverage.of_trail", broken)
        page = api.get("/coverage")
        assert page.status_code == 500
        assert page.headers["content-type"].startswith("text/html")
        assert "That is a bug" in page.text
        assert "Try again" in page.text
        assert "secret" not in page.text
        monkeypatch.setattr("flagtrail.web.page.shell.reader_of", broken)
        assert api.get("/coverage").headers["content-type"] == "application/problem+json", "not even a page can be made"
    assert len(told(logged, "request_crashed")) == 3


def test_the_log_tells_of_requests_and_never_what_was_asked_for(
    store: Store, store_url: str, logged: list[Any]
) -> None:
    made = create(store, "reader", ["read"])
    with served(store_url) as api:
        api.get(EVENTS, params={"actor": "ada", "token": made}, headers=bearer(made))
        api.get("/api/v1/nothing%1b[2J")
    first, second = told(logged, "request")
    assert (first["path"], first["asked"], first["token"], first["status"]) == (
        EVENTS, ["actor", "token"], "reader", 422,
    )  # fmt: skip
    assert second["path"] == "/api/v1/nothing%1b[2J"
    assert made not in str(logged)
    assert "ada" not in str(logged)


def test_an_export_that_fails_half_way_breaks_off(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from flagtrail.exports import jsonl

    whole = jsonl.as_json
    count = 0

    def breaking(row: Any) -> Any:
        nonlocal count
        count += 1
        if count == 100:
            raise RuntimeError("half way")
        return whole(row)

    with served(url) as api:
        monkeypatch.setattr(jsonl, "as_json", breaking)
        monkeypatch.setattr("flagtrail.web.flowing.AT_ONCE", 1)
        with pytest.raises(httpx.RemoteProtocolError):
            api.get("/api/v1/export")


def test_who_takes_the_address_is_outlived(url: str, logged: list[Any], listening: Callable[[], Any]) -> None:
    taken = listening()
    place = Address("127.0.0.1", taken.getsockname()[1])
    server = Server(url, ServeSettings(listen=place), again=0.05)
    server.start()
    deadline = time.monotonic() + 10
    while not told(logged, "serving_failed"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    taken.close()
    assert server.listens.wait(10)
    assert httpx.get(f"http://{place}{EVENTS}").status_code == 200
    server.stop()
    assert server.wait(10)


@pytest.fixture
def listening() -> Callable[[], Any]:
    import socket

    return lambda: socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize(
    "wrong", ["8421", ":8421", "127.0.0.1", "127.0.0.1:99999", "::1:8421", "http://x:1", "[x]:1", "a b:1"]
)
def test_an_address_has_a_host_and_a_port(wrong: str) -> None:
    with pytest.raises(ValueError, match="write host:port"):
        parse_address(wrong)


def test_a_store_that_cannot_be_used_is_a_problem(tmp_path: Path, logged: list[Any]) -> None:
    path = tmp_path / "trail.db"
    with Store(f"sqlite:///{path}"):
        pass
    with served(f"sqlite:///{path}") as api:
        assert api.get(EVENTS).status_code == 200
        path.rename(tmp_path / "other.db")
        answer = api.get(EVENTS)
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
    assert told(logged, "request_failed")


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_live_connection_ends_with_its_token(url: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagtrail.web.live.CHECKED", 0.5)
    with Store(url) as store:
        token = create(store, f"listener-{how}", ["read"], timedelta(days=1))
        sent = bearer(token) if how == "expired" else {"Cookie": f"flagtrail={token}"}  # as a browser has it
        create(store, f"other-{how}", ["read"])  # without one that can be used, nothing is served
        with (
            served(url, tokens=True) as api,
            api.stream("GET", "/api/v1/live", headers=sent, timeout=10) as answer,
        ):
            lines = answer.iter_lines()
            assert next(lines).startswith("retry:")
            time.sleep(1.5)  # it is looked up, and goes on
            if how == "revoked":
                revoke(store, f"listener-{how}")
            else:
                with store.engine.begin() as connection:
                    ended = {"at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(), "name": f"listener-{how}"}
                    connection.execute(text("UPDATE token SET expires_at = :at WHERE name = :name"), ended)
            page = [(event(500, vendor_id=f"before-{how}"), {})]
            time.sleep(0.6)
            store.add("acme", "launchdarkly", [Reading("audit_log", page)])
            assert not [line for line in lines if line.startswith("data:")], "and ends by itself"
