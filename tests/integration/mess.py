"""Random events, written in every way and changed behind the store's back, and random questions about them."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, update

from flagtrail.database import writing
from flagtrail.event import Event, Ref
from flagtrail.holdings import mark_vanished
from flagtrail.query import Query
from flagtrail.rows import Reading
from flagtrail.schema import EVENT
from flagtrail.store import Store

START = datetime(2026, 3, 1, tzinfo=UTC)
LOG, EFFECTS = "audit_log", "flag_events[web/production]"
CHOICES: dict[str, list[Any]] = {
    "action": ["turned_on", "turned_off", "beamedUp"],
    "project": ["web", "Web", "app", None],
    "environment": ["Production", "test", None],
    "actor_name": ["Ada Lovelace", "grace", None],
    "actor_email": ["ada@example.com", "Grace@example.com", None],
    "object_key": ["checkout-v2", "checkout_v3", "search", "x" * 900, None],
    "object_name": ["Checkout", "Suche: Übersicht", None],
    "summary": ["turned on the flag Checkout", "rate limits 2e5", None],
    "comment": ["Before the Black-Friday rush (INC-2231)", "naïve/rollback", None],
    "location": ["Shop / Main", None],
    "object_kind": ["flag", "flag", "segment", None],
    "actor_kind": ["member", "token"],
    "truncated": [False, False, True],
    "provisional": [False, False, True],
    "impact": [None, {"percentage": 0}, {"percentage": 5.5, "size": "small"}, {"size": "Large"}, {"reason": "waiting"},
               {"percentage": "many", "size": 3}, {"percentage": 80}],
}  # fmt: skip
QUESTIONS: dict[str, list[str]] = {
    "vendor": ["configcat", "LaunchDarkly", "nobody", "*cat"],
    "source": ["a", "B", "*"],
    "stream": ["AUDIT_LOG", "flag_events[*]", "flag_events[web/production]", "nothing"],
    "project": ["WEB", "app", "*p*"],
    "environment": ["production", "test", "t*"],
    "object_kind": ["flag", "SEG*", "nothing"],
    "actor_kind": ["member", "tok*"],
    "actor": ["ada", "example", "GRACE@", "nobody", "*@example.com", "g*e"],
    "action": ["turned_off", "beamedup", "turned_*", "*"],
    "object": ["checkout*", "*v2", "*: ÜBER*", "SEARCH", "*", "checkout", "xx*"],
    "impact": [">5%", "<=5.5", "0", "5..80%", "large", ">80", "none"],
    "has": ["comment", "impact"],
    "is": ["vanished", "provisional", "truncated"],
    "text": ["check", "friday BLACK", "v2", "inc 22", "2e5", "ada", "rollb", "nothing", "naïve", "main/shop",
             '"black friday"', '"the black" rush', '"check"', '"friday black"'],
}  # fmt: skip
DIMENSIONS = ["vendor", "source", "environment", "action", "stream", "actor", "object_kind", "provisional"]


class Mess:
    """Random writes to a store, through the store and behind its back."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.made = store, random.Random(seed)
        self.number = 0

    def event(self, vendor_id: str, **values: Any) -> Event:
        told = {name: self.made.choice(choices) for name, choices in CHOICES.items()} | values
        if "related_event" not in values:
            told["impact"] = self.made.choice([None, None, None, told["impact"]])
        at = START + timedelta(minutes=self.made.randrange(0, 600, 6), milliseconds=self.made.randrange(2))
        return Event(vendor_id=vendor_id, occurred_at=at, vendor_action="x", **told)

    def write(self) -> None:
        """Add some events, or show some of them again with other content; some name an entry that comes later."""
        source = self.made.choice("ab")
        ids = [str(self.made.randrange(60)) for _ in range(self.made.randrange(1, 7))]
        stream = self.made.choice([LOG, EFFECTS])
        effects = {"related_event": Ref(LOG, str(self.made.randrange(60)))} if stream == EFFECTS else {}
        vendor = "launchdarkly" if source == "a" else "configcat"
        self.number += 1
        page = [(self.event(id, **effects), {"id": id, "n": self.number}) for id in ids]
        self.store.add(source, vendor, [Reading(stream, page, thorough=self.made.random() < 0.2)])

    def behind(self) -> None:
        """Change or delete events with plain SQL, or mark one as vanished."""
        chance = self.made.random()
        one = EVENT.c.vendor_id == str(self.made.randrange(60))
        if chance < 0.2:
            mark_vanished(self.store, "a", LOG, {str(self.made.randrange(60)): "hidden"})
            return
        changed = self.event("0")
        values = {"occurred_at": changed.occurred_at, "action": changed.action, "comment": changed.comment}
        with writing(self.store.engine) as connection:
            connection.execute(delete(EVENT).where(one) if chance < 0.6 else update(EVENT).where(one).values(values))


def question(made: random.Random) -> Query:
    names = made.sample(sorted(QUESTIONS), made.choice([0, 1, 1, 1, 2, 2, 3]))
    values: dict[str, Any] = {"without": {}}
    for name in names:
        chosen = made.sample(QUESTIONS[name], made.choice([1, 1, 2]) if name != "text" else 1)
        if made.random() < 0.25:
            values["without"][name] = chosen
        else:
            values["is_" if name == "is" else name] = chosen[0] if len(chosen) == 1 else chosen
    since, until = (START + timedelta(minutes=made.randrange(0, 600, 30), seconds=made.choice([0, 7])) for _ in "ab")
    if made.random() < 0.4:
        values["since"] = min(since, until)
    if made.random() < 0.4:
        values["until"] = max(since, until) + timedelta(seconds=1)
    more = {"linked": made.random() < 0.3, "oldest_first": made.random() < 0.3}
    return Query(**values, **more, limit=made.choice([0, 0, 3, 50]))
