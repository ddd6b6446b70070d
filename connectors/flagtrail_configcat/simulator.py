"""ConfigCat on loopback: its Public Management API as far as audit logs go, with everything it leaves open as a switch.

What the vendor documents is fixed here. What it does not say is a keyword of `ConfigCatSimulator`, whose default is the
likelier behaviour; a connector has to be right under every value.
"""

import random
from base64 import b64encode
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from pydantic import SecretStr

from flagtrail.connector import Connector
from flagtrail.event import Record
from flagtrail.testing.simulator import Quota, Reply, Request, Simulator
from flagtrail.window import from_ms
from flagtrail_configcat import ConfigCat
from flagtrail_configcat.simulation.account import LABS, ORGANIZATIONS, TRAVEL, Place, listed, product_with
from flagtrail_configcat.simulation.answers import (
    DAY_TICKS,
    Dates,
    bound,
    old_span,
    page_asked,
    paging,
    record,
    refused,
    silent,
)
from flagtrail_configcat.simulation.history import Generations, History, Item
from flagtrail_configcat.simulation.log import TICKS_PER_MS, Entry, Log
from flagtrail_configcat.vocabulary import MEANINGS

USERNAME = "08d9f2b1-fernweh"
PASSWORD = "not-a-secret-only-simulated"  # noqa: S105
FOREVER = 2**62

V1 = Literal["array", "redirect", "v2_object"]
Order = Literal["newest", "oldest", "shuffled"]


class ConfigCatSimulator(Simulator):
    """ConfigCat with two organizations: Fernweh Travel, where most things happen, and the small Fernweh Labs.

    What the vendor leaves open:

    * `v1`: what the superseded V1 paths answer: the old `array` (7 days by default, 400 above 30 days), a `redirect`
      with the status `redirect_status` to V2 with the same query, or a `v2_object` holding the newest 100.
    * `from_inclusive`, `to_inclusive`: whether an entry exactly at a bound is shown. `fractions`: whether fractions of
      seconds in a bound count, or are cut off.
    * `order`: of the list, `newest` or `oldest` first, or `shuffled` (the same on every page).
    * `dates`: how times are written: with `Z`, with `offset` +00:00, with seven digits (`ticks`; entries then really
      lie between milliseconds), with trailing zeros `trimmed`, or `naive` without a zone.
    * `null_paging`, `null_data`: whether these nullable parts of a V2 answer are null.
    * `quota`: when 429 begins (never by default). `reset`: X-Rate-Limit-Reset as `iso` time or as `number`.
    * `retention_days`: what is older is not shown any more.
    * `growth`: how many changes happen after each answered page.
    * `late_seconds`: how long after it happened a change of `happen` is shown.
    * `generations`: whether items look `old` (changeSetId), `new` (modelVersion), or `both`: a history has its older
      half old.
    * `unknown_types`, `nobody`: whether a history has types that no document names, and items without a person.
    """

    connector: ClassVar[type[Connector]] = ConfigCat

    def __init__(
        self,
        *,
        v1: V1 = "array",
        redirect_status: int = 307,
        from_inclusive: bool = True,
        to_inclusive: bool = True,
        fractions: bool = True,
        order: Order = "newest",
        dates: Dates = "Z",
        null_paging: bool = False,
        null_data: bool = False,
        quota: Quota | None = None,
        reset: Literal["iso", "number"] = "iso",
        retention_days: float | None = None,
        growth: int = 0,
        late_seconds: float = 0.0,
        generations: Generations = "both",
        unknown_types: bool = True,
        nobody: bool = True,
    ) -> None:
        super().__init__()
        self.v1, self.redirect_status = v1, redirect_status
        self.from_inclusive, self.to_inclusive, self.fractions = from_inclusive, to_inclusive, fractions
        self.order, self.dates = order, dates
        self.null_paging, self.null_data = null_paging, null_data
        self.quota, self.reset = quota, reset
        self.retention_days, self.growth, self.late_seconds = retention_days, growth, late_seconds
        self.generations, self.unknown_types, self.nobody = generations, unknown_types, nobody
        self._logs = {organization.id: Log() for organization in ORGANIZATIONS}
        self._histories = self._begin("now")

    # What happens at the vendor.

    def fill(self, records: int, days: float = 365.0, seed: int = 0) -> None:
        """Add exactly `records` items that end now, one in twenty at Fernweh Labs; the same for the same seed.

        Some share one millisecond (a save of several flags). From 600 items on, a script twice makes more than a page
        within one second.
        """
        end_ms = self.clock.ms()
        histories = self._begin(seed)
        with self.lock:
            for organization, count in ((TRAVEL, records - records // 20), (LABS, records // 20)):
                plan = random.Random(f"{seed} {organization.name}")
                items = histories[organization.id].past(count, days, end_ms, plan, self.generations)
                self._logs[organization.id].load(self._entry(organization.id, ms, item) for ms, item in items)

    def happen(self) -> None:
        """Let one more change happen now at Fernweh Travel; it is shown `late_seconds` later."""
        now_ms = self.clock.ms()
        self.add(now_ms, visible_from_ms=now_ms + int(self.late_seconds * 1000))

    def add(
        self,
        ms: int | None = None,
        *,
        organization: str = TRAVEL.id,
        place: Place | None = None,
        visible_from_ms: int | None = None,
        **changes: Any,
    ) -> int:
        """Add one item that happened at `ms` (default now) and return its auditLogId.

        It cannot be seen before it happened, nor before `visible_from_ms`. `changes` are vendor fields to show instead
        of the made-up ones.
        """
        with self.lock:
            now_ms = self.clock.ms()
            ms = now_ms if ms is None else ms
            item = next(self._histories[organization].save(old=self.generations == "old"))
            entry = self._entry(organization, ms, item if place is None else replace(item, place=place))
            entry.changes.update(changes)
            appears = max(ms, visible_from_ms or ms)
            self._logs[organization].put(entry, appears if appears > now_ms else None)
            return entry.id

    def burst(self, ms: int, count: int, *, spread_ms: int = 0, organization: str = TRAVEL.id) -> list[int]:
        """Add `count` items in one millisecond, or evenly over `spread_ms` of them; return their ids."""
        return [self.add(ms + spread_ms * i // count, organization=organization) for i in range(count)]

    def remove(self, audit_log_id: int | str, *, organization: str = TRAVEL.id) -> None:
        """Delete one item, as if it had never been there."""
        with self.lock:
            self._logs[organization].remove(int(audit_log_id))

    def edit(self, audit_log_id: int | str, *, organization: str = TRAVEL.id, **changes: Any) -> None:
        """Show other values for some vendor fields of one item from now on."""
        with self.lock:
            self._logs[organization][int(audit_log_id)].changes.update(changes)

    def cleanup_environment(self, environment_id: str) -> int:
        """Delete an environment's items as `cleanupAuditLogs` does, all but its creation and deletion; say how many."""

        def unwanted(entry: Entry) -> bool:
            kept = entry.kind in ("environmentCreated", "environmentDeleted")
            return entry.item.place.ids.get("environmentId") == environment_id and not kept

        with self.lock:
            return sum(log.drop(unwanted) for log in self._logs.values())

    def truth(self) -> dict[str, dict[str, int]]:
        """Return every item that can be seen now: `audit_log[<organization id>]` → auditLogId → time in ms."""
        with self.lock:
            return {
                f"audit_log[{organization}]": {
                    str(entry_id): ticks // TICKS_PER_MS for ticks, entry_id in self._shown(organization)
                }
                for organization in self._logs
            }

    def shown(self, stream: str, vendor_id: str) -> Record:
        """Return one item exactly as the list of its organization shows it."""
        with self.lock:
            return record(self._logs[stream.removeprefix("audit_log[").removesuffix("]")][int(vendor_id)], self.dates)

    def settings(self) -> dict[str, Any]:
        """Return the connector's settings for this simulator; secrets are SecretStr."""
        return {"base_url": self.url, "username": SecretStr(USERNAME), "password": SecretStr(PASSWORD)}

    def _begin(self, seed: int | str) -> dict[str, History]:
        return {
            each.id: History(
                each, random.Random(f"{seed} {each.id}"), unknown=self.unknown_types, nobody=self.nobody
            )
            for each in ORGANIZATIONS
        }  # fmt: skip

    def _entry(self, organization: str, ms: int, item: Item) -> Entry:
        entry_id = self._logs[organization].next_id()
        beyond = entry_id * 7919 % TICKS_PER_MS if self.dates == "ticks" else 0
        return Entry(entry_id, ms * TICKS_PER_MS + beyond, item)

    # What the vendor answers.

    def reply(self, request: Request) -> Reply:
        """Return what ConfigCat answers: 401 without the credentials, 429 above the quota, else what was asked."""
        expected = "Basic " + b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if request.headers.get("authorization") != expected:
            return silent(401)
        now_ms = self.clock.ms()
        allowed, remaining, reset_ms = self.quota.take(now_ms) if self.quota else (True, 500, now_ms + 60_000)
        limits = {
            "x-rate-limit-remaining": str(remaining),
            "x-rate-limit-reset": from_ms(reset_ms).isoformat() if self.reset == "iso" else str(reset_ms // 1000),
        }
        reply = self._route(request) if allowed else silent(429)
        if not allowed:
            reply.headers["retry-after"] = str(max(1, ceil((reset_ms - now_ms) / 1000)))
        reply.headers.update(limits)
        return reply

    def _route(self, request: Request) -> Reply:
        if request.method != "GET":
            return silent(405)
        match request.path.strip("/").split("/"):
            case [("v1" | "v2") as version, "organizations", organization, "auditlogs"] if organization in self._logs:
                return self._audit_logs(version, organization, request, request.query)
            case [("v1" | "v2") as version, "products", product_id, "auditlogs"] if found := product_with(product_id):
                return self._audit_logs(version, found[0].id, request, {**request.query, "productId": product_id})
        listing = listed(request.path)
        return silent(404) if listing is None else Reply(body=listing)

    def _audit_logs(self, version: str, organization: str, request: Request, query: dict[str, str]) -> Reply:
        if version == "v1" and self.v1 == "redirect":
            reply = silent(self.redirect_status)
            target = f"/v2/{request.path.removeprefix('/v1/')}?{urlencode(request.query)}"
            reply.headers["location"] = target.removesuffix("?")
            return reply
        try:
            if version == "v1" and self.v1 == "array":
                body: Any = self._records(organization, self._found(organization, query, old=True))
            else:
                number, size = page_asked(query if version == "v2" else {})
                body = self._page(organization, self._found(organization, query), number, size)
        except ValueError as error:
            return refused(str(error))
        for _ in range(self.growth):
            self.happen()
        return Reply(body=body)

    def _found(self, organization: str, query: dict[str, str], *, old: bool = False) -> list[tuple[int, int]]:
        """Return (ticks, id) of what a query asks for, in the order of the list; ValueError says why it is refused."""
        since = bound(query, "fromUtcDateTime", fractions=self.fractions)
        until = bound(query, "toUtcDateTime", fractions=self.fractions)
        if old:
            since, until = old_span(since, until, self.clock.ms() * TICKS_PER_MS)
        first = 0 if since is None else since if self.from_inclusive else since + 1
        end = FOREVER if until is None else until + 1 if self.to_inclusive else until
        log, found = self._logs[organization], self._shown(organization, first, end)
        if wanted := {name: query[name] for name in ("productId", "configId", "environmentId") if query.get(name)}:
            found = [key for key in found if wanted.items() <= log[key[1]].item.place.ids.items()]
        if kind := query.get("auditLogType"):
            if kind not in MEANINGS:
                raise ValueError(f"The value '{kind}' is not valid for auditLogType.")
            found = [key for key in found if log[key[1]].kind == kind]
        if self.order == "newest":
            found.reverse()
        elif self.order == "shuffled":
            found.sort(key=lambda key: key[1] * 2_654_435_761 % 2**32)
        return found

    def _shown(self, organization: str, since: int = 0, until: int = FOREVER) -> list[tuple[int, int]]:
        """Return (ticks, id) of what the vendor shows now in a half-open span of ticks, oldest first."""
        now_ms = self.clock.ms()
        log = self._logs[organization]
        log.reveal(now_ms)
        if self.retention_days is not None:
            since = max(since, now_ms * TICKS_PER_MS - int(self.retention_days * DAY_TICKS))
        return log.between(since, until)

    def _page(self, organization: str, found: list[tuple[int, int]], number: int, size: int) -> dict[str, Any]:
        data = self._records(organization, found[(number - 1) * size : number * size])
        return {
            "paging": None if self.null_paging else paging(number, size, len(found)),
            "data": None if self.null_data else data,
        }

    def _records(self, organization: str, keys: list[tuple[int, int]]) -> list[Record]:
        log = self._logs[organization]
        return [record(log[entry_id], self.dates) for _, entry_id in keys]
