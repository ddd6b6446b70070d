"""The changes at Fernweh Travel that are not about flags, as a table; words in braces are filled in for each."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Chore(NamedTuple):
    """One sort of change: what is done to what, and how LaunchDarkly tells it."""

    kind: str
    actions: tuple[str, ...]
    verb: str
    resource: str
    names: tuple[str, ...]
    description: str = ""
    site: str = ""
    canonical: str = ""
    by_scim: bool = False
    extra: Mapping[str, Any] | None = None


SEGMENT = "proj/{project}:env/{environment}:segment/{key}"
ENVIRONMENT = "proj/{project}:env/{environment}"
MEMBER = "member/{member}"
SEGMENTS = ("Beta guides", "Frequent flyers", "Staff", "Partner agencies", "Équipe produit")
SEGMENT_SITE = "/{project}/{environment}/segments/{key}"
SETTINGS_SITE = "/settings/projects"
ENVIRONMENT_API = "/api/v2/projects/{project}/environments/{environment}"
MEMBER_SITE = "/settings/members/{member}/permissions"
MEMBER_API = "/api/v2/members/{member}"
HOOKS = ("https://hooks.fernweh.example/flags", "https://chat.fernweh.example/launches")
METRICS = ("Bookings completed", "Search latency", "Checkout errors")
METRIC = "proj/{project}:metric/{key}"
METRIC_API = "/api/v2/metrics/{project}/{key}"
TOKENS = ("Terraform", "Nightly report", "Release pipeline")
TEAMS = ("Payments", "Growth", "Mobile squad")
WEBHOOK_SITE = "/settings/integrations/webhooks/{id}/edit"

CHORES = (
    Chore("segment", ("createSegment",), "created the segment", SEGMENT, SEGMENTS, site=SEGMENT_SITE),
    Chore(
        "segment",
        ("updateIncluded",),
        "updated the segment",
        SEGMENT + ";backend,growth",
        SEGMENTS,
        "* Added the included user `guide\\-{percent}`\n",
        SEGMENT_SITE,
    ),
    Chore(
        "segment",
        ("updateRules",),
        "updated the segment",
        SEGMENT,
        SEGMENTS,
        "* Added the rule \n    > **If** `user` `country` **is one of** `PT`  \n    **include** `{percent}% of user`\n",
        SEGMENT_SITE,
    ),
    Chore(
        "environment",
        ("updateName",),
        "changed the name of",
        ENVIRONMENT,
        ("{environment_name}",),
        "- Changed the name from ~~{environment_name} (old)~~ to *{environment_name}*",
        SETTINGS_SITE,
        ENVIRONMENT_API,
    ),
    Chore(
        "environment",
        ("updateApiKey",),
        "updated the environment",
        ENVIRONMENT,
        ("{environment_name}",),
        "* Reset the SDK key\n",
        SETTINGS_SITE,
        ENVIRONMENT_API,
    ),
    Chore(
        "environment",
        ("updateColor", "updateTags"),
        "updated the environment",
        ENVIRONMENT,
        ("{environment_name}",),
        "* Changed the color from ~~`#417505`~~ to `#7b42bc`\n\n* Added tag `eu`\n",
        SETTINGS_SITE,
        ENVIRONMENT_API,
    ),
    Chore(
        "project",
        ("updateProjectName",),
        "updated the project",
        "proj/{project}",
        ("{project_name}",),
        "* Changed the name to *{project_name}*\n",
        SETTINGS_SITE,
        "/api/v2/projects/{project}",
    ),
    Chore(
        "project",
        ("updateDefaultClientSideAvailability",),
        "updated the project",
        "proj/{project};web",
        ("{project_name}",),
        "* Changed new flags to be hidden from client\\-side SDKs\n",
        SETTINGS_SITE,
        "/api/v2/projects/{project}",
    ),
    Chore("member", ("createMember",), "invited the member", MEMBER, ("{person}",), "", MEMBER_SITE, MEMBER_API),
    Chore(
        "member",
        ("updateRole",),
        "updated the member",
        MEMBER,
        ("{person}",),
        "* Changed the role from ~~reader~~ to *writer*\n",
        MEMBER_SITE,
        MEMBER_API,
    ),
    Chore(
        "member",
        ("deactivateScimMember",),
        "deactivated the member",
        MEMBER,
        ("{person}",),
        "* Deactivated the member\n",
        MEMBER_SITE,
        MEMBER_API,
        by_scim=True,
    ),
    Chore(
        "member",
        ("activateScimMember",),
        "activated the member",
        MEMBER,
        ("{person}",),
        "* Activated the member\n",
        MEMBER_SITE,
        MEMBER_API,
        by_scim=True,
    ),
    Chore("webhook", ("createWebhook",), "created the webhook", "webhook/{id}", HOOKS, site=WEBHOOK_SITE),
    Chore("webhook", ("updateOn",), "enabled the webhook", "webhook/{id}", HOOKS, site=WEBHOOK_SITE),
    Chore("metric", ("createMetric",), "created the metric", METRIC, METRICS, canonical=METRIC_API),
    Chore("metric", ("updateEventKey",), "updated the metric", METRIC, METRICS, canonical=METRIC_API),
    Chore("service-token", ("createAccessToken",), "created the access token", "service-token/{id}", TOKENS),
    Chore("service-token", ("resetAccessToken",), "reset the access token", "service-token/{id}", TOKENS),
    Chore("team", ("updateTeamMembers",), "updated the team", "team/{key}", TEAMS, "* Added {person} to the team\n"),
    Chore(
        "experiment",
        ("updateExperiment",),
        "started an iteration of the experiment",
        "proj/{project}:env/production:experiment/{key}",
        ("Seat map test", "Price alerts test"),
        extra={"relatedExperiment": {"key": "seat-map-test"}},
    ),
)
"""What happens every week."""

ODDITIES = (
    Chore("hologram", ("projectHologram",), "projected the hologram", "proj/{project}:hologram/{key}", ("Aurora 🛸",)),
    Chore(
        "flag", ("recalibrateFlag",), "recalibrated the flag", "proj/{project}:env/test:flag/map-view", ("Map view",)
    ),
    Chore("", ("updateSomething",), "", "acct", ("",), extra={"subject": None, "confidence": 0.7}),
    Chore(
        "environment",
        ("deleteEnvironment",),
        "deleted the environment",
        "proj/{project}:env/preview-{percent}",
        ("Preview {percent}",),
        site=SETTINGS_SITE,
        extra={
            "subject": {"_links": {}, "name": "Cleaner", "avatarUrl": ""},
            "triggerBody": {"eventName": "preview closed"},
            "merge": None,
            "futureKey": ["Grüezi", 1, {"deep": None}],
        },
    ),
)
"""What this version of flagtrail has never heard of, or what is hardly ever seen."""
