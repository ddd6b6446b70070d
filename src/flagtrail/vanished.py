"""Marks stored entries that the vendor no longer shows, and tells why: nothing is deleted here because of it.

The reasons: the vendor's retention; somebody deleted the environment together with its log; the credential sees less
than before; or nothing that can be told from here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from flagtrail.again import Rereader
from flagtrail.errors import UnexpectedResponse
from flagtrail.holdings import (
    ENVIRONMENT_DELETED,
    HIDDEN,
    RETENTION,
    UNEXPLAINED,
    Held,
    environment_deleted,
    mark_vanished,
    unmoved,
    witnesses,
)
from flagtrail.source import RETENTIONS, Source
from flagtrail.store import Store
from flagtrail.window import Window, from_ms, to_ms

SHORTEST_RETENTION = timedelta(days=6)  # ConfigCat's shortest is 7 days; no vendor drops what is younger for its age
GRACE = timedelta(days=1)  # vendors clean up once in a while, not to the second
WITNESSES = 3  # other entries of the same place that are asked for
Place = tuple[str | None, ...]
"""A project and an environment, or a project alone."""
AT_ONCE = 20  # entries that may vanish at once though nothing at all is shown any more
A_FEW = 2  # entries of one place, all there are, whose vanishing together says that the place is hidden

log = structlog.get_logger()


def mark(rereader: Rereader, missing: Mapping[str, Held], *, shown_any: bool) -> dict[str, str]:
    """Mark entries that the vendor no longer shows, and return the reasons by its ids.

    A vendor that shows nothing at all any more is more likely to fail: then nothing is marked.
    """
    source, store, stream = rereader.source, rereader.store, rereader.stream
    missing = unmoved(store, source.name, stream.log, missing)
    if len(missing) > AT_ONCE and not shown_any and source.retention is None:
        raise UnexpectedResponse(f"the vendor shows none of {len(missing)} entries that it showed before")
    now = rereader.api.now() or datetime.now(UTC)
    nothing_until = store.coverage(source.name, stream.name)[0].since

    def shown_at(entry: Held) -> bool:
        return entry.vendor_id in rereader.read(Window.of_ms(entry.ms, entry.ms + 1)).shown

    def shown_before(instant: datetime) -> bool:
        nonlocal nothing_until
        if instant <= nothing_until:
            return False
        if rereader.shows_anything(Window(nothing_until, instant)):
            return True
        nothing_until = instant
        return False

    since = rereader.state().credential_at
    found = Absence(source, store, stream.log, missing, now, since, shown_at, shown_before).reasons()
    mark_vanished(store, source.name, stream.log, found)
    for id, why in sorted(found.items()):
        happened = str(from_ms(missing[id].ms))
        log.warning("entry_vanished", source=source.name, stream=stream.name, vendor_id=id, reason=why,
                    occurred_at=happened)  # fmt: skip
    return found


@dataclass
class Absence:
    """Finds out why entries of a log are missing.

    `credential_at` is since when the present credential is used. `shown_at` asks the vendor whether it shows an entry
    now, `shown_before` whether it shows anything at all before an instant.
    """

    source: Source
    store: Store
    log: str
    missing: Mapping[str, Held]
    now: datetime
    credential_at: datetime | None
    shown_at: Callable[[Held], bool]
    shown_before: Callable[[datetime], bool]
    nearby: dict[Place, tuple[Place, list[Held]]] = field(default_factory=dict)
    seen: dict[Place, bool] = field(default_factory=dict)
    deleted: dict[Place, bool] = field(default_factory=dict)

    def reasons(self) -> dict[str, str]:
        """Return the reason for each missing entry, by the vendor's id."""
        kept_since = self.source.kept_since(self.now)
        horizon = kept_since + GRACE if kept_since else _guessed_horizon(self.missing, self.now, self.shown_before)
        return {id: self._reason(entry, horizon) for id, entry in self.missing.items()}

    def _reason(self, entry: Held, horizon: datetime | None) -> str:
        if horizon is not None and from_ms(entry.ms) <= horizon:
            return RETENTION
        place, near = self._neighbours(entry)
        visible = self._visible(place, near, entry)
        if self._environment_deleted(entry) and not (visible and len(place) > 1):
            return ENVIRONMENT_DELETED  # and nothing of it is shown: its log went with it
        if not visible:
            return HIDDEN
        newer_credential = self.credential_at is not None and entry.first_seen_at < self.credential_at
        return HIDDEN if newer_credential else UNEXPLAINED

    def _neighbours(self, entry: Held) -> tuple[Place, list[Held]]:
        """Return some other entries of the same environment, or else of the project, and which place that is."""
        place: Place = (entry.project, entry.environment)
        if place not in self.nearby:
            near = self._others(entry, any_environment=False)
            wider: tuple[Place, list[Held]] = ((entry.project,), self._others(entry, any_environment=True))
            self.nearby[place] = (place, near) if near else wider
        return self.nearby[place]

    def _visible(self, place: Place, near: list[Held], entry: Held) -> bool:
        """Return whether the credential still sees other entries of a place."""
        if place not in self.seen:
            gone = sum(one.project == entry.project for one in self.missing.values())
            self.seen[place] = any(self.shown_at(one) for one in near) if near else gone < A_FEW
        return self.seen[place]

    def _others(self, entry: Held, *, any_environment: bool) -> list[Held]:
        most = len(self.missing) + WITNESSES
        found = witnesses(self.store, self.source.name, self.log, entry, most, any_environment=any_environment)
        return [one for one in found if one.vendor_id not in self.missing][:WITNESSES]

    def _environment_deleted(self, entry: Held) -> bool:
        """Return whether the environment was deleted, at a vendor where its log may go with it."""
        place = (entry.project, entry.environment)
        if place not in self.deleted:
            possible = self.source.connector.forgets_environments
            self.deleted[place] = possible and environment_deleted(self.store, self.source.name, entry)
        return self.deleted[place]


def _guessed_horizon(
    missing: Mapping[str, Held], now: datetime, shown_before: Callable[[datetime], bool]
) -> datetime | None:
    """Return up to when the vendor seems to have dropped what was too old, by the retention of a known plan.

    That is only believed when it still shows something younger.
    """
    last = _nothing_before(missing, now, shown_before)
    if last is None or not shown_before(now):
        return None
    return last if any(kept <= now - last < kept + GRACE for kept in RETENTIONS) else None


def _nothing_before(
    missing: Mapping[str, Held], now: datetime, shown_before: Callable[[datetime], bool]
) -> datetime | None:
    """Return the last instant of missing entries that are old enough and have nothing shown before them."""
    old = sorted(entry.ms for entry in missing.values() if entry.ms < to_ms(now - SHORTEST_RETENTION))
    low, high = 0, len(old)
    while low < high:  # what is shown only grows with time: the end is found by halves
        middle = (low + high) // 2
        if shown_before(from_ms(old[middle] + 1)):
            high = middle
        else:
            low = middle + 1
    return from_ms(old[low - 1]) if low else None
