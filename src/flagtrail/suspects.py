"""Ranks changes by how likely each is what was noticed at a moment, and says why.

What is known of a change adds or takes points, each by one named factor; a point doubles the suspicion. No factor
decides alone, and none is hidden: whoever doubts a rank adds up what stands beside it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import log2
from typing import Any, NamedTuple

from flagtrail.effects import Effect, effect_of, is_production
from flagtrail.rollouts import few_targets, puts_back, step_of
from flagtrail.when import spoken

Row = Mapping[str, Any]

HALF = timedelta(minutes=5)  # after which nearness is worth half of what it was, then after twice as long
SLACK = timedelta(minutes=1)  # how far the clocks of vendors and of those who look at graphs may differ
REVERSAL = timedelta(hours=1)  # within which a change that is put back was a mistake rather than a plan
ONE_SAVE = timedelta(seconds=1)  # within which one person can only have saved once
BULK = 8  # changes of one save from which on it is routine
BUSY = 5  # changes in LOOKBACK from which on an object is changed all the time
LOOKBACK = timedelta(days=30)
KNOWN_LONG = timedelta(days=7)  # of covered past, without which nothing is said to be rare


class Factor(NamedTuple):
    """One reason for more or less suspicion: how many points, and what they are for."""

    points: float
    means: str


FACTORS: dict[str, Factor] = {
    "nearness": Factor(-1.75, "for each doubling of the time that passed until the moment, beginning with 5 minutes"),
    "after": Factor(-6.0, "it was made more than a minute after the moment, and can only be meant if clocks differ"),
    "served": Factor(3.0, "this kind of change alters what users get"),
    "no effect": Factor(-4.0, "this kind of change alters nothing for users: names, tags, requests, people"),
    "production": Factor(2.0, "by its name, users are in the environment"),
    "elsewhere": Factor(-4.0, "by its name, the environment is for testing"),
    "everywhere": Factor(1.0, "it belongs to no single environment"),
    "large impact": Factor(2.5, "the vendor measured that most of what is served changed"),
    "medium impact": Factor(1.0, "the vendor measured that a good part of what is served changed"),
    "small impact": Factor(-0.5, "the vendor measured that little of what is served changed"),
    "no impact": Factor(-2.0, "the vendor measured that nothing else is served than before"),
    "step": Factor(0.8, "for each doubling of the share of users that a rollout moved, less below 30 %"),
    "few targets": Factor(-2.0, "it is about a few named targets only"),
    "undone": Factor(3.0, "it was put back soon after the moment: somebody's own answer to the incident"),
    "undone early": Factor(0.5, "it was put back before the moment, which may have been noticed late"),
    "undoes": Factor(-1.5, "it puts back what was there an hour before, or less"),
    "first": Factor(0.5, "the object was not changed for 30 days before"),
    "busy": Factor(-0.7, "for each doubling of the changes of the object in 30 days, beginning with 5"),
    "automation": Factor(-1.5, "a token, an app or the vendor did it: most such changes are routine"),
    "bulk": Factor(-1.5, "it is one of many changes of one save"),
}
"""Every factor with its points: the whole model. A point doubles the suspicion."""


class Reason(NamedTuple):
    """What one factor says about one change."""

    factor: str
    points: float
    text: str


class Past(NamedTuple):
    """How often an object was changed in the time before, and how much of that time is known."""

    changes: int
    known: timedelta


@dataclass(frozen=True, slots=True)
class Suspect:
    """A change that may be the cause: its event, its points, why, and what else was saved with it.

    `after` is how long after the moment it was made; negative before, as it should be.
    """

    row: Row
    after: timedelta
    score: float
    reasons: Sequence[Reason]
    saved_with: Sequence[Row] = field(default_factory=tuple)

    @property
    def why(self) -> str:
        """The reasons in short phrases: what speaks for it, the weightiest first, then what speaks against it."""
        said = sorted((one for one in self.reasons if one.text), key=lambda one: -abs(one.points))
        speaking = [one.text for one in said if one.points >= 0]
        against = [one.text for one in said if one.points < 0]
        return ", ".join([*speaking, *(f"but {against[0]}" for _ in against[:1]), *against[1:]])

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "score": self.score,
            "seconds_after": self.after.total_seconds(),
            "why": self.why,
            "reasons": [reason._asdict() for reason in self.reasons],
            "event": {name: value for name, value in self.row.items() if name != "number"},
            "saved_with": [row["id"] for row in self.saved_with],
        }


class Scene(NamedTuple):
    """What a change is judged by besides itself: the moment, what else happened, and the past of each object."""

    moment: datetime
    environment: str | None
    others: Mapping[tuple[Any, ...], Sequence[Row]]
    past: Callable[[Row], Past | None]
    together: int


def ranked(
    rows: Iterable[Row],
    moment: datetime,
    *,
    others: Iterable[Row] = (),
    past: Callable[[Row], Past | None] = lambda row: None,
    environment: str | None = None,
) -> list[Suspect]:
    """Return changes as suspects, the likeliest first; several of one save are one suspect.

    `rows` are events as `query.events` gives them, `others` those around them by which reversals are known, `past`
    tells how often an object was changed before. `environment` is the one that was asked for, which then counts not.
    """
    found = list(rows)
    of_object: dict[tuple[Any, ...], list[Row]] = {}
    for row in {row["id"]: row for row in [*found, *others]}.values():
        of_object.setdefault(object_of(row), []).append(row)
    suspects = []
    for save in saves(found):
        scene = Scene(moment, environment, of_object, past, len(save))
        judged = sorted((_suspect(row, scene) for row in save), key=_rank)
        rest = tuple(one.row for one in judged[1:])
        suspects.append(Suspect(judged[0].row, judged[0].after, judged[0].score, judged[0].reasons, rest))
    return sorted(suspects, key=_rank)


def object_of(row: Row) -> tuple[Any, ...]:
    """Return what tells one object in one environment from all others."""
    named = row["object_key"] or row["object_name"]
    return row["source"], row["project"], row["location"], row["environment"], row["object_kind"], named


def saves(rows: Iterable[Row]) -> list[list[Row]]:
    """Return changes by the save that they were made with, as the vendor groups them, or one person in one second."""
    found: list[list[Row]] = []
    latest: dict[tuple[Any, ...], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["occurred_at"], row["id"])):
        who = row["actor_email"] or row["actor_id"] or row["actor_name"]
        if row["change_set"]:
            key: tuple[Any, ...] = (row["source"], row["change_set"])
            save = latest.get(key)
        elif who:
            key = (row["source"], who, row["action"], row["environment"])
            save = latest.get(key)
            if save and row["occurred_at"] - save[-1]["occurred_at"] > ONE_SAVE:
                save = None
        else:
            key, save = (row["id"],), None
        if save is None:
            save = latest[key] = []
            found.append(save)
        save.append(row)
    return found


def _rank(suspect: Suspect) -> tuple[float, timedelta, str]:
    return -suspect.score, abs(suspect.after), suspect.row["id"]


def _suspect(row: Row, scene: Scene) -> Suspect:
    reasons = [reason for judge in JUDGES for reason in judge(row, scene)]
    after = row["occurred_at"] - scene.moment
    return Suspect(row, after, round(sum(reason.points for reason in reasons), 2), reasons)


def _reason(factor: str, text: str, times: float = 1.0) -> Reason:
    return Reason(factor, round(FACTORS[factor].points * times, 2), text)


def _time(row: Row, scene: Scene) -> Iterator[Reason]:
    after = row["occurred_at"] - scene.moment
    yield _reason("nearness", "", log2(1 + abs(after) / HALF))
    if after > SLACK:
        yield _reason("after", "made after the moment")


def _kind(row: Row, scene: Scene) -> Iterator[Reason]:
    effect = effect_of(row["action"], row["object_kind"])
    if effect is Effect.SERVED:
        yield _reason("served", "changes what users get")
    elif effect is Effect.NONE:
        yield _reason("no effect", "this kind changes nothing for users")


def _place(row: Row, scene: Scene) -> Iterator[Reason]:
    name = row["environment"]
    if scene.environment is not None:
        return
    if name is None:
        if effect_of(row["action"], row["object_kind"]) is Effect.SERVED:
            yield _reason("everywhere", "in no single environment")
    elif (known := is_production(name)) is not None:
        yield _reason("production" if known else "elsewhere", f"in {name}")


def _impact(row: Row, scene: Scene) -> Iterator[Reason]:
    impact = row["impact"] or {}
    size = impact.get("size")
    if size in ("none", "small", "medium", "large"):
        share = impact.get("percentage")
        told = f" ({share:g} %)" if isinstance(share, int | float) and size != "none" else ""
        name = f"{'no' if size == 'none' else size} impact"
        yield _reason(name, f"{name} measured{told}")
    elif impact.get("reason") == "waiting":
        yield Reason("impact", 0.0, "impact not measured yet")


def _step(row: Row, scene: Scene) -> Iterator[Reason]:
    step = step_of(row["changes"] or ())
    if step:
        yield _reason("step", f"moves {step:.0%} of users", min(1.5, max(-3.0, log2(step / 0.3))))
    elif few_targets(row["changes"] or ()):
        yield _reason("few targets", "a few named targets only")


def _reversal(row: Row, scene: Scene) -> Iterator[Reason]:
    at = row["occurred_at"]
    others = [other for other in scene.others.get(object_of(row), ()) if abs(other["occurred_at"] - at) <= REVERSAL]
    back = min((o["occurred_at"] for o in others if o["occurred_at"] > at and puts_back(row, o)), default=None)
    if back is not None and back >= scene.moment:
        yield _reason("undone", f"put back {spoken(back - scene.moment)} after the moment")
    elif back is not None:
        yield _reason("undone early", f"put back {spoken(back - at)} later")
    done = max((o["occurred_at"] for o in others if o["occurred_at"] < at and puts_back(o, row)), default=None)
    if done is not None:
        yield _reason("undoes", f"puts back what was {spoken(at - done)} before")


def _habit(row: Row, scene: Scene) -> Iterator[Reason]:
    past = scene.past(row)
    if past is None:
        return
    if past.changes > BUSY:
        days = max(1, round(past.known / timedelta(days=1)))
        yield _reason("busy", f"changed {past.changes} times in {days} days", min(4.0, log2(past.changes / BUSY)))
    elif past.changes == 0 and past.known >= KNOWN_LONG:
        yield _reason("first", f"its first change in {past.known.days} days")


def _actor(row: Row, scene: Scene) -> Iterator[Reason]:
    if row["actor_kind"] in ("token", "app", "system"):
        yield _reason("automation", "done by an automation")
    if scene.together >= BULK:
        yield _reason("bulk", f"one of {scene.together} of one save")


JUDGES = (_time, _kind, _place, _impact, _step, _reversal, _habit, _actor)


def describe() -> str:
    """Return the factors as a Markdown table, which docs/incidents.md holds."""
    lines = ["| factor | points | |", "|---|---|---|"]
    lines += [f"| {name} | {factor.points:+g} | {factor.means} |" for name, factor in FACTORS.items()]
    return "\n".join(lines) + "\n"
