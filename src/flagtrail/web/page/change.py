"""The page Change, and the pane that shows one change on other pages: all that is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy import select

from flagtrail import query as store_query
from flagtrail.completeness import completeness
from flagtrail.deadline import within
from flagtrail.event import Action, ActorKind
from flagtrail.query import Query, reading
from flagtrail.schema import DETAIL
from flagtrail.sentence import Sentence, Vendor, sentence, vendor_of
from flagtrail.store import Store
from flagtrail.web.access import Asked, Trail, reads
from flagtrail.web.page.difference import Difference, Part, differences, json_lines, pretty
from flagtrail.web.page.quoting import as_markdown, as_text
from flagtrail.web.page.related import Related, entry_of, measured_by, object_question, related
from flagtrail.web.page.shell import Reader, page, parameters, reader_of
from flagtrail.web.problems import Refused
from flagtrail.when import spoken
from flagtrail.window import iso

HOUR = timedelta(hours=1)
LONGEST_RECORD = 30_000  # characters of a record that are shown; all of it is at /api/v1/events/{id}
MOST_REVISIONS = 8
DETAILS = {
    "open": "What was changed stands in the entry's full form, which waits to be fetched.",
    "gone": "What was changed stood in the entry's full form, which the vendor does not show any more.",
}
router = APIRouter(include_in_schema=False)


class Kept(NamedTuple):
    """A record as the vendor showed it: since when, as JSON, whether that is cut, how it differs from the former."""

    name: str
    seen_at: datetime
    text: str
    is_cut: bool
    parts: Sequence[Part] = ()


class Trust(NamedTuple):
    """Whether the time around a change was read whole: good or warning, and a line."""

    level: str
    text: str


class Impact(NamedTuple):
    """What the vendor measured: how large, in percent, why not; evaluations before and after of each variation."""

    size: str | None
    percentage: float | None
    reason: str | None
    variations: Sequence[tuple[str, Any, Any]]
    event: str | None


@dataclass(frozen=True, slots=True)
class Looked:
    """All that the template `change_pane.html` shows of a change."""

    row: Mapping[str, Any]
    sentence: Sentence
    vendor: Vendor
    ago: str
    person: str | None
    actor_kind: str
    meaning: str
    object: str | None
    around: str
    site: str | None
    differences: Sequence[Difference]
    untold: str | None
    impact: Impact | None
    entry: Mapping[str, Any] | None
    kept: Sequence[Kept]
    more_kept: int
    related: Sequence[Related]
    trust: Trust
    text: str
    address: str
    """Where this change is shown by itself."""

    def markdown(self, base: str) -> str:
        """Return the change as Markdown, with its address below a base such as `https://flags.example.com/`."""
        return as_markdown(self.row, self.differences, base.rstrip("/") + self.address)


@router.get("/event/{id}", dependencies=[reads])
def change(request: Request, trail: Asked, id: Annotated[str, Path(max_length=200)]) -> Response:
    """Return the page of one change, by its id or the beginning of it."""
    parameters(request, ())
    with within(trail.settings.timeout.total_seconds()):
        found = looked(trail, id, reader_of(request))
        return page(request, trail, "change.html", title=str(found.sentence), here="change", change=found)


def looked(trail: Trail, id: str, reader: Reader) -> Looked:
    """Return all that is shown of the change whose id begins so; raises Refused when there is none, or several.

    The reader's zone is the template's matter: here are instants.
    """
    found = store_query.event(trail.store, id) if id else []
    if not found:
        raise Refused(404, "no change has an id that begins so; maybe it was shown by another flagtrail")
    if len(found) > 1:
        raise Refused(409, "more than one change has an id that begins so; write more of it")
    row, now = found[0], datetime.now(UTC)
    trust = _trust(trail, row["occurred_at"], now)  # before the others: what is stored in between can only add
    measured = [row] if row["impact"] else measured_by(trail.store, row)
    row["impact"] = next((one["impact"] for one in measured if one["impact"]), None)
    state, full = _detail(trail.store, row["number"])
    asked = object_question(row) or {}
    named = asked and {"key": asked["object"], "kind": row["object_kind"]}
    records = row.pop("records")
    action, kind = row["action"], row["actor_kind"]
    return Looked(
        row=row,
        sentence=sentence(row),
        vendor=vendor_of(row["vendor"]),
        ago=_ago(now - row["occurred_at"]),
        person=reader.link("/person", who=trail.people.person(row).key) if _has_name(row) else None,
        actor_kind=ActorKind(kind).meaning if kind in set(ActorKind) else kind,
        meaning=Action(action).meaning if action in set(Action) else "the vendor's own word: no shared verb fits it",
        object=reader.link("/object", source=row["source"], project=row["project"], **named) if named else None,
        around=reader.link("/around", at=iso(row["occurred_at"]), environment=row["environment"]),
        site=row["url"] if str(row["url"] or "").lower().startswith(("https://", "http://")) else None,
        differences=differences(row),
        untold=_untold(row, state),
        impact=_impact(measured, row),
        entry=entry_of(trail.store, row),
        kept=_kept(records, full),
        more_kept=max(0, len(records) - MOST_REVISIONS),
        related=related(trail, row, reader),
        trust=trust,
        text=as_text(row),
        address=reader.link(f"/event/{row['id']}"),
    )


def _has_name(row: Mapping[str, Any]) -> bool:
    return bool(row["actor_email"] or row["actor_id"] or row["actor_name"])


def _ago(passed: timedelta) -> str:
    return f"{spoken(passed)} ago" if passed >= timedelta() else f"in {spoken(-passed)}"


def _trust(trail: Trail, at: datetime, now: datetime) -> Trust:
    """Return whether something could be missing that happened within an hour before and after."""
    query = Query(since=at - HOUR, until=max(min(at + HOUR, now), at - HOUR + timedelta(seconds=1)))
    found = completeness(trail.store, query, configured=trail.configured, now=now)
    whole = found.windows[-1].until if found.windows else None
    if found.is_complete and whole and whole >= at + HOUR:
        return Trust("good", "The hour before and after it was read whole: no change is missing there.")
    if found.is_complete:
        told = "The hour around it was read whole as far as it has settled; younger changes may still appear."
        return Trust("warning", told)
    reasons = dict.fromkeys(gap.reason for each in found.streams for gap in each.gaps)
    reasons |= dict.fromkeys(f"{name}: its last look failed" for name in found.behind)
    if found.is_stale:
        reasons["nobody has looked since"] = None
    if found.differing:
        reasons["it differs from what the vendor shows"] = None
    told = "; ".join(list(reasons)[:3]) or "nothing was read"
    return Trust("warning", f"The hour before and after it was not read whole, changes may be missing: {told}.")


def _detail(store: Store, number: int) -> tuple[str | None, Any]:
    """Return how it stands with the full form of an entry, and the form if it was fetched."""
    with reading(store) as connection:
        found = connection.execute(select(DETAIL.c.state, DETAIL.c.body).where(DETAIL.c.number == number)).first()
        if found is None:
            return None, None
        return found.state, store.record(connection, found.body) if found.body else None


def _untold(row: Mapping[str, Any], detail: str | None) -> str | None:
    """Return why it is not told what was changed; None when it is."""
    changes = row["changes"]
    reasons = (
        (changes and row["truncated"], "The vendor cut its account of the change short: there is more."),
        (changes, None),
        (changes is not None, "Nothing that people read differs between the two versions that the vendor shows."),
        (row["truncated"], "The vendor cut its account of the change short, and so it is not told what was changed."),
        (detail in DETAILS, DETAILS.get(detail or "")),
        (row["action"] in ("created", "deleted"), "The action says all of it; values are told of changes only."),
        (row["related_event"], "This tells the impact of a change; the change itself is told by its audit entry."),
        (True, "The vendor does not tell what was changed in a form that can be read plainly; see its record below."),
    )
    return next(reason for holds, reason in reasons if holds)


def _impact(measured: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> Impact | None:
    told = next((one for one in measured if one["impact"]), None)
    if told is None:
        return None
    impact = told["impact"]
    share, size = impact.get("percentage"), impact.get("size")
    summary = impact.get("evaluationsSummary")
    listed = summary.get("variations") if isinstance(summary, dict) else None
    variations = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return Impact(
        size if isinstance(size, str) else None,
        share if isinstance(share, int | float) and not isinstance(share, bool) else None,
        impact["reason"] if isinstance(impact.get("reason"), str) else None,
        [(pretty(one.get("value")), one.get("before"), one.get("after")) for one in variations[:20]],
        told["id"] if told["id"] != row["id"] else None,
    )


def _kept(records: Sequence[Mapping[str, Any]], full: Any) -> list[Kept]:
    """Return the records that are kept of a change, the newest first, with what each has otherwise than the former."""
    shown = records[:MOST_REVISIONS]
    found = []
    for at, one in enumerate(shown):
        former = records[at + 1]["record"] if at + 1 < len(records) else None
        parts = json_lines(former, one["record"]) if former is not None else ()
        found.append(_one(f"Revision {one['revision']}", one["seen_at"], one["record"], parts))
    if full is not None and records:
        found.append(_one("Full form", records[0]["seen_at"], full, ()))
    return found


def _one(name: str, seen_at: datetime, record: Any, parts: Sequence[Part]) -> Kept:
    text = pretty(record)
    return Kept(name, seen_at, text[:LONGEST_RECORD], len(text) > LONGEST_RECORD, parts)
