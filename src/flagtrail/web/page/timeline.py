"""The page Timeline: how many changes there were over time, and the changes, newest first, by day."""

from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from flagtrail.deadline import within
from flagtrail.language import spell
from flagtrail.query import QueryError, check_known
from flagtrail.web.access import Asked, Trail, reads
from flagtrail.web.page.answer import Answer, answer
from flagtrail.web.page.bursts import folded
from flagtrail.web.page.change import looked
from flagtrail.web.page.chart import Chart, chart, said
from flagtrail.web.page.facets import chips, groups
from flagtrail.web.page.ranges import Way, beginnings, ways
from flagtrail.web.page.shell import Reader, link, page, reader_of
from flagtrail.web.page.trust import of_answer
from flagtrail.web.page.view import LANES, View, short, view
from flagtrail.web.problems import Refused
from flagtrail.window import from_ms, to_ms

PART = "flagtrail-part"  # a header: only this part of the page is wanted
LINKED = 12_000  # characters of all links on the chart: with more, its spans are no links
router = APIRouter(include_in_schema=False)


class Pane(NamedTuple):
    """The change that is opened beside the list, as change_pane.html takes it, or why there is none."""

    change: Any
    problem: str


@router.get("/", dependencies=[reads])
def timeline(request: Request, trail: Asked) -> Response:
    """Return the page."""
    reader = reader_of(request)
    now = from_ms(to_ms(datetime.now(UTC)))  # as windows are: what ends now is to be seen as such
    asked = view(request, reader, now)
    told: dict[str, Any] = {
        "view": asked,
        "pane": _pane(trail, asked, reader),
        "lanes": LANES,
        "found": None,
        "groups": [],
    }
    only_pane = request.headers.get(PART) == "pane"
    if asked.mistake is None and not only_pane:
        found = answer(asked, trail)
        drawn = chart(asked, found, trail)
        told |= _shown(asked, found, drawn, trail)
    status = 422 if asked.mistake else 200
    told |= {"beginnings": beginnings(asked), "chips": chips(asked), "only_pane": only_pane}
    return page(request, trail, "timeline.html", title=_title(asked), here="timeline", status=status, **told)


def _shown(asked: View, found: Answer, drawn: Chart, trail: Trail) -> dict[str, Any]:
    """Return what the template shows of an answer."""
    reader = asked.reader
    entries = folded(found.rows, reader, before=bool(asked.after), after=found.older is not None)
    days = groupby(entries, lambda entry: reader.local(entry.ends[0]).date())
    return {
        "found": found,
        "chart": drawn,
        "groups": groups(asked, found, drawn, trail),
        "trust": of_answer(found.told, reader),
        "days": [(day, list(of_day)) for day, of_day in days],
        "ways": ways(asked, found),
        "said": said,
        "short": short,
        "sampled": None if found.sample.is_whole else len(found.sample.rows),
        "older": _older(asked, found),
        "live": _live(asked, found),
        "unknown": None if found.rows else _unknown(trail, asked),
        "columns_link": len(drawn.columns) * (len(asked.link()) + 50) <= LINKED,
    }


def _older(asked: View, found: Answer) -> Way | None:
    """Return the way to the next page, in the time that this one has."""
    if found.older is None:
        return None
    since = short(found.query.since) if found.chosen and found.query.since else asked.since
    newer_first = "Older" if not asked.query.oldest_first else "Newer"
    return Way(newer_first, asked.link(after=found.older, since=since))


def _live(asked: View, found: Answer) -> str | None:
    """Return the address at which what happens now is told; None when it does not belong to this view."""
    if not asked.ends_now or len(asked.plain) > 2000:
        return None
    return link("/api/v1/live", {"q": spell(asked.query) or None, "after": found.position})


def _unknown(trail: Trail, asked: View) -> str | None:
    """Return what of a question that finds nothing this database has never seen."""
    try:
        check_known(trail.store, asked.query)
    except QueryError as error:
        return str(error)
    return None


def _pane(trail: Trail, asked: View, reader: Reader) -> Pane | None:
    if not asked.event:
        return None
    try:
        with within(trail.settings.timeout.total_seconds()):
            return Pane(looked(trail, asked.event, reader), "")
    except Refused as error:
        return Pane(None, error.detail)


def _title(asked: View) -> str:
    return asked.plain or "Timeline"
