"""Who must not be answered over HTTP is not, however it is asked; and what is sent stays text."""

import hashlib
import http.client
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from flagtrail.errors import ConfigError
from flagtrail.fields import BY_NAME
from flagtrail.query import Query, events
from flagtrail.rows import Reading
from flagtrail.serving import ServeSettings
from flagtrail.store import Store
from flagtrail.tokens import create, revoke
from flagtrail.web.access import require_tokens
from tests.acceptance.test_deployment import routes
from tests.faults.conftest import Oracle
from tests.serving import LOG, event, fill, served

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PROPFIND")
VARIANTS: tuple[Callable[[str], str], ...] = (
    lambda path: path, lambda path: f"{path}/", lambda path: f"/{path}", lambda path: f"/static/x/..{path}",
    lambda path: f"/static/..%2f..{path}", lambda path: f"/healthz/..{path}", lambda path: f"/healthz%2f..{path}",
    lambda path: path.replace("/e", "/%65"), lambda path: f"{path}%00", lambda path: f"{path};x=/healthz",
    lambda path: f"{path}?x=/healthz", lambda path: f"http://127.0.0.1{path}", lambda path: path.upper(),
    lambda path: f"/.{path}", lambda path: f"{path}%20", lambda path: f"{path}#/healthz",
)  # fmt: skip
OPEN = ("/healthz", "/readyz", "/signin", "/static/")  # what anybody may ask for
ABOUT = ("/api/docs", "/api/openapi.json")  # which tell of the API and of nothing in it
SAID = ("Traceback", "sqlalchemy", "site-packages", "SELECT ", "flagtrail/", ".py", "uvicorn", "Starlette")
TRICKS = (
    "'", "''", '"', "\\", "%", "_", "*", "'; DROP TABLE event; --", "' OR '1'='1", "1' UNION SELECT * FROM token --",
    "\x00", "a\nb", "NEAR(a b)", "a* OR b", 'x"y', "^a", "marks:a", "{a} :b", "$1", "%s", ":name", "?", "{0}",
    "))", "((", "NULL", "-1", "1e999", "٣", "\u202e", "x" * 500, "checkout-1' --", "checkout-1%", "checkout_1",
)  # fmt: skip


class Guarded(NamedTuple):
    """A trail that asks for tokens, its address, and headers with which nobody may be answered."""

    host: str
    port: int
    intruders: list[dict[str, str]]

    def asked(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Return the status and the body for a request whose path goes out as it is written."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a trail."""
    made = f"sqlite:///{tmp_path_factory.mktemp('intruders') / 'trail.db'}"
    with Store(made) as store:
        fill(store)
    return made


@pytest.fixture(scope="module")
def guarded(url: str) -> Iterator[Guarded]:
    """That trail, served to whoever has a token."""
    with Store(url) as store:
        good, late, gone = (create(store, name, ["read", "export", "metrics"]) for name in ("good", "late", "gone"))
        other = create(store, "expired", ["read"], timedelta(microseconds=1))
        revoke(store, "gone")
    _, key, secret = good.split("_", 2)
    wrong = (
        gone,
        other,
        good[:-1],
        f"flagtrail_{key}_{'A' * len(secret)}",
        f"flagtrail_{key}_",
        late.upper(),
        "",
        "x" * 999,
    )
    intruders: list[dict[str, str]] = [{}, {"Authorization": f"Basic {good}"}, {"Authorization": good},
                                       {"Cookie": f"other={good}"}, {"X-Forwarded-User": "admin"},
                                       {"Host": "127.0.0.1", "X-Original-URL": "/healthz"}]  # fmt: skip
    intruders += [{"Authorization": f"Bearer {token}"} for token in wrong]
    intruders += [{"Cookie": f"__Host-flagtrail={token}; flagtrail={token}"} for token in wrong[:4]]
    with served(url, tokens=True) as client:
        host, port = str(client.base_url.host), client.base_url.port
        assert port is not None
        made = Guarded(host, port, intruders)
        assert made.asked("GET", "/api/v1/events", {"Authorization": f"Bearer {good}"})[0] == 200
        yield made


@pytest.mark.fault("G1", "no token, or a wrong one, at every address, by every method, in every way to write it")
def test_g1_nobody_without_a_token_is_answered(oracle: Oracle, guarded: Guarded) -> None:
    known = {prefix + path.replace("{", "").replace("}", "") for path in routes() for prefix in ("", "/api", "/api/v1")}
    paths = sorted(path for path in known if path and not path.startswith(OPEN))
    assert len(paths) > 50
    asked = [(method, path, headers) for path in paths for method in METHODS for headers in ({}, guarded.intruders[1])]
    asked += [("GET", path, headers) for path in paths for headers in guarded.intruders]
    asked += [("GET", variant(path), {}) for path in paths if path.startswith("/api") for variant in VARIANTS]
    answered = []
    for method, path, headers in asked:
        status, body = guarded.asked(method, path, headers)
        if status < 300 and not path.startswith(ABOUT):
            answered.append((method, path, headers))
        oracle.holds(not any(word in body for word in SAID), f"{method} {path} tells how it is made: {body}")
    oracle.holds(answered == [], f"answered without a token: {answered[:5]}")


@pytest.mark.fault("G2", "names and origins that are not ours, at every address")
def test_g2_other_names_and_other_origins_are_refused_everywhere(oracle: Oracle, url: str) -> None:
    foreign = [{"Host": name} for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "",
               "[::2]", "127.0.0.1@evil.example", "evil.example:80#127.0.0.1", "2130706433", "0x7f.1")]  # fmt: skip
    foreign += [
        {"Origin": one} for one in ("null", "https://evil.example", "http://127.0.0.1", "http://localhost:1", "x")
    ]
    with served(url) as client:
        port = client.base_url.port
        assert port is not None
        here = Guarded(client.base_url.host, port, [])
        paths = sorted({prefix + path for path in routes() for prefix in ("", "/api/v1") if path})
        for path in paths:
            for headers in foreign:
                status, body = here.asked("GET", path, headers)
                oracle.holds(status in (400, 403, 404, 421), f"{path} with {headers}: {status}")
                oracle.holds("turned the flag" not in body, f"{path} with {headers} tells events")


@pytest.mark.fault("G3", "listening to everybody without a token, and forged headers of proxies")
def test_g3_who_is_reachable_asks_for_tokens(oracle: Oracle, tmp_path: Path, url: str) -> None:
    reachable = [
        {"listen": f"{host}:1"} for host in ("0.0.0.0", "[::]", "192.0.2.1", "trail.example", "[::ffff:7f00:2]")
    ]
    with Store(f"sqlite:///{tmp_path / 'new.db'}") as store:
        for settings in [*reachable, {"hosts": ["trail.example"]}, {"tokens": True}]:
            with pytest.raises(ConfigError, match="needs a token"):
                require_tokens(store, ServeSettings.model_validate(settings))
            oracle.holds(True, "it does not start")
    with served(url) as client:
        forwarded = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
        for name in forwarded:
            for value in ("127.0.0.1", "for=127.0.0.1", "localhost", ""):
                status = client.get("/api/v1/events", headers={name: value}).status_code
                oracle.holds(status == 401, f"{name}: {value} is answered with {status}")


@pytest.mark.fault("G7", "SQL, wildcards and the syntax of searches in every field")
def test_g7_what_is_asked_for_stays_text(oracle: Oracle, store: Store, store_url: str) -> None:
    fill(store)
    before = _content(store)
    with Store(store_url) as asked:
        all_of_them = list(events(asked, Query(limit=0)))
    with served(store_url) as client:
        for number, trick in enumerate(TRICKS):
            for name in ("actor", "action", "project", "environment", "object", "text"):
                answer = client.get("/api/v1/events", params={name: trick, "limit": 1000})
                if answer.status_code != 200:
                    oracle.holds(
                        answer.status_code in (400, 422), f"{name}={trick!r}: {answer.status_code} {answer.text}"
                    )
                    continue
                found = {row["id"] for row in answer.json()["events"]}
                if name in ("project", "action") and not set(trick) & set("*,"):
                    plain = {row["id"] for row in all_of_them if (row[name] or "").lower() == trick.lower()}
                    oracle.holds(found == plain, f"{name}={trick!r} finds {len(found)} events")
                if "'" in trick or ";" in trick:
                    oracle.holds(len(found) < len(all_of_them), f"{name}={trick!r} finds everything")
            for name in sorted(BY_NAME)[number % 4 :: 4]:  # each field meets a quarter of them
                answer = client.get("/api/v1/events", params={"q": f"{name}:{trick}"})
                oracle.holds(answer.status_code in (200, 400, 422), f"{name}:{trick!r}: {answer.status_code}")
                oracle.holds(not any(word in answer.text for word in SAID[:4]), f"{name}:{trick!r}: {answer.text}")
    oracle.holds(_content(store) == before, "the database was changed")


def _content(store: Store) -> str:
    with store.engine.connect() as connection:
        rows: list[Any] = []
        for table in ("event", "record", "coverage", "gap", "stream", "token"):
            rows += sorted(str(tuple(row)) for row in connection.exec_driver_sql(f"SELECT * FROM {table}").all())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@pytest.mark.fault("G12", "events are stored between two pages of an answer")
def test_g12_pages_neither_skip_nor_repeat_while_events_come(oracle: Oracle, store: Store, store_url: str) -> None:
    fill(store)
    for sort in ("newest", "oldest"):
        with Store(store_url) as asked:
            first = {row["id"] for row in events(asked, Query(limit=0))}
        found: list[str] = []
        with served(store_url) as client:
            cursor, page = None, 0
            while cursor or not page:
                found_here = _page(client, sort, cursor)
                found += [row["id"] for row in found_here["events"]]
                cursor, page = found_here["next"], page + 1
                made = [event(page * 7 + part, vendor_id=f"{sort}{page}-{part}") for part in range(3)]
                if page < 12:
                    store.add("acme", "launchdarkly", [Reading(LOG, [(one, {"_id": one.vendor_id}) for one in made])])
        oracle.holds(len(found) == len(set(found)), "an event came twice")
        oracle.holds(first <= set(found), "an event was skipped")


def _page(client: httpx.Client, sort: str, cursor: str | None) -> Any:
    where: dict[str, Any] = {"limit": 20, "sort": sort} | ({"after": cursor} if cursor else {})
    return client.get("/api/v1/events", params=where).raise_for_status().json()
