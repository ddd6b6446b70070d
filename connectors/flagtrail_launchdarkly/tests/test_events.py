"""What LaunchDarkly's records mean, told in flagtrail's schema."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flagtrail.errors import UnexpectedResponse
from flagtrail.event import Action, ActorKind, Event, Ref
from flagtrail_launchdarkly.events import audit_event, audit_id_and_ms, flag_event, flag_event_id_and_ms
from flagtrail_launchdarkly.vocabulary import EITHER, KINDS, SIGNIFICANCE, WORDS, meaning, most_significant

BASE = "https://app.launchdarkly.com"
ANA = {"_id": "5c0ffee00000000000000001", "email": "ana.silva@fernweh.example", "firstName": "Ana", "lastName": "Silva"}
FLAG = "proj/web:env/production:flag/checkout-v2"
ENTRY: dict[str, Any] = {
    "_links": {
        "self": {"href": "/api/v2/auditlog/68f0a1b29fe24c17b3000001", "type": "application/json"},
        "site": {"href": "/web/production/features/checkout-v2", "type": "text/html"},
    },
    "_id": "68f0a1b29fe24c17b3000001",
    "_accountId": "61f0c2a4b7d39e5508ac417b",
    "date": 1760600498123,
    "accesses": [{"action": "updateOn", "resource": f"{FLAG};payments,web"}],
    "kind": "flag",
    "name": "Checkout v2",
    "description": "",
    "shortDescription": "",
    "comment": "TRAVEL-4312",
    "member": ANA,
    "titleVerb": "turned on the flag",
    "title": "[Ana Silva](mailto:ana.silva@fernweh.example) turned on the flag [Checkout v2](x) in `Production`",
    "target": {"_links": {}, "name": "Checkout v2", "resources": [f"{FLAG};payments,web"]},
    "parent": {"_links": {}, "name": "Production", "resource": "proj/web:env/production"},
}
FLAG_EVENT: dict[str, Any] = {
    "id": "3f27f216-04e0-40da-8dbd-fb0e00004e3b",
    "projectId": "3598e6d92bbec90e8e79ab4a",
    "projectKey": "web",
    "environmentId": "17a683bcb95d11522c15e8d2",
    "environmentKey": "production",
    "flagKey": "checkout-v2",
    "eventType": "enabled_targeting",
    "eventTime": 1760600498123,
    "description": "Targeting enabled",
    "impact": {"size": "medium", "percentage": 50.0, "reason": "evaluations"},
    "auditLogEntryId": "68f0a1b29fe24c17b3000001",
    "member": {"id": ANA["_id"], "email": ANA["email"], "firstName": "Ana", "lastName": "Silva"},
    "actions": ["updateOn"],
}


# https://launchdarkly.com/docs/home/account/roles/role-actions, and four that only entries were seen with.
DOCUMENTED = """
    activateScimMember addExperimentToHoldout addReleasePipeline applyApprovalRequest approveDomainMatchedMember
    approvePendingRequest bypassRequiredApproval cloneFlag copyFlagConfigFrom copyFlagConfigTo createAIConfig
    createAIModelConfig createAccessToken createAgentGraph createAlert createAnnouncement createApplication
    createApplicationVersion createApprovalRequest createAssignmentDataSource createCodeRefsRepository
    createContextKind createDestination createDomainVerification createEnvironment createExperiment createFlag
    createFlagLink createHoldout createIntegration createIpAllowlistEntry createLayer createMember createMetric
    createMetricGroup createPendingRequest createProject createPromptSnippet createRelayAutoConfiguration
    createReleasePipeline createReleasePolicy createRole createSamlConfig createScimConfig createSegment createTeam
    createTemplate createTriggers createWebhook deactivateScimMember deleteAIConfig deleteAIConfigVariation
    deleteAIModelConfig deleteAccessToken deleteAccount deleteAccountToken deleteAgentGraph deleteAlert
    deleteAnnouncement deleteApplication deleteApplicationVersion deleteApprovalRequest deleteCodeRefsRepository
    deleteContextInstance deleteDestination deleteDomainVerification deleteEnvironment deleteFlag deleteFlagLink
    deleteIntegration deleteIpAllowlistEntry deleteMember deleteMetric deleteMetricGroup deleteProject
    deletePromptSnippet deleteRelayAutoConfiguration deleteReleasePipeline deleteReleasePolicy deleteRole
    deleteSamlConfig deleteScimConfig deleteSegment deleteSubscription deleteTeam deleteTemplate deleteTriggers
    deleteWebhook denyPendingRequest getPaymentCard importEventData linkSegmentToView manageFlagFollowers
    removeExperimentFromHoldout removeReleasePipeline replaceReleasePipeline resetAccessToken resetMemberMfa
    resetRelayAutoConfiguration reviewApprovalRequest revokeSessions sendMfaRecoveryCode sendMfaRequest
    stopMeasuredRolloutOnFlagFallthrough stopMeasuredRolloutOnFlagRule toggleFlag unlinkSegmentFromView
    updateAIConfig updateAIConfigVariation updateAccessTokenDescription updateAccessTokenExpiry
    updateAccessTokenName updateAccessTokenPolicy updateAccountOwner updateAccountToken updateAccountTokenLimit
    updateAgentGraph updateAlertConfiguration updateAlertOn updateAnalysisType updateAnnouncement updateApiKey
    updateApplicationDescription updateApplicationKind updateApplicationMaintainer updateApplicationVersionName
    updateApplicationVersionSupport updateApprovalRequest updateApprovalSettings updateArchived
    updateAssignmentDataSource updateAvailabilityForExperiments updateBasePermissions updateBillingContact
    updateClientSideFlagAvailability updateCodeRefsRepositoryBranches updateCodeRefsRepositoryConfiguration
    updateCodeRefsRepositoryName updateCodeRefsRepositoryOn updateColor updateConfiguration updateConfirmChanges
    updateContextKind updateCritical updateCustomRole updateDefaultClientSideAvailability
    updateDefaultReleasePipeline updateDefaultTrackEvents updateDeprecated updateDescription
    updateDomainVerification updateErrorStatus updateEventDefault updateEventKey updateExcluded updateExperiment
    updateExperimentArchived updateExpiringTargets updateFallthrough updateFallthroughWithMeasuredRollout
    updateFeatureWorkflows updateFlagConfigMigrationSettings updateFlagCustomProperties updateFlagDefaultVariations
    updateFlagLink updateFlagRuleDescription updateFlagSalt updateFlagVariations updateGlobalArchived
    updateHoldoutDescription updateHoldoutMethodology updateHoldoutName updateHoldoutRandomizationUnit
    updateHoldoutStatus updateIncludeInSnippet updateIncludeInSnippetByDefault updateIncluded
    updateIpAllowlistEnabled updateIpAllowlistEntry updateLayer updateLayerConfiguration updateLifecycleSettings
    updateMaintainer updateMeasuredRolloutConfiguration updateMemberRoleAttributes updateMembers
    updateMetricDenominator updateMetricGroupDescription updateMetricGroupMaintainer updateMetricGroupMetrics
    updateMetricGroupName updateMetricGroupTags updateMobileKey updateName updateNumeric updateNumericSuccess
    updateNumericUnit updateObservabilitySettings updateOffVariation updateOn updateOrganization updatePaymentCard
    updatePendingRequest updatePolicy updatePrerequisites updateProjectFlagDefaults updateProjectName
    updatePromptSnippet updateQuery updateRandomizationUnits updateRelayAutoConfigurationName
    updateRelayAutoConfigurationPolicy updateReleasePhaseStatus updateReleasePipelineDescription
    updateReleasePipelineName updateReleasePipelinePhase updateReleasePipelinePhaseName updateReleasePipelineTags
    updateReleasePolicy updateReleasePolicyRank updateRequireComments updateRequireMfa updateRole updateRules
    updateRulesWithMeasuredRollout updateSamlDecryptionEnabled updateSamlDefaultRole updateSamlEnabled
    updateSamlLogoutUrl updateSamlRequestSigningEnabled updateSamlRequireSso updateSamlSsoUrl
    updateSamlX509Certificate updateSamlX509KeystoreId updateScheduledChanges updateSecret updateSecureMode
    updateSelector updateSessionDuration updateSessionRefresh updateStatements updateSubscription updateTag
    updateTags updateTargets updateTeamCustomRoles updateTeamDescription updateTeamMembers updateTeamName
    updateTeamPermissionGrants updateTemporary updateTokens updateTrackEvents updateTriggers updateTtl
    updateUnitAggregationType updateUrl updateUrls updateVariationJsonSchema updateViewAssociationRequirements
    updateWindowOffset validateConnection viewError viewIpAllowlist viewLog viewPendingRequest viewProject
    viewSdkKey viewSession viewTeam viewTemplate viewTrace
"""


def entry(**changes: Any) -> Event:
    return audit_event({**ENTRY, **changes}, BASE)


def accesses(*actions: str) -> list[dict[str, str]]:
    return [{"action": action, "resource": FLAG} for action in actions]


def test_every_field_of_an_entry_lands_in_its_column() -> None:
    assert entry() == Event(
        vendor_id="68f0a1b29fe24c17b3000001",
        occurred_at=datetime(2025, 10, 16, 7, 41, 38, 123000, UTC),
        actor_kind=ActorKind.MEMBER,
        actor_id=ANA["_id"],
        actor_name="Ana Silva",
        actor_email="ana.silva@fernweh.example",
        action=Action.TURNED_ON,
        vendor_action="updateOn",
        object_kind="flag",
        object_key="checkout-v2",
        object_name="Checkout v2",
        project="web",
        environment="production",
        environment_name="Production",
        organization="61f0c2a4b7d39e5508ac417b",
        summary="turned on the flag Checkout v2 in Production",
        comment="TRAVEL-4312",
        url="https://app.launchdarkly.com/web/production/features/checkout-v2",
    )


def test_every_field_of_a_flag_event_lands_in_its_column() -> None:
    assert flag_event(FLAG_EVENT, BASE) == Event(
        vendor_id="3f27f216-04e0-40da-8dbd-fb0e00004e3b",
        occurred_at=datetime(2025, 10, 16, 7, 41, 38, 123000, UTC),
        actor_kind=ActorKind.MEMBER,
        actor_id=ANA["_id"],
        actor_name="Ana Silva",
        actor_email="ana.silva@fernweh.example",
        action=Action.TURNED_ON,
        vendor_action="enabled_targeting",
        object_kind="flag",
        object_key="checkout-v2",
        project="web",
        environment="production",
        summary="Targeting enabled",
        impact={"size": "medium", "percentage": 50.0, "reason": "evaluations"},
        related_event=Ref("audit_log", "68f0a1b29fe24c17b3000001"),
    )


@pytest.mark.parametrize("date", [1760600498123, "1760600498123", "2025-10-16T07:41:38.123Z", 1760600498123.0])
def test_a_date_is_understood_as_a_number_as_text_and_as_iso(date: Any) -> None:
    assert audit_id_and_ms({**ENTRY, "date": date}) == (ENTRY["_id"], 1760600498123)
    assert flag_event_id_and_ms({**FLAG_EVENT, "eventTime": date}) == (FLAG_EVENT["id"], 1760600498123)


@pytest.mark.parametrize("date", [None, True, "", "yesterday", -1, 10**18, "9" * 40, 1.5, [], float("nan")])
def test_a_record_without_a_usable_time_is_refused_in_one_line(date: Any) -> None:
    with pytest.raises(UnexpectedResponse, match=r"^LaunchDarkly shows an audit log entry .* usable date: .*$"):
        audit_event({**ENTRY, "date": date}, BASE)
    with pytest.raises(UnexpectedResponse, match=r"^LaunchDarkly shows a flag event .* usable eventTime: .*$"):
        flag_event({**FLAG_EVENT, "eventTime": date}, BASE)


@pytest.mark.parametrize("id_", [None, "", "  ", 7, "a\nb", "x\x00", "x" * 201])
def test_a_record_without_a_usable_id_is_refused_in_one_line(id_: Any) -> None:
    with pytest.raises(UnexpectedResponse, match=r"^LaunchDarkly shows an audit log entry without a usable _id: .*$"):
        audit_id_and_ms({**ENTRY, "_id": id_})


def test_something_that_is_no_object_is_refused() -> None:
    with pytest.raises(UnexpectedResponse, match="no JSON object"):
        audit_id_and_ms(["surprise"])


def test_a_member_who_uses_a_token_is_the_actor() -> None:
    event = entry(token={"_id": "t1", "name": "release pipeline"})
    assert (event.actor_kind, event.actor_name) == (ActorKind.MEMBER, "Ana Silva")


def test_a_token_without_a_member_is_the_actor() -> None:
    event = entry(member=None, token={"_id": "t1", "name": "terraform", "ending": "4c1d"})
    assert (event.actor_kind, event.actor_id, event.actor_name) == (ActorKind.TOKEN, "t1", "terraform")


def test_an_app_is_the_actor() -> None:
    event = entry(member=None, app={"_id": "abc==", "name": "Fernweh Identity", "isScim": True})
    assert (event.actor_kind, event.actor_id, event.actor_name) == (ActorKind.APP, "abc==", "Fernweh Identity")


def test_nobody_named_is_nobody_guessed() -> None:
    event = entry(member=None)
    assert (event.actor_kind, event.actor_id, event.actor_name) == (ActorKind.UNKNOWN, None, None)
    event = entry(member=None, subject={"_links": {}, "name": "Cleaner", "avatarUrl": ""})
    assert (event.actor_kind, event.actor_id, event.actor_name) == (ActorKind.UNKNOWN, None, "Cleaner")


def test_what_an_outside_tool_triggered_is_automation() -> None:
    event = entry(member=None, triggerBody={"eventName": "error rate", "url": "https://monitor.fernweh.example/7"})
    assert (event.actor_kind, event.actor_name) == (ActorKind.AUTOMATION, None)
    assert entry(triggerBody={"eventName": "error rate"}).actor_kind is ActorKind.MEMBER


def test_a_member_without_a_name_goes_by_the_e_mail_address() -> None:
    assert entry(member={**ANA, "firstName": "", "lastName": ""}).actor_name == "ana.silva@fernweh.example"
    assert entry(member={**ANA, "lastName": ""}).actor_name == "Ana"


@pytest.mark.parametrize(
    ("action", "verb", "meant"),
    [
        ("updateOn", "turned on the flag", Action.TURNED_ON),
        ("updateOn", "turned off the flag", Action.TURNED_OFF),
        ("updateOn", "enabled the webhook", Action.TURNED_ON),
        ("updateOn", "disabled the webhook", Action.TURNED_OFF),
        ("updateOn", "updated the flag", Action.TOGGLED),
        ("updateOn", "", Action.TOGGLED),
        ("updateGlobalArchived", "archived the flag", Action.ARCHIVED),
        ("updateGlobalArchived", "restored the flag", Action.RESTORED),
        ("updateGlobalArchived", "updated the flag", Action.TOGGLED),
        ("updateDeprecated", "deprecated the flag", Action.DEPRECATED),
        ("updateDeprecated", "", Action.TOGGLED),
        ("reviewApprovalRequest", "approved changes to the flag", Action.APPROVED),
        ("reviewApprovalRequest", "declined changes to the flag", Action.REJECTED),
        ("reviewApprovalRequest", "reviewed changes", Action.REVIEWED),
        ("createFlag", "", Action.CREATED),
        ("createTriggers", "", Action.SETTINGS_CHANGED),
        ("deleteFlag", "", Action.DELETED),
        ("deleteMember", "", Action.REMOVED),
        ("updateName", "", Action.RENAMED),
        ("updateReleasePipelineName", "", Action.RENAMED),
        ("updateTags", "", Action.TAGGED),
        ("updateTag", "", Action.TAGGED),
        ("updateDescription", "", Action.DESCRIBED),
        ("updateFallthrough", "", Action.ROLLOUT_CHANGED),
        ("updateFlagRuleDescription\t", "", Action.DESCRIBED),
        ("updateApiKey", "", Action.CREDENTIAL_ROTATED),
        ("viewSdkKey", "", Action.VIEWED),
        ("validateConnection", "", Action.TESTED),
        ("updateMaintainer", "", Action.TRANSFERRED),
        ("updateTeamMembers", "", Action.MEMBERS_CHANGED),
        ("resetMemberMfa", "", Action.CREDENTIAL_REVOKED),
        ("bypassRequiredApproval", "", Action.BYPASSED),
        ("updateSomethingNew", "", None),
        ("createSomethingOnAFlag", "", None),
        ("frobnicate", "", None),
        ("created", "", None),
    ],
)
def test_an_action_is_told_in_the_shared_vocabulary(action: str, verb: str, meant: Action | None) -> None:
    assert meaning(action, verb) == meant


def test_an_unknown_action_keeps_the_vendors_word() -> None:
    event = entry(accesses=accesses("projectHologram", "spinHologram"), kind="hologram", titleVerb="")
    assert (event.action, event.vendor_action) == ("projectHologram", "projectHologram,spinHologram")
    assert event.summary == "projectHologram the hologram Checkout v2 in Production"


def test_several_actions_are_all_kept_and_the_most_significant_one_is_the_action() -> None:
    event = entry(accesses=accesses("updateTags", "updateFallthrough", "updateOn", "updateTags"))
    assert (event.action, event.vendor_action) == (Action.TURNED_ON, "updateTags,updateFallthrough,updateOn")
    assert most_significant(["updateTags", "updateName"]) == Action.RENAMED
    assert most_significant(["updateOn", "updateGlobalArchived"], "archived the flag") == Action.ARCHIVED
    assert most_significant(["bypassRequiredApproval", "updateOn"], "turned off the flag") == Action.TURNED_OFF
    assert most_significant(["bypassRequiredApproval", "applyApprovalRequest"]) == Action.BYPASSED
    assert most_significant(["frobnicate", "updateTargets"]) == Action.TARGETING_CHANGED


def test_an_entry_without_actions_is_not_refused() -> None:
    event = entry(accesses=[])
    assert (event.action, event.vendor_action, event.object_key) == ("unknown", "", "checkout-v2")


def test_the_tables_name_each_action_once() -> None:
    words = [word for text in (*WORDS.values(), *(either.words for either in EITHER)) for word in text.split()]
    assert len(words) == len(set(words))
    decided = {action for either in EITHER for action in (either.undecided, *either.decided.values())}
    assert len(SIGNIFICANCE) == len(set(SIGNIFICANCE))
    assert set(SIGNIFICANCE) == decided | set(WORDS)


def test_every_action_that_is_documented_has_a_verb() -> None:
    assert len(DOCUMENTED.split()) == 272
    assert [word for word in DOCUMENTED.split() if meaning(word) is None] == []


@pytest.mark.parametrize("kind", ["service-token", "token"])
def test_a_kind_of_object_has_one_name_whatever_the_vendor_calls_it(kind: str) -> None:
    assert entry(kind=kind).object_kind == "access_token"
    told = entry(kind="", target=None, accesses=[{"action": "updateOrganization", "resource": "acct"}], titleVerb="")
    assert (told.object_kind, told.summary) == (
        "organization",
        "settings changed the organization Checkout v2 in Production",
    )
    assert entry(kind="hologram").object_kind == "hologram"
    assert len(KINDS) > 30


WEB = {"_links": {}, "name": "Web Shop", "resource": "proj/web"}


@pytest.mark.parametrize(
    ("resource", "name", "parent", "project", "environment"),
    [
        (FLAG, "Checkout v2", ENTRY["parent"], None, "Production"),
        ("proj/web", "Web Shop", None, "Web Shop", None),
        ("proj/web:env/production;eu", "Production", WEB, "Web Shop", "Production"),
        ("proj/web:env/production", "Production", None, None, "Production"),
        ("proj/web:metric/bookings", "Bookings", WEB, "Web Shop", None),
        (FLAG, "Checkout v2", {"name": "Test", "resource": "proj/web:env/test"}, None, None),
        (FLAG, "Checkout v2", {"name": "Test", "resource": None}, None, None),
        ("proj/*:env/*", "Everything", None, None, None),
        ("env/", "Nowhere", None, None, None),
    ],
)
def test_names_of_places_are_told_only_by_the_entry_itself_and_by_its_parent(
    resource: str, name: str, parent: Any, project: str | None, environment: str | None
) -> None:
    event = entry(name=name, target=None, accesses=[{"action": "updateTags", "resource": resource}], parent=parent)
    assert (event.project_name, event.environment_name) == (project, environment)


def test_a_change_in_several_environments_belongs_to_none_of_them() -> None:
    both = [f"proj/web:env/{place}:flag/checkout-v2" for place in ("test", "production")]
    event = entry(
        accesses=[{"action": "createFlag", "resource": resource} for resource in both],
        target={"name": "Checkout v2", "resources": both},
        parent=None,
        titleVerb="created the flag",
    )
    assert (event.project, event.environment, event.object_key) == ("web", None, "checkout-v2")
    assert event.summary == "created the flag Checkout v2"


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ("proj/web", ("web", "web", None)),
        ("proj/web;eu:env/test;qa", ("test", "web", "test")),
        ("proj/web:env/*:flag/map-view", ("map-view", "web", None)),
        ("member/5c0ffee0", ("5c0ffee0", None, None)),
        ("acct", (None, None, None)),
        ("proj/web:metric/bookings", ("bookings", "web", None)),
        ("proj/*:env/*;qa:/flag/x", ("x", None, None)),
        (":::", (None, None, None)),
    ],
)
def test_a_resource_specifier_tells_where_the_object_is(
    resource: str, place: tuple[str | None, str | None, str | None]
) -> None:
    event = entry(accesses=[{"action": "updateName", "resource": resource}], target=None)
    assert (event.object_key, event.project, event.environment) == place


def test_a_kind_that_is_missing_is_taken_from_the_specifier() -> None:
    assert entry(kind="").object_kind == "flag"


@pytest.mark.parametrize(
    "href",
    [
        "//evil.example/x",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/a b",
        "/a\nb",
        "",
        None,
        7,
    ],
)
def test_only_a_path_on_the_vendors_host_becomes_a_url(href: Any) -> None:
    assert entry(_links={"site": {"href": href}}).url is None


def test_a_blank_comment_is_none_and_a_summary_is_one_line() -> None:
    event = entry(comment=" ", name="Two\nlines", titleVerb="Created the flag")
    assert (event.comment, event.summary) == (None, "created the flag Two lines in Production")


def test_text_that_no_database_takes_is_replaced() -> None:
    assert entry(name="a\x00b\ud800").object_name == "a\ufffdb?"


def test_a_flag_event_of_an_unknown_type_is_understood_by_its_actions() -> None:
    event = flag_event({**FLAG_EVENT, "eventType": "updated_default_rule", "actions": ["updateFallthrough"]}, BASE)
    assert (event.action, event.vendor_action) == (Action.ROLLOUT_CHANGED, "updated_default_rule")
    assert flag_event({**FLAG_EVENT, "eventType": "danced", "actions": None}, BASE).action == "danced"


def test_a_flag_event_may_be_global_and_stand_alone() -> None:
    record = {key: value for key, value in FLAG_EVENT.items() if key not in ("environmentKey", "auditLogEntryId")}
    event = flag_event(record, BASE)
    assert (event.environment, event.related_event) == (None, None)


@pytest.mark.parametrize(
    ("impact", "provisional"),
    [
        ({"reason": "waiting"}, True),
        ({"reason": "evaluations", "size": "small"}, False),
        ({"reason": "global"}, False),
        ({"reason": ["waiting"]}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_flag_event_is_provisional_while_its_impact_is_measured(impact: Any, provisional: bool) -> None:
    assert flag_event({**FLAG_EVENT, "impact": impact}, BASE).provisional is provisional


def test_an_audit_entry_is_never_provisional() -> None:
    assert not entry(impact={"reason": "waiting"}).provisional


# The very first draw builds Hypothesis's tables of characters, which takes a second.
fuzz = settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@fuzz
@given(st.dictionaries(st.sampled_from(sorted({*ENTRY, "app", "token"} - {"_id", "date"})), anything))
def test_no_shape_of_an_entry_is_refused(changes: dict[str, Any]) -> None:
    record = {**ENTRY, **changes}
    assert audit_event(record, BASE) == audit_event(record, BASE)


@fuzz
@given(st.dictionaries(st.sampled_from(sorted(set(FLAG_EVENT) - {"id", "eventTime"})), anything))
def test_no_shape_of_a_flag_event_is_refused(changes: dict[str, Any]) -> None:
    assert flag_event({**FLAG_EVENT, **changes}, BASE).vendor_id == FLAG_EVENT["id"]


@fuzz
@given(anything, anything)
def test_no_shape_of_an_inner_object_is_refused(one: Any, other: Any) -> None:
    audit_event(
        {
            **ENTRY,
            "accesses": [one, {"action": one, "resource": other}],
            "member": {"_id": one, "email": other, "firstName": one, "lastName": other},
            "target": {"name": one, "resources": [other]},
            "parent": {"name": one, "resource": other},
            "_links": {"site": one},
        },
        BASE,
    )
