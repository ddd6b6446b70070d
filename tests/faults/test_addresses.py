"""Where a credential may go, and where never: reliability rows C8, C9, C10, C11, C12 and C14."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flagtrail.store import Store
from flagtrail.testing import faults
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail_configcat.simulator import PASSWORD, ConfigCatSimulator
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.simulation.account import TOKEN
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.conftest import rows
from tests.faults.conftest import Oracle
from tests.faults.scene import ALWAYS, FLAG_EVENTS, LISTS, covered, sync

Addresses = list[tuple[str, int]]


class Thief:
    """Listens for anybody who can be lured here, and keeps what they say."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                victim = self._listener.accept()[0]
            except OSError:
                return
            with victim:
                victim.settimeout(2)
                self.heard.append(victim.recv(65536))

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def thief() -> Iterator[Thief]:
    found = Thief()
    yield found
    found.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Addresses:
    """Return every address that somebody wants to connect to from now on; only loopback is really looked up."""
    found: Addresses = []
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        found.append((str(host), int(port)))
        if host != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return found


def only_to(vendor: Simulator, asked: Addresses) -> bool:
    """Return whether somebody was connected to, and never anybody but the vendor."""
    return set(asked) == {("127.0.0.1", int(vendor.url.rpartition(":")[2]))}


ELSEWHERE = {
    "another host": "http://thief.example/api/v2/auditlog",
    "another port": "http://127.0.0.1:{port}/api/v2/auditlog",
    "no scheme": "//127.0.0.1:{port}/v2/organizations/x/auditlogs",
    "https": "https://127.0.0.1:{port}/",
    "a name for a password": "http://127.0.0.1@127.0.0.1:{port}/",
    "the same host, another path": "/login?next=/api/v2/auditlog",
    "the same host, the same path": "",
    "no address": "http://",
    "a file": "file:///etc/passwd",
    "backslashes": "\\\\127.0.0.1:{port}\\x",
}


@pytest.mark.fault("C8", "redirects to anywhere")
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ELSEWHERE)
def test_c8_no_redirect_is_followed(
    oracle: Oracle, lite: Store, thief: Thief, asked: Addresses, code: int, where: str
) -> None:
    with (LaunchDarklySimulator if code % 2 else ConfigCatSimulator)() as vendor:
        vendor.fill(40, 5, seed=50)
        fault = faults.redirect(ELSEWHERE[where].format(port=thief.port), code)
        vendor.inject(fault, match=LISTS[vendor.connector.vendor], times=ALWAYS)
        report = sync(vendor, lite)
        oracle.holds(f"redirect ({code})" in str(report.errors), "it is called by its name")
        streams = [stream for stream in vendor.truth() if stream.startswith("audit_log")]
        oracle.holds([one for stream in streams for one in covered(lite, stream)] == [], "nothing is claimed")
        oracle.holds(only_to(vendor, asked) and thief.heard == [], "nobody else hears of us")
        oracle.check(lite, vendor)


@pytest.mark.fault("C8", "redirects at the first request")
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_c8_no_redirect_is_followed_at_the_first_request(
    oracle: Oracle, lite: Store, vendor: Simulator, thief: Thief, code: int
) -> None:
    vendor.inject(faults.redirect(f"http://127.0.0.1:{thief.port}/", code), times=ALWAYS)
    oracle.holds(f"redirect ({code})" in str(sync(vendor, lite).errors), "it is called by its name")
    oracle.holds(thief.heard == [], "nobody else hears of us")
    vendor.heal()
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


TAIL = "/api/v2/auditlog?after=1&before=2"
HREFS = [
    # another host, in every way to write one
    "http://127.0.0.1:{port}" + TAIL,
    "https://127.0.0.1:{port}" + TAIL,
    "HTTP://127.0.0.1:{port}" + TAIL,
    "//127.0.0.1:{port}" + TAIL,
    "///127.0.0.1:{port}" + TAIL,
    "http:/127.0.0.1:{port}" + TAIL,
    "http:127.0.0.1:{port}" + TAIL,
    "http:\\\\127.0.0.1:{port}" + TAIL,
    "\\\\127.0.0.1:{port}" + TAIL,
    "/\\127.0.0.1:{port}" + TAIL,
    "\\/127.0.0.1:{port}" + TAIL,
    "/%2f127.0.0.1:{port}" + TAIL,
    "/%5c127.0.0.1:{port}" + TAIL,
    "//localhost:{port}" + TAIL,
    "//[::1]:{port}" + TAIL,
    "//[::ffff:127.0.0.1]:{port}" + TAIL,
    "//2130706433:{port}" + TAIL,
    "//0x7f000001:{port}" + TAIL,
    "//127.1:{port}" + TAIL,
    "http://thief.example" + TAIL,
    "//thief.example" + TAIL,
    # the right host, and then another
    "{url}@127.0.0.1:{port}" + TAIL,
    "{url}@thief.example" + TAIL,
    "http://127.0.0.1@thief.example" + TAIL,
    "http://127.0.0.1%40thief.example" + TAIL,
    "http://127.0.0.1:pass@thief.example" + TAIL,
    "http://127.0.0.1:443@thief.example" + TAIL,
    "http://127.0.0.1#@thief.example" + TAIL,
    "http://127.0.0.1?@thief.example" + TAIL,
    "http://127.0.0.1\\@thief.example" + TAIL,
    "http://127.0.0.1;@thief.example" + TAIL,
    "http://127.0.0.1 @thief.example" + TAIL,
    "http://127.0.0.1\t@thief.example" + TAIL,
    "http://127.0.0.1,thief.example" + TAIL,
    "@thief.example" + TAIL,
    "@127.0.0.1:{port}" + TAIL,
    # names that look like the right one
    "{url}.evil" + TAIL,
    "http://127.0.0.1.evil" + TAIL,
    "http://127.0.0.1.thief.example" + TAIL,
    "http://127。0。0。1:{port}" + TAIL,
    "http://127.0.0.1\uff0ethief.example" + TAIL,
    "http://\uff11\uff12\uff17.0.0.1:{port}" + TAIL,
    "http://127.0.0.1\u2024evil" + TAIL,
    "http://127.0.0.1%00.evil" + TAIL,
    "http://127.0.0.1\0.evil" + TAIL,
    # lines that end early
    "/api/v2/auditlog?after=1%0d%0aHost:%20thief.example",
    "/api/v2/auditlog?after=1\r\nHost: thief.example",
    "/api/v2/auditlog?after=1\nX: y",
    "\r\n//127.0.0.1:{port}" + TAIL,
    " //127.0.0.1:{port}" + TAIL,
    "\t//127.0.0.1:{port}" + TAIL,
    # other paths, and no paths at all
    "/api/v2/tokens?after=1",
    "/api/v2/../../api/v2/tokens?after=1",
    "../tokens?after=1",
    "?after=1",
    "#after=1",
    "",
    "/",
    "file:///etc/passwd?after=1",
    "javascript:alert(1)?after=1",
    "data:,after=1",
    "ftp://127.0.0.1:{port}" + TAIL,
    "gopher://127.0.0.1:{port}/_GET?after=1",
    "/api/v2/auditlog?after=1" + "0" * 10_000,
]


def relinked(href: Any) -> faults.Fault:
    """Let every link of an answer that has links, the next one among them, lead somewhere else."""

    def change(body: Any) -> Any:
        if not isinstance(body, dict) or "_links" not in body:
            return body
        return body | {"_links": {name: {"href": href} for name in ("self", "next", "first", "last", "prev")}}

    return faults.edited(change)


@pytest.mark.fault("C9", "next links to foreign hosts, in 60 ways to write them")
@pytest.mark.parametrize("number", range(len(HREFS)))
def test_c9_a_link_never_decides_who_is_asked(
    oracle: Oracle, lite: Store, thief: Thief, asked: Addresses, number: int
) -> None:
    with LaunchDarklySimulator() as vendor:
        del vendor.trail.projects[1:]
        vendor.fill(50, 5, seed=51, flag_events=0)
        for event in range(120):
            vendor.add_flag_event(ms=vendor.clock.ms() - 86_400_000 + event)
        connector = vendor.connect().model_copy(update={"flag_events": ["web/production"]})
        href = HREFS[number].format(port=thief.port, url=vendor.url)
        vendor.inject(relinked(href), times=ALWAYS)
        sync(vendor, lite, connector=connector)
        oracle.holds(only_to(vendor, asked) and thief.heard == [], "nobody else hears of us")
        paths = {request.path for request in vendor.requests}
        known = {"/api/v2/caller-identity", "/api/v2/auditlog", "/api/v2/auditlog/counts", f"/api/v2{FLAG_EVENTS}"}
        oracle.holds(paths <= known, "nothing is asked for that we did not choose")
        oracle.holds(
            {request.headers["host"] for request in vendor.requests} == {vendor.url[7:]}, "no line is smuggled"
        )
        oracle.check(lite, vendor)
        vendor.heal()
        assert sync(vendor, lite, connector=connector).errors == []
        oracle.check(lite, vendor)
        stored = rows(lite, "SELECT count(*) FROM event")
        oracle.holds(stored == [(170,)], "and nothing is missing")


@pytest.mark.fault("C9", "next links that are no text")
@pytest.mark.parametrize("href", [None, 7, [], {}, ["/x?after=1"], {"href": "/x?after=1"}, True])
def test_c9_a_link_that_is_no_text_is_no_reason_to_ask_elsewhere(
    oracle: Oracle, lite: Store, thief: Thief, asked: Addresses, href: Any
) -> None:
    with LaunchDarklySimulator() as vendor:
        vendor.fill(50, 5, seed=51, flag_events=0)
        vendor.inject(relinked(href), times=60)
        sync(vendor, lite)
        oracle.holds(only_to(vendor, asked) and thief.heard == [], "nobody else hears of us")
        vendor.heal()
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)


@pytest.mark.fault("C10", "a base URL that must not get a credential")
@pytest.mark.parametrize(
    "url",
    [
        "http://app.launchdarkly.com",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1",
        "http://0.0.0.0:8080",
        "http://[fe80::1]",
        "http://localhost.evil",
        "http://127.0.0.1.evil",
        "http://2130706433",
        "file:///etc/passwd",
        "ftp://127.0.0.1",
        "gopher://127.0.0.1",
        "//127.0.0.1",
        "https://",
        "https://user:pass@app.launchdarkly.com",
        "https://app.launchdarkly.com@thief.example",
        "https://app.launchdarkly.com/?x=1",
        "https://app.launchdarkly.com/#x",
        "https://app.launchdarkly.com:port",
    ],
)
def test_c10_such_a_base_url_is_refused(oracle: Oracle, vendor: Simulator, url: str) -> None:
    with pytest.raises(ValidationError):
        type(vendor.connect())(**vendor.settings() | {"base_url": url})
    oracle.holds(vendor.requests == [], "nothing is asked")


VARIABLES = [name for one in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY") for name in (one, one.lower())]


@pytest.mark.fault("C11", "proxies and credentials out of the environment")
def test_c11_no_variable_reroutes_a_credential(
    oracle: Oracle, lite: Store, vendor: Simulator, thief: Thief, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in VARIABLES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{thief.port}")
    (tmp_path / "netrc").write_text("default login thief password thief\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)
    oracle.holds(thief.heard == [], "no proxy hears of us")
    oracle.holds(all(request.status == 200 for request in vendor.requests), "the credential is ours")


@pytest.mark.fault("C12", "the name of the vendor cannot be looked up")
@pytest.mark.usefixtures("impatient", "asked")
def test_c12_a_name_that_is_not_found_is_tried_again_later(oracle: Oracle, lite: Store, vendor: Simulator) -> None:
    away = vendor.connect().model_copy(update={"base_url": "https://vendor.invalid"})
    oracle.holds("cannot be reached" in str(sync(vendor, lite, connector=away).errors), "it is called by its name")
    oracle.holds(rows(lite, "SELECT * FROM coverage") == [], "nothing is claimed")
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


@pytest.mark.fault("C12", "nobody listens")
@pytest.mark.usefixtures("impatient")
def test_c12_a_closed_port_is_tried_again_later(oracle: Oracle, lite: Store, vendor: Simulator) -> None:
    away = vendor.connect().model_copy(update={"base_url": "http://127.0.0.1:1"})
    oracle.holds("cannot be reached" in str(sync(vendor, lite, connector=away).errors), "it is called by its name")
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


@pytest.fixture
def certified(tmp_path: Path) -> Callable[..., ssl.SSLContext]:
    """Return a maker of servers' certificates that nobody vouches for."""

    def made(*options: str) -> ssl.SSLContext:
        key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
        subprocess.run([*command, *options], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    return made


@pytest.mark.fault("C12", "a TLS certificate that proves nothing")
@pytest.mark.parametrize("kind", ["self-signed", "another name", "no TLS at all"])
@pytest.mark.usefixtures("impatient")
def test_c12_no_credential_goes_over_a_connection_that_is_not_proven(
    oracle: Oracle, lite: Store, vendor: Simulator, kind: str, certified: Callable[..., ssl.SSLContext]
) -> None:
    said: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def listen(context: ssl.SSLContext | None) -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            try:
                if context:
                    client = context.wrap_socket(client, server_side=True)
                said.append(client.recv(65536))
            except OSError:
                pass
            client.close()

    name = "thief.example" if kind == "another name" else "127.0.0.1"
    context = None if kind == "no TLS at all" else certified("-subj", f"/CN={name}", "-days", "1")
    threading.Thread(target=listen, args=(context,), daemon=True).start()
    away = vendor.connect().model_copy(update={"base_url": f"https://127.0.0.1:{listener.getsockname()[1]}"})
    errors = sync(vendor, lite, connector=away).errors
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    oracle.holds("cannot be reached" in str(errors), "it is called by its name")
    secrets = [TOKEN.encode(), PASSWORD.encode(), b"authorization", b"Authorization"]
    oracle.holds(not any(secret in words for words in said for secret in secrets), "the credential stays here")
    oracle.holds(rows(lite, "SELECT * FROM coverage") == [], "nothing is claimed")
    assert sync(vendor, lite).errors == []
    oracle.whole(lite, vendor)


@pytest.mark.fault("C14", "the source is pointed at another instance of the vendor")
def test_c14_another_instance_with_another_account_is_refused(oracle: Oracle, store: Store) -> None:
    def elsewhere(request: Request, answer: Callable[[], Reply]) -> Reply:
        reply = answer()
        reply.body = reply.body | {"accountId": "account-of-the-other-instance"}
        return reply

    with LaunchDarklySimulator() as vendor, LaunchDarklySimulator() as federal:
        vendor.fill(60, 5, seed=52)
        federal.fill(60, 5, seed=53)
        federal.inject(elsewhere, match="caller-identity", times=ALWAYS)
        assert sync(vendor, store).errors == []
        claims = covered(store)
        oracle.holds("account-of-the-other-instance" in str(sync(federal, store).errors), "the account is named")
        oracle.holds(covered(store) == claims, "nothing more is claimed")
        oracle.whole(store, vendor)


@pytest.mark.fault("C14", "the credential of one vendor is given to another")
def test_c14_a_credential_of_another_vendor_reads_nothing(oracle: Oracle, lite: Store) -> None:
    with LaunchDarklySimulator() as vendor, ConfigCatSimulator() as other:
        vendor.fill(60, 5, seed=52)
        mixed = LaunchDarkly(**vendor.settings() | {"base_url": other.url})
        oracle.holds("401" in str(sync(other, lite, connector=mixed).errors), "it is refused")
        oracle.holds(rows(lite, "SELECT * FROM event") == [], "nothing is read")
        assert sync(vendor, lite).errors == []
        oracle.whole(lite, vendor)
