"""The page Object: the life of one object across its environments, what it is now or was, and its changes."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from flagtrail.completeness import completeness
from flagtrail.deadline import within
from flagtrail.language import spell
from flagtrail.query import Query as Asking
from flagtrail.query import cursor_of, place_of
from flagtrail.web.access import Asked, reads
from flagtrail.web.asking import Cursor, Moment, Value, moment
from flagtrail.web.page.drawing import GROUND, HEIGHT, drawn, holes, place, ticks
from flagtrail.web.page.life import MOST, lives, page_of, read
from flagtrail.web.page.related import is_same
from flagtrail.web.page.sentence import tidy
from flagtrail.web.page.shell import link, page, reader_of
from flagtrail.web.problems import Refused

ON_A_PAGE = 50
router = APIRouter(include_in_schema=False)


class ObjectFilters(BaseModel):
    """Which object is meant, and at which moment."""

    model_config = ConfigDict(extra="forbid")

    key: Value
    source: Value | None = None
    project: Value | None = None
    kind: Value | None = None
    at: Annotated[Moment | None, Field(description="the moment of its state; now if not said")] = None
    after: Cursor | None = None
    zone: Annotated[str | None, Field(max_length=100)] = None


@router.get("/object", dependencies=[reads])
def object(request: Request, trail: Asked, asked: Annotated[ObjectFilters, Query()]) -> Response:
    """Return the page of one object."""
    now, reader = datetime.now(UTC), reader_of(request)
    at = moment(asked.at, "at", reader.zone) if asked.at and asked.at.strip() else None
    told = {"object": asked.key, "source": asked.source, "project": asked.project, "object_kind": asked.kind}
    meant: dict[str, Any] = {name: value for name, value in told.items() if value}
    with within(trail.settings.timeout.total_seconds()):
        question = Asking(**meant)
        trust = completeness(trail.store, Asking(source=question.source), configured=trail.configured, now=now)
        found = read(trail.store, meant, at)
        if not found.rows:
            raise Refused(404, "no change is about this object; the timeline's search finds names")
        lived = lives(trail.store, meant, found, at, now)
        after = after_of(asked.after)
        enough = after is None and not found.newer and (len(found.rows) > ON_A_PAGE or not found.older)
        listed = found.rows[::-1] if enough else page_of(trail.store, meant, ON_A_PAGE, after)
        shown = [row for row in listed[:ON_A_PAGE] if is_same(row, _named(asked))]
        values = {name: value for name, value in request.query_params.items() if name != "after"}
        newest = found.rows[-1]
        return page(
            request, trail, "object.html", title=tidy(newest["object_name"] or asked.key), here="object",
            asked=asked, at=at, newest=newest, lived=[_drawn(one, reader) for one in lived], rows=shown, told=trust,
            cut=MOST if found.older or found.newer else None, height=HEIGHT, ground=GROUND,
            older=link("/object", values, after=cursor_of(listed[ON_A_PAGE - 1])) if len(listed) > ON_A_PAGE else None,
            first=link("/object", values) if asked.after else None, timeline=link("/", q=spell(question)),
        )  # fmt: skip


def after_of(cursor: str | None) -> str | None:
    """Return a cursor that is one, or None; raises Refused."""
    if not cursor:
        return None
    try:
        _, number = place_of(cursor)
    except ValueError:
        number = -1
    if not 0 <= number < 2**63:
        raise Refused(422, "after: this is no place in the list; go back to its beginning")
    return cursor


def _named(asked: ObjectFilters) -> dict[str, Any]:
    return {"object_key": asked.key, "object_name": None, "object_kind": asked.kind}


def _drawn(one: Any, reader: Any) -> dict[str, Any]:
    """Return the life of an object as the template draws it."""
    lanes = [drawn(lane, one.window, reader) for lane in one.lanes]
    told = {"holes": holes(one.holes, one.window), "ticks": ticks(one.window, reader), "at": place(one.at, one.window)}
    return {"life": one, "lanes": lanes, **told}
