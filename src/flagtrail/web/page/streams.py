"""Tells what is known of one stream: how it does, its bar, and each fact that says something."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flagtrail.completeness import STALE
from flagtrail.holdings import ENVIRONMENT_DELETED, HIDDEN, RETENTION, UNEXPLAINED
from flagtrail.quiet import LONGEST
from flagtrail.share import percent
from flagtrail.status import StreamStatus
from flagtrail.status_json import is_quiet
from flagtrail.store import SourceState
from flagtrail.trust import TRUSTED
from flagtrail.verdicts import Outcome
from flagtrail.web.page.bar import Bar, bar
from flagtrail.web.page.missing import title_of
from flagtrail.web.page.scale import Scale
from flagtrail.web.page.sign import counted
from flagtrail.when import spoken

GOOD, WARNING, BAD = "good", "warning", "bad"
LEVELS = (BAD, WARNING, GOOD)
NONE = "none"
VANISHED = {
    RETENTION: "older than the vendor keeps them",
    ENVIRONMENT_DELETED: "their environment was deleted with its log",
    HIDDEN: "the credential sees less than before: changes there are not in the trail any more",
    UNEXPLAINED: "for a reason that cannot be told from here",
}
"""Why the vendor no longer shows entries, in words."""


class Fact(NamedTuple):
    """What is known of a stream: a name, when it was (if it is about a moment), and in words."""

    name: str
    at: datetime | None
    text: str
    level: str | None = None


class StreamView(NamedTuple):
    """One stream as it is shown: how it does, its bar, its numbers, and the facts below.

    `concern` is the gravest reason why it is not in order, in a word or two; empty when it is.
    """

    title: str
    name: str
    level: str
    status: StreamStatus
    bar: Bar
    share: str
    verified: str
    lag: str
    is_late: bool
    concern: str
    gaps: int
    facts: list[Fact]

    @property
    def order(self) -> tuple[int, float, int, str]:
        """Where it stands: the worst first, then by how much is missing, then by how many changes it has."""
        return LEVELS.index(self.level), self.status.share, -self.status.events, self.title

    @property
    def kinds(self) -> list[str]:
        """What is drawn of it."""
        return [stretch.kind for stretch in self.bar.stretches]

    @property
    def says(self) -> str:
        """What the bar shows, for who does not see it."""
        gaps = counted(self.gaps, "gap") if self.gaps else "no gap"
        return f"{self.share} covered, {self.verified} verified, {gaps}"


def stream_view(stream: StreamStatus, look: SourceState | None, scale: Scale) -> StreamView:
    """Return what is shown of a stream; `look` is the last one at its source."""

    def local(at: datetime) -> str:
        return at.astimezone(scale.zone).strftime("%d %b %Y %H:%M")

    late = stream.lag is None or stream.lag > STALE
    quiet = look is not None and is_quiet(stream, look)
    facts = [*_looks(stream, quiet=quiet), *_trust(stream, local), *_entries(stream), *_keeping(stream)]
    level, concern = _judged(stream, facts, late=late)
    return StreamView(
        title_of(stream), stream.state.stream, level, stream, bar(stream, scale, local),
        percent(stream.share) if stream.wanted else NONE, percent(stream.verified_share) if stream.covered else NONE,
        spoken(stream.lag) if stream.lag else NONE, late, concern, len(stream.gaps), facts,
    )  # fmt: skip


def _judged(stream: StreamStatus, facts: list[Fact], *, late: bool) -> tuple[str, str]:
    """Return how a stream does, and why in a word or two; nothing when it is in order."""
    said = {level: next((fact.name.lower() for fact in facts if fact.level == level), "") for level in (BAD, WARNING)}
    lost = sum(gap.permanent for gap in stream.gaps)
    if stream.wanted is None or stream.lag is None:
        return BAD, "never read whole"
    if said[BAD]:
        return BAD, said[BAD]
    if late:
        return BAD, "late"
    if len(stream.gaps) > lost:
        return BAD, counted(len(stream.gaps) - lost, "gap")
    if lost:
        return WARNING, f"{counted(lost, 'span')} lost"
    return (WARNING, said[WARNING]) if said[WARNING] else (GOOD, "")


def _looks(stream: StreamStatus, *, quiet: bool) -> Iterator[Fact]:
    state = stream.state
    yield Fact("Complete up to", stream.complete_until, "" if stream.complete_until else "never read whole")
    told = f"looked at every {spoken(LONGEST)}, and at once when the audit log tells of a change" if quiet else ""
    yield Fact("Last look", state.succeeded_at, told if state.succeeded_at else "never read")
    if state.error:
        yield Fact("Last error", state.failed_at, state.error, BAD)


def _trust(stream: StreamStatus, local: Callable[[datetime], str]) -> Iterator[Fact]:
    if stream.verified_at:
        share = percent(stream.verified_share)
        yield Fact("Verified", stream.verified_at, f"the oldest check; {share} of what is covered agrees")
    elif stream.covered:
        yield Fact("Verified", None, "nothing was compared with the vendor yet: flagtrail verify does so")
    for verdict in stream.verdicts:
        if verdict.outcome is Outcome.DIFFERS:
            where = f"{local(verdict.window.since)} to {local(verdict.window.until)}"
            yield Fact("Differs", verdict.checked_at, f"{where}: {verdict.reason or 'from what the vendor shows'}", BAD)
    for reason in dict.fromkeys(each.reason for each in stream.verdicts if each.outcome is Outcome.NOT_VERIFIABLE):
        yield Fact("Not verifiable", None, f"by numbers: {reason or 'the vendor tells none'}", WARNING)
    if stream.state.counts:
        believed = "believed: they are those of its list" if stream.state.counts == TRUSTED else stream.state.counts
        yield Fact("Vendor's counts", stream.state.counts_at, believed)


def _entries(stream: StreamStatus) -> Iterator[Fact]:
    if stream.healed:
        were = "entry that was missing was" if stream.healed == 1 else "entries that were missing were"
        yield Fact("Healed", None, f"{stream.healed:,} {were} found by a verification, and stored")
    for reason, count in sorted(stream.vanished.items()):
        odd = WARNING if reason in (HIDDEN, UNEXPLAINED) else None
        gone = f"{counted(count, 'change')} no longer shown by the vendor: {VANISHED.get(reason, reason)}"
        yield Fact("Vanished", None, gone, odd)
    if stream.details_open:
        more = "more than " if stream.more_details else ""
        yield Fact("Full form", None, f"{more}{counted(stream.details_open, 'change')} wait for before and after")


def _keeping(stream: StreamStatus) -> Iterator[Fact]:
    """Yield since when entries are kept here, for how long the vendor keeps them, and what that threatens."""
    if stream.kept_since:
        yield Fact("Kept here since", stream.kept_since, "what is older was deleted here, as configured")
    if stream.state.retention is not None:
        kept = timedelta(seconds=stream.state.retention)
        yield Fact("Vendor keeps", datetime.now(UTC) - kept, f"{spoken(kept)}: what is older stands only here")
    if stream.ages_out_soon and stream.ages_out_at:
        yield Fact("Ages out", stream.ages_out_at, "then the vendor begins to drop what was not read yet", BAD)
    if stream.likely_retention:
        days = spoken(stream.likely_retention)
        told = f"its oldest entry was just younger than {days}; if that is how long the vendor keeps entries, "
        told += f'set retention = "{days}"'
        yield Fact("Maybe older", None, told, WARNING)
