"""Says how far an answer can be trusted, in a line above it, and the whole trail, in a sentence with its facts."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from flagtrail.completeness import STALE, UNWANTED, Completeness
from flagtrail.share import percent
from flagtrail.status import StreamStatus
from flagtrail.web.page.shell import Reader
from flagtrail.web.page.sign import clock, counted, judge
from flagtrail.when import spoken

NAMED = 3  # sources that a sentence names
GRAVEST = 3  # problems that the sentence tells; the others stand below it


class Trust(NamedTuple):
    """How far an answer can be trusted: `level` is good, warning or bad; `text` says it, and `more` precisely."""

    level: str
    text: str
    more: str


def of_answer(told: Completeness, reader: Reader) -> Trust:
    """Return how far an answer can be trusted, in the words of the command line."""
    if told.asked is None:
        return Trust("warning", "The time asked for has not begun", "there can be nothing yet")
    if not told.is_trusted:
        return Trust("bad" if told.gaps or told.behind or not told.windows else "warning", *_missing(told, reader))
    newest = told.windows[-1]
    settled = newest.until >= told.asked.until
    verified = f", {percent(told.verified_share)} of it verified" if told.verified_share else ""
    count = len(told.streams)
    streams = "the one stream" if count == 1 else f"all {count} streams"
    times = f"{_at(newest.since, reader)} to {_at(newest.until, reader)}"
    parts = [f"read from {times} in {streams}{verified}"]
    if told.since is None or newest.since > told.since:
        deleted = f"what is older than {_at(told.kept_since, reader)} was deleted here" if told.kept_since else ""
        parts.append(deleted or "before that nothing was asked for")
    if not settled:
        parts.append("younger changes may still appear")
    text = "Complete for this time" if told.is_complete else "Complete as far as it was asked for"
    return Trust("good", text, "; ".join(parts))


def _missing(told: Completeness, reader: Reader) -> tuple[str, str]:
    parts = []
    if told.gaps:
        parts.append(f"{counted(told.gaps, 'gap')} in {counted(len(told.streams), 'stream')}")
    if told.failing:
        parts.append(f"{', '.join(told.failing)} cannot be read, or never was")
    if told.differing:
        parts.append(f"{counted(told.differing, 'span')} other than at the vendor")
    if told.is_stale and told.settled_until:
        parts.append(f"nothing was read since {_at(told.settled_until, reader)}")
    if not told.streams:
        parts.append("no stream that this asks for was ever read")
    elif told.covered_share < 1:
        parts.append(f"{percent(told.covered_share)} of this time is covered")
    return "Not everything is here", "; ".join(parts)


def _at(instant: datetime, reader: Reader) -> str:
    local = reader.local(instant)
    return f"{local.day} {local:%b %Y %H:%M}"


class Verdict(NamedTuple):
    """Whether the trail can be trusted: its level, a sentence, what else is to be known, and numbers by their names."""

    level: str
    sentence: str
    more: list[str]
    numbers: list[tuple[str, str]]


def of_trail(found: Completeness, streams: Sequence[StreamStatus], now: datetime, reader: Reader) -> Verdict:
    """Return how far the trail as a whole can be trusted, with the facts that it rests on."""
    judged = judge(found, now)
    said = list(_problems(found, now, reader))
    if judged.level == "good" and judged.until:
        first = reader.local(found.windows[-1].since)
        since = f"{first.day} {first:%b %Y}"
        verified = f"{percent(found.verified_share)} of it verified"
        sentence = f"Complete from {since} to {until(judged.until, reader)}, {verified}."
    elif judged.level == "warning":
        sentence = f"Complete, but for {' and '.join(said)}."
    else:
        sentence = f"Not complete: {', '.join(said[:GRAVEST]) or judged.detail}."
    share = sum(stream.share for stream in streams) / len(streams) if streams else 0.0
    events = sum(stream.events for stream in streams)
    numbers = [
        ("covered", percent(share)),
        ("verified", percent(found.verified_share)),
        ("gap" if found.gaps == 1 else "gaps", f"{found.gaps:,}"),
        ("streams", f"{len(streams):,}"),
        ("changes", f"{events:,}"),
        ("last look", _last_look(streams, now)),
    ]
    rest = [f"Also: {', '.join(said[GRAVEST:])}."] if judged.level == "bad" and said[GRAVEST:] else []
    return Verdict(judged.level, sentence, [*rest, *_more(found, reader)], numbers)


def _problems(found: Completeness, now: datetime, reader: Reader) -> Iterator[str]:
    """Yield what keeps the trail from being complete, the gravest first, in a few words each."""
    read = [each.settled_until for each in found.streams if each.settled_until]
    if not read:
        yield "nothing was read yet"
        return
    if now - min(read) > STALE:
        late = "nothing was" if now - max(read) > STALE else "some streams were not"
        yield f"{late} read since {clock(min(read), reader.zone)}"
    if found.behind:
        yield f"{', '.join(found.behind[:NAMED])}{' and others' if len(found.behind) > NAMED else ''} cannot be read"
    if unread := len(found.streams) - len(read):
        yield f"{counted(unread, 'stream')} never read"
    gaps = [[gap for gap in each.gaps if gap.reason not in UNWANTED] for each in found.streams]
    if more := sum(not gap.permanent for each in gaps for gap in each):
        where = sum(any(not gap.permanent for gap in each) for each in gaps)
        yield f"{counted(more, 'gap')} in {where:,} of {counted(len(gaps), 'stream')}"
    if found.differing:
        yield f"{counted(found.differing, 'span')} other than at the vendor"
    if lost := sum(gap.permanent for each in gaps for gap in each):
        yield f"{counted(lost, 'span')} of time lost for good"


def _more(found: Completeness, reader: Reader) -> list[str]:
    told = []
    whole = found.windows
    if whole and not found.is_trusted:
        ends = (_at(whole[-1].since, reader), until(whole[-1].until, reader))
        told.append(f"The newest time in which nothing is missing: {ends[0]} to {ends[1]}.")
    if found.settled_until:
        told.append(f"What is younger than {clock(found.settled_until, reader.zone)} may still appear at the vendors.")
    if found.streams and found.verified_share < 1:
        told.append("Verified is what was compared with the vendor's own numbers or entries, and agreed.")
    return told


def until(instant: datetime, reader: Reader) -> str:
    """Return up to when something was, so that it can be read after another day: today's times say so."""
    told = clock(instant, reader.zone)
    return f"{told} today" if len(told) == len("00:00") else told


def _last_look(streams: Sequence[StreamStatus], now: datetime) -> str:
    looks = [stream.state.succeeded_at for stream in streams if stream.state.succeeded_at]
    passed = spoken(now - max(looks)) if looks else ""
    return f"{passed} ago" if passed not in ("", "0s") else "just now" if looks else "never"
