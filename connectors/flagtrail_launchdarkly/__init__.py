"""Reads LaunchDarkly: the audit log of an account, and the flag events of its environments."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import httpx
from pydantic import StringConstraints

from flagtrail.api import Api
from flagtrail.connector import BaseUrl, Connector, Count, Hole, Page, Secret, Stream
from flagtrail.errors import AccessDenied, UnexpectedResponse
from flagtrail.event import Event, Record
from flagtrail.limit import Allowance
from flagtrail.window import EPOCH, Window
from flagtrail_launchdarkly import audit_log, flag_events
from flagtrail_launchdarkly.counting import counts
from flagtrail_launchdarkly.events import audit_event, flag_event
from flagtrail_launchdarkly.listing import PAGE

API_VERSION = "20240415"
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

EnvironmentPath = Annotated[str, StringConstraints(pattern=r"^[^/\s]+/[^/\s]+$")]


class LaunchDarkly(Connector):
    """LaunchDarkly's audit log, and its flag events where the plan offers them (engineering insights)."""

    vendor: ClassVar[str] = "launchdarkly"

    token: Secret
    """An API access token with a Reader role."""
    base_url: BaseUrl = "https://app.launchdarkly.com"
    """https://app.launchdarkly.us for federal accounts, https://app.eu.launchdarkly.com for the EU instance."""
    flag_events: bool | list[EnvironmentPath] = True
    """Flag events of every environment, of none, or of those listed as "project/environment"."""

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
        """Yield `audit_log`, then a `flag_events[project/environment]` for each environment that is wanted."""
        identity = api.get("/api/v2/caller-identity").body
        account = identity.get("accountId") if isinstance(identity, dict) else None
        yield Stream(audit_log.STREAM, page=PAGE, account=account)
        listed = [] if self.flag_events is True else [_split(path) for path in self.flag_events or []]
        for scope in _environments(api) if self.flag_events is True else listed:
            name = f"{flag_events.STREAM}[{'/'.join(scope)}]"
            yield Stream(name, flag_events.PAGE, flag_events.SPAN, account=account, scope=scope)

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        """Yield the window's records, newest first."""
        if stream.scope:
            return self._flag_event_pages(api, stream, window)
        return audit_log.pages(api, window)

    def event(self, stream: Stream, record: Record) -> Event:
        """Return what an audit log entry or a flag event means."""
        return flag_event(record, self.base_url) if stream.scope else audit_event(record, self.base_url)

    def counts(self, api: Api, stream: Stream, window: Window) -> list[Count]:
        """Return LaunchDarkly's own numbers: 500 buckets for the audit log, one total for flag events."""
        if stream.scope:
            return flag_events.counts(api, stream.scope, window)
        return counts(api, window)

    def _flag_event_pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        try:
            yield from flag_events.pages(api, stream.scope, window)
        except AccessDenied as error:
            # 401 is LaunchDarkly's answer to a missing permission too; were the token itself bad, the audit log would
            # be refused as well, and that ends the run.
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
            yield Allowance(name, remaining, limit, resets_in)


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d{1,15}", text) else None


def _split(path: str) -> tuple[str, str]:
    project, _, environment = path.partition("/")
    return project, environment


def _environments(api: Api) -> Iterator[tuple[str, str]]:
    """Yield the keys of every project and environment that the token sees.

    The answers carry SDK keys (https://apidocs.launchdarkly.com/tag/Environments): only the keys are taken from them.
    """
    for project in _catalogue(api, "/api/v2/projects", {"expand": "environments"}):
        expanded = project.get("environments") or {}
        environments = expanded.get("items")
        if environments is None or expanded.get("totalCount") != len(environments):
            environments = _catalogue(api, f"/api/v2/projects/{project['key']}/environments", {})
        for environment in environments:
            yield project["key"], environment["key"]


def _catalogue(api: Api, path: str, params: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield every item of a list that is paged by offset, until an answer has no next page."""
    offset = 0
    while True:
        body = api.get(path, {**params, "limit": CATALOGUE_PAGE, "offset": offset}).body
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list) or not all(isinstance(i, dict) and isinstance(i.get("key"), str) for i in items):
            raise UnexpectedResponse(f"{api.host}{path} answers without a list of items that have keys")
        yield from items
        offset += len(items)
        if not items or "next" not in (body.get("_links") or {}):
            return
