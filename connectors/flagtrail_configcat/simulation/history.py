"""A believable history for the simulated ConfigCat: what people change, how often, and how ConfigCat words it.

Nothing here is taken from anybody's log: the people, flags and reasons are Fernweh Travel's.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple
from uuid import UUID

from flagtrail.testing.cast import FLAGS, PEOPLE, REASONS, Person, working_moments
from flagtrail_configcat.simulation.account import Organization, Place, Product

ARROW = "➔"
Generations = Literal["both", "old", "new"]
Scope = Literal["organization", "product", "environment", "config", "setting"]


@dataclass(frozen=True, slots=True)
class Item:
    """What was changed, by whom, and why: an audit log item without its id and time.

    `change_set` belongs to the old generation of items, `model_version` to the new one: the other is None. Nobody
    (`who` is None) means that ConfigCat acted by itself.
    """

    kind: str
    text: str
    place: Place
    target: str
    details: str = ""
    truncated: bool = False
    who: Person | None = None
    why: str | None = None
    change_set: str | None = None
    model_version: int | None = 1


class Recipe(NamedTuple):
    """One kind of item: how often it happens, where, and what is named as its target."""

    weight: int
    kind: str
    text: str
    scope: Scope
    target: str
    details: str = ""
    automatic: bool = False


SETTING_VALUE = Recipe(1000, "settingValueChanged", "Changed the value of a feature flag", "setting", "flag")
RECIPES = (
    SETTING_VALUE,
    Recipe(60, "settingCreated", "Created a new feature flag", "config", "flag", "Type: On/Off Toggle"),
    Recipe(30, "settingChanged", "Changed a feature flag", "config", "flag", "Hint: Ask {who} first ➔ See TRAVEL-4312"),
    Recipe(18, "settingDeleted", "Deleted a feature flag", "config", "flag"),
    Recipe(8, "settingsReordered", "Reordered the feature flags", "config", "config"),
    Recipe(12, "settingTagAdded", "Added a tag to a feature flag", "config", "flag", "Tag: {tag}"),
    Recipe(6, "settingTagRemoved", "Removed a tag from a feature flag", "config", "flag", "Tag: {tag}"),
    Recipe(4, "predefinedVariationsChanged", "Changed the predefined variations", "config", "flag"),
    Recipe(20, "segmentChanged", "Changed a segment", "product", "segment", "Comparison value: DE, AT ➔ DE, AT, CH"),
    Recipe(10, "segmentCreated", "Created a new segment", "product", "segment"),
    Recipe(3, "segmentDeleted", "Deleted a segment", "product", "segment"),
    Recipe(5, "tagAdded", "Added a new tag", "product", "tag", "Color: panther ➔ koala"),
    Recipe(3, "tagRemoved", "Removed a tag", "product", "tag"),
    Recipe(8, "configCreated", "Created a new config", "product", "new config"),
    Recipe(4, "configChanged", "Changed a config", "config", "config", "Name: Bezahlung ➔ Payments"),
    Recipe(4, "environmentCreated", "Created a new environment", "product", "preview"),
    Recipe(4, "environmentChanged", "Changed an environment", "environment", "environment", "Reason required: ✕ ➔ ✓"),
    Recipe(2, "environmentDeleted", "Deleted an environment", "product", "preview"),
    Recipe(2, "productChanged", "Changed a product", "product", "product"),
    Recipe(6, "productPreferencesUpdated", "Updated the product preferences", "product", "product"),
    Recipe(14, "teamMemberInvited", "Invited a team member", "product", "person", "Permission group: {group}"),
    Recipe(12, "teamMemberJoined", "A team member joined", "product", "person"),
    Recipe(10, "teamMemberPermissionGroupChanged", "Changed a team member's permission group", "product", "person"),
    Recipe(5, "teamMemberRemoved", "Removed a team member", "product", "person"),
    Recipe(8, "permissionGroupChanged", "Changed a permission group", "product", "group", "Can delete a flag: ✓ ➔ ✕"),
    Recipe(4, "permissionGroupCreated", "Created a new permission group", "product", "group"),
    Recipe(8, "webHookCreated", "Created a new webhook", "setting", "webhook"),
    Recipe(8, "webHookChanged", "Changed a webhook", "setting", "webhook"),
    Recipe(5, "webHookDeleted", "Deleted a webhook", "setting", "webhook"),
    Recipe(6, "apiKeyAdded", "Added an SDK key", "setting", "environment"),
    Recipe(4, "apiKeyRemoved", "Removed an SDK key", "setting", "environment"),
    Recipe(5, "integrationAdded", "Added an integration", "product", "integration"),
    Recipe(3, "integrationRemoved", "Removed an integration", "product", "integration"),
    Recipe(24, "changeRequestCreated", "Created a change request", "setting", "request"),
    Recipe(20, "changeRequestApproved", "Approved a change request", "setting", "request"),
    Recipe(18, "changeRequestApplied", "Applied a change request", "setting", "request"),
    Recipe(8, "changeRequestAppliedOnSchedule", "Applied a change request on schedule", "setting", "request", "", True),
    Recipe(6, "changeRequestCommentAdded", "Commented on a change request", "setting", "request"),
    Recipe(6, "organizationMemberJoined", "A member joined the organization", "organization", "person"),
    Recipe(4, "organizationMemberRemoved", "Removed a member from the organization", "organization", "person"),
    Recipe(4, "syncUserDeleted", "Deleted a synchronized user", "organization", "person", "", True),
    Recipe(4, "publicApiAccessTokenAdded", "Added Public API credentials", "organization", "credentials"),
    Recipe(6, "codeReferencesUploaded", "Uploaded code references", "config", "config", "", True),
)
UNKNOWN = (
    Recipe(2, "settingRolloutPaused", "Paused a rollout", "setting", "flag"),
    Recipe(1, "holdoutGroupCreated", "Created a holdout group", "product", "segment"),
)
POOLS: dict[str, tuple[str, ...]] = {
    "new config": ("Search", "Loyalty"),
    "preview": ("Preview 12", "Preview 31", "Lasttest"),
    "segment": ("Beta testers", "DACH travellers", "Vielflieger", "Staff", "東京オフィス"),
    "tag": ("ops", "experiment", "sunset-2027", "größer"),
    "group": ("Administrators", "Developers", "Support (read only)"),
    "webhook": ("https://hooks.fernweh.example/flags", "https://status.fernweh.example/in?from=configcat"),
    "integration": ("Slack #releases", "Datadog", "Jira"),
    "request": ("Launch express pay", "Roll back search-reranker", "Größere Sitzpläne für alle", "Friday clean-up"),
    "credentials": ("flagtrail", "terraform"),
}
KEYS = tuple(flag.replace("-", "_") for flag in FLAGS)
NUMBERS = ("search_page_size", "checkout_timeout_seconds", "fare_cache_minutes")
TEXTS = ("banner_text", "newsletter_subject")
WORDS = ("Sommer in Lissabon", "Nur heute: 20 % günstiger", "夏の旅", "Früh buchen, weit reisen", "")


class History:
    """Makes items for one organization. The same seed makes the same items in the same order."""

    def __init__(self, organization: Organization, rng: random.Random, *, unknown: bool, nobody: bool) -> None:
        self.organization = organization
        self._rng = rng
        recipes = RECIPES + (UNKNOWN if unknown else ())
        self._recipes = [each for each in recipes if nobody or not each.automatic]
        self._weights = [each.weight for each in self._recipes]

    def save(self, size: int = 1, *, old: bool = False) -> Iterator[Item]:
        """Yield the items of one save: one of any kind, or several changed values that share a change set."""
        recipe = self._rng.choices(self._recipes, self._weights)[0] if size == 1 else SETTING_VALUE
        place = self._place(recipe.scope)
        who = None if recipe.automatic else self._rng.choice(PEOPLE)
        why = self._rng.choice(REASONS) if recipe.scope == "setting" and self._rng.random() < 0.45 else None
        change_set = self._change_set() if old else None
        version = None if old else self._rng.randint(1, 4)
        for _ in range(size):
            target, details, truncated = self._change(recipe, place, who, version)
            yield Item(
                recipe.kind, recipe.text, place, target, details, truncated, who, why, change_set, version
            )  # fmt: skip

    def past(
        self, count: int, days: float, end_ms: int, plan: random.Random, generations: Generations
    ) -> Iterator[tuple[int, Item]]:
        """Yield `count` items with their time in ms, oldest first but for two scripts at the end.

        `plan` makes the times and sizes, so that the items themselves do not depend on the time of day.
        """
        scripts = [plan.randint(120, 150) for _ in range(2)] if count >= 600 else []
        saves: list[int] = []
        left = count - sum(scripts)
        while left > 0:
            saves.append(min(left, 1 if plan.random() < 0.97 else plan.randint(2, 6)))
            left -= saves[-1]
        moments = working_moments(len(saves) + len(scripts), days, end_ms, plan)
        starts = [moments.pop(len(moments) * (i + 1) // 4) for i in range(len(scripts))]
        turn = {"both": moments[len(moments) // 2] if moments else 0, "old": end_ms + 1, "new": 0}[generations]
        for ms, size in zip(moments, saves, strict=True):
            for item in self.save(size, old=ms < turn):
                yield ms, item
        for start, size in zip(starts, scripts, strict=True):
            # Just before the whole second, so that nothing of it lies in the future.
            offsets = sorted(plan.randrange(1, 1001) for _ in range(size))
            yield from zip(
                (start // 1000 * 1000 - each for each in offsets), self.script(size, old=start < turn), strict=True
            )

    def script(self, size: int, *, old: bool = False) -> Iterator[Item]:
        """Yield what a script does with one person's credentials within a second: a flag per market."""
        place = self._place("config")
        who = self._rng.choice(PEOPLE)
        for i in range(size):
            market = ("de", "pt", "jp", "br", "no", "tr")[i % 6]
            key = f"{KEYS[i // 6 % len(KEYS)]}_{market}"
            item = Item("settingCreated", "Created a new feature flag", place, key, f"\r\n{key}", who=who)
            yield replace(item, change_set=self._change_set(), model_version=None) if old else item

    def _change_set(self) -> str:
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    def _place(self, scope: Scope) -> Place:
        if scope == "organization":
            return Place(self.organization)
        product: Product = self._rng.choice(self.organization.products)
        config = self._rng.choice(product.configs) if scope in ("config", "setting") else None
        environments = product.environments if scope in ("environment", "setting") else ()
        environment = self._rng.choices(environments, range(len(environments), 0, -1))[0] if environments else None
        return Place(self.organization, product, config, environment)

    def _change(self, recipe: Recipe, place: Place, who: Person | None, version: int | None) -> tuple[str, str, bool]:
        if recipe.kind == "settingValueChanged":
            make = self._rng.choices(VALUES, VALUE_WEIGHTS)[0] if version is None or version < 4 else compared
            return make(self._rng)
        target = self._target(recipe.target, place)
        details = recipe.details.format(
            who=who.first if who else "us", tag=self._rng.choice(POOLS["tag"]), group=self._rng.choice(POOLS["group"])
        )
        return target, f"\r\n{details}" if details else "", False

    def _target(self, name: str, place: Place) -> str:
        if name == "flag":
            return self._rng.choice(KEYS)
        if name == "person":
            return self._rng.choice(PEOPLE).email
        part = {"product": place.product, "config": place.config, "environment": place.environment}.get(name)
        return part.name if part else self._rng.choice(POOLS[name])


# One changed value, in each of the forms that `details` may take: (key, details, truncated).


def switched(rng: random.Random) -> tuple[str, str, bool]:
    """Return a boolean flag that was turned on or off."""
    key, on = rng.choice(KEYS), rng.random() < 0.6
    return key, f"\r\n{key}: {'false' if on else 'true'} {ARROW} {'true' if on else 'false'}", False


def counted(rng: random.Random) -> tuple[str, str, bool]:
    """Return a number that was changed."""
    key = rng.choice(NUMBERS)
    return key, f"\r\n{key}: {rng.randint(5, 60)} {ARROW} {rng.choice((7.5, 30, 90))}", False


def worded(rng: random.Random) -> tuple[str, str, bool]:
    """Return a text that was changed."""
    key, (before, after) = rng.choice(TEXTS), rng.sample(WORDS, 2)
    return key, f"\r\n{key}: {before} {ARROW} {after}", False


def rolled_out(rng: random.Random) -> tuple[str, str, bool]:
    """Return a percentage rollout that went a step further."""
    key, step = rng.choice(KEYS), rng.choice((5, 10, 25, 50))
    rows = [f"- {step}% true", f"- {100 - step}% false", f"+ {min(2 * step, 99)}% true"]
    lines = [f"{key}:", "  Rollout percentage items changed:", *(f"    {row}" for row in rows)]
    return key, "\r\n" + "\r\n".join(lines), False


def targeted(rng: random.Random) -> tuple[str, str, bool]:
    """Return a targeting rule that was added."""
    key, segment = rng.choice(KEYS), rng.choice(POOLS["segment"])
    return key, f"\r\n{key}:\r\n  Targeting rules changed:\r\n    + IF User IS IN SEGMENT {segment} THEN true", False


def too_long(rng: random.Random) -> tuple[str, str, bool]:
    """Return a change of many rules whose description was shortened."""
    key, _, _ = targeted(rng)
    rules = "".join(f"\r\n    + IF Email ENDS WITH @partner-{i}.example THEN true" for i in range(40))
    return key, f"\r\n{key}: false {ARROW} true\r\n  Targeting rules changed:{rules}"[:1000] + "…", True


def compared(rng: random.Random) -> tuple[str, str, bool]:
    """Return a change in a structured form, as newer model versions may describe it."""
    key, on = rng.choice(KEYS), rng.random() < 0.5
    states = [f'"{name}":{{"value":{str(value).lower()}}}' for name, value in (("before", not on), ("after", on))]
    return key, f'{{"settingKey":"{key}",{",".join(states)}}}', False


Value = Callable[[random.Random], tuple[str, str, bool]]
VALUES: tuple[Value, ...] = (switched, counted, worded, rolled_out, targeted, too_long)
VALUE_WEIGHTS = (55, 8, 6, 18, 10, 3)
