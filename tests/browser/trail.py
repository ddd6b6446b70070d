"""The trail that the page is tested with: both vendors' simulated history, and an incident that tests know by heart."""

from datetime import datetime, timedelta
from typing import Any

from flagtrail.event import Change, Event, Record, Ref
from flagtrail.holdings import mark_vanished
from flagtrail.rows import Reading, event_id
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session
from flagtrail.upkeep import fetch_details
from flagtrail.window import Window
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

LAUNCHDARKLY, CONFIGCAT = "acme-launchdarkly", "acme-configcat"
CONFIGURED = {LAUNCHDARKLY: "launchdarkly", CONFIGCAT: "configcat"}
LOG, EFFECTS = "audit_log", "flag_events[web/production]"
FLAG, NAME = "ferry-booking", "Ferry booking"  # no simulated history has it
WHY = "a proxy answered for the vendor"  # of the gap
INCIDENT = timedelta(hours=3)  # how long ago Ana turned the flag on in production
VANISHED = "unexplained"
DETAILS = 60.0  # seconds in which all full forms are fetched, so that the same trail is made every time


def id_of(vendor_id: str, log: str = LOG) -> str:
    """Return the id under which a known event is stored."""
    return event_id(LAUNCHDARKLY, log, vendor_id)


def known(now: datetime) -> list[Event]:
    """Return the events of the incident, as they were read first, oldest first."""
    begun = now - INCIDENT

    def event(id: str, minutes: float, action: str, summary: str, *changes: Change, **more: Any) -> Event:
        told: dict[str, Any] = {
            "actor_kind": "member", "actor_id": "ana", "actor_name": "Ana Silva",
            "actor_email": "ana.silva@fernweh.example", "vendor_action": action, "object_kind": "flag",
            "object_key": FLAG, "object_name": NAME, "project": "web", "project_name": "Web",
            "environment": "production", "environment_name": "Production",
            "url": f"https://app.launchdarkly.com/web/production/features/{FLAG}",
        }  # fmt: skip
        return Event(vendor_id=id, occurred_at=begun + timedelta(minutes=minutes), action=action, summary=summary,
                     changes=list(changes) or None, **told | more)  # fmt: skip

    here = "environments.production"
    jonas = {"actor_id": "jonas", "actor_name": "Jonas Brügger", "actor_email": "jonas.bruegger@fernweh.example"}
    return [
        event("known-made", -240, "created", f"created the flag {NAME}", environment=None, environment_name=None),
        event("known-staging", -120, "turned_on", f"turned on the flag {NAME} in Staging",
              Change(path="environments.staging.on", before=False, after=True), environment="staging",
              environment_name="Staging"),
        event("known-gone", -90, "turned_off", f"turned off the flag {NAME} in Test",
              Change(path="environments.test.on", before=True, after=False), environment="test",
              environment_name="Test"),
        event("known-on", 0, "turned_on", f"turned on the flag {NAME} in Production",
              Change(path=f"{here}.on", before=False, after=True), comment="Ferry day: TRAVEL-9001",
              change_set="known-save"),
        event("known-rollout", 0, "rollout_changed", f"updated the flag {NAME} in Production",
              Change(path=f"{here}.fallthrough", before={"true": "5%", "false": "95%"},
                     after={"true": "50%", "false": "50%"}),
              comment="half of them", change_set="known-save"),
        event("known-rules", 4, "targeting_changed", f"updated the flag {NAME} in Production",
              Change(path=f"{here}.rules[1]", before=None,
                     after={"clauses": ["user country in DE, AT"], "serve": True}), **jonas),
        event("known-late", 170, "targeting_changed", f"updated the flag {NAME} in Production", provisional=True,
              **jonas),
    ]  # fmt: skip


def effect(now: datetime) -> Event:
    """Return the measured impact of the rollout of the incident."""
    impact: Record = {"size": "large", "percentage": 86.5}
    return Event(
        vendor_id="known-effect", occurred_at=now - INCIDENT, actor_name="Ana Silva", action="rollout_changed",
        vendor_action="updated_rollout", object_kind="flag", object_key=FLAG, project="web", environment="production",
        summary="Updated the rollout", impact=impact, related_event=Ref(LOG, "known-rollout"),
    )  # fmt: skip


def fill(url: str, now: datetime, *, entries: int = 250, days: float = 40.0) -> None:
    """Make a trail in a new database, as it is at an instant which is the real present, or taken for it."""
    with Store(url) as store:
        _simulated(store, entries, days)
        page = [(event, _record(event)) for event in known(now)]
        store.add(LAUNCHDARKLY, "launchdarkly", [Reading(LOG, page)])
        store.add(LAUNCHDARKLY, "launchdarkly", [Reading(EFFECTS, [(effect(now), {"_id": "known-effect"})])])
        edited = page[-2][0].model_copy(update={"comment": "only where ferries go"})
        store.add(LAUNCHDARKLY, "launchdarkly", [Reading(LOG, [(edited, _record(edited))])])
        mark_vanished(store, LAUNCHDARKLY, LOG, {"known-gone": VANISHED})
        stream = next(state.stream for state in store.streams() if state.source == CONFIGCAT)
        gap = Window(now - timedelta(days=6), now - timedelta(days=5))
        store.uncover(CONFIGCAT, stream, gap, WHY, 12, 7)


def _simulated(store: Store, entries: int, days: float) -> None:
    start = timedelta(days=days)
    with LaunchDarklySimulator() as launchdarkly, ConfigCatSimulator() as configcat:
        for name, simulator in ((LAUNCHDARKLY, launchdarkly), (CONFIGCAT, configcat)):
            simulator.fill(entries, days, seed=11)
            with Session(Source(name, simulator.connect(), start=start), store) as session:
                assert session.fill().errors == []
                fetch_details(session, DETAILS, spare=0.0)


def _record(event: Event) -> Record:
    """Return a record such as the vendor's, enough of it to be recognized."""
    return {"_id": event.vendor_id, "date": event.occurred_at.timestamp() * 1000, "comment": event.comment,
            "kind": "flag", "name": event.object_name, "titleVerb": event.summary}  # fmt: skip
