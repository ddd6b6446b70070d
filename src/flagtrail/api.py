"""Talks to one vendor with one credential: every request that flagtrail makes goes through `Api.get` or `Api.post`.

It builds each URL itself, sends the credential to the configured host only, never follows a redirect, waits for the
vendor's limits, retries what passes by itself, and turns everything else into the errors of `flagtrail.errors`.
"""

import copy
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import tenacity

from flagtrail import lines, retries
from flagtrail.clock import VendorClock
from flagtrail.errors import AccessDenied, RateLimited, Redirected, Unavailable, UnexpectedResponse
from flagtrail.event import from_json, to_json
from flagtrail.limit import LONGEST_WAIT, Dialect, Limiter
from flagtrail.lines import Lines

LARGEST_BODY = 20 * 2**20  # bytes, unpacked
TRANSIENT = {408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}

Params = Mapping[str, str | int]


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    heard_at: float = float("-inf")
    told: Callable[[str], object] = str  # of each request: its status, or `none` without an answer


class Answer(NamedTuple):
    """One understood response: the parsed JSON body, and the vendor's own time by its Date header (None if absent)."""

    body: Any
    date: datetime | None


def no_limits(headers: Mapping[str, str], date: datetime | None) -> list[Any]:
    """Return nothing: the dialect of a vendor that does not tell its limits in headers."""
    return []


class Api:
    """A vendor's HTTP API as one credential sees it; safe to use from many threads.

    `headers` carry the credential and are sent to `base_url` only. `hints` says what a person should do about a status
    (401, 403, 404). `secrets` are texts that never leave in an error message. `transport` replaces the network.
    `requests` counts what was asked; `attempts` is how often one request is tried.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        dialect: Dialect = no_limits,
        hints: Mapping[int, str] | None = None,
        secrets: tuple[str, ...] = (),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.host = urlsplit(self.base_url).netloc
        self._tally = _Tally()
        self._spare = 0.0
        self.attempts = retries.ATTEMPTS
        # An answer that a box in between has kept tells of the past.
        common = {"accept": "application/json", "accept-encoding": "gzip, deflate", "cache-control": "no-cache"}
        common["user-agent"] = "flagtrail"
        self._headers = {**common, **headers}
        self._lines = Lines(transport)
        self._dialect = dialect
        self._hints = dict(hints or {})
        self._secrets = tuple(secret for secret in secrets if secret)
        self._limiter = Limiter()
        self._clock = VendorClock()

    def get(
        self,
        path: str,
        params: Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        route: str | None = None,
    ) -> Answer:
        """Return the answer to a GET, after waiting and retrying as long as that can help.

        `route` stands for every such path where the path holds an id: the vendor may limit each route by itself.
        Raises AccessDenied, Unavailable, RateLimited, UnexpectedResponse or Redirected.
        """
        return self._ask("GET", path, params, headers, None, route)

    def post(
        self, path: str, params: Params | None = None, *, json: Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a POST that only reads, and so may be repeated; raises what `get` raises."""
        return self._ask("POST", path, params, headers, json)

    @property
    def requests(self) -> int:
        """How many requests were made, with this one's sparing ones."""
        return self._tally.requests

    def heard_within(self, seconds: float) -> bool:
        """Return whether the vendor has answered anything in the last seconds."""
        return time.monotonic() - self._tally.heard_at < seconds

    def sparing(self, share: float) -> "Api":
        """Return the same API for work that can wait: it leaves this share of each limit to everything else."""
        other = copy.copy(self)
        other._spare = share
        return other

    def limited_with(self, limiters: dict[Any, Limiter], reserve: float) -> None:
        """Share the limiter of whoever has this credential here, and leave the larger reserve of all to others."""
        own = Limiter(reserve)
        self._limiter = limiters.setdefault((self.base_url, tuple(sorted(self._headers.items()))), own)
        self._limiter.reserve = max(self._limiter.reserve, reserve)

    def now(self) -> datetime | None:
        """Return the vendor's present time, by its newest Date header; None before the first answer."""
        return self._clock.now()

    def tell(self, told: Callable[[str], object]) -> None:
        """Call this after each request from now on, in any thread, with its status, or `none` without an answer."""
        self._tally.told = told

    def succeeds(self, other: "Api") -> None:
        """Go on for an API of the same vendor with other secrets: count on, tell the same, know the vendor's time."""
        self._tally, self._clock = other._tally, other._clock

    @property
    def limiter(self) -> Limiter:
        """What keeps this credential inside the vendor's limits, here shared by all who have it."""
        return self._limiter

    def leave(self) -> None:
        """Let go of the connections that are idle, and keep none; others of the same credential go on."""
        self._lines.close()

    def close(self) -> None:
        """Wake every waiting thread with Unavailable, and let no further request start."""
        self._limiter.close()
        self._lines.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
        self._lines.close()

    def _ask(
        self, method: str, path: str, params: Params | None, headers: Mapping[str, str] | None, json: Any,
        route: str | None = None,
    ) -> Answer:  # fmt: skip
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=retries.wait,
            stop=tenacity.stop_after_attempt(self.attempts) | retries.NotWorthWaiting(),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._ask_once, method, path, params, headers, json, f"{method} {route or path}")

    def _sleep(self, seconds: float) -> None:
        if not self._limiter.pause(seconds):
            raise Unavailable(f"{self.host}: stopped while waiting to try again")

    def _ask_once(
        self, method: str, path: str, params: Params | None, headers: Mapping[str, str] | None, json: Any,
        route: str = "",
    ) -> Answer:  # fmt: skip
        request = self._request(method, path, params, headers, json)
        if not self._limiter.acquire(self._spare, route):
            if self._limiter.closed:
                raise Unavailable(f"{self.host}: stopped before asking")
            held = max(self._limiter.held(), LONGEST_WAIT)
            raise RateLimited(f"{self.host} asked us to slow down; it may be asked again in {held:.0f} s", held)
        self._tally.requests += 1  # a rough number: threads may count at the same time
        allowances: list[Any] = []
        status = "none"
        try:
            with self._lines.lend() as line, closing(line.send(request)) as r:
                status, self._tally.heard_at = str(r.status_code), time.monotonic()
                date = self._clock.learn(r.headers.get("date"))
                allowances = list(self._dialect(r.headers, date))
                if "," in r.headers.get("content-encoding", ""):
                    raise UnexpectedResponse(f"{self.host} sent a body that was packed twice")
                body = _read(r)
                self._check(r, body, date)
        except httpx.TimeoutException as error:
            raise Unavailable(f"{self.host} does not answer in time ({type(error).__name__})") from None
        except httpx.TransportError as error:
            if line.closed and not self._limiter.closed:
                seconds = f"{lines.TOTAL_SECONDS:.0f} s"
                raise Unavailable(f"{self.host} takes longer than {seconds} for one answer") from None
            raise Unavailable(f"{self.host} cannot be reached, or cut its answer off: {self._clean(error)}") from None
        except httpx.DecodingError:
            raise Unavailable(f"{self.host} sent a body that cannot be unpacked") from None
        finally:
            self._limiter.release(allowances, route)
            self._tally.told(status)
        return Answer(self._parse(r, body), date)

    def _request(
        self, method: str, path: str, params: Params | None, headers: Mapping[str, str] | None, json: Any
    ) -> httpx.Request:
        """Return what is to be sent; a key that the vendor told may be one that no address can hold."""
        url = self.base_url + path + (f"?{urlencode(params)}" if params else "")
        told = {**self._headers, **(headers or {})}
        content = None if json is None else to_json(json)
        if content is not None:
            told["content-type"] = "application/json"
        try:
            return httpx.Request(method, url, headers=told, content=content)
        except (httpx.InvalidURL, ValueError) as error:
            raise UnexpectedResponse(f"{self.host} cannot be asked for {path!a}: {self._clean(error)}") from None

    def _check(self, response: httpx.Response, body: bytes, date: datetime | None) -> None:
        status = response.status_code
        if status == 200:
            return
        said = self._said(body)
        if 300 <= status < 400:
            raise Redirected(f"{self.host} answers with a redirect ({status})", self._same_host(response))
        if status == 429:
            retry_after = retries.retry_after(response.headers.get_list("retry-after"), date)
            self._limiter.hold(retry_after or 0.0)
            raise RateLimited(f"{self.host} asks us to slow down (429){said}", retry_after)
        if status in TRANSIENT:
            raise Unavailable(f"{self.host} is failing ({status}){said}")
        if status in (401, 403, 404):
            raise AccessDenied(f"{self.host} refuses ({status}){said}. {self._hints.get(status, '')}".strip(), status)
        raise UnexpectedResponse(f"{self.host} answers {status} to {response.request.url.path}{said}")

    def _parse(self, response: httpx.Response, body: bytes) -> Any:
        kind = self._clean(response.headers.get("content-type", ""))[:100]
        if "json" not in kind.lower():
            raise UnexpectedResponse(f"{self.host} sent {kind or 'a body of no stated type'} instead of JSON")
        try:
            return from_json(body)
        except (ValueError, RecursionError):
            # Cut off in the middle more often than wrong: worth another try before it is reported.
            raise Unavailable(f"{self.host} sent a body that is not whole JSON ({len(body)} bytes)") from None

    def _said(self, body: bytes) -> str:
        """Return the vendor's own words about a failure, short, on one line, and without our secrets."""
        try:
            answer = from_json(body)
            text = str(answer.get("message") or answer.get("code") or "") if isinstance(answer, dict) else ""
        except ValueError:
            text = body.decode("utf-8", "replace") if len(body) < 200 and not body.lstrip().startswith(b"<") else ""
        text = " ".join(self._clean(text).split()).rstrip(".")
        return f": {text[:200]}" if text else ""

    def _clean(self, text: object) -> str:
        cleaned = str(text)
        for secret in self._secrets:
            cleaned = cleaned.replace(secret, "***")
        # What neither a log nor a database takes.
        return cleaned.replace("\0", "").encode("utf-8", "replace").decode()

    def _same_host(self, response: httpx.Response) -> str | None:
        target = urlsplit(urljoin(str(response.request.url), response.headers.get("location", "")))
        base = urlsplit(self.base_url)
        same = (target.scheme, target.netloc) == (base.scheme, base.netloc)
        return target.path if same and response.headers.get("location") else None


def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise UnexpectedResponse(f"{response.url.host} sent more than {LARGEST_BODY >> 20} MiB in one answer")
    return bytes(body)
