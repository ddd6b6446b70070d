"""Everything that happened in the simulated account: one audit log, and flag events for each environment."""

import random
import uuid
from collections.abc import Iterable
from typing import Any

from flagtrail.event import Record
from flagtrail.testing.cast import working_moments
from flagtrail_launchdarkly.simulation.account import Environment, Project, made_up_id, projects
from flagtrail_launchdarkly.simulation.entries import AuditEntry, Change, Dates, Effect, FlagEvent
from flagtrail_launchdarkly.simulation.history import History
from flagtrail_launchdarkly.simulation.log import Log
from flagtrail_launchdarkly.simulation.year import moments, tell


class Trail:
    """The entries of one account, under the ids that the vendor would give them."""

    def __init__(self) -> None:
        self.projects: list[Project] = projects()
        self.audit_log: Log[AuditEntry] = Log()
        self._flag_events: dict[tuple[str, str], Log[FlagEvent]] = {}
        self._made = 0

    def project(self, key: str) -> Project | None:
        """Return a project, or None."""
        return next((project for project in self.projects if project.key == key), None)

    def add_project(self, key: str, name: str | None, environments: Iterable[str]) -> None:
        """Add a project with environments of these keys."""
        made = [Environment(place, place.capitalize()) for place in environments]
        self.projects.append(Project(key, name or key.capitalize(), made))

    def flag_events(self, project: str, environment: str) -> Log[FlagEvent] | None:
        """Return the flag events of an environment, or None when there is no such environment."""
        found = self.project(project)
        known = found is not None and any(place.key == environment for place in found.environments)
        return self._flag_events.setdefault((project, environment), Log()) if known else None

    def streams(self) -> dict[str, Log[FlagEvent]]:
        """Return the flag events of every environment that there is, by flagtrail's name for the stream."""
        return {
            f"flag_events[{project.key}/{place.key}]": log
            for project in self.projects
            for place in project.environments
            if (log := self.flag_events(project.key, place.key)) is not None
        }

    def add(self, ms: int, change: Change, visible_from_ms: int = 0) -> AuditEntry:
        """Keep a change as an audit entry, and return that."""
        entry = self._entry(ms, change)
        entry.visible_from_ms = visible_from_ms
        self.audit_log.add(entry)
        return entry

    def add_flag_event(
        self, ms: int, effect: Effect, audit_id: str | None = None, visible_from_ms: int = 0
    ) -> FlagEvent:
        """Keep a flag event, and return it; without an environment it shows in every one of its project."""
        event = self._event(ms, effect, audit_id)
        event.visible_from_ms = visible_from_ms
        for log in self._logs_for(effect):
            log.add(event)
        return event

    def fill(self, records: int, days: float, seed: int, flag_events: int | None, end_ms: int) -> None:
        """Keep a realistic history that ends at a time: exactly so many audit entries and flag events."""
        history = History(self.projects, random.Random(f"story {seed}"))  # noqa: S311
        when = moments(records, days, end_ms, random.Random(f"moments {seed}"))  # noqa: S311
        told = tell(history, [size for _, size in when], flag_events, random.Random(f"effects {seed}"))  # noqa: S311
        spread = [ms for ms, size in when for _ in range(size)]
        entries = [self._entry(ms, change) for ms, (change, _) in zip(spread, told, strict=True)]
        self.audit_log.extend(entries)
        events = [
            self._event(entry.ms, effect, entry.id)
            for entry, (_, effect) in zip(entries, told, strict=True)
            if effect is not None
        ]
        alone = working_moments((flag_events or 0) - len(events), days, end_ms, random.Random(seed))  # noqa: S311
        events += [self._event(ms, history.impact()[1], None) for ms in alone]
        by_log: dict[int, tuple[Log[FlagEvent], list[FlagEvent]]] = {}
        for event in events:
            for log in self._logs_for(event.effect):
                by_log.setdefault(id(log), (log, []))[1].append(event)
        for log, added in by_log.values():
            log.extend(added)

    def remove(self, vendor_id: str) -> None:
        """Forget an entry of either log; KeyError when there is none."""
        if vendor_id in self.audit_log.entries:
            self.audit_log.remove(vendor_id)
            return
        self.flag_event(vendor_id)
        for log in self._flag_events.values():
            if vendor_id in log.entries:
                log.remove(vendor_id)

    def edit(self, vendor_id: str, changes: dict[str, Any]) -> None:
        """Let an entry of either log show other values; KeyError when there is none."""
        entry = self.audit_log.entries.get(vendor_id) or self.flag_event(vendor_id)
        entry.edits = {**(entry.edits or {}), **changes}

    def flag_event(self, vendor_id: str) -> FlagEvent:
        """Return a flag event; KeyError when there is none."""
        for log in self._flag_events.values():
            if vendor_id in log.entries:
                return log.entries[vendor_id]
        raise KeyError(vendor_id)

    def shown(self, vendor_id: str, now_ms: int, dates: Dates) -> Record:
        """Return an entry of either log as its list shows it, flag events with their experiments."""
        entry = self.audit_log.entries.get(vendor_id)
        return entry.shown(dates) if entry else self.flag_event(vendor_id).shown(now_ms, expand=True, dates=dates)

    def _entry(self, ms: int, change: Change) -> AuditEntry:
        """Return a new audit entry; its id begins with its seconds, as the vendor's do."""
        self._made += 1
        return AuditEntry(ms, f"{ms // 1000 & 0xFFFFFFFF:08x}9fe24c17b3{self._made & 0xFFFFFF:06x}", change)

    def _event(self, ms: int, effect: Effect, audit_id: str | None) -> FlagEvent:
        self._made += 1
        digits = made_up_id("flag event", ms, self._made) + f"{self._made:08x}"
        return FlagEvent(ms, str(uuid.UUID(digits, version=4)), effect, audit_id)

    def _logs_for(self, effect: Effect) -> list[Log[FlagEvent]]:
        project = self.project(effect.project)
        if project is None:
            raise KeyError(effect.project)
        places = [effect.environment] if effect.environment else [place.key for place in project.environments]
        return [self._flag_events.setdefault((project.key, place), Log()) for place in places]
