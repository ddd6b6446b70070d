"""Answers whether the trail can be trusted, in one sentence, with the facts that it rests on."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from flagtrail.completeness import Completeness
from flagtrail.status import StreamStatus
from flagtrail.web.page.shell import Reader
from flagtrail.web.page.sign import clock, counted, judge
from flagtrail.web.page.streams import percent
from flagtrail.when import spoken


class Trusted(NamedTuple):
    """An answer: its level, the sentence, what else is to be known, and numbers by their names."""

    level: str
    sentence: str
    more: list[str]
    numbers: list[tuple[str, str]]


def trusted(found: Completeness, streams: Sequence[StreamStatus], now: datetime, reader: Reader) -> Trusted:
    """Return how far the trail can be trusted, with times as the reader reads them."""
    judged = judge(found, now)
    sentence = f"{judged.text}: {judged.detail}."
    starts = [stream.state.wanted_since for stream in streams if stream.state.wanted_since]
    if judged.level == "good" and judged.until:
        since = f"{reader.local(min(starts)):%d %b %Y}" if starts else "the beginning"
        sentence = f"Complete from {since} to {clock(judged.until, reader.zone)}."
    elif judged.level == "warning":
        sentence = f"Complete, but for {judged.text.removesuffix(' lost')} that is lost for good."
        if not judged.text.startswith("1 "):
            sentence = sentence.replace(" is ", " are ")
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
    return Trusted(judged.level, sentence, list(_more(found, reader)), numbers)


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
    if found.differing:
        told.append(f"{counted(found.differing, 'span')} of time differ from what the vendor shows.")
    return told


def _last_look(streams: Sequence[StreamStatus], now: datetime) -> str:
    looks = [stream.state.succeeded_at for stream in streams if stream.state.succeeded_at]
    return f"{spoken(now - max(looks))} ago" if looks else "never"
