"""Reads ConfigCat: the audit log of each organization."""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import httpx
from pydantic import StringConstraints

from flagtrail.api import Api
from flagtrail.connector import BaseUrl, Connector, Count, Hole, Nudge, Page, Secret, Stream
from flagtrail.errors import AccessDenied, UnexpectedResponse
from flagtrail.event import Event, Record, Term
from flagtrail.limit import Allowance
from flagtrail.window import Window
from flagtrail_configcat import audit_log
from flagtrail_configcat.events import audit_event
from flagtrail_configcat.vocabulary import TERMS

HINTS = {
    401: "Set `username` and `password` to Public API credentials (ConfigCat: My account, Public API credentials)",
    403: "Use the credentials of an Organization Admin: the organization's audit log is not shown to others",
    404: "Check `base_url`, and that the organization still exists and is shown to these credentials",
}

WEBHOOK_ID = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
KEYS = 10  # signatures of one webhook that are looked at: ConfigCat makes one for each signing key

OrganizationId = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F-]{36}$", to_lower=True)]


class ConfigCat(Connector):
    """ConfigCat's audit log of every organization that the credentials see."""

    vendor: ClassVar[str] = "configcat"
    terms: ClassVar[tuple[Term, ...]] = TERMS
    forgets_environments: ClassVar[bool] = (
        True  # `cleanupAuditLogs`: https://api.configcat.com/docs, "Delete Environment"
    )

    username: Secret
    """The user name of Public API credentials."""
    password: Secret
    """Their password."""
    base_url: BaseUrl = "https://api.configcat.com"
    """The Public Management API; a dedicated installation has its own."""
    organizations: list[OrganizationId] | None = None
    """The ids of the organizations to read; all that the credentials see by default."""
    api: Literal["v2", "v1"] = "v2"
    """v1 asks the endpoint that ConfigCat superseded on 2026-04-30, for installations that have no v2."""

    def connect(self, transport: httpx.BaseTransport | None = None) -> Api:
        """Return the API with HTTP Basic credentials."""
        username, password = self.username.get_secret_value(), self.password.get_secret_value()
        basic = b64encode(f"{username}:{password}".encode()).decode()
        return Api(
            self.base_url,
            headers={"authorization": f"Basic {basic}"},
            dialect=allowances,
            hints=HINTS,
            secrets=(password, basic, username),
            transport=transport,
        )

    def streams(self, api: Api) -> list[Stream]:
        """Return an `audit_log[organization id]` for each organization that is wanted.

        Raises AccessDenied when one of the wanted is not shown to these credentials.
        """
        answer = api.get("/v1/organizations").body
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise UnexpectedResponse(f"{api.host}/v1/organizations answers without a list of organizations")
        seen = {str(item.get("organizationId")).lower(): item.get("name") for item in answer}
        missing = [id for id in self.organizations or [] if id not in seen]
        if missing:
            raise AccessDenied(
                f"organization {missing[0]} is not among the {len(seen)} that these credentials see: correct "
                "`organizations`, or use the credentials of one of its members",
                404,
            )
        wanted = self.organizations or sorted(seen)
        span = audit_log.V1_SPAN if self.api == "v1" else audit_log.SPAN
        return [
            Stream(
                f"{audit_log.STREAM}[{id}]",
                audit_log.ROOMY,
                span,
                label=seen[id],
                account=id,
                scope=(id,),
                credential=self._fingerprint(),
                edge=audit_log.EDGE,
            )
            for id in wanted
        ]

    def _fingerprint(self) -> str:
        """Return what tells these credentials from others, and from which they cannot be had again."""
        return hashlib.sha256(self.username.get_secret_value().encode()).hexdigest()[:12]

    def pages(self, api: Api, stream: Stream, window: Window) -> Iterator[Page | Hole]:
        """Yield the window's records, newest part first."""
        read = audit_log.v1_pages if self.api == "v1" else audit_log.pages
        return read(api, stream.scope[0], window)

    def event(self, stream: Stream, record: Record) -> Event:
        """Return what an audit log item means."""
        return audit_event(record, stream.scope[0])

    def counts(self, api: Api, stream: Stream, window: Window, parts: int = 500) -> list[Count] | None:
        """Return ConfigCat's `paging.totalCount` of the window; V1 tells none."""
        return None if self.api == "v1" else audit_log.counts(api, stream.scope[0], window)

    def nudge(self, secret: bytes, headers: Mapping[str, str], body: bytes) -> Nudge | None:
        """Return a webhook that is signed with a signing key.

        `X-ConfigCat-Webhook-Signature-V1` holds, by commas, a base64 HMAC-SHA256 for each key, of the webhook's id, its
        timestamp in Unix seconds, and the body, with nothing in between: so the forms of the two are checked first
        (https://configcat.com/docs/advanced/notifications-webhooks, "Verifying Webhook requests").
        """
        id, timestamp = (headers.get(f"x-configcat-webhook-{name}", "") for name in ("id", "timestamp"))
        if not (WEBHOOK_ID.fullmatch(id) and re.fullmatch(r"[0-9]{10}", timestamp)):
            return None
        signature = b64encode(hmac.new(secret, f"{id}{timestamp}".encode() + body, hashlib.sha256).digest())
        given = headers.get("x-configcat-webhook-signature-v1", "").split(",")
        if not any(hmac.compare_digest(signature, one.strip().encode()) for one in given[:KEYS]):
            return None
        return Nudge(datetime.fromtimestamp(int(timestamp), UTC))


def allowances(headers: Mapping[str, str], date: datetime | None) -> list[Allowance]:
    """Return what `X-Rate-Limit-Remaining` allows, and until when.

    `X-Rate-Limit-Reset` is "the time when the current rate limit period resets"
    (https://api.configcat.com/docs, "Throttling and rate limits"), in a form that is stated nowhere: an ISO time, and
    Unix seconds or milliseconds, are understood. Without it one request a second probes while nothing remains, and a
    refusal carries `Retry-After`.
    """
    remaining: Any = headers.get("x-rate-limit-remaining", "")
    if not remaining.isdecimal():
        return []
    resets_at = _instant(headers.get("x-rate-limit-reset", ""))
    if resets_at is None:
        return [Allowance("account", int(remaining))]
    now = (date or datetime.now(UTC)).timestamp()
    return [Allowance("account", int(remaining), resets_in=max(0.0, resets_at - now), resets_at=resets_at)]


def _instant(text: str) -> float | None:
    """Return Unix seconds, from those, from milliseconds or from an ISO time; None when it is none of them."""
    if re.fullmatch(r"\d{13}", text):
        return int(text) / 1000
    if re.fullmatch(r"\d{10}", text):
        return int(text) + 1.0  # a fraction may have been cut off
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
