"""One vendor's HTTP API: what is retried, what is refused, and what never leaves."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from gzip import compress as gzip
from typing import Any, ClassVar

import httpx
import pytest
import tenacity
from pydantic import SecretStr

from flagtrail import api as module
from flagtrail import lines, retries
from flagtrail.api import Api
from flagtrail.clock import STEP
from flagtrail.connector import Connector
from flagtrail.errors import AccessDenied, RateLimited, Redirected, SourceError, Unavailable, UnexpectedResponse
from flagtrail.event import Record
from flagtrail.limit import Allowance, Limiter
from flagtrail.testing import faults
from flagtrail.testing.simulator import Fault, Reply, Request, Simulator

SECRET = "s3cret-0123456789"
SOON = 20.0  # seconds within which a thread that may go on does
Handler = Callable[[httpx.Request], httpx.Response]


class Vendor(Simulator):
    """Answers everything with the same JSON."""

    connector: ClassVar[type[Connector]]

    def reply(self, request: Request) -> Reply:
        return Reply(body={"hello": "x" * 200})

    def settings(self) -> dict[str, Any]:
        return {"base_url": self.url, "token": SecretStr(SECRET)}

    def fill(self, records: int, days: float = 365.0, seed: int = 0) -> None: ...
    def happen(self) -> None: ...

    def truth(self) -> dict[str, dict[str, int]]:
        return {}

    def shown(self, stream: str, vendor_id: str) -> Record:
        raise KeyError(vendor_id)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as simulator:
        yield simulator


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the waits between tries, none of which is really slept; backing off by itself takes no time."""
    waits: list[float] = []
    monkeypatch.setattr(retries, "BACKOFF", tenacity.wait_none())
    monkeypatch.setattr(Api, "_sleep", lambda self, seconds: waits.append(seconds))
    monkeypatch.setattr(Limiter, "hold", lambda self, seconds: None)
    return waits


def api_of(url: str, *, attempts: int = retries.ATTEMPTS, **options: Any) -> Api:
    api = Api(url, headers={"authorization": SECRET}, secrets=(SECRET,), **options)
    api.attempts = attempts
    return api


def mocked(*answers: httpx.Response | Exception | Handler, **options: Any) -> Api:
    """Return an API whose vendor gives these answers in order, the last one for ever."""
    waiting = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)

    return api_of("https://vendor.example", transport=httpx.MockTransport(handle), **options)


def good(**headers: str) -> httpx.Response:
    return httpx.Response(200, json={"ok": True}, headers=headers)


def answer_of(status: int, said: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=said, headers={name.replace("_", "-"): v for name, v in headers.items()})


def dated(instant: datetime) -> str:
    return format_datetime(instant, usegmt=True)


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(faults.status(code), id=str(code)) for code in (408, 425, 429, 500, 502, 503, 504, 520, 529)),
        pytest.param(faults.cut(50), id="cut off"),
        pytest.param(faults.shortened(50), id="half a JSON"),
        pytest.param(faults.body(b""), id="empty"),
        pytest.param(faults.reset(), id="reset"),
        pytest.param(faults.status(200, b"not gzip", {"content-encoding": "gzip"}), id="cannot be unpacked"),
    ],
)
def test_what_passes_by_itself_is_tried_again(vendor: Vendor, fault: Fault) -> None:
    vendor.inject(fault, times=2)
    with api_of(vendor.url) as api:
        assert api.get("/log").body == {"hello": "x" * 200}
    assert len(vendor.requests) == 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [(httpx.ReadTimeout("slow"), Unavailable), (answer_of(503), Unavailable), (answer_of(429), RateLimited)],
)
def test_trying_again_ends_after_so_many_attempts(
    answer: httpx.Response | Exception, error: type[SourceError], slept: list[float]
) -> None:
    with mocked(answer) as api, pytest.raises(error, match=r"vendor\.example"):
        api.get("/log")
    assert len(slept) == retries.ATTEMPTS - 1
    assert min(slept) >= 0.1, "trying again became a busy loop"


def test_a_body_that_was_packed_twice_is_refused() -> None:
    twice = httpx.Response(200, content=gzip(gzip(b"{}")), headers={"content-encoding": "gzip, gzip"})
    with mocked(lambda request: twice) as api, pytest.raises(UnexpectedResponse, match="packed twice"):
        api.get("/log")
    assert api.requests == 1


def test_the_wait_between_tries_grows(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACKOFF", tenacity.wait_exponential(multiplier=0.5, max=60))
    with mocked(answer_of(500)) as api, pytest.raises(Unavailable):
        api.get("/log")
    assert slept == sorted(slept)
    assert slept[-1] > 4 * slept[0]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, UnexpectedResponse),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, AccessDenied),
        (405, UnexpectedResponse),
        (410, UnexpectedResponse),
        (422, UnexpectedResponse),
        (204, UnexpectedResponse),
        (302, Redirected),
        (307, Redirected),
    ],
)
def test_a_refusal_is_never_repeated(vendor: Vendor, status: int, error: type[SourceError]) -> None:
    vendor.inject(faults.status(status, {"message": "no"}), times=100)
    with api_of(vendor.url) as api, pytest.raises(error) as raised:
        api.get("/log")
    assert type(raised.value) is error
    assert len(vendor.requests) == 1
    if isinstance(raised.value, AccessDenied):
        assert raised.value.status == status


def test_a_web_page_with_status_200_is_not_understood_and_not_repeated(vendor: Vendor) -> None:
    vendor.inject(faults.html(), times=100)
    with api_of(vendor.url) as api, pytest.raises(UnexpectedResponse, match="text/html instead of JSON"):
        api.get("/log")
    assert len(vendor.requests) == 1


def test_a_refusal_comes_with_the_vendors_words_and_what_to_do() -> None:
    hints = {403: "Ask an admin for the Reader role"}
    refusal = answer_of(403, {"message": "Not for\n you."})
    with mocked(refusal, hints=hints) as api, pytest.raises(AccessDenied) as raised:
        api.get("/log")
    assert str(raised.value) == "vendor.example refuses (403): Not for you. Ask an admin for the Reader role"


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["7"], 7.0),
        (["0"], None),
        (["-7"], None),
        (["soon"], None),
        ([""], None),
        (["3", "9"], 9.0),
        (["soon", "4"], 4.0),
        (["-1", "2"], 2.0),
        (["Sun, 01 Mar 2026 12:00:30 GMT"], 30.0),
        (["Sun, 01 Mar 2026 11:00:00 GMT"], None),
        (["Sun, 99 Mar 2026 12:00:30 GMT"], None),
        (["5", "Sun, 01 Mar 2026 12:00:30 GMT"], 30.0),
    ],
)
def test_retry_after_is_understood_in_seconds_and_as_a_date_by_the_vendors_clock(
    values: list[str], wanted: float | None, slept: list[float]
) -> None:
    headers = [("date", "Sun, 01 Mar 2026 12:00:00 GMT"), *(("retry-after", value) for value in values)]
    refusal = httpx.Response(429, headers=headers, json={})
    with mocked(refusal, good()) as api:
        assert api.get("/log").body == {"ok": True}
    assert len(slept) == 1
    assert slept[0] == pytest.approx((wanted or 0) + 0.125, abs=0.13)


@pytest.mark.parametrize("value", ["61", "999999999", "9" * 400])
def test_a_thread_does_not_wait_for_longer_than_a_minute_but_gives_up_until_the_next_tick(value: str) -> None:
    with mocked(answer_of(429, retry_after=value)) as api:
        for _ in range(2):
            with pytest.raises(RateLimited) as raised:
                api.get("/log")
            assert raised.value.retry_after is not None
            assert 55 < raised.value.retry_after <= retries.LONGEST_RETRY_AFTER
        assert api.requests == 1


def test_the_last_refusal_tells_how_long_the_vendor_wants_us_to_wait() -> None:
    with mocked(answer_of(429, retry_after="12"), attempts=1) as api, pytest.raises(RateLimited) as raised:
        api.get("/log")
    assert raised.value.retry_after == 12.0


def test_a_refusal_of_one_thread_makes_the_others_wait_too() -> None:
    asked: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(time.monotonic())
        return answer_of(429, retry_after="1") if len(asked) == 1 else good()

    with mocked(handle) as api:
        first = threading.Thread(target=api.get, args=("/log",))
        first.start()
        deadline = time.monotonic() + SOON
        while not asked and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        api.get("/log")
        first.join(SOON)
    assert len(asked) == 3
    assert asked[1] - asked[0] >= 0.95, "a request started while the vendor had asked for a pause"


@pytest.mark.parametrize("location", ["/v2/log?page=1", "https://vendor.example/v2/log"])
def test_a_redirect_on_the_same_host_tells_its_path_and_is_not_followed(location: str) -> None:
    with mocked(answer_of(307, location=location)) as api, pytest.raises(Redirected) as raised:
        api.get("/v1/log")
    assert raised.value.location == "/v2/log"
    assert api.requests == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"location": "https://thief.example/v2/log"},
        {"location": "//thief.example/v2/log"},
        {"location": "http://vendor.example/v2/log"},
        {"location": "https://vendor.example:8443/v2/log"},
        {"location": "https://vendor.example@thief.example/v2/log"},
        {"location": ""},
        {},
    ],
)
def test_a_redirect_elsewhere_tells_no_path(headers: dict[str, str]) -> None:
    with mocked(httpx.Response(307, headers=headers)) as api, pytest.raises(Redirected) as raised:
        api.get("/v1/log")
    assert raised.value.location is None
    assert "thief" not in str(raised.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.usefixtures("slept")
def test_no_message_holds_a_secret_that_the_vendor_echoes(status: int, form: str) -> None:
    said = f"bad token {SECRET}"
    echo = answer_of(status, {"message": said}) if form == "json" else httpx.Response(status, text=said)
    with mocked(echo) as api, pytest.raises(SourceError, match=r"bad token \*\*\*") as raised:
        api.get("/log")
    assert SECRET not in str(raised.value)
    assert SECRET not in repr(raised.value)


@pytest.mark.usefixtures("slept")
def test_no_message_holds_a_secret_that_the_network_echoes() -> None:
    with mocked(httpx.ConnectError(f"cannot send {SECRET}")) as api, pytest.raises(Unavailable) as raised:
        api.get("/log")
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.usefixtures("slept")
def test_a_secret_does_not_reach_a_message_cut_in_two() -> None:
    said = "x" * 190 + SECRET
    with mocked(answer_of(500, {"message": said})) as api, pytest.raises(Unavailable) as raised:
        api.get("/log")
    assert SECRET[:4] not in str(raised.value)


@pytest.mark.usefixtures("slept")
def test_a_message_is_one_line_and_short_whatever_the_vendor_says() -> None:
    with mocked(answer_of(500, {"message": "\n\t oh \r\n" * 5000})) as api, pytest.raises(Unavailable) as raised:
        api.get("/log")
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 300


def test_a_body_of_20_mib_is_read_and_a_larger_one_is_not() -> None:
    largest = b'"' + b"x" * (module.LARGEST_BODY - 2) + b'"'
    kind = {"content-type": "application/json"}
    with mocked(httpx.Response(200, content=largest, headers=kind)) as api:
        assert len(api.get("/log").body) == module.LARGEST_BODY - 2
    with (
        mocked(httpx.Response(200, content=largest + b" ", headers=kind)) as api,
        pytest.raises(UnexpectedResponse, match="more than 20 MiB"),
    ):
        api.get("/log")
    assert api.requests == 1


def test_a_gzip_bomb_is_left_off_at_the_limit(vendor: Vendor) -> None:
    vendor.inject(faults.gzip_bomb(module.LARGEST_BODY * 3), times=100)
    with api_of(vendor.url) as api, pytest.raises(UnexpectedResponse, match="more than 20 MiB"):
        api.get("/log")
    assert len(vendor.requests) == 1


def test_a_body_that_drips_for_ever_meets_the_deadline(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "TOTAL_SECONDS", 0.2)
    vendor.inject(faults.drip(0.02), times=100)
    started = time.monotonic()
    with api_of(vendor.url, attempts=1) as api, pytest.raises(Unavailable, match="takes longer"):
        api.get("/log")
    assert 0.2 <= time.monotonic() - started < 3.5  # the whole body would take 4 s


def test_silence_meets_the_read_timeout(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "READ_SECONDS", 0.1)
    vendor.inject(faults.hang(0.5))
    with api_of(vendor.url, attempts=1) as api, pytest.raises(Unavailable, match="does not answer in time"):
        api.get("/log")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.usefixtures("slept")
def test_numbers_that_json_does_not_know_are_refused(number: str) -> None:
    kind = {"content-type": "application/json"}
    with mocked(httpx.Response(200, content=f'{{"date": {number}}}', headers=kind)) as api, pytest.raises(Unavailable):
        api.get("/log")


def test_the_vendors_time_comes_with_the_answer_and_goes_on() -> None:
    then = datetime.now(UTC).replace(microsecond=0) - timedelta(days=400)
    with mocked(good(date=dated(then))) as api:
        assert api.now() is None
        assert api.get("/log").date == then
        shown = api.now()
    assert shown is not None
    assert timedelta(0) <= shown - then < timedelta(seconds=10)


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Sun, 99 Mar 2026 12:00:30 GMT", "Fri, 31 Dec 9999 23:59:59 -1200"]
)
def test_an_answer_without_a_usable_date_has_none(date: str | None) -> None:
    headers = {} if date is None else {"date": date}
    with mocked(good(**headers)) as api:
        assert api.get("/log").date is None
        assert api.now() is None


@pytest.mark.usefixtures("machine_in_new_york")
@pytest.mark.parametrize("form", ["Sun, 01 Mar 2026 12:00:00 GMT", "Sun Mar  1 12:00:00 2026"])  # RFC 9110, 5.6.7
def test_a_date_is_in_utc_in_each_form_that_http_allows_wherever_we_are(form: str) -> None:
    with mocked(good(date=form)) as api:
        assert api.get("/log").date in (datetime(2026, 3, 1, 12, tzinfo=UTC), None)


def test_a_date_from_the_past_has_no_say_because_a_cache_may_be_answering() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    stale = now - STEP - timedelta(seconds=5)
    with mocked(good(date=dated(now)), good(date=dated(stale)), good(date=dated(now))) as api:
        assert api.get("/log").date == now
        assert api.get("/log").date is None
        assert api.get("/log").date == now
        shown = api.now()
    assert shown is not None
    assert shown >= now


def test_an_answer_that_was_overtaken_keeps_its_date_and_does_not_turn_the_clock_back() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    with mocked(good(date=dated(now)), good(date=dated(now - timedelta(seconds=30)))) as api:
        api.get("/log")
        assert api.get("/log").date == now - timedelta(seconds=30)
        shown = api.now()
    assert shown is not None
    assert shown >= now


@pytest.mark.usefixtures("slept")
def test_every_try_counts_as_a_request(vendor: Vendor) -> None:
    vendor.inject(faults.status(503), times=2)
    with api_of(vendor.url) as api:
        api.get("/log")
        api.post("/search", json=[])
        assert api.requests == len(vendor.requests) == 4


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_variable_does_not_reroute_the_credential(
    vendor: Vendor, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    with Vendor() as proxy:
        monkeypatch.setenv(name, proxy.url)
        with api_of(vendor.url) as api:
            api.get("/log")
        assert proxy.requests == []
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("ending", ["AUTH", "NETRC"])
def test_a_netrc_file_does_not_replace_the_credential(
    vendor: Vendor, ending: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n", encoding="utf-8")
    monkeypatch.setenv(ending, str(tmp_path / "netrc"))
    with api_of(vendor.url) as api:
        api.get("/log")
    assert vendor.requests[0].headers["authorization"] == SECRET


def test_a_request_carries_what_was_asked_and_who_asks(vendor: Vendor) -> None:
    with api_of(vendor.url + "/") as api:
        api.post("/search", {"limit": 20, "q": "ä&b"}, json=[{"effect": "allow"}], headers={"ld-api-version": "beta"})
    (request,) = vendor.requests
    assert (request.method, request.path, request.query) == ("POST", "/search", {"limit": "20", "q": "ä&b"})
    assert request.json == [{"effect": "allow"}]
    assert request.headers["ld-api-version"] == "beta"
    assert request.headers["user-agent"].startswith("flagtrail")


def test_the_limits_that_a_dialect_reads_are_kept() -> None:
    def dialect(headers: Any, date: datetime | None) -> list[Allowance]:
        assert date is not None
        return [Allowance("all", int(headers["x-remaining"]), resets_in=0.3)]

    date = dated(datetime.now(UTC))
    first, second = (httpx.Response(200, json=1, headers={"date": date, "x-remaining": n}) for n in ("0", "9"))
    with mocked(first, second, dialect=dialect) as api:
        started = time.monotonic()
        api.get("/log")
        api.get("/log")
        assert time.monotonic() - started >= 0.3


def raised_by(action: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Run an action in a thread, and return the thread with what it raises."""
    found: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except SourceError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


@pytest.mark.parametrize("waiting_for", ["the limit", "the next try"])
def test_closing_wakes_a_waiting_thread_with_unavailable(waiting_for: str) -> None:
    api = mocked(answer_of(429, retry_after="30"))
    if waiting_for == "the limit":
        api._limiter.hold(30)
    thread, raised = raised_by(lambda: api.get("/log"))
    time.sleep(0.1)
    assert thread.is_alive()
    api.close()
    thread.join(SOON)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [Unavailable]
    assert "stopped" in str(raised[0])
    api.__exit__()


def test_after_closing_nothing_is_asked_any_more(vendor: Vendor) -> None:
    with api_of(vendor.url) as api:
        api.close()
        with pytest.raises(Unavailable, match="stopped"):
            api.get("/log")
    assert vendor.requests == []


def test_many_threads_may_ask_at_once(vendor: Vendor) -> None:
    with api_of(vendor.url) as api:
        threads = [raised_by(lambda: [api.get("/log") for _ in range(10)]) for _ in range(8)]
        for thread, _ in threads:
            thread.join(SOON)
    assert [raised for _, raised in threads if raised] == []
    assert len(vendor.requests) == 80
    assert api.requests == 80


def test_what_cannot_be_asked_is_an_error_and_blocks_nobody() -> None:
    api = mocked(good())
    for _ in range(3):
        with pytest.raises(UnexpectedResponse, match="cannot be asked"):
            api.get("/projects/odd\x01key")
    assert api.get("/projects/odd").body == {"ok": True}


def test_half_a_surrogate_pair_that_the_vendor_told_can_be_asked_for() -> None:
    sent: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.read())
        return good()

    assert mocked(handle).post("/search", json=[{"resources": ["flag/\ud800"]}]).body == {"ok": True}
    assert sent == [b'[{"resources":["flag/\\ud800"]}]']
