"""Tells of a suspect what a person wants to see of it, and gathers what was not read around the moment."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flagtrail.suspects import Reason, Row, Suspect
from flagtrail.unread import TOO_EARLY, TOO_YOUNG, Unread
from flagtrail.web.page.wording import clause_in_words, is_rule, place_in_words, rule_in_words, served_in_words
from flagtrail.when import spoken

MINUS = "\N{MINUS SIGN}"
SHORT = 60  # characters of a value
CHANGES = 3  # of a suspect, that are shown in short: its own page has all
NO_SURPRISE = (TOO_YOUNG, TOO_EARLY)  # why something is not read that nobody has to see to
SAVED = 6  # changes of the same save that are named


class Short(NamedTuple):
    """One changed place in short: the way there in words, and what was there and is."""

    path: str
    before: str | None
    after: str | None


class SuspectView(NamedTuple):
    """A suspect: its rank, its event, how far from the moment, its points as shares of a bar, and the reasons."""

    rank: int
    row: Row
    distance: str
    score: str
    plus: float
    minus: float
    why: str
    reasons: Sequence[Reason]
    changes: Sequence[Short]
    more_changes: int
    saved_with: Sequence[Row]
    more_saved: int
    place: str
    vendor_page: str | None


class UnreadView(NamedTuple):
    """What was not read in a source for one reason: in which streams and when; `grave` if somebody has to see to it."""

    source: str
    streams: str
    since: datetime
    until: datetime
    reason: str
    grave: bool


def suspect_views(suspects: Sequence[Suspect]) -> list[SuspectView]:
    """Return suspects as they are shown, in their order; the bars are drawn to the same measure."""
    sums = [_sums(suspect) for suspect in suspects]
    most = max((max(plus, minus) for plus, minus in sums), default=0.0) or 1.0
    return [
        _view(rank, suspect, plus / most, minus / most)
        for rank, (suspect, (plus, minus)) in enumerate(zip(suspects, sums, strict=True), start=1)
    ]


def unread_views(unread: Iterable[Unread], now: datetime) -> list[UnreadView]:
    """Return what was not read, by source and reason, the grave first; what is no surprise is one for all sources."""
    found: dict[tuple[str, str], list[Unread]] = {}
    for one in unread:
        if one.since < now:
            source = "" if one.reason in NO_SURPRISE else one.source
            found.setdefault((source, one.reason), []).append(one)
    views = []
    for (source, reason), several in found.items():
        names = {(one.source, name) for one in several for name in one.streams}
        told = f"{len(names)} streams" if len(names) > 1 else next((name for _, name in names), "")
        since, until = min(one.since for one in several), min(max(one.until for one in several), now)
        views.append(UnreadView(source, told, since, until, reason, bool(source)))
    return sorted(views, key=lambda view: (not view.grave, view.since, view.source))


def web_address(text: str | None) -> str | None:
    """Return an address that may be a link: one of http or https; what a vendor sends may be anything."""
    try:
        return text if text and urlsplit(text).scheme in ("http", "https") else None
    except ValueError:
        return None


def _sums(suspect: Suspect) -> tuple[float, float]:
    points = [reason.points for reason in suspect.reasons]
    return sum(each for each in points if each > 0), -sum(each for each in points if each < 0)


def _view(rank: int, suspect: Suspect, plus: float, minus: float) -> SuspectView:
    row = suspect.row
    early = suspect.after.total_seconds() <= 0
    passed = spoken(abs(suspect.after))
    distance = "at the moment" if passed == "0s" else f"{passed} {'before' if early else 'after'}"
    said = [reason if reason.text else reason._replace(text=f"made {distance}") for reason in suspect.reasons]
    changes = [each for each in row["changes"] or () if isinstance(each, dict)]
    place = " / ".join(str(name) for name in (row["project_name"] or row["project"], _environment(row)) if name)
    return SuspectView(
        rank, row, distance, f"{suspect.score:+.1f}".replace("-", MINUS), round(plus * 50, 1), round(minus * 50, 1),
        suspect.why, sorted(said, key=lambda reason: -abs(reason.points)),
        [_short(each, row) for each in changes[:CHANGES]],
        max(0, len(changes) - CHANGES), suspect.saved_with[:SAVED], max(0, len(suspect.saved_with) - SAVED), place,
        web_address(row["url"]),
    )  # fmt: skip


def _environment(row: Row) -> str | None:
    found: str | None = row["environment_name"] or row["environment"]
    return found


def _short(change: dict[str, Any], row: Row) -> Short:
    own = frozenset(name for name in (row["object_key"], row["object_name"]) if name)
    place = place_in_words(str(change.get("path") or ""), own, row["environment"])
    return Short(" · ".join(place), _value(change.get("before")), _value(change.get("after")))


def _value(value: Any) -> str | None:
    """Return a value in a few words; None for none."""
    if value is None:
        return None
    text = rule_in_words(value) if is_rule(value) else clause_in_words(value) or served_in_words(value)
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"
