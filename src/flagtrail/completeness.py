"""Tells how complete an answer is: how much of the time that was asked for is covered and verified, and what is not.

Only the tables of coverage, gaps and verdicts are read for it, so it costs the same however many events there are.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from flagtrail.database import guarded
from flagtrail.fields import like
from flagtrail.naming import named
from flagtrail.question import Query
from flagtrail.status import Name, agreed, described, extents, kept_since
from flagtrail.store import Gap, SourceState, Store, StreamState
from flagtrail.unread import NOT_KEPT
from flagtrail.verdicts import Outcome, Verdict, all_verdicts, current
from flagtrail.window import EPOCH, MILLISECOND, Window, merge, subtract

STALE = timedelta(hours=1)  # longer than the looks of a running daemon, and settling, leave open
NOT_WANTED = "nothing was asked for there: it lies before the configured start"
UNWANTED = (NOT_WANTED, NOT_KEPT)  # nobody misses it
_SCOPE = re.compile(r".*\[([^\[\]/]+)/([^\[\]]+)\]")  # a project and an environment at the end of a stream's name


class Evidence(NamedTuple):
    """The covered windows, the noted gaps and the verdicts of each stream, by its source and name, oldest first."""

    covered: Mapping[Name, Sequence[Window]]
    gaps: Mapping[Name, Sequence[Gap]]
    verdicts: Mapping[Name, Sequence[Verdict]]


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """What one stream contributes to an answer, inside the asked time; `differing` windows differ from the vendor."""

    state: StreamState
    asked: Window
    covered: Sequence[Window]
    gaps: Sequence[Gap]
    agreed: timedelta
    differing: int
    settled_until: datetime | None

    @property
    def share(self) -> float:
        """How much of the asked time is covered, from 0 to 1."""
        return _length(self.covered) / self.asked.length


@dataclass(frozen=True, slots=True)
class Completeness:
    """How far an answer can be trusted.

    `since` and `until` are the time asked for; None: from the beginning, up to now. `asked` is that time as it could be
    answered: from the configured start on, if none was asked for, and up to now; None when it has not begun. `failing`
    are sources whose last look failed, or was never.
    """

    since: datetime | None
    until: datetime | None
    asked: Window | None
    streams: Sequence[StreamAnswer]
    failing: Sequence[str]

    @property
    def windows(self) -> list[Window]:
        """The parts of the asked time that are covered in every stream concerned, oldest first."""
        if self.asked is None or not self.streams:
            return []
        return subtract(self.asked, [hole for each in self.streams for hole in subtract(self.asked, each.covered)])

    @property
    def gaps(self) -> int:
        """How many gaps there are in what was wanted, whatever was asked of the time before."""
        return sum(gap.reason not in UNWANTED for each in self.streams for gap in each.gaps)

    @property
    def differing(self) -> int:
        """How many windows differ from the vendor."""
        return sum(each.differing for each in self.streams)

    @property
    def behind(self) -> list[str]:
        """The failing sources that may have changes in the asked time which are not here."""
        if self.asked is None:
            return []
        here = {each.state.source for each in self.streams}
        late = {
            each.state.source
            for each in self.streams
            if not each.settled_until or each.settled_until < self.asked.until
        }
        return [name for name in self.failing if name not in here or name in late]

    @property
    def is_stale(self) -> bool:
        """Whether nobody has looked for so long that what was asked for could have been read since."""
        until = self.settled_until
        return bool(self.asked and until and self.asked.until - until > STALE)

    @property
    def is_trusted(self) -> bool:
        """Whether nothing is missing of what was wanted of the vendors, up to what can have settled by now."""
        return bool(self.windows) and not (self.gaps or self.differing or self.behind or self.is_stale)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing of what was asked for, up to what has settled."""
        return self.is_trusted and not any(each.gaps for each in self.streams)

    @property
    def covered_share(self) -> float:
        """How much of the asked time is covered, over all streams concerned, from 0 to 1."""
        return sum(each.share for each in self.streams) / len(self.streams) if self.streams else 0.0

    @property
    def verified_share(self) -> float:
        """How much of the covered time was compared with the vendors and found to agree, from 0 to 1."""
        covered = sum((_length(each.covered) for each in self.streams), timedelta())
        return sum((each.agreed for each in self.streams), timedelta()) / covered if covered else 0.0

    @property
    def settled_until(self) -> datetime | None:
        """Up to where everything had settled at the last look; None when a stream was never read."""
        ends = [each.settled_until for each in self.streams]
        return min((end for end in ends if end), default=None) if all(ends) else None

    @property
    def kept_since(self) -> datetime | None:
        """The latest moment before which a stream was deleted here, as configured; None when none is missing so."""
        found = (kept_since(each.state, each.covered) for each in self.streams)
        return max((moment for moment in found if moment), default=None)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it, with instants as datetimes."""
        whole = self.windows
        return {
            "since": self.since,
            "until": self.until,
            "complete": self.is_complete,
            "covered_share": self.covered_share,
            "complete_since": whole[-1].since if whole else None,
            "complete_until": whole[-1].until if whole else None,
            "settled_until": self.settled_until,
            "kept_since": self.kept_since,
            "verified_share": self.verified_share,
            "failing": list(self.failing),
            "streams": [_stream_as_json(each) for each in self.streams],
        }


def completeness(
    store: Store, query: Query, *, configured: Iterable[str] = (), now: datetime | None = None
) -> Completeness:
    """Return how complete the answer to a question is; `configured` are the names of the sources that there should be.

    A mapping tells the vendor of each too. One without that may be of any vendor.

    To be asked before the answer is read: what is stored in between can only add to it. The other way round, an answer
    would be called complete that misses what was stored after it.
    """
    with guarded(store.shown), store.engine.connect() as connection:
        query = named(connection, query)
    looks, states = store.sources(), store.streams()
    evidence = partial(_evidence, store)
    return completeness_of(query, looks, states, evidence, configured=configured, now=now or datetime.now(UTC))


def completeness_of(
    query: Query, looks: Iterable[SourceState], states: Sequence[StreamState], evidence: Callable[[Window], Evidence],
    *, configured: Iterable[str], now: datetime,
) -> Completeness:  # fmt: skip
    """Return how complete the answer to a question is, whose names are keys too, by what is known of the streams.

    `looks` are how the last look at each source went; `evidence` tells what is known of a window of time.
    """
    known = {look.source: look for look in looks}
    concerned = _concerned(query, states)
    failing = [name for name, look in known.items() if look.error and _is_asked(query, look.vendor, name)]
    failing += [state.source for state in concerned if state.error]
    vendors: Mapping[str, str | None] = configured if isinstance(configured, Mapping) else dict.fromkeys(configured)
    failing += [name for name, vendor in vendors.items() if name not in known and _is_asked(query, vendor, name)]
    starts = [state.wanted_since for state in concerned if state.wanted_since]
    since, until = query.since or min(starts, default=EPOCH), min(query.until or now, now)
    asked = Window(since, until) if until - since >= MILLISECOND else None
    streams = _answers(evidence(asked), concerned, asked) if asked else []
    return Completeness(query.since, query.until, asked, streams, sorted(set(failing)))


def _evidence(store: Store, asked: Window) -> Evidence:
    covered, gaps = extents(store)
    return Evidence(covered, gaps, all_verdicts(store, asked))


def _answers(evidence: Evidence, concerned: Sequence[StreamState], asked: Window) -> list[StreamAnswer]:
    covered, gaps, verdicts = evidence
    names = [(state.source, state.stream) for state in concerned]
    return [
        _answer(state, asked, covered.get(name, []), gaps.get(name, []), verdicts.get(name, []))
        for state, name in zip(concerned, names, strict=True)
    ]


def _answer(
    state: StreamState, asked: Window, covered: Sequence[Window], noted: Sequence[Gap], verdicts: Sequence[Verdict]
) -> StreamAnswer:
    """Return what a stream has of the asked time."""
    told = described(state, covered, noted)
    inside = [part for window in covered if (part := window.clip(asked))]
    missing = [gap._replace(window=part) for gap in told.gaps if (part := gap.window.clip(asked))]
    end = told.wanted.until if told.wanted else None
    # What lies after what has settled is no gap yet; before what is wanted, nobody looked.
    early = asked.before(told.wanted.since) if told.wanted else asked
    if early is not None:
        known = merge([*inside, *(gap.window for gap in missing)])
        for part in subtract(early, known):
            deleted = part.before(state.kept_since) if state.kept_since else None
            missing += [Gap(deleted, NOT_KEPT, None, 0, None)] if deleted else []
            never = part.after(state.kept_since) if state.kept_since else part
            missing += [Gap(never, NOT_WANTED, None, 0, None)] if never else []
    newest = [v for v in current(verdicts) if v.window.clip(asked)]
    differing = sum(verdict.outcome is Outcome.DIFFERS for verdict in newest)
    missing.sort(key=lambda gap: gap.window)
    return StreamAnswer(state, asked, inside, missing, agreed(inside, newest), differing, end)


def _concerned(query: Query, states: Sequence[StreamState]) -> list[StreamState]:
    """Return the streams whose events can be meant, as far as their names tell."""
    streams = [state for state in states if _is_asked(query, state.vendor, state.source)]
    wanted = query.wanted.get("stream")
    if wanted:
        streams = [state for state in streams if like(wanted)(state.log or state.stream)]
    if unwanted := query.unwanted.get("stream"):
        streams = [state for state in streams if not like(unwanted)(state.log or state.stream)]
    for part, name in enumerate(("project", "environment"), start=1):
        if values := query.wanted.get(name):
            fits = like(values)
            scopes = {state: _SCOPE.fullmatch(state.log or state.stream) for state in streams}
            streams = [s for s in streams if not (scope := scopes[s]) or fits(scope[part])]
    return streams


def _is_asked(query: Query, vendor: str | None, source: str) -> bool:
    """Return whether events of a source can be meant; of one whose vendor is not known, they can be of any."""
    for name, value in (("vendor", vendor), ("source", source)):
        if value is None:
            continue
        if name in query.wanted and not like(query.wanted[name])(value):
            return False
        if name in query.unwanted and like(query.unwanted[name])(value):
            return False
    return True


def _length(windows: Iterable[Window]) -> timedelta:
    return sum((window.length for window in windows), timedelta())


def _stream_as_json(each: StreamAnswer) -> dict[str, Any]:
    return {
        "source": each.state.source,
        "vendor": each.state.vendor,
        "stream": each.state.stream,
        "label": each.state.label,
        "covered_share": each.share,
        "coverage": [{"since": window.since, "until": window.until} for window in each.covered],
        "gaps": [
            {"since": gap.window.since, "until": gap.window.until, "reason": gap.reason, "permanent": gap.permanent}
            for gap in each.gaps
        ],
        "settled_until": each.settled_until,
        "verified_share": each.agreed / _length(each.covered) if each.covered else 0.0,
        "differing": each.differing,
        "error": each.state.error,
    }
