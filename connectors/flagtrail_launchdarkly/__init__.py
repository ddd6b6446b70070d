"""Reads LaunchDarkly: the audit log of an account, and the flag events of its environments."""

import hmac
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

import httpx
from pydantic import BeforeValidator, StringConstraints

from flagtrail.api import Api
from flagtrail.connector import BaseUrl, Connector, Count, Hole, Nudge, Page, Secret, Stream
from flagtrail.errors import AccessDenied, UnexpectedResponse
from flagtrail.event import Event, Record, Term, to_json
from flagtrail.limit import Allowance
from flagtrail.window import EPOCH, Window
from flagtrail_launchdarkly import audit_log, filters, flag_events
from flagtrail_launchdarkly.counting import counts
from flagtrail_launchdarkly.events import audit_event, flag_event
from flagtrail_launchdarkly.listing import PAGE, PATH, Statement
from flagtrail_launchdarkly.vocabulary import TERMS

API_VERSION = "20240415"
PROJECTS = "/api/v2/projects"
CATALOGUE_PAGE = 20  # projects or environments in one answer: LaunchDarkly's default, safe everywhere

# https://apidocs.launchdarkly.com, "Rate limiting": the resets are Unix milliseconds; any header may be missing.
LIMIT_HEADERS = {
    "global": ("x-ratelimit-global", "x-ratelimit-reset"),
    "route": ("x-ratelimit-route", "x-ratelimit-reset"),
    "token": ("x-ratelimit-auth-token", "x-ratelimit-auth-token-reset"),
}

HINTS = {
    401: "Set `token` to an API access token (it begins with api-) that is still valid; an SDK key does not work",
    403: "Give the token a Reader role, or a custom role that may view what it asks for",
    404: "Check `base_url`, and that the project and environment still exist",
}

# What caller-identity tells of the credential itself; names may change while it stays the same.
CREDENTIAL = (
    "authKind", "tokenKind", "clientId", "tokenId", "memberId", "serviceToken", "scopes", "projectId", "environmentId",
)  # fmt: skip

EnvironmentPath = Annotated[str, StringConstraints(pattern=r"^[^/\s]+/[^/\s]+$")]


class LaunchDarkly(Connector):
    """LaunchDarkly's audit log, and its flag events where the plan offers them (engineering insights)."""

    vendor: ClassVar[str] = "launchdarkly"
    terms: ClassVar[tuple[Term, ...]] = TERMS

    token: Secret
    """An API access token with a Reader role."""
    base_url: BaseUrl = "https://app.launchdarkly.com"
    """https://app.launchdarkly.us for federal accounts, https://app.eu.launchdarkly.com for the EU instance."""
    flag_events: bool | list[EnvironmentPath] = True
    """Flag events of every environment (with `only`: of none, unless set), of none, or of those listed."""
    only: Annotated[list[str | Statement] | None, BeforeValidator(filters.checked)] = None
    """Of the audit log only what these resource specifiers, or policy statements, select."""
    details: Literal["flags", "all", "off"] = "flags"
    """Whose changes are told value by value, for one request more each: those of flags, all, or none."""

    def connect(self, transport: httpx.BaseTransport | None = None) -> Api:
        """Return the API with the raw token in `Authorization`: LaunchDarkly knows no scheme before it."""
        token = self.token.get_secret_value()
        return Api(
            self.base_url,
            headers={"authorization": token, "ld-api-version": API_VERSION},
            dialect=allowances,
            hints=HINTS,
            secrets=(token,),
            transport=transport,
        )

    def streams(self, api: Api) -> Iterator[Stream]:
        """Yield `audit_log`, then a `flag_events[project/environment]` for each environment that is wanted.

        With `only`, the name of the audit log tells the filter too.
        """
        body = api.get("/api/v2/caller-identity").body
        identity = body if isinstance(body, dict) else {}
        account, credential = identity.get("accountId"), _fingerprint(identity)
        if account is None and credential is None:  # every field is optional, but not all of them
            raise UnexpectedResponse(
                f"{api.host} does not say whose token it is: nothing tells one account from another"
            )
        name, label = filters.named(audit_log.STREAM, self._filters) if self._filters else (audit_log.STREAM, None)
        yield Stream(name, page=PAGE, label=label, account=account, log=audit_log.STREAM, credential=credential)
        for scope in self._scopes(api):
            name = f"{flag_events.STREAM}[{'/'.join(scope)}]"
            # A filtered audit log does not tell of everything.
            woken_by = "" if self._filters else audit_log.STREAM
            yield Stream(name, flag_events.PAGE, flag_events.SPAN, account=account, scope=scope, credential=credential,
                         woken_by=woken_by, project=scope[0], environment=scope[1])  # fmt: skip

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        """Yield the window's records, newest first."""
        if not stream.scope:
            yield from audit_log.pages(api, window, self._filters)
            return
        with _only_flag_events():
            yield from flag_events.pages(api, stream.scope, window)

    def event(self, stream: Stream, record: Record) -> Event:
        """Return what an audit log entry or a flag event means."""
        return flag_event(record, self.base_url) if stream.scope else audit_event(record, self.base_url)

    def counts(self, api: Api, stream: Stream, window: Window, parts: int = 500) -> list[Count]:
        """Return LaunchDarkly's own numbers: up to 500 buckets for the audit log, one total for flag events."""
        if stream.scope:
            with _only_flag_events():
                return flag_events.counts(api, stream.scope, window)
        return counts(api, window, parts, self._filters)

    def detailed(self, stream: Stream, event: Event) -> bool:
        """Return whether the entry's own page tells more, and is wanted; there is none of flag events."""
        wanted = self.details == "all" or (self.details == "flags" and event.object_kind == "flag")
        return wanted and not stream.scope

    def detail(self, api: Api, stream: Stream, vendor_id: str) -> Record:
        """Return an audit entry with its versions before and after, as the vendor shows it."""
        try:
            body = api.get(f"{PATH}/{quote(vendor_id, safe='')}", route=f"{PATH}/*").body
        except AccessDenied as error:
            if error.status != 404:
                raise
            raise AccessDenied(f"{api.host} does not show the audit log entry {vendor_id!r} (any more)", 404) from None
        if not isinstance(body, dict) or body.get("_id") != vendor_id:
            raise UnexpectedResponse(f"{api.host}{PATH} answers with something else than the entry {vendor_id!r}")
        return body

    def nudge(self, secret: bytes, headers: Mapping[str, str], body: bytes) -> Nudge | None:
        """Return a webhook whose `X-LD-Signature` is the hex HMAC-SHA256 of its body.

        https://launchdarkly.com/docs/home/infrastructure/webhooks, "Signing the webhook"; it holds no time.
        """
        signature = hmac.new(secret, body, sha256).hexdigest()
        given = headers.get("x-ld-signature", "")
        return Nudge(None) if hmac.compare_digest(signature.encode(), given.encode()) else None

    @property
    def _filters(self) -> list[Statement] | None:
        """The policy statements that `only` stands for; None reads everything."""
        return None if self.only is None else filters.statements(self.only)

    def _scopes(self, api: Api) -> Iterator[tuple[str, str]]:
        """Yield the environments whose flag events are wanted."""
        if self.flag_events is True:
            if self.only is None or "flag_events" in self.model_fields_set:
                yield from _environments(api)
        elif self.flag_events:
            yield from map(_split, self.flag_events)


@contextmanager
def _only_flag_events() -> Iterator[None]:
    """Turn a refusal into one of this stream alone.

    401 is LaunchDarkly's answer to a missing permission too; were the token itself bad, the audit log would be refused
    as well, and that ends the run.
    """
    try:
        yield
    except AccessDenied as error:
        raise AccessDenied(
            f"flag events are refused ({error.status}): they need a token that may view them, and a plan with "
            "engineering insights, which the EU instance does not offer; set flag_events = false if yours has none"
        ) from None


def allowances(headers: Mapping[str, str], date: datetime | None) -> Iterator[Allowance]:
    """Yield what LaunchDarkly's rate limit headers allow; a reset that lies in the past counts as now."""
    now_ms = ((date or datetime.now(UTC)) - EPOCH).total_seconds() * 1000
    for name, (prefix, reset) in LIMIT_HEADERS.items():
        remaining, limit, until = (_number(headers.get(h)) for h in (f"{prefix}-remaining", f"{prefix}-limit", reset))
        if remaining is not None:
            resets_in = None if until is None else max(0.0, (until - now_ms) / 1000)
            resets_at = None if until is None else until / 1000
            yield Allowance(name, remaining, limit, resets_in, resets_at, by_route=name == "route")


def _fingerprint(identity: Mapping[str, Any]) -> str | None:
    """Return twelve digits that tell one credential from another, or None when the vendor tells nothing of it."""
    told = {name: identity[name] for name in CREDENTIAL if identity.get(name) not in (None, "", [])}
    if isinstance(told.get("scopes"), list):
        told["scopes"] = sorted(map(str, told["scopes"]))  # their order means nothing
    return sha256(to_json(told, sort_keys=True)).hexdigest()[:12] if told else None


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d{1,15}", text) else None


def _split(path: str) -> tuple[str, str]:
    project, _, environment = path.partition("/")
    return project, environment


def _environments(api: Api) -> Iterator[tuple[str, str]]:
    """Yield the keys of every project and environment that the token sees.

    The answers carry SDK keys (https://apidocs.launchdarkly.com/tag/Environments): only the keys are taken from them.
    """
    for project in _catalogue(api, PROJECTS, {"expand": "environments"}, PROJECTS):
        expanded = project.get("environments") or {}
        environments = expanded.get("items")
        if environments is None or expanded.get("totalCount") != len(environments):
            environments = _catalogue(
                api, f"{PROJECTS}/{project['key']}/environments", {}, f"{PROJECTS}/*/environments"
            )
        for environment in environments:
            yield project["key"], environment["key"]


def _catalogue(api: Api, path: str, params: dict[str, str], route: str) -> Iterator[dict[str, Any]]:
    """Yield every item of a list that is paged by offset, until an answer has no next page."""
    offset, seen = 0, set[str]()
    while True:
        body = api.get(path, {**params, "limit": CATALOGUE_PAGE, "offset": offset}, route=route).body
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list) or not all(isinstance(i, dict) and isinstance(i.get("key"), str) for i in items):
            raise UnexpectedResponse(f"{api.host}{path} answers without a list of items that have keys")
        if items and seen.issuperset(item["key"] for item in items):
            raise UnexpectedResponse(f"{api.host}{path} lists without an end")
        seen.update(item["key"] for item in items)
        yield from items
        offset += len(items)
        if not items or "next" not in (body.get("_links") or {}):
            return
