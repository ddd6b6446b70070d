"""Signing in to the page: a token in a cookie, which no script, no other site, no log and no address ever has."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from httpx import Response
from sqlalchemy import text
from starlette.testclient import TestClient

from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.tokens import create, revoke, tokens
from flagtrail.web.app import app
from flagtrail.web.page import signin
from flagtrail.web.page.returning import local
from tests.conftest import told
from tests.serving import fill

HOST = "http://127.0.0.1"
OWN = {"Origin": HOST}
NAME = "trail.example.com"
EVENTS = "/api/v1/events"


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a trail."""
    with Store(f"sqlite:///{tmp_path_factory.mktemp('signin') / 'trail.db'}") as store:
        fill(store)
        yield store


@pytest.fixture
def made(trail: Store) -> Callable[..., str]:
    """Return a function that makes a token of a name of this test's own."""

    def new(*scopes: str, lasts: timedelta | None = None) -> str:
        return create(trail, f"t{len(tokens(trail))}", scopes or ["read"], lasts)

    return new


def name_of(store: Store, token: str) -> str:
    return next(each.name for each in tokens(store) if each.key == token.split("_")[1])


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signin, "PAUSE", 0.0)


def client(trail: Store, base: str = HOST, **settings: Any) -> TestClient:
    chosen = ServeSettings(**{"tokens": True} | settings)
    return TestClient(app(trail, chosen), base_url=base, follow_redirects=False)


def sign_in(asks: TestClient, token: str, to: str = "/signin", **headers: str) -> Response:
    return asks.post(to, data={"token": token}, headers=OWN | headers)


def cookies(answer: Response) -> dict[str, Morsel[str]]:
    """Return what an answer lets the browser keep, without what it lets it forget."""
    found: dict[str, Morsel[str]] = {}
    for line in answer.headers.get_list("set-cookie"):
        found |= SimpleCookie(line)
    return {name: morsel for name, morsel in found.items() if morsel.value}


def test_pages_lead_to_where_a_token_is_asked_for_and_the_api_says_so(trail: Store) -> None:
    asks = client(trail)
    for path, back in (("/", ""), ("/coverage", "?next=/coverage"), ("/around?at=2h", "?next=/around%3Fat%3D2h")):
        answer = asks.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/signin{back}"), path
        assert "checkout" not in answer.text
    api = asks.get(EVENTS)
    assert (api.status_code, api.headers["content-type"]) == (401, "application/problem+json")
    page = asks.get("/signin?next=/coverage")
    assert page.status_code == 200
    assert 'action="/signin?next=' in page.text
    assert 'type="password"' in page.text
    assert 'id="sign"' not in page.text, "how the trail does is nobody's business before"
    assert asks.get(re.findall(r'href="(/static/[^"]+signin.css)', page.text)[0]).status_code == 200
    with_header = asks.get("/coverage", headers={"Authorization": "Bearer wrong"})
    assert with_header.status_code == 401, "a program is told, and not led"


def test_a_token_opens_pages_and_the_api_until_one_signs_out(trail: Store, made: Callable[..., str]) -> None:
    asks, token = client(trail), made()
    answer = sign_in(asks, token, "/signin?next=/around%3Fat%3D2h")
    assert (answer.status_code, answer.headers["location"]) == (303, "/around?at=2h")
    assert answer.headers["cache-control"] == "no-store"
    [(name, cookie)] = cookies(answer).items()
    assert (name, cookie.value) == ("flagtrail", token)
    assert cookie["httponly"]
    assert not cookie["secure"], "over plain HTTP the browser would not keep it"
    assert (cookie["samesite"].lower(), cookie["path"], cookie["domain"]) == ("lax", "/", "")
    assert int(cookie["max-age"]) == 30 * 86400
    page = asks.get("/coverage")
    assert page.status_code == 200
    assert token not in page.text
    assert "Sign out" in page.text
    assert asks.get(EVENTS).status_code == 200
    assert asks.get("/signin?next=/coverage").headers["location"] == "/coverage", "who is signed in need not again"
    out = asks.post("/signout", headers=OWN, data={})
    assert (out.status_code, out.headers["location"]) == (303, "/signin")
    assert asks.get(EVENTS).status_code == 401
    assert asks.get("/coverage").status_code == 303
    assert client(trail).get(EVENTS, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_what_is_no_token_is_refused_in_words(trail: Store, made: Callable[..., str], logged: list[Any]) -> None:
    asks = client(trail)
    gone = made()
    revoke(trail, name_of(trail, gone))
    for wrong in ("", "nonsense", "ü" * 9, made()[:-1], gone, "<script>alert(1)</script>"):
        answer = sign_in(asks, wrong)
        assert answer.status_code == 401, wrong
        assert "was revoked, or has expired" in answer.text
        assert 'role="alert"' in answer.text
        assert not cookies(answer)
        assert not wrong or wrong not in answer.text
    for body in (b"\xff\xfe", b"token", b"token=%00", b"&".join([b"token=x"] * 40)):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert asks.post("/signin", content=body, headers=OWN | form).status_code == 401
    assert len(told(logged, "sign_in_refused")) == 10
    assert gone not in str(logged)


def test_wrong_tokens_cost_time(trail: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(signin, "PAUSE", 1.0)
    monkeypatch.setattr(signin.asyncio, "sleep", sleep)
    assert sign_in(client(trail), "nonsense").status_code == 401
    assert waited == [1.0]


@pytest.mark.parametrize("path", ["/signin", "/signout"])
@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({"Origin": HOST}, True),
        ({"Origin": HOST, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://evil.example.com"}, False),
        ({"Origin": "https://tools.example.com"}, False),  # which may read with a token of its own
        ({"Origin": f"{HOST}:8422"}, False),
        ({"Origin": f"{HOST}.evil.example.com"}, False),
        ({"Origin": "https://127.0.0.1"}, False),
        ({"Origin": HOST, "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": HOST, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
    ],
)
def test_only_our_own_page_signs_in_and_out(
    trail: Store, made: Callable[..., str], path: str, headers: dict[str, str], good: bool
) -> None:
    asks = client(trail, origins=["https://tools.example.com"])
    answer = asks.post(path, data={"token": made()}, headers=headers)
    assert answer.status_code == (303 if good else 403)
    assert good or "set-cookie" not in answer.headers


def test_only_a_small_form_is_read(trail: Store, made: Callable[..., str]) -> None:
    asks, token = client(trail), made()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path, send, status in (
        ("/signin", {"json": {"token": token}}, 415),
        ("/signin", {"content": f"token={token}".encode(), "headers": {"Content-Type": "text/plain"}}, 415),
        ("/signin", {"files": {"token": token}}, 415),
        ("/signin", {"content": b"token=" + b"x" * 1000, "headers": form}, 413),
        ("/signin", {"content": iter([b"token=x"]), "headers": form}, 413),
        ("/", {"data": {"token": token}}, 413),
        (EVENTS, {"data": {"token": token}}, 413),
        ("/coverage", {}, 405),
    ):
        answer = asks.post(path, **send | {"headers": OWN | send.get("headers", {})})
        assert answer.status_code == status, (path, send)
        assert not cookies(answer)
    assert asks.request("GET", "/signin", content=b"x").status_code == 413
    assert asks.request("PUT", "/signin", data={"token": token}, headers=OWN).status_code == 413


def test_scopes_hold_for_cookies_too(trail: Store, made: Callable[..., str]) -> None:
    asks = client(trail)
    exporter = sign_in(asks, made("export"))
    assert exporter.status_code == 403
    assert "for exports only" in exporter.text
    assert not cookies(exporter)
    sign_in(asks, made("read"))
    refused = asks.get("/api/v1/export")
    assert (refused.status_code, "lacks the scope export" in refused.text) == (403, True)
    sign_in(asks, made("read", "export"))
    assert asks.get("/api/v1/export").status_code == 200
    only = TestClient(app(trail, ServeSettings(tokens=True)), base_url=HOST, cookies={"flagtrail": made("export")})
    page = only.get("/coverage", follow_redirects=False)
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_token_that_ends_ends_at_the_next_request(trail: Store, made: Callable[..., str], how: str) -> None:
    asks = client(trail)
    token = made(lasts=timedelta(hours=2))
    answer = sign_in(asks, token)
    assert 7100 < int(cookies(answer)["flagtrail"]["max-age"]) <= 7200, "the cookie ends with the token"
    assert asks.get("/coverage").status_code == 200
    name = name_of(trail, token)
    if how == "revoked":
        revoke(trail, name)
    else:
        with trail.engine.begin() as connection:
            ended = {"at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(), "name": name}
            connection.execute(text("UPDATE token SET expires_at = :at WHERE name = :name"), ended)
    assert asks.get(EVENTS).status_code == 401
    led = asks.get("/coverage")
    assert led.headers["location"] == "/signin?next=/coverage"
    page = asks.get(led.headers["location"])
    assert "was revoked, or has expired" in page.text
    assert "max-age=0" in page.headers["set-cookie"].lower(), "and the browser forgets it"
    assert "was revoked" not in asks.get("/signin").text


@pytest.mark.parametrize(
    "evil",
    [
        "//evil.example.com", "///evil.example.com", "/\\evil.example.com", "\\\\evil.example.com",
        "/\t/evil.example.com",
        "https://evil.example.com", "https:evil.example.com", "javascript:alert(1)", "data:text/html,x", "evil", "",
        "/x\r\nSet-Cookie: a=b", "/\n/evil.example.com", " //evil.example.com", "/signin?next=/signin", "/signout",
        "/" + "x" * 3000, "http://127.0.0.1/coverage", "/ü\\..//evil.example.com", "/a b",
    ],
)  # fmt: skip
def test_nobody_is_led_elsewhere(trail: Store, made: Callable[..., str], evil: str) -> None:
    assert local(evil) == "/"
    asks = client(trail)
    answer = asks.post("/signin", params={"next": evil}, data={"token": made()}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    again = asks.get("/signin", params={"next": evil})
    assert again.headers["location"] == "/"
    assert len(answer.headers.get_list("set-cookie")) == 2, "one cookie kept, one forgotten, and none of the caller's"


@pytest.mark.parametrize("good", ["/", "/coverage?source=a%26b", "/?q=actor:%22ada%22&since=2d", "/event/0a1b", "/ü"])
def test_one_is_led_back(good: str) -> None:
    assert local(good) == good


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({"X-Forwarded-Proto": "https", "Origin": f"https://{NAME}"}, True),
        ({"X-Forwarded-Proto": "HTTPS, http", "Origin": f"https://{NAME}"}, True),
        ({"Forwarded": 'for=203.0.113.5;proto="https"', "Origin": f"https://{NAME}"}, True),
        ({"Origin": f"https://{NAME}", "Sec-Fetch-Site": "same-origin"}, True),  # a proxy that says nothing of TLS
        ({"X-Forwarded-Proto": "http", "Origin": f"http://{NAME}"}, False),
        ({"Origin": f"https://{NAME}"}, None),
        ({"X-Forwarded-Proto": "https", "Origin": f"http://{NAME}"}, None),  # somebody between changed a plain page
        ({"X-Forwarded-Proto": "https", "Origin": "https://evil.example.com"}, None),
    ],
)
def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_only(
    trail: Store, made: Callable[..., str], headers: dict[str, str], secure: bool | None
) -> None:
    asks = client(trail, f"http://{NAME}", hosts=[NAME])
    answer = asks.post("/signin", data={"token": made()}, headers=headers)
    if secure is None:
        assert (answer.status_code, cookies(answer)) == (403, {})
        return
    [(name, cookie)] = cookies(answer).items()
    assert name == ("__Host-flagtrail" if secure else "flagtrail")
    assert bool(cookie["secure"]) is secure
    assert cookie["httponly"]
    assert cookie["path"] == "/"
    assert not cookie["domain"]
    sent = {"Cookie": f"{name}={cookie.value}", "X-Forwarded-For": "203.0.113.5"}
    fresh = client(trail, f"http://{NAME}", hosts=[NAME])
    assert fresh.get(EVENTS, headers=sent).status_code == 200
    assert fresh.get("/coverage", headers=sent).status_code == 200
    assert fresh.get("/coverage", headers={"Cookie": f"{name}={cookie.value}x"}).status_code == 303


def test_what_a_proxy_forwards_asks_for_a_token_and_what_comes_from_here_does_not(
    trail: Store, made: Callable[..., str]
) -> None:
    asks = client(trail, tokens=False)
    assert asks.get("/coverage").status_code == 200
    assert asks.get("/signin?next=/coverage").headers["location"] == "/coverage", "there is nothing to sign in to"
    assert asks.get("/coverage", headers={"Cookie": "flagtrail=old"}).status_code == 200
    for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        far = {name: "203.0.113.5"}
        assert asks.get("/coverage", headers=far).headers["location"] == "/signin?next=/coverage"
        assert asks.get("/signin", headers=far).status_code == 200
        assert asks.get(EVENTS, headers=far).status_code == 401
    far = {"X-Forwarded-For": "203.0.113.5"}
    assert sign_in(asks, made(), **far).status_code == 303
    assert asks.get("/coverage", headers=far).status_code == 200


def test_a_page_of_another_origin_reads_nothing_with_the_cookie_of_its_visitor(
    trail: Store, made: Callable[..., str]
) -> None:
    token = made()
    asks = client(trail, origins=["https://tools.example.com"])
    sign_in(asks, token)
    named = {"Origin": "https://tools.example.com"}
    assert asks.get(EVENTS, headers=named).status_code == 401
    answer = asks.get(EVENTS, headers=named | {"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert "access-control-allow-credentials" not in answer.headers
    assert asks.get(EVENTS, headers={"Origin": "https://evil.example.com"}).status_code == 403
    assert asks.get(EVENTS, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert asks.get(EVENTS, headers=OWN).status_code == 200
    frame = asks.get("/coverage").headers
    assert (frame["x-frame-options"], "frame-ancestors 'none'" in frame["content-security-policy"]) == ("DENY", True)


def test_a_header_goes_before_the_cookie(trail: Store, made: Callable[..., str]) -> None:
    asks = client(trail)
    sign_in(asks, made())
    assert asks.get(EVENTS, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert asks.get(EVENTS, headers={"Authorization": "Basic eA=="}).status_code == 401


def test_a_token_stands_in_no_log_and_its_name_does(trail: Store, made: Callable[..., str], logged: list[Any]) -> None:
    asks, token = client(trail), made()
    name = name_of(trail, token)
    sign_in(asks, token)
    asks.get("/coverage")
    asks.post("/signout", headers=OWN, data={})
    assert token not in str(logged)
    assert told(logged, "signed_in")[0]["token"] == name
    assert [line["token"] for line in told(logged, "request")][:2] == [name, name]


def test_the_openapi_document_knows_nothing_of_the_page(trail: Store) -> None:
    paths = client(trail).get("/api/openapi.json").json()["paths"]
    assert paths
    assert all(path.startswith("/api/v1/") for path in paths)
