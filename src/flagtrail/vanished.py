"""Tells why the vendor no longer shows an entry that is stored: nothing is deleted here because of it.

The reasons: the vendor's retention; somebody deleted the environment together with its log; the credential sees less
than before; or nothing that can be told from here.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from flagtrail.holdings import Held, environment_deleted, witnesses
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.window import from_ms, to_ms

RETENTION = "retention"
ENVIRONMENT_DELETED = "environment deleted"
HIDDEN = "hidden"
UNEXPLAINED = "unexplained"
SHORTEST_RETENTION = timedelta(days=6)  # ConfigCat's shortest is 7 days; no vendor drops what is younger for its age
GRACE = timedelta(days=1)  # vendors clean up once in a while, not to the second
WITNESSES = 3  # other entries of the same place that are asked for
A_FEW = 2  # entries of one place, all there are, whose vanishing together says that the place is hidden


def reasons(
    source: Source,
    store: Store,
    log: str,
    missing: Mapping[str, Held],
    *,
    now: datetime,
    credential_at: datetime | None,
    shown_at: Callable[[Held], bool],
    shown_before: Callable[[datetime], bool],
) -> dict[str, str]:
    """Return the reason for each missing entry, by the vendor's id.

    `credential_at` is since when the present credential is used. `shown_at` asks the vendor whether it shows an entry
    now, `shown_before` whether it shows anything at all before an instant.
    """
    kept_since = source.kept_since(now)
    oldest_shown_after = _nothing_before(missing, now, shown_before)
    seen: dict[tuple[str | None, ...], bool] = {}

    def others(entry: Held, *, any_environment: bool) -> list[Held]:
        most = len(missing) + WITNESSES
        found = witnesses(store, source.name, log, entry, most, any_environment=any_environment)
        return [one for one in found if one.vendor_id not in missing][:WITNESSES]

    def visible(entry: Held) -> bool:
        """Return whether the credential still sees other entries of the same environment, or else of the project."""
        place: tuple[str | None, ...] = (entry.project, entry.environment)
        near = others(entry, any_environment=False)
        if not near:
            place, near = (entry.project,), others(entry, any_environment=True)
        if place not in seen:
            gone = sum(one.project == entry.project for one in missing.values())
            seen[place] = any(shown_at(one) for one in near) if near else gone < A_FEW
        return seen[place]

    def reason(entry: Held) -> str:
        if kept_since is not None and from_ms(entry.ms) < kept_since + GRACE:
            return RETENTION
        if source.connector.forgets_environments and environment_deleted(store, source.name, entry):
            return ENVIRONMENT_DELETED
        if oldest_shown_after is not None and from_ms(entry.ms) <= oldest_shown_after:
            return RETENTION
        newer_credential = credential_at is not None and entry.first_seen_at < credential_at
        return HIDDEN if newer_credential or not visible(entry) else UNEXPLAINED

    return {id: reason(entry) for id, entry in missing.items()}


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
