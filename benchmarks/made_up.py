"""Makes up the trail of a company as records of both vendors: the same for the same seed, and never all in memory.

Values are as uneven as in life: a few projects, people and flags have most of the changes, and many have a few. One
source was given up long ago, and one is young.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import SecretStr

from flagtrail.connector import Connector, Stream
from flagtrail.source import Source
from flagtrail.window import from_ms, to_ms
from flagtrail_configcat import ConfigCat
from flagtrail_launchdarkly import LaunchDarkly

END = datetime(2026, 6, 1, tzinfo=UTC)
LENGTH = timedelta(days=1095)
SITE = "https://app.launchdarkly.com"
ACCOUNT = "61f0c2a4b7d39e5508ac417b"
SYLLABLES = [
    "che",
    "ck",
    "out",
    "pay",
    "ment",
    "ra",
    "te",
    "li",
    "mit",
    "sea",
    "rch",
    "ban",
    "ner",
    "pri",
    "ce",
    "car",
    "t",
    "log",
    "in",
    "mo",
    "bi",
    "le",
    "da",
    "sh",
    "bo",
    "ard",
    "be",
    "ta",
    "ship",
    "ping",
    "tax",
    "es",
]
ENVIRONMENTS = ("production", "staging", "development", "test", "qa", "preview", "demo", "eu-production",
                "us-production", "load-test", "sandbox", "canary", "integration", "training", "hotfix")  # fmt: skip
# How an entry's action is called, and as which verb it is read out.
ACTIONS = (("updateOn", "turned on the flag"), ("updateOn", "turned off the flag"), ("updateRules", "updated the flag"),
           ("updateTargets", "updated the flag"), ("updateFallthrough", "updated the flag"),
           ("updateName", "updated the flag"), ("updateTags", "updated the flag"), ("createFlag", "created the flag"),
           ("updateDescription", "updated the flag"), ("updateGlobalArchived", "archived the flag"),
           ("updateOffVariation", "updated the flag"), ("deleteFlag", "deleted the flag"))  # fmt: skip
ITEMS = ("settingValueChanged", "settingCreated", "settingUpdated", "settingDeleted", "tagAdded", "webHookCreated",
         "productAccessInvited", "permissionGroupUpdated", "configUpdated", "environmentUpdated")  # fmt: skip


class Told(NamedTuple):
    """One entry of a vendor: whose it is, and the log it stands in."""

    source: str
    stream: Stream
    record: dict[str, Any]


class MadeUp:
    """A trail of so many entries, in portions, of which each needs only its number."""

    def __init__(self, rows: int, seed: int = 1) -> None:
        self.rows = rows
        self.seed = seed
        made = random.Random(seed)
        names = ["-".join("".join(made.choices(SYLLABLES, k=2)) for _ in range(3)) for _ in range(60_000)]
        self.words = sorted({"".join(made.choices(SYLLABLES, k=made.randint(1, 4))) for _ in range(30_000)})
        made.shuffle(self.words)
        self.flags = [f"{name}-{number}" if number % 3 else name for number, name in enumerate(names)]
        self.projects = [f"{name.split('-')[0]}-{number}" for number, name in enumerate(names[:40])]
        self.people = [self._person(made, number) for number in range(2500)]

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The sources, by name."""
        secret = SecretStr("made-up")
        configcat = ConfigCat(username=secret, password=secret)
        connectors: dict[str, Connector] = {
            "acme-launchdarkly": LaunchDarkly(token=secret),
            "acme-configcat": configcat,
            "old-configcat": configcat,
            "young-launchdarkly": LaunchDarkly(token=secret),
        }
        return {name: Source(name, connector) for name, connector in connectors.items()}

    def portion(self, number: int, size: int) -> Iterator[Told]:
        """Yield the entries of a portion in the order of time; portion 0 is the newest."""
        made = random.Random(self.seed * 1_000_003 + number)
        count = min(size, self.rows - number * size)
        step = LENGTH / self.rows
        last = to_ms(END - step * number * size)
        times = sorted(
            made.randrange(last - int(count * step / timedelta(milliseconds=1)) - 1, last) for _ in range(count)
        )
        entry = ""
        for place, ms in enumerate(times):
            age = (to_ms(END) - ms) / (LENGTH / timedelta(milliseconds=1))
            id = f"{number:010x}{place:06x}"
            chance = made.random()
            if chance < 0.28:
                old = age > 0.6 and chance < 0.1
                yield Told(
                    "old-configcat" if old else "acme-configcat",
                    Stream("audit_log[1]", scope=("1",)),
                    self._item(made, ms, id),
                )
            elif chance < 0.36 and entry:
                yield self._flag_event(made, ms, id, entry)
            else:
                source = "young-launchdarkly" if age < 0.02 and chance > 0.98 else "acme-launchdarkly"
                record = self._entry(made, ms, id)
                entry = record["_id"] if source == "acme-launchdarkly" else entry
                yield Told(source, Stream("audit_log"), record)

    def _person(self, made: random.Random, number: int) -> dict[str, str]:
        first, last = ("".join(made.choices(SYLLABLES, k=2)).title() for _ in range(2))
        mail = f"{first}.{last}{number}@acme.example".lower()
        return {"_id": f"{number:024x}", "email": mail, "firstName": first, "lastName": last}

    def _pick(self, made: random.Random, values: Sequence[Any], power: float = 3) -> Any:
        return values[int(len(values) * made.random() ** power)]

    def _why(self, made: random.Random) -> str | None:
        if made.random() < 0.6:
            return None
        told = " ".join(self._pick(made, self.words) for _ in range(made.randint(3, 10)))
        return f"TICKET-{made.randrange(self.rows)} {told}"

    def _place(self, made: random.Random) -> tuple[str, str, str]:
        """Return a flag, its project, and an environment of that."""
        flag = self._pick(made, range(len(self.flags)))
        project = self.projects[int(len(self.projects) * (flag * 2654435761 % 2**32 / 2**32) ** 2)]
        few = ENVIRONMENTS[: 3 + sum(project.encode()) % 13]
        return self.flags[flag], project, self._pick(made, few, 2)

    def _entry(self, made: random.Random, ms: int, id: str) -> dict[str, Any]:
        flag, project, environment = self._place(made)
        action, verb = self._pick(made, ACTIONS, 2)
        name = flag.replace("-", " ").capitalize()
        member = self._pick(made, self.people)
        resource = f"proj/{project}:env/{environment}:flag/{flag};{flag[:3]}"
        link = {"href": f"/api/v2/flags/{project}/{flag}", "type": "application/json"}
        page = {"href": f"/{project}/{environment}/features/{flag}", "type": "text/html"}
        me = {"href": f"/api/v2/members/{member['_id']}", "type": "application/json"}
        who = f"{member['firstName']} {member['lastName']}"
        return {
            "_links": {"canonical": link, "parent": {"href": "/api/v2/auditlog", "type": "application/json"},
                       "self": {"href": f"/api/v2/auditlog/{id}", "type": "application/json"}, "site": page},
            "_id": id, "_accountId": ACCOUNT, "date": ms,
            "accesses": [{"action": action, "resource": resource}],
            "kind": "flag", "name": name, "description": f"* {verb} {name}", "shortDescription": "",
            "comment": self._why(made),
            "member": {"_links": {"parent": {"href": "/api/v2/members", "type": "application/json"}, "self": me},
                       **member},
            "titleVerb": verb,
            "title": f"[{who}](mailto:{member['email']}) {verb} [{name}]({SITE}{page['href']}) in `{environment}`",
            "target": {"_links": {"canonical": link, "site": page}, "name": name, "resources": [resource]},
            "parent": {"_links": {"canonical": {"href": f"/api/v2/projects/{project}/environments/{environment}",
                                                "type": "application/json"}},
                       "name": environment.title(), "resource": f"proj/{project}:env/{environment}"},
        }  # fmt: skip

    def _flag_event(self, made: random.Random, ms: int, id: str, entry: str) -> Told:
        flag, project, environment = self._place(made)
        member = self._pick(made, self.people)
        record = {
            "id": id, "projectId": f"{project}-id", "projectKey": project, "environmentId": f"{environment}-id",
            "environmentKey": environment, "flagKey": flag, "eventType": "enabled_targeting", "eventTime": ms,
            "description": "Targeting enabled", "auditLogEntryId": entry, "actions": ["updateOn"],
            "impact": {"size": "medium", "percentage": round(made.random() * 100, 1), "reason": "evaluations"},
            "member": {"id": member["_id"], **{name: member[name] for name in ("email", "firstName", "lastName")}},
        }  # fmt: skip
        return Told(
            "acme-launchdarkly", Stream(f"flag_events[{project}/{environment}]", scope=(project, environment)), record
        )

    def _item(self, made: random.Random, ms: int, id: str) -> dict[str, Any]:
        flag, project, environment = self._place(made)
        member = self._pick(made, self.people)
        kind, key = self._pick(made, ITEMS), flag.replace("-", "_")
        on = made.random() < 0.5
        return {
            "auditLogId": int(id, 16), "auditLogDateTime": from_ms(ms).isoformat(), "auditLogTypeEnum": kind,
            "auditLogType": kind, "changeSetId": None, "truncated": False, "actionTarget": key,
            "details": f"{key}: {str(not on).lower()} ➔ {str(on).lower()}",
            "where": f"{project.title()} / Main / {environment.title()}", "why": self._why(made),
            "userEmail": member["email"], "userName": f"{member['firstName']} {member['lastName']}",
        }  # fmt: skip
