"""The page Object: the life of one object across its environments, what it is now or was, and its changes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from flagtrail.completeness import completeness
from flagtrail.deadline import within
from flagtrail.language import spell
from flagtrail.query import Query, cursor_of
from flagtrail.sentence import tidy
from flagtrail.web.access import Asked, reads
from flagtrail.web.asking import moment
from flagtrail.web.page.drawing import GROUND, HEIGHT, drawn, holes, place
from flagtrail.web.page.life import MOST, MOST_LANES, Lived, changes_of, lives, read
from flagtrail.web.page.scale import Scale
from flagtrail.web.page.shell import Reader, page, parameters, reader_of
from flagtrail.web.page.trust import of_answer
from flagtrail.web.page.view import cursor, has_no_zone, short
from flagtrail.web.problems import Refused

NAMES = ("source", "project", "kind", "key", "at", "after")
ON_A_PAGE = 50
router = APIRouter(include_in_schema=False)


@router.get("/object", dependencies=[reads])
def object(request: Request, trail: Asked) -> Response:
    """Return the page of one object: `at` is the moment of its state, now if not said."""
    now, reader, asked = datetime.now(UTC), reader_of(request), parameters(request, NAMES)
    if "key" not in asked:
        raise Refused(422, "key: say which object is meant; the pages of its changes link here")
    at = moment(asked["at"], "at", reader.zone) if "at" in asked else None
    if at and has_no_zone(asked["at"]):
        return RedirectResponse(reader.link("/object", asked, at=short(at)), 303)
    after = cursor(asked.get("after"))
    told = {"object": "key", "source": "source", "project": "project", "object_kind": "kind"}
    meant: dict[str, Any] = {name: asked[said] for name, said in told.items() if said in asked}
    with within(trail.settings.timeout.total_seconds()):
        known = completeness(trail.store, Query(source=meant.get("source")), configured=trail.configured, now=now)
        found = read(trail.store, meant, at)
        if not found.rows:
            raise Refused(404, "no change is about this object; the timeline's search finds names")
        lived = lives(trail.store, meant, found, at, now)
        newest = found.rows[-1]
        if after is None and not found.newer and (len(found.rows) > ON_A_PAGE or not found.older):
            rows: Sequence[Mapping[str, Any]] = found.rows[: -ON_A_PAGE - 1 : -1]
            rest = cursor_of(rows[-1]) if len(found.rows) > ON_A_PAGE else ""
        else:
            rows, rest = changes_of(trail.store, meant, ON_A_PAGE, after=after)
        others = {name: text for name, text in asked.items() if name != "after"}
        question = Query(**meant)
        if any(row["project"] is None for row in found.rows):  # a question for the project would leave those out
            question = replace(question, project=())
        return page(
            request, trail, "object.html", title=tidy(newest["object_name"] or asked["key"]), here="object",
            asked={name: asked.get(name) for name in NAMES}, at=at, newest=newest, rows=rows,
            lived=[_drawn(one, reader, others) for one in lived], trust=of_answer(known, reader),
            cut=MOST if found.older or found.newer else None, height=HEIGHT, ground=GROUND, most_lanes=MOST_LANES,
            older=reader.link("/object", others, after=rest) if rest else None,
            first=reader.link("/object", others) if after else None,
            now_at=reader.link("/object", others, at=None) if at else None,
            timeline=reader.link("/", q=spell(question)),
        )  # fmt: skip


def _drawn(one: Lived, reader: Reader, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return the life of an object as the template draws it, and where it is shown as of what was read last."""
    last = one.read_until and one.read_until - timedelta(seconds=1)
    as_read = reader.link("/object", asked, at=short(last)) if last else None
    lanes = [drawn(lane, one.window, reader) for lane in one.lanes]
    told = {
        "holes": holes(one.holes, one.window),
        "ticks": Scale(one.window, reader.zone).ticks(),
        "at": place(one.at, one.window),
    }
    return {"life": one, "lanes": lanes, "as_read": as_read, **told}
