"""Makes up months of a company with incidents whose cause is known, as records of both vendors.

Nothing here knows how suspects are ranked. What is assumed of the world, so that anybody may disagree:

* People change things in working hours, between 6 and 40 an hour in all, two of three at LaunchDarkly. A third of it is
  in production, and two thirds of what is done to flags change what users get. A few flags have most of the changes.
  One change in six is an automation's, some of which toggle the same flags all day, in production too.
* A cause is of the same kinds, in the same environments, by the same people as the rest; it is rather an unusual flag,
  a large step, a measured impact, but also the opposite of each. One in 20 is an automation's.
* What is noticed is noticed late: 6 minutes in the middle, a log-normal tail up to the hour that is looked at. Clocks
  differ by some seconds, so that some causes seem to come after the moment.
* In two of five incidents somebody has put the cause back by the time that is asked. One ordinary change in 16 is put
  back within an hour, too.
* Every sixth incident has a script that saves many changes at once near it. Measurements exist for two thirds of
  LaunchDarkly's environments and are noise for ordinary changes; full forms were fetched for 4 entries in 5.
"""

import random
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

from pydantic import SecretStr

from flagtrail.connector import Stream
from flagtrail.rows import Reading, event_id
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.window import Window, from_ms, to_ms
from flagtrail_configcat import ConfigCat
from flagtrail_launchdarkly import LaunchDarkly

START = datetime(2026, 1, 5, tzinfo=UTC)
QUIET = timedelta(days=21)  # of history before the first incident
HOUR, MINUTE = 3_600_000, 60_000
LD, CC = "acme-launchdarkly", "acme-configcat"
AUDIT, ITEMS = Stream("audit_log"), Stream("audit_log[1]", scope=("1",))
PROJECTS = {"web": ("production", "staging", "development", "test"), "app": ("eu-production", "us-production", "qa"),
            "core": ("live", "staging", "dev", "load-test", "sandbox")}  # fmt: skip
IN_PRODUCTION = 1 / 3  # of the ordinary changes
LIVE = {"production", "eu-production", "us-production", "live", "Production", "Prod EU"}
PRODUCTS = {"Web Shop": ("Production", "Staging", "Test"), "Back Office": ("Prod EU", "Development")}
CONFIGS = ("Main", "Payments")
PEOPLE = [f"person{number}@acme.example" for number in range(40)]
TOKENS = ("terraform", "load-shedder", "nightly")
FLAG_KINDS = {"on": 26, "off": 18, "rollout": 20, "rules": 10, "targets": 10, "off_variation": 3, "name": 8, "tags": 12,
              "description": 8, "create": 10, "archive": 5, "delete": 3}  # fmt: skip
ITEM_KINDS = {"switch": 40, "number": 12, "rollout": 14, "created": 8, "hint": 6, "tag": 8, "segment": 6, "request": 6,
              "applied": 5, "invited": 6, "webhook": 3, "key": 2}  # fmt: skip
OTHER_KINDS = {"segment": 6, "member": 8, "webhook": 2, "metric": 5, "sdk_key": 1, "token": 2}
CAUSES = {"on": 26, "off": 12, "rollout": 16, "rules": 8, "off_variation": 3, "archive": 4, "delete": 2, "sdk_key": 3,
          "segment": 3, "switch": 14, "number": 6, "cc rollout": 5, "applied": 4, "cc segment": 2}  # fmt: skip
SIZES = {"none": (0, 0), "small": (1, 19), "medium": (20, 80), "large": (81, 100)}
# How often a change in production has which impact, none, small, medium, large: an ordinary one, and a cause.
ORDINARY, CAUSE = (25, 30, 25, 20), (4, 14, 32, 50)


class Incident(NamedTuple):
    """A moment at which something was noticed, the id of the event that was the cause, and its sort."""

    moment: datetime
    cause: str
    kind: str


class Told(NamedTuple):
    """One record of a vendor, of which source and stream, and when."""

    ms: int
    source: str
    stream: Stream
    record: dict[str, Any]


class Company:
    """Months of a company's changes: the same for the same seed."""

    def __init__(self, seed: int, incidents: int = 100) -> None:
        self.made = random.Random(f"company {seed}")
        self._ids = count(1)
        self.flags = {project: [f"{project}-flag-{n}" for n in range(160)] for project in PROJECTS}
        self.keys = [f"setting_{n}" for n in range(120)]
        self.told: list[Told] = []
        self.incidents: list[Incident] = []
        days = QUIET.days + int(incidents / 2 * 7 / 5) + 7
        moments = self._ordinary_days(days)
        for ms in sorted(self.made.sample(moments, incidents)):
            self._incident(ms)
        self.told.sort(key=lambda told: told.ms)

    def store_in(self, store: Store) -> None:
        """Translate all records as the readers do, and store them, covered whole."""
        secret = SecretStr("made-up")
        sources = {
            LD: Source(LD, LaunchDarkly(token=secret)),
            CC: Source(CC, ConfigCat(username=secret, password=secret)),
        }
        last = from_ms(self.told[-1].ms + 1)
        whole = Window(START - timedelta(days=60), last)
        for name, source in sources.items():
            mine = [told for told in self.told if told.source == name]
            for stream in {told.stream.name: told.stream for told in mine}.values():
                store.register(name, source.connector.vendor, stream, wanted_since=whole.since)
                store.note(name, stream.name, settled_at=whole.until, succeeded_at=whole.until)
                page = [
                    (source.connector.event(stream, told.record), told.record) for told in mine if told.stream == stream
                ]
                store.add(name, source.connector.vendor, [Reading(stream.name, page, whole)])
            store.note_source(name, source.connector.vendor, None)

    def _ordinary_days(self, days: int) -> list[int]:
        """Tell what happens anyway, and return moments in working hours that are two hours apart, after a while."""
        moments = []
        start = to_ms(START)
        for day in range(days):
            busy = self.made.uniform(6, 40) * (1 if (START + timedelta(days=day)).weekday() < 5 else 0.1)
            for hour in range(24):
                rate = busy if 8 <= hour < 18 else busy * 0.1
                begin = start + (day * 24 + hour) * HOUR
                for _ in range(int(self.made.expovariate(1 / rate)) if rate else 0):
                    self._ordinary(begin + self.made.randrange(HOUR))
                if day >= QUIET.days and busy >= 6 and hour in (9, 11, 13, 15, 17):
                    moments.append(begin + self.made.randrange(HOUR // 2))
        return moments

    def _ordinary(self, ms: int) -> None:
        if self.made.random() < 1 / 6:
            self._automated(ms)
            return
        at_launchdarkly = self.made.random() < 2 / 3
        kind = self._choice(FLAG_KINDS if at_launchdarkly else ITEM_KINDS)
        if at_launchdarkly and self.made.random() < 0.15:
            kind = self._choice(OTHER_KINDS)
        who = self.made.choice(PEOPLE)
        if at_launchdarkly:
            project, place = self._somewhere(PROJECTS)
            told = self._entry(ms, kind, project, place, self._skewed(self.flags[project]), who, ORDINARY)
        else:
            product, place = self._somewhere(PRODUCTS)
            told = self._item(ms, kind, product, place, self._skewed(self.keys), who)
        if self.made.random() < 1 / 16:
            self._put_back(told, ms + self.made.randrange(MINUTE, HOUR))

    def _automated(self, ms: int) -> None:
        """Tell what a script does: half of it is toggling the same few flags, anywhere."""
        project, place = self._somewhere(PROJECTS)
        toggling = self.made.random() < 0.5
        flag = self.made.choice(self.flags[project][:3]) if toggling else self._skewed(self.flags[project])
        kind = self.made.choice(("on", "off")) if toggling else self._choice(FLAG_KINDS)
        self._entry(ms, kind, project, place, flag, self.made.choice(TOKENS), ORDINARY)

    def _incident(self, ms: int) -> None:
        kind = self._choice(CAUSES)
        delay = min(self.made.lognormvariate(1.8, 1.0), 58) * MINUTE
        moment = round(ms + delay + self.made.gauss(0, 20_000))
        who = self.made.choice(TOKENS if self.made.random() < 0.05 else PEOPLE)
        if kind in ("switch", "number", "cc rollout", "applied", "cc segment"):
            product = self.made.choice(list(PRODUCTS))
            place = next(name for name in PRODUCTS[product] if name in LIVE)
            person = self.made.choice(PEOPLE)
            told = self._item(ms, kind.removeprefix("cc "), product, place, self._unusual(self.keys), person)
        else:
            project = self.made.choice(list(PROJECTS))
            place = self.made.choice([name for name in PROJECTS[project] if name in LIVE])
            told = self._entry(ms, kind, project, place, self._unusual(self.flags[project]), who, CAUSE)
        if self.made.random() < 0.4:
            self._put_back(told, moment + round(self.made.expovariate(1 / 10) * MINUTE) + MINUTE)
        if self.made.random() < 1 / 6:
            self._burst(moment - self.made.randrange(40 * MINUTE))
        vendor_id = str(told.record.get("_id") or told.record["auditLogId"])
        self.incidents.append(Incident(from_ms(moment), event_id(told.source, told.stream.name, vendor_id), kind))

    def _burst(self, ms: int) -> None:
        """Tell of a script that saves many changes within seconds."""
        project, place = self._somewhere(PROJECTS)
        kind, who = self.made.choice(("tags", "rules", "on", "archive")), self.made.choice([*TOKENS, *PEOPLE[:3]])
        for flag in self.made.sample(self.flags[project], self.made.randint(8, 50)):
            self._entry(ms, kind, project, place, flag, who, ORDINARY)
            ms += self.made.randrange(50, 600)

    def _put_back(self, told: Told, ms: int) -> None:
        """Tell that somebody undoes a change, where one knows how."""
        if told.source == CC:
            details = told.record["details"]
            if " ➔ " in details:
                key, _, values = details.partition(": ")
                before, _, after = values.partition(" ➔ ")
                record = {**told.record, "auditLogId": next(self._ids), "auditLogDateTime": from_ms(ms).isoformat(),
                          "details": f"{key}: {after} ➔ {before}", "userEmail": self.made.choice(PEOPLE)}  # fmt: skip
                self.told.append(Told(ms, CC, ITEMS, record))
            return
        resource, action = told.record["accesses"][0]["resource"], told.record["accesses"][0]["action"]
        verbs = {"turned on the flag": "turned off the flag", "turned off the flag": "turned on the flag",
                 "archived the flag": "restored the flag"}  # fmt: skip
        verb = verbs.get(told.record["titleVerb"], told.record["titleVerb"])
        if "delete" in action or "create" in action:
            return
        before, after = told.record.get("previousVersion"), told.record.get("currentVersion")
        forms = {"previousVersion": after, "currentVersion": before} if before and after else {}
        self._audit(ms, action, verb, told.record["kind"], resource, self.made.choice(PEOPLE), forms)

    def _entry(self, ms: int, kind: str, project: str, place: str, flag: str, who: str, sizes: Any) -> Told:
        """Tell an entry of LaunchDarkly's audit log, and the flag event about it, if there is one."""
        resource = f"proj/{project}:env/{place}:flag/{flag}"
        others = {
            "segment": ("updateIncluded", "updated the segment", "segment", f"proj/{project}:env/{place}:segment/vips"),
            "member": ("updateRole", "updated the member", "member", "member/507f1f77"),
            "webhook": ("updateOn", "enabled the webhook", "webhook", "webhook/1"),
            "metric": ("updateEventKey", "updated the metric", "metric", f"proj/{project}:metric/m"),
            "sdk_key": ("updateApiKey", "updated the environment", "environment", f"proj/{project}:env/{place}"),
            "token": ("createAccessToken", "created the access token", "service-token", "service-token/1"),
        }
        if kind in others:
            action, verb, what, resource = others[kind]
            return self._audit(ms, action, verb, what, resource, who, {})
        action, verb, before, after = self._flag_change(kind, place, sizes is CAUSE)
        forms = {"previousVersion": before, "currentVersion": after} if before and self.made.random() < 0.8 else {}
        told = self._audit(ms, action, verb, "flag", resource, who, forms)
        if action in ("updateOn", "updateFallthrough", "updateRules") and sum(project.encode()) % 3:
            self._flag_event(told, project, place, flag, sizes if place in LIVE else (60, 30, 8, 2))
        return told

    def _flag_change(self, kind: str, place: str, cause: bool) -> tuple[str, str, Any, Any]:
        """Return the action, the verb, and both versions of a flag, where the full form shows two."""
        if kind in ("on", "off"):
            versions = (self._version(place, on=kind == "off"), self._version(place, on=kind == "on"))
            return ("updateOn", f"turned {kind} the flag", *versions)
        if kind == "rollout":
            steps = (0, 5, 10, 25, 50, 100) if not cause else (0, 10, 50, 100)
            at = self.made.randrange(len(steps) - 1)
            weights = [steps[at] * 1000, steps[at + 1] * 1000]
            versions = (
                self._version(place, fallthrough=_rollout(weights[0])),
                self._version(place, fallthrough=_rollout(weights[1])),
            )
            return ("updateFallthrough", "updated the flag", *versions)
        rule = {"_id": f"rule{next(self._ids)}", "variation": 0, "clauses": [{"attribute": "country", "op": "in",
                "values": [self.made.choice(("PT", "NO", "JP"))], "negate": False}]}  # fmt: skip
        target = {"values": [f"user-{self.made.randrange(999)}"], "variation": 0, "contextKind": "user"}
        known = {
            "rules": ("updateRules", self._version(place), self._version(place, rules=[rule])),
            "targets": ("updateTargets", self._version(place), self._version(place, targets=[target])),
            "off_variation": ("updateOffVariation", self._version(place), self._version(place, offVariation=0)),
            "name": ("updateName", {"name": "a"}, {"name": "b"}),
            "tags": ("updateTags", {"tags": []}, {"tags": ["q3"]}),
            "description": ("updateDescription", {"description": "a"}, {"description": "b"}),
            "archive": ("updateGlobalArchived", {"archived": False}, {"archived": True}),
        }
        if kind in known:
            return known[kind][0], "archived the flag" if kind == "archive" else "updated the flag", *known[kind][1:]
        return f"{kind}Flag", f"{kind}d the flag", None, None

    def _version(self, place: str, **values: Any) -> dict[str, Any]:
        settings = {
            "on": True,
            "offVariation": 1,
            "fallthrough": {"variation": 0},
            "rules": [],
            "targets": [],
            **values,
        }
        return {"variations": [{"_id": "v0", "value": True}, {"_id": "v1", "value": False}],
                "environments": {place: settings}}  # fmt: skip

    def _audit(
        self, ms: int, action: str, verb: str, kind: str, resource: str, who: str, forms: dict[str, Any]
    ) -> Told:
        actor: dict[str, Any] = {"member": {"_id": who, "email": who}} if "@" in who else {"token": {"name": who}}
        record = {"_id": f"e{next(self._ids)}", "date": ms, "accesses": [{"action": action, "resource": resource}],
                  "kind": kind, "name": resource.rpartition("/")[2], "titleVerb": verb, **actor, **forms}  # fmt: skip
        self.told.append(Told(ms, LD, AUDIT, record))
        return self.told[-1]

    def _flag_event(self, told: Told, project: str, place: str, flag: str, sizes: Any) -> None:
        size = self.made.choices(list(SIZES), sizes)[0]
        impact = {"size": size, "percentage": self.made.randint(*SIZES[size]), "reason": "evaluations"}
        if self.made.random() < 0.1:
            impact = {"reason": "waiting"}
        record = {"id": f"f{next(self._ids)}", "projectKey": project, "environmentKey": place, "flagKey": flag,
                  "eventType": "changed_targeting", "eventTime": told.ms, "auditLogEntryId": told.record["_id"],
                  "description": "Targeting changed", "impact": impact}  # fmt: skip
        stream = Stream(f"flag_events[{project}/{place}]", scope=(project, place))
        self.told.append(Told(told.ms, LD, stream, record))

    def _item(self, ms: int, kind: str, product: str, place: str, key: str, who: str) -> Told:
        """Tell an item of ConfigCat's audit log."""
        config = self.made.choice(CONFIGS)
        on = self.made.random() < 0.6
        numbers = self.made.sample(range(5, 90), 2)
        here = f"{product} / {config} / {place}"
        kinds = {
            "switch": ("settingValueChanged", here, key, f"{key}: {str(not on).lower()} ➔ {str(on).lower()}"),
            "number": ("settingValueChanged", here, key, f"{key}: {numbers[0]} ➔ {numbers[1]}"),
            "rollout": ("settingValueChanged", here, key, f"{key}:\r\n  Rollout percentage items changed"),
            "created": ("settingCreated", f"{product} / {config}", key, "Type: On/Off Toggle"),
            "hint": ("settingChanged", f"{product} / {config}", key, "Hint: Ask me ➔ See the wiki"),
            "tag": ("settingTagAdded", f"{product} / {config}", key, "Tag: ops"),
            "segment": ("segmentChanged", product, "Beta testers", "Comparison value: DE ➔ DE, AT"),
            "request": ("changeRequestCreated", here, "Launch", ""),
            "applied": ("changeRequestApplied", here, "Launch", ""),
            "invited": ("teamMemberInvited", product, "new@acme.example", ""),
            "webhook": ("webHookChanged", here, "https://hooks.acme.example", ""),
            "key": ("apiKeyAdded", here, place, ""),
        }
        type_, where, target, details = kinds[kind]
        record = {"auditLogId": next(self._ids), "auditLogDateTime": from_ms(ms).isoformat(), "auditLogTypeEnum": type_,
                  "auditLogType": type_, "actionTarget": target, "details": details, "where": where, "why": None,
                  "truncated": False, "userEmail": who, "userName": who.partition("@")[0]}  # fmt: skip
        self.told.append(Told(ms, CC, ITEMS, record))
        return self.told[-1]

    def _somewhere(self, places: dict[str, tuple[str, ...]]) -> tuple[str, str]:
        outer = self.made.choice(list(places))
        live = self.made.random() < IN_PRODUCTION
        return outer, self.made.choice([name for name in places[outer] if (name in LIVE) == live])

    def _skewed(self, values: list[str]) -> str:
        return values[int(len(values) * self.made.random() ** 2.5)]

    def _unusual(self, values: list[str]) -> str:
        return values[int(len(values) * self.made.random() ** 1.2)]

    def _choice(self, weighted: dict[str, int]) -> str:
        return self.made.choices(list(weighted), list(weighted.values()))[0]


def _rollout(weight: int) -> dict[str, Any]:
    shares = [{"variation": 0, "weight": weight}, {"variation": 1, "weight": 100_000 - weight}]
    return {"rollout": {"variations": shares}}
