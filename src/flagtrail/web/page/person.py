"""The page Person: who somebody is at all vendors, and what they did."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from flagtrail.deadline import within
from flagtrail.event import ActorKind
from flagtrail.query import cursor_of
from flagtrail.sentence import tidy, who_of
from flagtrail.web.access import Asked, reads
from flagtrail.web.asking import complete, moment
from flagtrail.web.page.bursts import folded
from flagtrail.web.page.doing import FIELDS, SHOWN, by_day, by_hour, groups, identities, timeline
from flagtrail.web.page.shell import page, parameters, reader_of
from flagtrail.web.page.trust import of_answer
from flagtrail.web.page.view import cursor, has_no_zone, short
from flagtrail.web.page.whose import changes, is_whose, question_of
from flagtrail.web.problems import Refused

NAMES = ("who", "since", "after")
ON_A_PAGE = 50
MOST = 400  # changes that are counted: the newest
SINCE = "90d"
SPANS = ("7d", "30d", "90d", "365d")
router = APIRouter(include_in_schema=False)


@router.get("/person", dependencies=[reads])
def person(request: Request, trail: Asked) -> Response:
    """Return the page of one person, token or app: `who` is the key of `People`."""
    reader, now, asked = reader_of(request), datetime.now(UTC), parameters(request, NAMES)
    if "who" not in asked:
        raise Refused(422, "who: say who is meant; the pages of their changes link here")
    span, after = asked.get("since", SINCE), cursor(asked.get("after"))
    since = moment(span, "since", reader.zone)
    if has_no_zone(span):
        return RedirectResponse(reader.link("/person", asked, since=short(since)), 303)
    who = asked["who"].strip()
    key = who if ":" in who else who.lower()
    meant = question_of(trail.people, key)
    fits = is_whose(trail.people, key)
    with within(trail.settings.timeout.total_seconds()):
        told = complete(trail, replace(meant, since=since))
        counted, more = changes(trail.store, replace(meant, since=since), fits, MOST)
        if len(counted) > ON_A_PAGE and after is None:
            shown, rest = counted[:ON_A_PAGE], cursor_of(counted[ON_A_PAGE - 1])
        else:
            shown, rest = changes(trail.store, replace(meant, after=after), fits, ON_A_PAGE)
        known = [*counted, *shown]
        if not known:
            raise Refused(404, "no change in the trail was made by them; the timeline's search finds names")
        others = {name: text for name, text in asked.items() if name != "after"}
        name = trail.people.person(known[0]).name.strip() or who_of(known[0])
        entries = folded(shown, reader, before=after is not None, after=bool(rest))
        days = groupby(entries, lambda entry: reader.local(entry.ends[0]).date())
        names = identities(known)
        return page(
            request, trail, "person.html", title=tidy(name), here="person", since=since, trust=of_answer(told, reader),
            span=span, spans=[(each, reader.link("/person", others, since=each)) for each in SPANS],
            kinds=sorted({row["actor_kind"] for row in known} - {ActorKind.UNKNOWN}),
            vendors=sorted({row["vendor"] for row in known}),
            identities=names[:SHOWN], other_identities=names[SHOWN:], counted=len(counted), more=bool(more),
            groups=[(title, groups(counted, field, reader, meant, span)) for title, field in FIELDS],
            by_day=by_day(counted, since, now, reader), by_hour=by_hour(counted, reader),
            days=[(day, list(of_day)) for day, of_day in days], timeline=timeline(reader, meant, span),
            older=reader.link("/person", others, after=rest) if rest else None,
            first=reader.link("/person", others) if after else None,
        )  # fmt: skip
