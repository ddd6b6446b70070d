"""Audit entries and flag events of the simulator: small while kept, and shown as LaunchDarkly's JSON when asked for.

A million entries as JSON would not fit into memory, so each is rendered anew for every answer.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flagtrail.event import Record
from flagtrail.window import from_ms, iso
from flagtrail_launchdarkly.simulation.account import ACCOUNT_ID, Project, Who, link, made_up_id
from flagtrail_launchdarkly.simulation.statements import Access

SITE = "https://app.launchdarkly.com"  # titles name it even on the other instances
EVALUATED_AFTER_MS = 600_000  # LaunchDarkly compares the ten minutes before and after a flag event

Dates = Literal["number", "string", "iso"]


def date(ms: int, form: Dates) -> int | str:
    """Return a time in the form that the answers shall have."""
    return ms if form == "number" else str(ms) if form == "string" else iso(from_ms(ms))


@dataclass(frozen=True, slots=True)
class Change:
    """What happened, without when: most of an audit entry.

    `site` and `canonical` are the addresses of the object's page and of its API resource. `environment` is the name
    of the only environment concerned. `extra` are keys on top, or instead of the usual ones. `detail` is what the full
    form adds, instead of made-up versions.
    """

    kind: str
    name: str
    accesses: tuple[Access, ...]
    verb: str
    description: str = ""
    comment: str | None = None
    who: Who = field(default_factory=dict)
    environment: str | None = None
    site: str | None = None
    canonical: str | None = None
    extra: Mapping[str, Any] | None = None
    detail: Mapping[str, Any] | None = None

    @property
    def resources(self) -> list[str]:
        """The resource specifiers, each once."""
        return list(dict.fromkeys(resource for _, resource in self.accesses))

    @property
    def title(self) -> str:
        """The Markdown sentence that LaunchDarkly's pages show."""
        name = _escaped(self.name)
        what = f"{self.verb} " + (f"[{name}]({SITE}{self.site})" if self.site else name)
        where = f" in `{self.environment}`" if self.environment else ""
        member = self.who.get("member")
        if member is None:
            return f"{what[0].upper()}{what[1:]}{where} \\(via API\\)"
        full_name = f"{member['firstName']} {member['lastName']}".strip() or member["email"]
        return f"[{_escaped(full_name)}](mailto:{member['email']}) {what}{where}"


@dataclass(slots=True)
class AuditEntry:
    """One entry of the audit log."""

    ms: int
    id: str
    change: Change
    visible_from_ms: int = 0
    edits: dict[str, Any] | None = None

    def shown(self, dates: Dates = "number") -> Record:
        """Return the entry as a list shows it."""
        change = self.change
        links = {"parent": link("/api/v2/auditlog"), "self": link(f"/api/v2/auditlog/{self.id}")}
        target_links = {}
        if change.canonical:
            target_links["canonical"] = link(change.canonical)
        if change.site:
            target_links["site"] = link(change.site, "text/html")
        record: Record = {
            "_links": dict(sorted((links | target_links).items())),
            "_id": self.id,
            "_accountId": ACCOUNT_ID,
            "date": date(self.ms, dates),
            "accesses": [{"action": action, "resource": resource} for action, resource in change.accesses],
            "kind": change.kind,
            "name": change.name,
            "description": change.description,
            "shortDescription": "",
        }
        if change.comment is not None:
            record["comment"] = change.comment
        record.update(change.who)
        record |= {
            "titleVerb": change.verb,
            "title": change.title,
            "target": {"_links": target_links, "name": change.name, "resources": change.resources},
        }
        if change.environment:
            record["parent"] = self._parent(change.environment)
        return {**record, **(change.extra or {}), **(self.edits or {})}

    def _parent(self, environment: str) -> dict[str, Any]:
        resource = ":".join(self.change.resources[0].split(":")[:2])
        project, key = (part.split(";")[0].partition("/")[2] for part in resource.split(":"))
        links = {
            "canonical": link(f"/api/v2/projects/{project}/environments/{key}"),
            "site": link("/settings/projects", "text/html"),
        }
        return {"_links": links, "name": environment, "resource": resource}


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change did to the evaluations of a flag: most of a flag event.

    `swing` is the share of evaluations that got another variation, from 0 to 1.
    """

    project: str
    environment: str | None
    flag: str
    event_type: str
    actions: tuple[str, ...]
    description: str
    swing: float = 0.5
    who: Who = field(default_factory=dict)
    experiment: str | None = None


@dataclass(slots=True)
class FlagEvent:
    """One flag event of engineering insights; `audit_id` names the audit entry of the same change."""

    ms: int
    id: str
    effect: Effect
    audit_id: str | None = None
    visible_from_ms: int = 0
    edits: dict[str, Any] | None = None

    @property
    def size(self) -> str:
        """The vendor's word for how much changed."""
        swing = self.effect.swing
        return "none" if swing == 0 else "small" if swing < 0.2 else "medium" if swing <= 0.8 else "large"

    def shown(self, now_ms: int, *, expand: bool = False, dates: Dates = "number") -> Record:
        """Return the event as the list shows it at a time; `expand` adds its experiments."""
        effect = self.effect
        record: Record = {
            "id": self.id,
            "projectId": Project(effect.project, "").id,
            "projectKey": effect.project,
            "flagKey": effect.flag,
            "eventType": effect.event_type,
            "eventTime": date(self.ms, dates),
            "description": effect.description,
            "impact": self._impact(now_ms),
        }
        if effect.environment:
            record["environmentId"] = made_up_id("environment", effect.project, effect.environment)
            record["environmentKey"] = effect.environment
        if self.audit_id:
            record["auditLogEntryId"] = self.audit_id
        if member := effect.who.get("member"):
            names = {name: member[name] for name in ("email", "firstName", "lastName")}
            record["member"] = {"id": member["_id"], **names}
        if effect.actions:
            record["actions"] = list(effect.actions)
        if expand:
            record["experiments"] = self._experiments()
        return record | (self.edits or {})

    def _impact(self, now_ms: int) -> dict[str, Any]:
        if self.effect.environment is None:
            return {"reason": "global"}
        if now_ms < self.ms + EVALUATED_AFTER_MS:
            return {"reason": "waiting"}
        rng = random.Random(self.id)  # noqa: S311 - the same numbers at every look
        served = rng.randint(200, 90_000)
        moved = round(served * self.effect.swing)
        turned_on = "disabled" not in self.effect.event_type
        before = {True: 0, False: served} if turned_on else {True: served, False: 0}
        sign = 1 if turned_on else -1
        variations = [
            {"value": True, "before": before[True], "after": before[True] + sign * moved},
            {"value": False, "before": before[False], "after": before[False] - sign * moved},
        ]
        return {
            "size": self.size,
            "percentage": round(self.effect.swing * 100, 1),
            "reason": "evaluations",
            "evaluationsSummary": {"variations": variations},
        }

    def _experiments(self) -> dict[str, Any]:
        key = self.effect.experiment
        if key is None:
            return {"totalCount": 0, "items": []}
        iteration = {"id": made_up_id("iteration", key), "status": "running", "startedAt": self.ms - 86_400_000}
        return {"totalCount": 1, "items": [{"key": key, "name": key.capitalize(), "iteration": iteration}]}


def _escaped(text: str) -> str:
    """Return a text with its punctuation escaped for Markdown."""
    return re.sub(r"([-.()_*`\[\]!#+])", r"\\\1", text)
