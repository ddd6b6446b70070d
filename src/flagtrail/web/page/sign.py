"""Says in a few words on every page how far the trail can be trusted, and why not further."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from weakref import WeakKeyDictionary

from flagtrail.completeness import STALE, UNWANTED, Completeness, completeness
from flagtrail.deadline import within
from flagtrail.question import Query
from flagtrail.store import Store
from flagtrail.web.access import Trail
from flagtrail.when import spoken

KEPT = 5.0  # seconds that one judgement is good for: every page shows it, and it shall cost nothing


@dataclass(frozen=True, slots=True)
class Sign:
    """How far the trail can be trusted: `level` is good, warning or bad; `text` is a few words, `detail` a line."""

    level: str
    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be said in any zone: both texts go on with the time up to which nothing is missing, if it is known."""

    level: str
    text: str
    detail: str
    until: datetime | None = None


_judged: WeakKeyDictionary[Store, tuple[float, Judged]] = WeakKeyDictionary()


def sign(trail: Trail, zone: tzinfo = UTC) -> Sign:
    """Return how far the trail as a whole can be trusted, with times in a zone; at most KEPT seconds old."""
    at, judged = _judged.get(trail.store, (0.0, None))
    if judged is None or time.monotonic() - at >= KEPT:
        now = datetime.now(UTC)
        with within(trail.settings.timeout.total_seconds()):
            judged = judge(completeness(trail.store, Query(), configured=trail.configured, now=now), now)
        _judged[trail.store] = (time.monotonic(), judged)
    if judged.until is None:
        return Sign(judged.level, judged.text, judged.detail)
    until = clock(judged.until, zone)
    return Sign(judged.level, f"{judged.text} {until}", f"{judged.detail} {until}")


def judge(found: Completeness, now: datetime) -> Judged:
    """Return what is to be said of the whole trail: complete is only ever said of what is_trusted."""
    until = found.settled_until
    if not any(each.settled_until for each in found.streams):
        return Judged("bad", "Never read", f"nothing was read from any vendor yet{_names(found.failing)}")
    if until and now - until > STALE:
        late = spoken_roughly(now - until)
        return Judged("bad", f"Not read for {late}", f"changes of that time are not here{_names(found.failing)}")
    if found.behind:
        told = found.behind[0] if len(found.behind) == 1 else f"{len(found.behind)} sources"
        fails = f"{told if len(told) <= 24 else '1 source'} fail{'s' if len(found.behind) == 1 else ''}"
        return Judged("bad", fails, f"the last look failed{_names(found.behind)}")
    return _incomplete(found) or _complete(found)


def _incomplete(found: Completeness) -> Judged | None:
    """Return what is to be said of a trail that is read on time and has something missing; None when it has not."""
    unread = sum(each.settled_until is None for each in found.streams)
    if unread:
        return Judged("bad", f"{counted(unread, 'stream')} not read", "some streams were never read whole")
    gaps = [gap for each in found.streams for gap in each.gaps if gap.reason not in UNWANTED]
    lost = sum(gap.permanent for gap in gaps)
    if len(gaps) > lost:
        more = f", and {counted(lost, 'span')} lost for good" if lost else ""
        return Judged("bad", counted(len(gaps) - lost, "gap"), f"time that was not read whole{more}")
    if found.differing:
        return Judged("bad", "Differs", f"{counted(found.differing, 'span')} of time differ from what the vendor shows")
    if lost:
        told = "aged out at the vendor before anybody read it; nothing else is missing"
        return Judged("warning", f"{counted(lost, 'span')} lost", told)
    return None


def _complete(found: Completeness) -> Judged:
    if not found.is_trusted:
        return Judged("bad", "Not complete", "at no time everything was read that was wanted")
    told = "nothing is missing that was wanted of the vendors, up to"
    return Judged("good", "Complete to", told, found.windows[-1].until)


def clock(instant: datetime, zone: tzinfo) -> str:
    """Return when something was, in a zone: the time of day, with the day unless it is today."""
    local = instant.astimezone(zone)
    return local.strftime("%H:%M" if local.date() == datetime.now(zone).date() else "%d %b %H:%M")


def spoken_roughly(span: timedelta) -> str:
    """Return a length of time in its largest unit, rounded down, such as 3 h."""
    said, _, _ = spoken(span).partition(" ")
    return f"{said[:-1]} {'min' if said[-1] == 'm' else said[-1]}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as 2 gaps."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _names(names: object) -> str:
    told = ", ".join(str(name) for name in names) if isinstance(names, list | tuple) else ""
    return f": {told}" if told else ""
