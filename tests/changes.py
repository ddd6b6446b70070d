"""A trail with changes of many forms, for tests of the pages that show them."""

from datetime import timedelta
from typing import Any

from flagtrail.event import Ref
from flagtrail.rows import Reading
from flagtrail.schema import EVENT
from flagtrail.store import Store
from flagtrail.window import Window
from tests.serving import LOG, START, event, fill

HOSTILE = "<img src=x onerror=alert(1)>\u202e\"'{{7*7}}</textarea></script>"
MANY = 200  # changes of one object, a third of them in each of two projects, and a third in none
CONFIG = [
    {"path": "environments.production.fallthrough", "before": {"true": "5%", "false": "95%"}, "after": True},
    {"path": "environments.production.rules[Guides].clauses[1]", "before": None,
     "after": {"attribute": "email", "op": "endsWith", "values": ["@x.example"]}},
    {"path": "environments.production.rules[2]", "before": None,
     "after": {"clauses": ["user email endsWith @x.example", "user plan not in gold, silver"], "serve": True}},
    {"path": "tags", "before": {"removed": ["old"]}, "after": {"added": ["new"]}},
    {"path": "description", "before": "Shows the old checkout to everybody", "after": "Shows the new checkout to some"},
    {"path": "custom", "before": {"a": 1}, "after": {"a": 2}},
    {"path": "apiKey", "before": "(secret)", "after": "(another secret)"},
    {"path": "…", "before": None, "after": "and 3 more changes, in the record"},
]  # fmt: skip


def fill_more(store: Store) -> None:
    """Store a trail with a rich change, its revision, a save, a rollback, a hostile one, and one of another vendor."""
    fill(store)
    at = START + timedelta(hours=12)
    rich = event(
        900, occurred_at=at, action="rollout_changed", changes=CONFIG, object_key="rich", environment="production",
        environment_name="Production", url="https://vendor.example/flag", comment="As agreed", change_set="s1",
    )  # fmt: skip
    mate = event(901, occurred_at=at + timedelta(minutes=2), object_key="mate", change_set="s1")
    off = event(902, occurred_at=at, object_key="pair", action="turned_off", environment="production",
                changes=[{"path": "environments.production.on", "before": True, "after": False}])  # fmt: skip
    on = event(903, occurred_at=at + timedelta(minutes=5), object_key="pair", action="turned_on",
               environment="production",
               changes=[{"path": "environments.production.on", "before": False, "after": True}])  # fmt: skip
    names = (
        "actor_name", "actor_email", "object_key", "object_name", "project", "environment", "environment_name",
        "comment", "summary", "location", "vendor_action", "action",
    )  # fmt: skip
    hostile: dict[str, Any] = dict.fromkeys(names, HOSTILE)
    changes = [{"path": HOSTILE, "before": HOSTILE, "after": {HOSTILE: HOSTILE}}]
    hostile |= {"changes": changes, "impact": {"size": HOSTILE}, "url": "javascript:alert(1)"}
    bad = event(904, occurred_at=at, **hostile)
    effect = event(905, vendor_id="f9", occurred_at=at, related_event=Ref(LOG, "e900"), object_key="rich",
                   impact={"size": "medium", "percentage": 34.0})  # fmt: skip
    many = [
        event(1000 + number, occurred_at=START + timedelta(minutes=number // 2), object_key="shared",
              project=("web", None, "other")[number % 3], actor_name=f"Grace {number % 20}",
              actor_email="grace@example.com")
        for number in range(MANY)
    ]  # fmt: skip
    page = [(one, {"_id": one.vendor_id, "n": 1, HOSTILE: HOSTILE}) for one in (rich, mate, off, on, bad, *many)]
    store.add("acme", "launchdarkly", [Reading(LOG, page)])
    store.add("acme", "launchdarkly", [Reading(LOG, [(rich, {"_id": "e900", "n": 2})])])
    store.add("acme", "launchdarkly", [Reading("flag_events[web/production]", [(effect, {"_id": "f9"})])])
    other = event(906, actor_email=None, actor_name="Ada L.", object_key="elsewhere")
    store.add("cat", "configcat", [Reading("audit_log[1]", [(other, {"auditLogId": 1})],
                                           covers=Window(START, START + timedelta(days=1)))])  # fmt: skip


def id_of(store: Store, vendor_id: str) -> str:
    """Return the id of an event by the vendor's."""
    with store.engine.connect() as connection:
        return str(connection.execute(EVENT.select().where(EVENT.c.vendor_id == vendor_id)).mappings().one()["id"])
