"""The page Person: who somebody is at all vendors, and what they did."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from flagtrail.deadline import within
from flagtrail.query import cursor_of
from flagtrail.web.access import Asked, reads
from flagtrail.web.asking import Cursor, Moment, complete, moment
from flagtrail.web.page.doing import FIELDS, by_day, by_hour, groups, identities, timeline
from flagtrail.web.page.object import after_of
from flagtrail.web.page.sentence import tidy, who_of
from flagtrail.web.page.shell import link, page, reader_of
from flagtrail.web.page.whose import changes, is_whose, question_of
from flagtrail.web.problems import Refused

ON_A_PAGE = 50
MOST = 400  # changes that are counted: the newest
SINCE = "90d"
SPANS = ("7d", "30d", "90d", "365d")
router = APIRouter(include_in_schema=False)


class PersonFilters(BaseModel):
    """Who is meant, and since when."""

    model_config = ConfigDict(extra="forbid")

    who: Annotated[str, Field(min_length=1, max_length=700, description="the key of a person, as pages link to it")]
    since: Moment | None = None
    after: Cursor | None = None
    zone: Annotated[str | None, Field(max_length=100)] = None


@router.get("/person", dependencies=[reads])
def person(request: Request, trail: Asked, asked: Annotated[PersonFilters, Query()]) -> Response:
    """Return the page of one person, token or app."""
    reader, now = reader_of(request), datetime.now(UTC)
    since = moment(asked.since or SINCE, "since", reader.zone)
    key = asked.who.strip().lower() if ":" not in asked.who else asked.who.strip()
    meant = question_of(trail.people, key)
    fits = is_whose(trail.people, key)
    with within(trail.settings.timeout.total_seconds()):
        told = complete(trail, replace(meant, since=since))
        counted, more = changes(trail.store, replace(meant, since=since), fits, MOST)
        if len(counted) > ON_A_PAGE and not asked.after:
            shown, rest = counted[:ON_A_PAGE], cursor_of(counted[ON_A_PAGE - 1])
        else:
            shown, rest = changes(trail.store, replace(meant, after=after_of(asked.after)), fits, ON_A_PAGE)
        known = [*counted, *shown]
        if not known:
            raise Refused(404, "no change in the trail was made by them; the timeline's search finds names")
        values = {name: value for name, value in request.query_params.items() if name != "after"}
        name = trail.people.person(known[0]).name.strip() or who_of(known[0])
        days = groupby(shown, lambda row: reader.local(row["occurred_at"]).date())
        return page(
            request, trail, "person.html", title=tidy(name), here="person", asked=asked, since=since, told=told,
            span=asked.since or SINCE, spans=[(span, link("/person", values, since=span)) for span in SPANS],
            kinds=sorted({row["actor_kind"] for row in known}), vendors=sorted({row["vendor"] for row in known}),
            identities=identities(known), counted=len(counted), more=bool(more),
            groups=[(title, groups(counted, field, meant, since)) for title, field in FIELDS],
            by_day=by_day(counted, since, now, reader), by_hour=by_hour(counted, reader),
            days=[(day, list(rows)) for day, rows in days], timeline=timeline(meant, since),
            older=link("/person", values, after=rest) if rest else None,
            first=link("/person", values) if asked.after else None,
        )  # fmt: skip
