"""What happens at Fernweh Travel: flags rolled out and switched off, people who come and go, keys rotated."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flagtrail.testing.cast import FLAGS, PEOPLE, REASONS
from flagtrail_launchdarkly.simulation.account import (
    MEMBERS,
    NAMELESS,
    NOBODY,
    PIPELINE,
    SCIM,
    TERRAFORM,
    Environment,
    Project,
    Who,
    made_up_id,
)
from flagtrail_launchdarkly.simulation.chores import CHORES, ODDITIES, Chore
from flagtrail_launchdarkly.simulation.entries import Change, Effect
from flagtrail_launchdarkly.simulation.statements import Access

TAGS = ("payments", "growth", "mobile-squad", "core,reviewed", "experiment")
MOST_FLAGS = 120
STEPS = (0, 5, 25, 50, 100)  # percent of a rollout


@dataclass(slots=True)
class Flag:
    """One flag, and how it stands in each environment."""

    project: Project
    key: str
    tags: str = ""
    on: dict[str, bool] = field(default_factory=dict)
    step: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call the flag."""
        return self.key.replace("-", " ").capitalize()

    def resource(self, environment: str) -> str:
        """Return the flag's resource specifier in an environment, with its tags."""
        tags = f";{self.tags}" if self.tags else ""
        return f"proj/{self.project.key}:env/{environment}:flag/{self.key}{tags}"


class History:
    """Makes up one change after the other; what it tells fits to what it told before."""

    def __init__(self, projects: Sequence[Project], rng: random.Random) -> None:
        self.rng = rng
        self.projects = list(projects)
        self.flags = [
            Flag(self.projects[i % len(self.projects)], key, rng.choice(("", "", *TAGS))) for i, key in enumerate(FLAGS)
        ]
        self._accesses: dict[tuple[Access, ...], tuple[Access, ...]] = {}

    def impact(self) -> tuple[Change, Effect]:
        """Return a change of a flag's targeting that shows in its evaluations."""
        flag, environment = self._flag_somewhere()
        roll = self.rng.random()
        if roll < 0.4 or not flag.on.get(environment.key):
            return self._toggled(flag, environment)
        if roll < 0.65:
            return self._rolled_out(flag, environment)
        return self._retargeted(flag, environment)

    def other(self) -> Change:
        """Return a change that no flag event tells of."""
        roll = self.rng.random()
        if roll < 0.30:
            return self.impact()[0]
        if roll < 0.52:
            return self._flag_kept()
        if roll < 0.97:
            return self._chore(self.rng.choice(CHORES))
        return self._chore(self.rng.choice(ODDITIES))

    def burst(self, count: int) -> list[Change]:
        """Return changes of one bulk action: Terraform or the API touches many flags at once."""
        action, verb, description = self.rng.choice(
            (
                ("updateTags", "updated the flag", "* Added tag `q3\\-review`\n"),
                ("updateGlobalArchived", "archived the flag", ""),
                ("updateMaintainer", "updated the flag", "* Changed the maintainer\n"),
            )
        )
        changes = []
        for i in range(count):
            flag = self.flags[i % len(self.flags)]
            environment = flag.project.environments[i // len(self.flags) % len(flag.project.environments)]
            changes.append(self._flag_change(flag, environment, (action,), verb, description, who=TERRAFORM))
        return changes

    def _who(self) -> Who:
        roll = self.rng.random()
        if roll < 0.82:
            return self.rng.choice(MEMBERS)
        return PIPELINE if roll < 0.88 else TERRAFORM if roll < 0.96 else NAMELESS if roll < 0.98 else NOBODY

    def _comment(self) -> str | None:
        return self.rng.choice(REASONS) if self.rng.random() < 0.6 else ""

    def _flag_somewhere(self) -> tuple[Flag, Environment]:
        flag = self.rng.choice(self.flags)
        environments = flag.project.environments
        return flag, environments[0] if self.rng.random() < 0.5 else self.rng.choice(environments)

    def _flag_change(
        self,
        flag: Flag,
        environment: Environment | None,
        actions: Sequence[str],
        verb: str,
        description: str = "",
        who: Who | None = None,
        comment: str | None = None,
    ) -> Change:
        """Return a change of a flag in one environment, or in all of them."""
        places = [environment] if environment else flag.project.environments
        accesses = tuple((action, flag.resource(place.key)) for place in places for action in actions)
        return Change(
            kind="flag",
            name=flag.name,
            accesses=self._accesses.setdefault(accesses, accesses),
            verb=verb,
            description=description,
            comment=comment,
            who=self._who() if who is None else who,
            environment=environment.name if environment else None,
            site=f"/{flag.project.key}/{environment.key if environment else '~'}/features/{flag.key}",
            canonical=f"/api/v2/flags/{flag.project.key}/{flag.key}",
        )

    def _effect(self, flag: Flag, place: Environment, change: Change, event_type: str, swing: float) -> Effect:
        actions = tuple(dict.fromkeys(action for action, _ in change.accesses))
        what = {"enabled_targeting": "Targeting enabled", "disabled_targeting": "Targeting disabled"}
        description = what.get(event_type, event_type.replace("_", " ").capitalize())
        experiment = f"{flag.key}-test" if flag.tags == "experiment" else None
        return Effect(
            flag.project.key, place.key, flag.key, event_type, actions, description, swing, change.who, experiment
        )

    def _toggled(self, flag: Flag, place: Environment) -> tuple[Change, Effect]:
        on = flag.on[place.key] = not flag.on.get(place.key, False)
        verb = "turned on the flag" if on else "turned off the flag"
        step = flag.step.setdefault(place.key, 1)
        # The first time, the rollout is set in the same save.
        actions = ("updateOn", "updateFallthrough") if on and self.rng.random() < 0.15 else ("updateOn",)
        change = self._flag_change(flag, place, actions, verb, comment=self._comment())
        event_type = "enabled_targeting" if on else "disabled_targeting"
        return change, self._effect(flag, place, change, event_type, STEPS[step] / 100)

    def _rolled_out(self, flag: Flag, place: Environment) -> tuple[Change, Effect]:
        before = flag.step.get(place.key, 1)
        after = flag.step[place.key] = (before + 1) % len(STEPS) if self.rng.random() < 0.8 else max(0, before - 1)
        description = (
            f"* Changed the default rollout from ~~{STEPS[before]}%~~ to {STEPS[after]}% `true`\n"
            if before != after
            else "* Changed the rollout to bucket by `user` `key`\n"
        )
        change = self._flag_change(
            flag, place, ("updateFallthrough",), "updated the flag", description, comment=self._comment()
        )
        swing = abs(STEPS[after] - STEPS[before]) / 100
        return change, self._effect(flag, place, change, "updated_default_rule", swing)

    def _retargeted(self, flag: Flag, place: Environment) -> tuple[Change, Effect]:
        city = self.rng.choice(("Zürich", "Lisboa", "大阪", "Oslo", "Kraków"))
        action, event_type, description = self.rng.choice(
            (
                (
                    "updateRules",
                    "updated_rule",
                    f"* Added the rule \n    > **If** `user` `city` **is one of** `{city}`  \n    **serve** `true`\n",
                ),
                ("updateTargets", "updated_targets", f"* Added `guide\\-{self.rng.randint(100, 999)}` to `true`\n"),
                ("updateOffVariation", "updated_off_variation", "* Changed the off variation to `false`\n"),
                (
                    "updatePrerequisites",
                    "updated_prerequisites",
                    f"* Added the prerequisite `{self.rng.choice(FLAGS)}`: `true`\n",
                ),
            )
        )
        change = self._flag_change(flag, place, (action,), "updated the flag", description, comment=self._comment())
        return change, self._effect(flag, place, change, event_type, self.rng.choice((0.0, 0.02, 0.12, 0.35, 0.9)))

    def _flag_kept(self) -> Change:
        """Return a change of a flag itself: made, named, tagged, approved, archived."""
        stories: tuple[Callable[[], Change], ...] = (self._created, self._retagged, self._renamed, self._reviewed)
        return self.rng.choice(stories)()

    def _created(self) -> Change:
        if len(self.flags) >= MOST_FLAGS:
            flag = self.flags.pop(self.rng.randrange(len(FLAGS), len(self.flags)))
            return self._flag_change(flag, None, ("deleteFlag",), "deleted the flag", comment="Clean-up after launch")
        key = f"{self.rng.choice(FLAGS)}-{self.rng.choice(('v4', 'holdback', 'summer', 'audit', 'beta'))}"
        flag = Flag(self.rng.choice(self.projects), f"{key}-{self.rng.randint(10, 99)}", self.rng.choice(("", *TAGS)))
        self.flags.append(flag)
        return self._flag_change(flag, None, ("createFlag",), "created the flag")

    def _retagged(self) -> Change:
        flag, _ = self._flag_somewhere()
        flag.tags = self.rng.choice(("", *TAGS))
        description = f"* Changed the tags to `{flag.tags}`\n" if flag.tags else "* Removed all tags\n"
        return self._flag_change(flag, None, ("updateTags",), "updated the flag", description, comment=self._comment())

    def _renamed(self) -> Change:
        flag, _ = self._flag_somewhere()
        action, description = self.rng.choice(
            (
                ("updateName", f"* Changed the name from ~~{flag.name} (old)~~ to *{flag.name}*\n"),
                ("updateDescription", "* Changed the description\n"),
                ("updateMaintainer", f"* Changed the maintainer to {self.rng.choice(PEOPLE).name}\n"),
                ("updateTemporary", "* Marked the flag as permanent\n"),
            )
        )
        return self._flag_change(flag, None, (action,), "updated the flag", description, comment="")

    def _reviewed(self) -> Change:
        flag, place = self._flag_somewhere()
        action, verb = self.rng.choice(
            (
                ("createApprovalRequest", "requested approval for changes to the flag"),
                ("reviewApprovalRequest", "approved changes to the flag"),
                ("reviewApprovalRequest", "declined changes to the flag"),
                ("applyApprovalRequest", "applied approved changes to the flag"),
                ("updateScheduledChanges", "scheduled changes to the flag"),
                ("copyFlagConfigTo", "copied targeting to the flag"),
                ("updateGlobalArchived", "archived the flag"),
            )
        )
        return self._flag_change(flag, place, (action,), verb, comment=self._comment())

    def _chore(self, chore: Chore) -> Change:
        """Return a change of something other than a flag."""
        project = self.rng.choice(self.projects)
        place = self.rng.choice(project.environments)
        person = self.rng.choice(PEOPLE)
        name = self.rng.choice(chore.names)
        words: dict[str, Any] = {
            "project": project.key,
            "project_name": project.name,
            "environment": place.key,
            "environment_name": place.name,
            "person": person.name,
            "member": made_up_id("member", person.email),
            "name": name,
            "key": name.encode("ascii", "ignore").decode().strip().lower().replace(" ", "-"),
            "id": made_up_id(chore.kind, name),
            "percent": self.rng.choice((10, 25, 60)),
        }
        accesses = tuple((action, chore.resource.format_map(words)) for action in chore.actions)
        return Change(
            kind=chore.kind,
            name=name.format_map(words),
            accesses=self._accesses.setdefault(accesses, accesses),
            verb=chore.verb,
            description=chore.description.format_map(words),
            comment=None if chore.by_scim or chore.verb.startswith("created") else self._comment(),
            who=SCIM if chore.by_scim else self._who(),
            site=chore.site.format_map(words) or None,
            canonical=chore.canonical.format_map(words) or None,
            extra=chore.extra,
        )
