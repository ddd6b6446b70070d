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
from flagtrail.web.page.life import MOST_LANES, Lived, Read, Row, changes_of, lives, read
from flagtrail.web.page.scale import Scale
from flagtrail.web.page.shell import Reader, page, parameters, reader_of
from flagtrail.web.page.trust import of_answer
from flagtrail.web.page.view import cursor, has_no_zone, short
from flagtrail.web.problems import Refused
from flagtrail.window import EPOCH

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
            why = _unlooked(found, None, reader) or "The timeline's search finds names."
            raise Refused(404, f"no change is about this object. {why}")
        lived = lives(trail.store, found, at, now)
        newest = found.rows[-1]
        if after is None and not found.newer and (len(found.rows) > ON_A_PAGE or not found.older):
            rows: Sequence[Row] = found.rows[: -ON_A_PAGE - 1 : -1]
            rest = cursor_of(rows[-1]) if len(found.rows) > ON_A_PAGE else ""
            looked = found.since
        else:
            rows, rest, looked = changes_of(trail.store, meant, ON_A_PAGE, after=after)
        others = {name: text for name, text in asked.items() if name != "after"}
        question = Query(**meant)
        if any(row["project"] is None for row in found.rows):  # a question for the project would leave those out
            question = replace(question, project=())
        return page(
            request, trail, "object.html", title=tidy(newest["object_name"] or asked["key"]), here="object",
            asked={name: asked.get(name) for name in NAMES}, at=at, newest=newest, rows=rows,
            lived=[_drawn(one, reader, others) for one in lived], trust=of_answer(known, reader),
            is_cut=found.older or found.newer, unlooked=_unlooked(found, looked, reader),
            height=HEIGHT, ground=GROUND, most_lanes=MOST_LANES,
            older=reader.link("/object", others, after=rest) if rest else None,
            first=reader.link("/object", others) if after else None,
            now_at=reader.link("/object", others, at=None) if at else None,
            timeline=reader.link("/", q=spell(question)),
        )  # fmt: skip


def _unlooked(found: Read, listed: datetime | None, reader: Reader) -> str | None:
    """Return in words when changes that tell no project were not looked for; None when they were, at any time.

    `listed` is how far back they were for the list.
    """
    before, after = max(found.since or EPOCH, listed or EPOCH), found.until
    ends = [f"before {_at(before, reader)}"] if before > EPOCH else []
    ends += [f"after {_at(after, reader)}"] if after else []
    if not ends:
        return None
    return (
        "A change that tells no project may be of this object too, and so many changes have its key that such were not "
        f"looked for {' and '.join(ends)}: what it was then is drawn as not known, and the list may lack some."
    )


def _at(instant: datetime, reader: Reader) -> str:
    return f"{reader.local(instant):%d %b %Y %H:%M:%S}"


def _drawn(one: Lived, reader: Reader, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return the life of an object as the template draws it, and where it is shown as of what was read last."""
    last = one.read_until and one.read_until - timedelta(seconds=1)
    as_read = reader.link("/object", asked, at=short(last)) if last else None
    lanes = [drawn(lane, one.window, reader) for lane in one.lanes]
    told = {
        "holes": holes(one.holes, one.window),
        "ticks": Scale(one.window, reader.zone).ticks(),
        "at": place(one.at, one.window),
        "styles": {bar.style for lane in lanes for bar in lane.bars},
    }
    return {"life": one, "lanes": lanes, "as_read": as_read, **told}
