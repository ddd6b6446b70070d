"""The page Coverage: how far the trail can be trusted, by stream over time, and what to do where it cannot."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from flagtrail.completeness import completeness
from flagtrail.counts import unmapped
from flagtrail.deadline import within
from flagtrail.event import Action
from flagtrail.language import spell
from flagtrail.question import Query
from flagtrail.status import StreamStatus, status
from flagtrail.store import SourceState
from flagtrail.web.access import Asked, Trail, reads
from flagtrail.web.page.bar import KINDS
from flagtrail.web.page.missing import missing
from flagtrail.web.page.scale import Scale
from flagtrail.web.page.shell import Reader, page, parameters, reader_of
from flagtrail.web.page.streams import BAD, GOOD, StreamView, stream_view
from flagtrail.web.page.trust import of_trail
from flagtrail.web.problems import Refused
from flagtrail.window import Window

SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30), "90d": timedelta(days=90)}
ALL = "all"
ROWS = 40  # streams that are shown at once, of all sources together; the page of one source shows all of them
OPEN = 12  # streams in order that are shown without a click
UNNAMED = 30  # actions without a verb that are shown
router = APIRouter(include_in_schema=False)


class SourceView(NamedTuple):
    """A source: how the last look went, its streams with something odd, the others, and how many are not shown."""

    name: str
    look: SourceState | None
    streams: int
    level: str
    odd: Sequence[StreamView]
    fine: Sequence[StreamView]
    unshown: int

    @property
    def is_open(self) -> bool:
        """Whether the streams that are in order are shown without a click."""
        return len(self.fine) + len(self.odd) + self.unshown <= OPEN


@router.get("/coverage", dependencies=[reads])
def coverage(request: Request, trail: Asked) -> Response:
    """Return the page; `source` shows one source whole, `span` is how much time is drawn."""
    asked = parameters(request, ("source", "span"))
    source, span = asked.get("source"), asked.get("span", ALL)
    if span not in (*SPANS, ALL):
        raise Refused(422, f"span: {span!r} is none of {', '.join([*SPANS, ALL])}")
    reader, now = reader_of(request), datetime.now(UTC)
    with within(trail.settings.timeout.total_seconds()):
        looks = {look.source: look for look in trail.store.sources()}
        names = sorted({*looks, *trail.configured})
        if source is not None and source not in names:
            raise Refused(404, f"there is no source {source!r} here; there is: {', '.join(names) or 'none yet'}")
        found = completeness(trail.store, Query(source=source), configured=_configured(trail, source), now=now)
        streams = status(trail.store, source)
        words = unmapped(trail.store, set(Action))
    scale = Scale(_drawn(span, streams, now), reader.zone)
    shown = [name for name in names if source in (None, name)]
    sources = [_source(name, looks.get(name), streams, scale, ROWS // len(shown) if source is None else None)
               for name in shown]  # fmt: skip
    gaps = missing(streams)
    return page(
        request, trail, "coverage.html", title="Coverage", here="coverage", scale=scale, spans=(*SPANS, ALL), span=span,
        source=source, sources=sorted(sources, key=lambda one: (one.level == GOOD, one.level != BAD, one.name)),
        trusted=of_trail(found, streams, now, reader), gaps=gaps, kinds=KINDS,
        words=_words(words, reader) if source is None else [], unnamed=len(words),
        stood={kind for one in sources for row in (*one.odd, *one.fine) for kind in row.kinds},
    )  # fmt: skip


def _words(counts: Mapping[tuple[str, str], int], reader: Reader) -> list[tuple[str, str, int, str]]:
    """Return the most frequent actions without a verb: vendor, action, how many changes, and their timeline."""
    ranked = sorted(counts.items(), key=lambda one: -one[1])[:UNNAMED]
    asked = [spell(Query(vendor=vendor, action=action, linked=True)) for (vendor, action), _ in ranked]
    return [(*name, count, reader.link("/", q=q, since="all")) for (name, count), q in zip(ranked, asked, strict=True)]


def _configured(trail: Trail, source: str | None) -> Sequence[str]:
    return [name for name in trail.configured if source in (None, name)]


def _drawn(span: str, streams: Sequence[StreamStatus], now: datetime) -> Window:
    """Return the time that is drawn: up to now, from as long ago as was asked for."""
    if span in SPANS:
        return Window(now - SPANS[span], now)
    starts = [stream.state.wanted_since for stream in streams if stream.state.wanted_since]
    return Window(min([*starts, now - SPANS["24h"]]), now)


def _source(
    name: str, look: SourceState | None, streams: Sequence[StreamStatus], scale: Scale, most: int | None
) -> SourceView:
    """Return a source with its streams, the worst first; at most so many of them, if there is a limit."""
    mine = [stream_view(stream, look, scale) for stream in streams if stream.state.source == name]
    mine.sort(key=lambda one: one.order)
    shown = mine if most is None else mine[: max(most, 5)]
    odd, fine = [one for one in shown if one.level != GOOD], [one for one in shown if one.level == GOOD]
    failed = look is None or look.error or look.succeeded_at is None
    level = BAD if failed else mine[0].level if mine else GOOD
    return SourceView(name, look, len(mine), level, odd, fine, len(mine) - len(shown))
