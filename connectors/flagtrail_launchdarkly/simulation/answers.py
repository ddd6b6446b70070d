"""What LaunchDarkly answers to each of its routes, out of the entries it keeps and at one moment of its clock."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import orjson

from flagtrail.testing.simulator import Reply, Request
from flagtrail_launchdarkly.simulation.account import Project, link
from flagtrail_launchdarkly.simulation.counts import buckets
from flagtrail_launchdarkly.simulation.entries import AuditEntry, FlagEvent
from flagtrail_launchdarkly.simulation.log import E, Log
from flagtrail_launchdarkly.simulation.statements import EVERYTHING, Malformed, Policy, of_specifier
from flagtrail_launchdarkly.simulation.switches import Bounds, Switches
from flagtrail_launchdarkly.simulation.versions import full_form

FOREVER = 2**62
DAY_MS = 86_400_000
AUDIT_PARAMS = ("after", "before", "limit", "q", "spec")
FORBIDDEN = (403, "forbidden", "Forbidden. Access to the requested resource was denied.")
NOT_FOUND = (404, "not_found", "Invalid resource identifier")
NO_BETA_HEADER = {
    "message": "This API is in beta. To use it, your request must include the header `LD-API-Version: beta`."
}


def refused(error: tuple[int, str, str], **more: Any) -> Reply:
    """Return the answer to a request that the vendor refuses."""
    status, code, message = error
    return Reply(status, {"code": code, "message": message, **more})


def invalid(message: str, **more: Any) -> Reply:
    """Return the answer to a request that the vendor does not understand."""
    return refused((400, "invalid_request", message), **more)


class Answers:
    """Answers requests as the switches say, at the time `now_ms`."""

    def __init__(self, switches: Switches, now_ms: int) -> None:
        self.switches = switches
        self.now_ms = now_ms

    def seen(self, log: Log[E]) -> list[tuple[int, str]]:
        """Return time and id of everything in a log that can be seen."""
        log.settle(self.now_ms)
        return log.seen(self._horizon(), FOREVER)

    def audit_log(self, log: Log[AuditEntry], request: Request) -> Reply:
        """Answer `GET /api/v2/auditlog`."""
        spec = request.query.get("spec")
        try:
            return self._listed(log, request, EVERYTHING if spec is None else of_specifier(spec))
        except Malformed as error:
            return invalid(str(error))

    def search(self, log: Log[AuditEntry], request: Request) -> Reply:
        """Answer `POST /api/v2/auditlog`."""
        try:
            if request.json not in (None, []):
                policy = _policy(request.json)
            elif self.switches.empty_search == "refuse":
                return invalid("Invalid request body")
            else:
                policy = EVERYTHING if self.switches.empty_search == "everything" else Policy([])
            return self._listed(log, request, policy)
        except Malformed as error:
            return invalid(str(error))

    def counts(self, log: Log[AuditEntry], request: Request) -> Reply:
        """Answer `POST /api/v2/auditlog/counts`."""
        if self.switches.counts != "offered":
            return refused(FORBIDDEN if self.switches.counts == "forbidden" else NOT_FOUND)
        try:
            after, parts = number(request, "after", None), number(request, "buckets", 50)
            before = number(request, "before", self.now_ms)
            if request.json == [] and self.switches.empty_counts == "everything":
                policy = EVERYTHING
            elif not request.json:
                return invalid("Invalid request body")
            else:
                policy = _policy(request.json)
        except Malformed as error:
            return invalid(str(error))
        if not 1 <= parts <= 500:
            return invalid("buckets must be between 1 and 500")
        log.settle(self.now_ms)
        admits = None if policy.unconditional else _admitted(policy)
        horizon = self._horizon()

        def count(since: int, until: int) -> int:
            return log.count(max(since, horizon), until, admits)

        return Reply(200, buckets(after, before, parts, count, self.switches))

    def detail(self, log: Log[AuditEntry], projects: Iterable[Project], id_: str) -> Reply:
        """Answer `GET /api/v2/auditlog/{id}`; `projects` have the environments that a whole flag stands in."""
        entry = log.entries.get(id_)
        if entry is None or entry.visible_from_ms > self.now_ms or entry.ms < self._horizon():
            return refused(NOT_FOUND)
        places = {project.key: project.environments for project in projects}
        added = full_form(entry, places, self.switches.detail_bytes)
        return Reply(200, entry.shown(self.switches.dates) | added)

    def flag_events(self, request: Request, log_of: Callable[[str, str], Log[FlagEvent] | None]) -> Reply:
        """Answer `GET /api/v2/engineering-insights/flag-events`; `log_of` finds an environment's events."""
        if request.headers.get("ld-api-version") != "beta":
            return Reply(403, NO_BETA_HEADER)
        if self.switches.insights != "offered":
            return refused(FORBIDDEN if self.switches.insights == "forbidden" else NOT_FOUND)
        missing = [name for name in ("projectKey", "environmentKey") if not request.query.get(name)]
        if missing:
            errors = [{"attribute": name, "reason": "must be present"} for name in missing]
            return invalid("validation failed", errors=errors)
        log = log_of(request.query["projectKey"], request.query["environmentKey"])
        if log is None:
            return refused(NOT_FOUND)
        try:
            return self._insights(log, request)
        except Malformed as error:
            return invalid("validation failed", errors=[{"attribute": str(error), "reason": "is invalid"}])

    def _listed(self, log: Log[AuditEntry], request: Request, policy: Policy) -> Reply:
        """Return one page of the audit log; its only cursor is the millisecond of its last entry."""
        limit = self._limit(request, default=10, most=20)
        after, before = number(request, "after", -FOREVER), number(request, "before", FOREVER)
        since, until = _half_open(after, before, self.switches.bounds)
        log.settle(self.now_ms)
        admits = _admitted(policy, request.query.get("q", ""))
        found = (e for e in log.newest_first(max(since, self._horizon()), until, self.switches.ties) if admits(e))
        page = list(islice(found, limit))
        asked = {name: request.query[name] for name in AUDIT_PARAMS if name in request.query}
        links = {"self": link(href(request.path, asked))}
        if page and self._linked(found):
            links["next"] = link(href(request.path, {**asked, "before": page[-1].ms}))
        return Reply(200, {"items": [entry.shown(self.switches.dates) for entry in page], "_links": links})

    def _insights(self, log: Log[FlagEvent], request: Request) -> Reply:
        limit = self._limit(request, default=20, most=100)
        start, end = number(request, "from", self.now_ms - 7 * DAY_MS), number(request, "to", self.now_ms)
        longest = self.switches.insights_longest_days
        if longest is not None and end - start > longest * DAY_MS + 2:
            raise Malformed("from")
        log.settle(self.now_ms)
        since, until = _half_open(start, end, self.switches.insights_bounds)
        since = max(since, self._horizon())
        wanted = _wanted_events(request)
        found = [event for event in log.newest_first(since, until, self.switches.ties) if wanted(event)]
        if self.switches.insights_oldest_first:
            found.reverse()
        rest = _behind(found, request.query.get("after"))
        page = rest[:limit]
        totals = {"span": len(found), "page": len(page), "everything": log.count(self._horizon(), FOREVER)}
        links = {"self": link(request.path)}
        if page and self._linked(iter(rest[limit:])):
            kept = {} if self.switches.insights_next == "cursor" else request.query
            links["next"] = link(href(request.path, {**kept, "after": page[-1].id}))
        expand = "experiments" in request.query.get("expand", "").split(",")
        items = [event.shown(self.now_ms, expand=expand, dates=self.switches.dates) for event in page]
        return Reply(200, {"_links": links, "totalCount": totals[self.switches.insights_total], "items": items})

    def _limit(self, request: Request, default: int, most: int) -> int:
        limit = number(request, "limit", default)
        if not 1 <= limit <= most:
            if self.switches.over_limit == "refuse":
                raise Malformed("limit")
            limit = most if limit > most else default
        return min(limit, self.switches.page_cap or limit)

    def _horizon(self) -> int:
        days = self.switches.history_days
        return -FOREVER if days is None else self.now_ms - int(days * DAY_MS)

    def _linked(self, rest: Iterator[Any]) -> bool:
        """Tell whether the page links to a next one."""
        return self.switches.next_link == "always" or (
            self.switches.next_link == "exact" and next(rest, None) is not None
        )


def number(request: Request, name: str, default: int | None) -> int:
    """Return a whole number of the query; raise Malformed when it is something else, or absent without a default."""
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise Malformed(name)
    return int(text)


def _half_open(start: int, end: int, bounds: Bounds) -> tuple[int, int]:
    """Return the first millisecond that belongs to a span, and the first one after it."""
    return start + (bounds[0] == "("), end + (bounds[1] == "]")


def href(path: str, params: Mapping[str, object]) -> str:
    """Return a relative address with its parameters in alphabetical order."""
    return path + ("?" + urlencode(sorted(params.items())) if params else "")


def _policy(body: Any) -> Policy:
    """Return the policy of a request body; the same body gives the same object, with what it remembers."""
    return _parsed(orjson.dumps(body))


@lru_cache(maxsize=512)
def _parsed(body: bytes) -> Policy:
    return Policy.parse(orjson.loads(body))


def _admitted(policy: Policy, q: str = "") -> Callable[[AuditEntry], bool]:
    """Return a test for entries that a policy selects, and that hold `q` in their name or member's address."""
    if not q:
        return lambda entry: policy.admits(entry.change.accesses)
    wanted = q.casefold()

    def admits(entry: AuditEntry) -> bool:
        email = entry.change.who.get("member", {}).get("email", "")
        named = wanted in entry.change.name.casefold() or wanted in email.casefold()
        return named and policy.admits(entry.change.accesses)

    return admits


def _wanted_events(request: Request) -> Callable[[FlagEvent], bool]:
    """Return a test for flag events that pass the filters of a request."""
    query = request.query

    def wanted(event: FlagEvent) -> bool:
        effect = event.effect
        return (
            query.get("query", "") in effect.flag
            and query.get("impactSize", event.size) == event.size
            and (query.get("global") != "exclude" or effect.environment is not None)
            and query.get("hasExperiments", str(bool(effect.experiment)).lower())
            == str(bool(effect.experiment)).lower()
        )

    return wanted


def _behind(found: list[FlagEvent], cursor: str | None) -> list[FlagEvent]:
    """Return the events that come after the one that a cursor names; raise Malformed when it names none."""
    if cursor is None:
        return found
    at = next((i for i, event in enumerate(found) if event.id == cursor), None)
    if at is None:
        raise Malformed("after")
    return found[at + 1 :]
