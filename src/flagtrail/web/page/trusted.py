"""Answers whether the trail can be trusted, in one sentence, with the facts that it rests on."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from flagtrail.completeness import STALE, UNWANTED, Completeness
from flagtrail.status import StreamStatus
from flagtrail.web.page.shell import Reader
from flagtrail.web.page.sign import clock, counted, judge
from flagtrail.web.page.streams import percent
from flagtrail.when import spoken

NAMED = 3  # sources that a sentence names
GRAVEST = 3  # problems that the sentence tells; the others stand below it


class Trusted(NamedTuple):
    """An answer: its level, the sentence, what else is to be known, and numbers by their names."""

    level: str
    sentence: str
    more: list[str]
    numbers: list[tuple[str, str]]


def trusted(found: Completeness, streams: Sequence[StreamStatus], now: datetime, reader: Reader) -> Trusted:
    """Return how far the trail can be trusted, with times as the reader reads them."""
    judged = judge(found, now)
    said = list(_problems(found, now, reader))
    if judged.level == "good" and judged.until:
        since = f"{reader.local(found.windows[-1].since):%d %b %Y}"
        verified = f"{percent(found.verified_share)} of it verified"
        sentence = f"Complete from {since} to {clock(judged.until, reader.zone)}, {verified}."
    elif judged.level == "warning":
        sentence = f"Complete, but for {' and '.join(said)}."
    else:
        sentence = f"Not complete: {', '.join(said[:GRAVEST]) or judged.detail}."
    share = sum(stream.share for stream in streams) / len(streams) if streams else 0.0
    events = sum(stream.events for stream in streams)
    numbers = [
        ("covered", percent(share)),
        ("verified", percent(found.verified_share)),
        ("gaps", f"{found.gaps:,}"),
        ("streams", f"{len(streams):,}"),
        ("changes", f"{events:,}"),
        ("last look", _last_look(streams, now)),
    ]
    rest = [f"Also: {', '.join(said[GRAVEST:])}."] if judged.level == "bad" and said[GRAVEST:] else []
    return Trusted(judged.level, sentence, [*rest, *_more(found, reader)], numbers)


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
        ends = (f"{reader.local(whole[-1].since):%d %b %Y %H:%M}", clock(whole[-1].until, reader.zone))
        told.append(f"The newest time in which nothing is missing: {ends[0]} to {ends[1]}.")
    if found.settled_until:
        told.append(f"What is younger than {clock(found.settled_until, reader.zone)} may still appear at the vendors.")
    if found.streams and found.verified_share < 1:
        told.append("Verified is what was compared with the vendor's own numbers or entries, and agreed.")
    return told


def _last_look(streams: Sequence[StreamStatus], now: datetime) -> str:
    looks = [stream.state.succeeded_at for stream in streams if stream.state.succeeded_at]
    return f"{spoken(now - max(looks))} ago" if looks else "never"
