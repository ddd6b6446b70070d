"""LaunchDarkly on loopback: its audit log, searches, counts, flag events and lists, as its documentation has them.

What the documentation leaves open is a switch (see `Switches`). The history of Fernweh Travel is in
`simulation.history`, the shape of the entries in `simulation.entries`, the answers in `simulation.answers`.
"""

import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, ClassVar
from urllib.parse import unquote

from pydantic import SecretStr

from flagtrail.event import Record
from flagtrail.testing.cast import PEOPLE, Person
from flagtrail.testing.simulator import Reply, Request, Simulator
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.simulation.account import NOBODY, TOKEN, Who, by_member
from flagtrail_launchdarkly.simulation.answers import FORBIDDEN, NOT_FOUND, Answers, refused
from flagtrail_launchdarkly.simulation.catalogue import environment_list, identity, project_list
from flagtrail_launchdarkly.simulation.entries import Change, Effect
from flagtrail_launchdarkly.simulation.history import History
from flagtrail_launchdarkly.simulation.limits import Limits
from flagtrail_launchdarkly.simulation.switches import Switches
from flagtrail_launchdarkly.simulation.trail import Trail

AUDIT_LOG = "audit_log"
BURST_ACTIONS = (
    "updateOn", "updateTargets", "updateRules", "updateFallthrough", "updateTags", "updateName", "updateDescription",
    "updateOffVariation", "updatePrerequisites", "updateMaintainer", "updateTemporary", "updateTrackEvents",
)  # fmt: skip
KINDS = {"proj": "project", "env": "environment", "acct": "account"}
NO_SUCH_METHOD = (405, "method_not_allowed", "Method not allowed")
INVALID_TOKEN = (401, "invalid_token", "invalid access token")
NO_SUCH_TOKEN = (401, "unauthorized", "Invalid account ID header")
EXPIRED_TOKEN = (401, "unauthorized", "Invalid access token")

IDENTITY_PATH = "/api/v2/caller-identity"
ROUTES: tuple[tuple[str, str, Callable[[Answers, Trail, Request, str], Reply]], ...] = (
    ("GET", "/api/v2/auditlog", lambda a, trail, request, _: a.audit_log(trail.audit_log, request)),
    ("POST", "/api/v2/auditlog", lambda a, trail, request, _: a.search(trail.audit_log, request)),
    ("POST", "/api/v2/auditlog/counts", lambda a, trail, request, _: a.counts(trail.audit_log, request)),
    ("GET", "/api/v2/auditlog/*", lambda a, trail, _, id_: a.detail(trail.audit_log, trail.projects, id_)),
    (
        "GET",
        "/api/v2/engineering-insights/flag-events",
        lambda a, trail, request, _: a.flag_events(request, trail.flag_events),
    ),
    ("GET", "/api/v2/projects", lambda a, trail, request, _: project_list(request, trail.projects, a.switches)),
    (
        "GET",
        "/api/v2/projects/*/environments",
        lambda a, trail, request, key: environment_list(request, trail.project(key), a.switches),
    ),
    ("GET", IDENTITY_PATH, lambda *_: identity()),
)
"""Method, address pattern, and what answers there; `*` is an id or a key."""


class LaunchDarklySimulator(Simulator):
    """LaunchDarkly as Fernweh Travel sees it; `switches` are the fields of `Switches`, by name.

    It starts with three projects of three environments, and no entries: `fill` it, or `add` some.
    """

    connector: ClassVar[type[LaunchDarkly]] = LaunchDarkly

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)
        self.trail = Trail()
        self._limits = Limits(self.switches)
        self._demo: History | None = None

    def settings(self) -> dict[str, Any]:
        """Return the base URL and the token."""
        return {"base_url": self.url, "token": SecretStr(TOKEN)}

    def add(
        self,
        ms: int | None = None,
        *,
        resources: str | Sequence[str] = "proj/web:env/production:flag/checkout-v2",
        actions: str | Sequence[str] = "updateOn",
        member: Person | None = PEOPLE[0],
        who: Who | None = None,
        verb: str = "updated the flag",
        comment: str | None = None,
        visible_from_ms: int = 0,
        **changes: Any,
    ) -> str:
        """Add one audit entry, now by default, and return its id.

        Each action is done to each resource. `who` names an app or a token instead of `member`; None and None is
        nobody. `visible_from_ms` lets it arrive late. `changes` are further fields of `Change`.
        """
        resources = [resources] if isinstance(resources, str) else resources
        actions = [actions] if isinstance(actions, str) else actions
        last = resources[0].split(":")[-1].split(";")[0] if resources else "acct"
        type_, _, key = last.partition("/")
        if who is None:
            who = by_member(member) if member else NOBODY
        named: dict[str, Any] = {"kind": KINDS.get(type_, type_), "name": key.replace("-", " ").capitalize()}
        accesses = tuple((action, resource) for resource, action in product(resources, actions))
        change = Change(**{**named, **changes}, accesses=accesses, verb=verb, comment=comment, who=who)
        with self.lock:
            return self.trail.add(self.clock.ms() if ms is None else ms, change, visible_from_ms).id

    def burst(self, ms: int, count: int, *, resources: int | None = None, actions: int = 1) -> list[str]:
        """Add `count` audit entries in one millisecond and return their ids.

        They are about so many different flags (as many as entries by default), with so many different actions.
        """
        different = count if resources is None else resources
        return [
            self.add(
                ms,
                resources=f"proj/web:env/production:flag/burst-{i % different:03d}",
                actions=BURST_ACTIONS[i // different % actions],
            )
            for i in range(count)
        ]

    def add_flag_event(
        self,
        audit_id: str | None = None,
        *,
        ms: int | None = None,
        project: str = "web",
        environment: str | None = "production",
        flag: str = "checkout-v2",
        event_type: str = "enabled_targeting",
        actions: Sequence[str] = ("updateOn",),
        description: str = "Targeting enabled",
        swing: float = 0.5,
        who: Who | None = None,
        experiment: str | None = None,
        visible_from_ms: int = 0,
    ) -> str:
        """Add one flag event, at the time of the audit entry it belongs to or now, and return its id.

        `swing` is the share of evaluations that changed. Without an environment the event is global: it shows in every
        environment of the project.
        """
        who = by_member(PEOPLE[0]) if who is None else who
        effect = Effect(project, environment, flag, event_type, tuple(actions), description, swing, who, experiment)
        with self.lock:
            if ms is None:
                ms = self.trail.audit_log.entries[audit_id].ms if audit_id else self.clock.ms()
            return self.trail.add_flag_event(ms, effect, audit_id, visible_from_ms).id

    def add_project(self, key: str, name: str | None = None, environments: Sequence[str] = ("production",)) -> None:
        """Add a project with environments of these keys."""
        with self.lock:
            self.trail.add_project(key, name, environments)

    def remove(self, vendor_id: str) -> None:
        """Let an entry of either log vanish; KeyError when there is none."""
        with self.lock:
            self.trail.remove(vendor_id)

    def edit(self, vendor_id: str, **changes: Any) -> None:
        """Let an entry of either log show other values from now on, under the vendor's names for them."""
        with self.lock:
            self.trail.edit(vendor_id, changes)

    def fill(
        self,
        records: int,
        days: float = 365.0,
        seed: int = 0,
        *,
        flag_events: int | None = None,
        end_ms: int | None = None,
    ) -> None:
        """Add a realistic history that ends now (or at `end_ms`): exactly `records` audit entries.

        A fifth to a quarter of them have a flag event, or exactly `flag_events`; those that are more than the audit
        entries stand alone.
        """
        with self.lock:
            self.trail.fill(records, days, seed, flag_events, self.clock.ms() if end_ms is None else end_ms)

    def happen(self) -> None:
        """Let somebody change a flag's targeting now."""
        with self.lock:
            self._demo = self._demo or History(self.trail.projects, random.Random(self.clock.ms()))
            change, effect = self._demo.impact()
            entry = self.trail.add(self.clock.ms(), change)
            self.trail.add_flag_event(entry.ms, effect, entry.id)

    def truth(self) -> dict[str, dict[str, int]]:
        """Return what can be seen now: the audit log, and the flag events of every environment if they are offered."""
        with self.lock:
            answers = Answers(self.switches, self.clock.ms())
            found = {AUDIT_LOG: {id_: ms for ms, id_ in answers.seen(self.trail.audit_log)}}
            if self.switches.insights == "offered":
                for stream, log in self.trail.streams().items():
                    found[stream] = {id_: ms for ms, id_ in answers.seen(log)}
            return found

    def shown(self, stream: str, vendor_id: str) -> Record:
        """Return one entry as its list shows it; flag events with their experiments."""
        with self.lock:
            return self.trail.shown(vendor_id, self.clock.ms(), self.switches.dates)

    def reply(self, request: Request) -> Reply:
        """Return the vendor's answer, within its limits."""
        denial = self._denial(request)
        if denial is not None:
            return denial
        route, answer = self._route(request)
        return self._limits.reply(route, self.clock.ms(), answer)

    def _denial(self, request: Request) -> Reply | None:
        """Return the refusal of a request without a valid token, or None."""
        given = request.headers.get("authorization", "")
        if self.switches.credential == "silent":
            return Reply(401, b"")
        if given != TOKEN:
            return refused(INVALID_TOKEN if given.startswith("Bearer ") else NO_SUCH_TOKEN)
        return refused(EXPIRED_TOKEN) if self.switches.credential == "expired" else None

    def _route(self, request: Request) -> tuple[str, Callable[[], Reply]]:
        """Return the name of the route that a request takes, and what answers it."""
        error = NOT_FOUND
        for method, pattern, answer in ROUTES:
            found = re.fullmatch(pattern.replace("*", "([^/]+)"), request.path)
            if found is None:
                continue
            if method == request.method:
                if not self.switches.permitted and pattern != IDENTITY_PATH:
                    error = FORBIDDEN
                    break
                answers, key = Answers(self.switches, self.clock.ms()), unquote("".join(found.groups()))
                return f"{method} {pattern}", partial(answer, answers, self.trail, request, key)
            error = NO_SUCH_METHOD
        return "", partial(refused, error)
