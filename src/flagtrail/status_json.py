"""What is known of each stream as JSON has it, with instants as datetimes: for the command line and for HTTP."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from flagtrail.quiet import LONGEST
from flagtrail.status import StreamStatus
from flagtrail.store import SourceState
from flagtrail.verdicts import Verdict

MOMENT = timedelta(seconds=30)  # in which one look writes down how it went


def is_quiet(stream: StreamStatus, look: SourceState) -> bool:
    """Return whether the last look left a stream out on purpose; one that is gone was left out for longer."""
    at = stream.state.succeeded_at
    if at is None or look.succeeded_at is None or stream.state.error:
        return False
    return MOMENT < look.succeeded_at - at < LONGEST + 2 * MOMENT


def is_gone(stream: StreamStatus, look: SourceState | None) -> bool:
    """Return whether the looks at its source do not find a stream any more: its project or environment was deleted."""
    at = stream.state.succeeded_at
    if at is None or look is None or look.succeeded_at is None or stream.state.error:
        return False
    return look.succeeded_at - at >= LONGEST + 2 * MOMENT


def status_as_json(
    found: Iterable[StreamStatus], looks: Iterable[SourceState], unmapped: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    """Return what is known of some streams, how the looks at their sources went, and which actions have no verb."""
    looked = {look.source: look for look in looks}
    return {
        "sources": [look._asdict() for look in looked.values()],
        "streams": [stream_as_json(stream, looked.get(stream.state.source)) for stream in found],
        "unmapped_actions": [
            {"vendor": vendor, "action": action, "events": count} for (vendor, action), count in unmapped.items()
        ],
    }


def stream_as_json(stream: StreamStatus, look: SourceState | None) -> dict[str, Any]:
    """Return what is known of a stream, and whether the last look at its source left it out on purpose."""
    gaps = [
        {
            "since": g.window.since,
            "until": g.window.until,
            "reason": g.reason,
            "expected": g.expected,
            "stored": g.stored,
            "permanent": g.permanent,
        }
        for g in stream.gaps
    ]
    return {
        **{name: getattr(stream.state, name) for name in stream.state._fields},
        "events": stream.events,
        "quiet": look is not None and is_quiet(stream, look),
        "wanted_until": stream.wanted.until if stream.wanted else None,
        "complete_until": stream.complete_until,
        "lag_seconds": round(stream.lag.total_seconds()) if stream.lag else None,
        "covered_share": stream.share,
        "coverage": [{"since": window.since, "until": window.until} for window in stream.covered],
        "gaps": gaps,
        "verified_share": stream.verified_share,
        "verified_at": stream.verified_at,
        "verdicts": [verdict_as_json(verdict) for verdict in stream.verdicts],
        "healed": stream.healed,
        "vanished": stream.vanished,
        "ages_out_at": stream.ages_out_at,
        "details_open": stream.details_open,
        "more_details": stream.more_details,
        "likely_retention_seconds": stream.likely_retention.total_seconds() if stream.likely_retention else None,
    }


def verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON has it."""
    told = verdict._asdict()
    window = told.pop("window")
    return {"since": window.since, "until": window.until} | told
