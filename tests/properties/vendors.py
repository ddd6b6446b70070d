"""The vendors of the random histories: simulators whose switches are drawn, with what only one vendor can do."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flagtrail.testing import faults
from flagtrail.testing.simulator import Clock, Fault, Reply, Request
from flagtrail.window import Window
from flagtrail_configcat.simulation.account import LABS, TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator
from tests.properties.wrong_answers import changed, doubled, one_event_less, one_item_less

BEGINNING_MS = 1_772_366_400_500  # the vendor's clock at first, 2026-03-01T12:00:00.5Z: far from this machine's
PAGE = 20  # of LaunchDarkly's audit log
DEFAULT = 10  # entries that it gives to those who ask for no limit: a page of so many may be a full one too
V1_PAGE = 100  # of ConfigCat
ACCESSES = 12  # different actions that a burst may have

Pick = Callable[[Sequence[Any]], Any]
"""Returns one of several values."""


class Frozen(Clock):
    """A vendor's clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = BEGINNING_MS

    def ms(self) -> int:
        """Return what it shows."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move it forward."""
        self.at += int(seconds * 1000)


class LaunchDarklyVendor:
    """LaunchDarkly with switches that are drawn, and what only its simulator can do."""

    lists = "/auditlog?"

    def __init__(self, pick: Pick) -> None:
        flag_events = pick((False, True))
        next_link = pick(["exact", "exact", "always"] + ["never"] * (not flag_events))
        capped = not flag_events and next_link != "never"
        self.simulator = LaunchDarklySimulator(
            bounds=pick(["()", "[)", "(]", "[]"]),
            # A cursor along an order that changes from page to page leads nowhere.
            ties=pick(["descending", "ascending"] + ["unstable"] * (not flag_events)),
            next_link=next_link,
            page_cap=pick([None, None, 7]) if capped else None,
            counts=pick(["offered", "forbidden", "absent"]),
            counts_off_by=pick([0, 0, 3]),
            counts_aligned=pick((False, True)),
            counts_empty_buckets=pick((False, True)),
            insights_bounds=pick(["()", "[)", "(]", "[]"]),
            insights_next=pick(["cursor", "full"]),
            insights_oldest_first=pick((False, True)),
            insights_longest_days=pick([None, 7]),
        )
        self.streams = {"audit_log"} | ({"flag_events[web/production]"} if flag_events else set())
        self.options: dict[str, Any] = {"flag_events": ["web/production"] if flag_events else False}
        self.page = self.simulator.switches.page_cap or PAGE

    def __str__(self) -> str:
        return str(self.simulator.switches)

    def add(self, ms: int, visible_from_ms: int, number: int) -> None:
        """Show one more entry."""
        self.simulator.add(
            ms, visible_from_ms=visible_from_ms, resources=f"proj/web:env/production:flag/f{number % 30}"
        )

    def burst(self, ms: int, count: int, number: int) -> None:
        """Show many entries of one millisecond, about few or many things, in few or many ways."""
        about = (None, 1, 2, 5, max(1, count // 3))[number % 5]
        self.simulator.burst(ms, count, resources=about, actions=(1, 2, 5, ACCESSES)[number // 5 % 4])

    def flag_events(self, ms: int, count: int, visible_from_ms: int) -> None:
        """Show many flag events, a few in each millisecond."""
        for number in range(count):
            at = ms + number // 3 if ms + count < self.simulator.clock.ms() else ms
            self.simulator.add_flag_event(ms=at, visible_from_ms=visible_from_ms)

    def remove(self, stream: str, vendor_id: str) -> None:
        """Show an entry no longer."""
        self.simulator.remove(vendor_id)

    def edit(self, stream: str, vendor_id: str, words: str) -> None:
        """Show an entry with other words in it."""
        self.simulator.edit(vendor_id, comment=words)

    def faults(self) -> dict[str, Fault]:
        """Return what only LaunchDarkly's answers can have wrong with them."""
        return {
            "an empty list": faults.body([]),
            "no links": changed("_links", None),
            "no items": changed("items", None),
            "other order": self.oldest_first,
            "an entry twice": faults.edited(doubled),
            "one event less": faults.edited(one_event_less),
        }

    def oldest_first(self, request: Request, answer: Callable[[], Reply]) -> Reply:
        """Answer with the oldest entries of the list, oldest first, unless they all have one time."""
        if request.method != "GET" or not request.path.endswith("/auditlog"):
            return answer()
        after, before = int(request.query["after"]), int(request.query["before"])
        times = sorted(ms for ms in self.simulator.truth()["audit_log"].values() if after < ms < before)[:PAGE]
        if not times or times[0] == times[-1]:
            return answer()
        reply: Reply = self.simulator.reply(replace(request, query=request.query | {"before": str(times[-1] + 1)}))
        items = reply.body["items"][::-1]
        return replace(reply, body=reply.body | {"items": items}) if items[0]["date"] < items[-1]["date"] else answer()

    def may_be_gap(self, window: Window, reason: str, stored: set[str]) -> bool:
        """Tell whether a quiet vendor's answers leave a window no other way than a gap."""
        here = [id for id, ms in self.simulator.truth()["audit_log"].items() if window.since_ms <= ms < window.until_ms]
        if window.length > timedelta(milliseconds=1):
            return False
        if "counts more entries" in reason:  # a doubt only: the vendor's counts may mean something else
            return set(here) <= stored
        if self.cannot_be_divided(here):
            return True
        # A link to a next page that is not there looks like a page that is cut short.
        return self.simulator.switches.next_link == "always" and (len(here) >= self.page or set(here) <= stored)

    def cannot_be_divided(self, ids: Sequence[str]) -> bool:
        """Tell whether so many entries of one millisecond are alike that no search tells them apart."""
        entries = self.simulator.trail.audit_log.entries
        accesses = Counter(access for id in ids for access in set(entries[id].change.accesses))
        return any(alike >= PAGE or alike > self.page or alike == DEFAULT for alike in accesses.values())

    def honest(self, stream: str) -> bool:
        """Tell whether the vendor's numbers are offered, and those of its list."""
        return stream != "audit_log" or (
            self.simulator.switches.counts == "offered" and not self.simulator.switches.counts_off_by
        )

    def resolution_ms(self, stream: str, span_ms: int) -> int:
        """Return how far apart two entries may lie that the numbers of a span do not tell apart: a few of its parts."""
        return span_ms if stream != "audit_log" else 4 * (span_ms // 500 + 1)

    def unreadable(self, stream: str, window: Window) -> bool:
        """Tell whether a quiet vendor's answers may leave a part of a window that cannot be read whole."""
        if stream != "audit_log":
            return False
        moments: dict[int, list[str]] = {}
        for id, ms in self.simulator.truth()[stream].items():
            if window.since_ms - 1 <= ms <= window.until_ms:
                moments.setdefault(ms, []).append(id)
        switches = self.simulator.switches
        doubted = switches.next_link == "always" or switches.counts_off_by
        return any(doubted or self.cannot_be_divided(ids) for ids in moments.values())

    def hide(self, days: float | None) -> None:
        """Show nothing that is older than so many days, or everything again."""
        self.simulator.switches.history_days = days


class ConfigCatVendor:
    """ConfigCat with switches that are drawn, and what only its simulator can do."""

    lists = "/auditlogs?"

    def __init__(self, pick: Pick) -> None:
        version = pick(["v2", "v2", "v1"])
        self.simulator = ConfigCatSimulator(
            v1=pick(["array", "redirect", "v2_object"]),
            redirect_status=pick([301, 302, 307, 308]),
            from_inclusive=pick((False, True)),
            to_inclusive=pick((False, True)),
            fractions=pick((False, True)),
            order=pick(["newest", "oldest", "shuffled"]),
            dates=pick(["Z", "offset", "ticks", "trimmed", "naive"]),
        )
        self.version = version
        self.streams = {f"audit_log[{place.id}]" for place in (TRAVEL, LABS)}
        self.options: dict[str, Any] = {"api": version}

    def __str__(self) -> str:
        known = vars(self.simulator).items()
        return str({name: value for name, value in known if isinstance(value, str | bool)} | self.options)

    def add(self, ms: int, visible_from_ms: int, number: int) -> None:
        """Show one more item."""
        self.simulator.add(
            ms, visible_from_ms=visible_from_ms or None, organization=(TRAVEL, TRAVEL, LABS)[number % 3].id
        )

    def burst(self, ms: int, count: int, number: int) -> None:
        """Show many items of one millisecond, or of one or two seconds."""
        spread = (0, 0, 500, 2000)[number % 4]
        self.simulator.burst(ms, count, spread_ms=spread if ms + spread <= self.simulator.clock.ms() else 0)

    def flag_events(self, ms: int, count: int, visible_from_ms: int) -> None:
        """Show as many items at the small organization: this vendor has no flag events."""
        for _ in range(count):
            self.simulator.add(ms, visible_from_ms=visible_from_ms or None, organization=LABS.id)

    def remove(self, stream: str, vendor_id: str) -> None:
        """Show an item no longer."""
        self.simulator.remove(vendor_id, organization=stream[10:-1])

    def edit(self, stream: str, vendor_id: str, words: str) -> None:
        """Show an item with other words in it."""
        self.simulator.edit(vendor_id, organization=stream[10:-1], why=words)

    def faults(self) -> dict[str, Fault]:
        """Return what only ConfigCat's answers can have wrong with them."""
        return {
            "no paging": changed("paging", None),
            "no data": changed("data", None),
            "an item twice": faults.edited(doubled),
            "one item less": faults.edited(one_item_less),
        }

    def may_be_gap(self, window: Window, reason: str, stored: set[str]) -> bool:
        """Tell whether a quiet vendor's answers leave a window no other way than a gap."""
        return self.version == "v1" and window.length <= timedelta(seconds=1)

    def honest(self, stream: str) -> bool:
        """Tell whether the vendor tells numbers."""
        return self.version == "v2"

    def resolution_ms(self, stream: str, span_ms: int) -> int:
        """Return how far apart two entries may lie that the number of a span does not tell apart."""
        return span_ms

    def unreadable(self, stream: str, window: Window) -> bool:
        """Tell whether a quiet vendor's answers may leave a part of a window that cannot be read whole."""
        times = sorted(self.simulator.truth()[stream].values())
        near = [ms for ms in times if window.since_ms - 5000 <= ms < window.until_ms + 5000]
        full = zip(near, near[V1_PAGE - 1 :], strict=False)
        return self.version == "v1" and any(last - first < 5000 for first, last in full)

    def hide(self, days: float | None) -> None:
        """Show nothing that is older than so many days, or everything again."""
        self.simulator.retention_days = days


Vendor = LaunchDarklyVendor | ConfigCatVendor
