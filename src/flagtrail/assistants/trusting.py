"""Says in short how complete an answer is."""

from typing import Any

from flagtrail.completeness import Completeness
from flagtrail.share import percent
from flagtrail.window import iso

NAMED = 10  # failing sources


def in_short(told: Completeness) -> dict[str, Any]:
    """Return how far an answer can be trusted, as `shapes.Completeness` has it."""
    whole = told.windows
    return {
        "complete": told.is_complete,
        "said": said(told),
        "covered_share": told.covered_share,
        "verified_share": told.verified_share,
        "complete_since": iso(whole[-1].since) if whole else None,
        "complete_until": iso(whole[-1].until) if whole else None,
        "settled_until": iso(told.settled_until) if told.settled_until else None,
        "streams": len(told.streams),
        "gaps": told.gaps,
        "differing": told.differing,
        "failing": list(told.failing[:NAMED]),
    }


def said(told: Completeness) -> str:
    """Return in a sentence whether something may be missing, and what is known about that."""
    if told.asked is None:
        return "The time asked for has not begun: there can be nothing yet."
    if not told.streams:
        return "NOT COMPLETE: no stream that this may stand in was ever read."
    whole = told.windows
    where = f" in all {len(told.streams)} streams" if len(told.streams) > 1 else ""
    known = f"complete from {iso(whole[-1].since)} to {iso(whole[-1].until)}{where}" if whole else ""
    if not told.is_trusted:
        why = [f"{told.gaps} gaps"] if told.gaps else []
        why += [f"{told.differing} windows differ from the vendor"] if told.differing else []
        why += [f"could not be read last: {', '.join(told.failing[:NAMED])}"] if told.failing else []
        why += [f"nothing is read since {iso(told.settled_until)}"] if told.is_stale and told.settled_until else []
        share = f"{percent(told.covered_share)} of the asked time is covered"
        return (
            f"NOT COMPLETE: changes may be missing here ({'; '.join([*why, share])}); the tool completeness tells more."
        )
    deleted = f", what is older than {iso(told.kept_since)} was deleted here" if told.kept_since else ""
    lies_before = told.since is None or whole[-1].since > told.since
    before = (deleted or ", before that nothing was asked for") if lies_before else ""
    after = "; what is younger than that is not all here yet" if whole[-1].until < told.asked.until else ""
    return f"{known[0].upper()}{known[1:]}{before}{after}."
