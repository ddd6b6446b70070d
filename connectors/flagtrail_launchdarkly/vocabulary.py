"""LaunchDarkly's words for what happened and to what, in flagtrail's vocabulary.

The tables are data, and documentation is made from them (`TERMS`). LaunchDarkly's list of actions is open and grows
(https://launchdarkly.com/docs/home/account/roles/role-actions). A word that no table has stays as it is, and is counted
in `flagtrail status`: `createTriggers` creates no flag though the entry is about one, so no form of a word is believed.
"""

from collections.abc import Iterable
from typing import NamedTuple

from flagtrail.event import Action, Term

WORDS: dict[Action, str] = {
    Action.ROLLOUT_CHANGED: """
        updateFallthrough updateFallthroughWithMeasuredRollout updateMeasuredRolloutConfiguration
        stopMeasuredRolloutOnFlagFallthrough stopMeasuredRolloutOnFlagRule updateReleasePhaseStatus updateFlagSalt""",
    Action.TARGETING_CHANGED: """
        updateRules updateRulesWithMeasuredRollout updateTargets updateExpiringTargets updatePrerequisites
        updateIncluded updateExcluded""",
    Action.VARIATION_CHANGED: """
        updateOffVariation updateFlagVariations updateFlagDefaultVariations updateVariationJsonSchema
        updateAIConfigVariation deleteAIConfigVariation""",
    Action.COPIED: "copyFlagConfigFrom copyFlagConfigTo cloneFlag",
    Action.SCHEDULED: "updateScheduledChanges updateFeatureWorkflows",
    Action.CREATED: """
        createFlag createSegment createEnvironment createProject createAIConfig createAIModelConfig createAccessToken
        createAgentGraph createAlert createApplication createAssignmentDataSource createCodeRefsRepository
        createContextKind createDestination createDomainVerification createExperiment createHoldout createIntegration
        createLayer createMetric createMetricGroup createPromptSnippet createRelayAutoConfiguration
        createReleasePipeline createReleasePolicy createRole createTeam createTemplate createWebhook""",
    Action.DELETED: """
        deleteFlag deleteSegment deleteEnvironment deleteProject deleteAIConfig deleteAIModelConfig deleteAccessToken
        deleteAccount deleteAgentGraph deleteAlert deleteApplication deleteCodeRefsRepository deleteDestination
        deleteDomainVerification deleteIntegration deleteMetric deleteMetricGroup deletePromptSnippet
        deleteRelayAutoConfiguration deleteReleasePipeline deleteReleasePolicy deleteRole deleteTeam deleteTemplate
        deleteWebhook""",
    Action.RENAMED: """
        updateName updateProjectName updateTeamName updateAccessTokenName updateCodeRefsRepositoryName updateHoldoutName
        updateMetricGroupName updateReleasePipelineName updateRelayAutoConfigurationName""",
    Action.DESCRIBED: """
        updateDescription updateFlagRuleDescription updateTeamDescription updateAccessTokenDescription
        updateApplicationDescription updateHoldoutDescription updateMetricGroupDescription
        updateReleasePipelineDescription""",
    Action.TAGGED: "updateTags updateTag updateMetricGroupTags updateReleasePipelineTags",
    Action.REORDERED: "updateReleasePolicyRank",
    Action.TRANSFERRED: """
        updateMaintainer updateApplicationMaintainer updateMetricGroupMaintainer updateAccountOwner""",
    Action.CONNECTED: "createFlagLink linkSegmentToView addExperimentToHoldout addReleasePipeline",
    Action.DISCONNECTED: "deleteFlagLink unlinkSegmentFromView removeExperimentFromHoldout removeReleasePipeline",
    Action.UPLOADED: "importEventData",
    Action.TESTED: "validateConnection",
    Action.REQUESTED: "createApprovalRequest createPendingRequest",
    Action.APPROVED: "approvePendingRequest approveDomainMatchedMember",
    Action.REJECTED: "denyPendingRequest",
    Action.APPLIED: "applyApprovalRequest",
    Action.BYPASSED: "bypassRequiredApproval",
    Action.CLOSED: "deleteApprovalRequest",
    Action.INVITED: "createMember",
    Action.NOTIFIED: "sendMfaRequest sendMfaRecoveryCode",
    Action.REMOVED: "deleteMember",
    Action.ACTIVATED: "activateScimMember",
    Action.DEACTIVATED: "deactivateScimMember",
    Action.ROLE_CHANGED: "updateRole updateCustomRole updateMemberRoleAttributes updateTeamCustomRoles",
    Action.PERMISSIONS_CHANGED: """
        updatePolicy updateBasePermissions updateTeamPermissionGrants updateAccessTokenPolicy
        updateRelayAutoConfigurationPolicy""",
    Action.MEMBERS_CHANGED: "updateTeamMembers updateMembers updateTokens",
    Action.CREDENTIAL_ROTATED: """
        updateApiKey updateMobileKey updateSecret updateAccountToken resetAccessToken resetRelayAutoConfiguration
        updateSamlX509Certificate updateSamlX509KeystoreId""",
    Action.CREDENTIAL_REVOKED: "revokeSessions resetMemberMfa deleteAccountToken",
    # What is made or deleted here is only a part of the object that the entry is about.
    Action.SETTINGS_CHANGED: """
        createTriggers deleteTriggers updateTriggers createAnnouncement deleteAnnouncement updateAnnouncement
        createSamlConfig deleteSamlConfig createScimConfig deleteScimConfig deleteSubscription updateSubscription
        updateAccountTokenLimit updateBillingContact updateOrganization updatePaymentCard updateRequireMfa
        updateSamlDecryptionEnabled updateSamlDefaultRole updateSamlEnabled updateSamlLogoutUrl
        updateSamlRequestSigningEnabled updateSamlRequireSso updateSamlSsoUrl updateSessionDuration
        updateSessionRefresh createIpAllowlistEntry deleteIpAllowlistEntry updateIpAllowlistEntry
        updateIpAllowlistEnabled updateDefaultClientSideAvailability updateDefaultReleasePipeline
        updateIncludeInSnippetByDefault updateProjectFlagDefaults updateViewAssociationRequirements
        updateLifecycleSettings updateObservabilitySettings updateApplicationKind updateCodeRefsRepositoryBranches
        updateCodeRefsRepositoryConfiguration updateAvailabilityForExperiments updateConfiguration
        updateApprovalSettings updateColor updateConfirmChanges updateCritical updateDefaultTrackEvents
        updateRequireComments updateSecureMode updateTtl updateLayerConfiguration updateClientSideFlagAvailability
        updateFlagConfigMigrationSettings updateFlagCustomProperties updateIncludeInSnippet updateTemporary
        updateTrackEvents manageFlagFollowers updateHoldoutMethodology updateHoldoutRandomizationUnit
        updateEventDefault updateEventKey updateNumeric updateNumericSuccess updateNumericUnit
        updateRandomizationUnits updateSelector updateUnitAggregationType updateUrls updateMetricDenominator
        updateWindowOffset updateAnalysisType updateAccessTokenExpiry updateAlertConfiguration updateQuery
        updateStatements updateUrl""",
    Action.UPDATED: """
        createApplicationVersion deleteApplicationVersion updateApplicationVersionName updateApplicationVersionSupport
        updateReleasePipelinePhase updateReleasePipelinePhaseName replaceReleasePipeline deleteContextInstance
        updateMetricGroupMetrics updateErrorStatus updateHoldoutStatus updateAIConfig updateAgentGraph
        updateApprovalRequest updateAssignmentDataSource updateContextKind updateDomainVerification updateExperiment
        updateFlagLink updateLayer updatePendingRequest updatePromptSnippet updateReleasePolicy""",
    Action.VIEWED: """
        getPaymentCard viewError viewIpAllowlist viewLog viewPendingRequest viewProject viewSdkKey viewSession viewTeam
        viewTemplate viewTrace""",
}
"""The actions that mean one thing."""


class Either(NamedTuple):
    """Actions that can mean opposite things: how the entry's `titleVerb` begins decides, if it does."""

    words: str
    undecided: Action
    decided: dict[str, Action]


EITHER = (
    Either(
        "updateOn toggleFlag updateAlertOn updateCodeRefsRepositoryOn",
        Action.TOGGLED,
        {
            "turned on": Action.TURNED_ON,
            "enabled": Action.TURNED_ON,
            "turned off": Action.TURNED_OFF,
            "disabled": Action.TURNED_OFF,
        },
    ),
    Either(
        "updateGlobalArchived updateArchived updateExperimentArchived",
        Action.TOGGLED,
        {"archived": Action.ARCHIVED, "restored": Action.RESTORED, "unarchived": Action.RESTORED},
    ),
    Either(
        "updateDeprecated",
        Action.TOGGLED,
        {"deprecated": Action.DEPRECATED, "restored": Action.RESTORED, "undeprecated": Action.RESTORED},
    ),
    Either(
        "reviewApprovalRequest",
        Action.REVIEWED,
        {"approved": Action.APPROVED, "declined": Action.REJECTED, "commented": Action.COMMENTED},
    ),
)

SIGNIFICANCE: tuple[Action, ...] = (
    # What may have broken production, the surest first.
    Action.TURNED_ON,
    Action.TURNED_OFF,
    Action.CREATED,
    Action.DELETED,
    Action.ARCHIVED,
    Action.RESTORED,
    Action.DEPRECATED,
    Action.TOGGLED,
    Action.ROLLOUT_CHANGED,
    Action.TARGETING_CHANGED,
    Action.VARIATION_CHANGED,
    Action.COPIED,
    # What an auditor asks for.
    Action.BYPASSED,
    Action.APPLIED,
    Action.APPROVED,
    Action.REJECTED,
    Action.REVIEWED,
    Action.REQUESTED,
    Action.SCHEDULED,
    Action.CLOSED,
    Action.CREDENTIAL_REVOKED,
    Action.CREDENTIAL_ROTATED,
    Action.PERMISSIONS_CHANGED,
    Action.ROLE_CHANGED,
    Action.MEMBERS_CHANGED,
    Action.REMOVED,
    Action.DEACTIVATED,
    Action.ACTIVATED,
    Action.INVITED,
    Action.TRANSFERRED,
    # The rest.
    Action.CONNECTED,
    Action.DISCONNECTED,
    Action.SETTINGS_CHANGED,
    Action.RENAMED,
    Action.UPDATED,
    Action.REORDERED,
    Action.DESCRIBED,
    Action.TAGGED,
    Action.COMMENTED,
    Action.UPLOADED,
    Action.NOTIFIED,
    Action.TESTED,
    Action.VIEWED,
)
"""Of an entry with several actions, the one that is earliest here counts."""

EVENT_TYPES: dict[str, Action] = {
    "enabled_targeting": Action.TURNED_ON,
    "disabled_targeting": Action.TURNED_OFF,
}
"""The `eventType` of flag events, as far as it is documented, and its opposite; the others are told by `actions`."""

_SAME = """
    flag segment environment project member team role webhook integration destination metric experiment holdout layer
    application template view alert error log session trace domain"""
KINDS: dict[str, str] = {word: word for word in _SAME.split()} | {
    "acct": "organization",
    "account": "organization",
    "proj": "project",
    "env": "environment",
    "token": "access_token",
    "service-token": "access_token",
    "domain-verification": "domain",
    "code-reference-repository": "code_reference_repository",
    "relay-proxy-config": "proxy",
    "metric-group": "metric_group",
    "context-kind": "context_kind",
    "release-pipeline": "release_pipeline",
    "release-policy": "release_policy",
    "pending-request": "pending_request",
    "request": "pending_request",
    "ip-allowlist": "ip_allowlist",
    "aiconfig": "ai_config",
    "ai-model-config": "ai_model_config",
    "agent-graphs": "agent_graph",
    "prompt-snippet": "prompt_snippet",
    "assignment-data-source": "assignment_data_source",
}
"""LaunchDarkly's kinds of resources, as entries or resource specifiers name them."""

_BY_WORD = {word: action for action, words in WORDS.items() for word in words.split()}
_EITHER = {word: either for either in EITHER for word in either.words.split()}
_RANK = {action: rank for rank, action in enumerate(SIGNIFICANCE)}


def meaning(word: str, title_verb: str = "") -> Action | None:
    """Return what one of LaunchDarkly's actions means, or None when no table tells."""
    word = word.strip()  # a stray tab was seen in a published payload
    either = _EITHER.get(word)
    if either is None:
        return _BY_WORD.get(word)
    begins = f"{title_verb.strip().lower()} "
    return next(
        (action for start, action in either.decided.items() if begins.startswith(f"{start} ")), either.undecided
    )


def most_significant(words: Iterable[str], title_verb: str = "") -> Action | None:
    """Return the meaning of an entry with these actions, or None when nothing tells."""
    meant = [action for word in words if (action := meaning(word, title_verb)) is not None]
    return min(meant, key=_RANK.__getitem__, default=None)


def kind_of(word: str | None) -> str | None:
    """Return the kind of object that one of LaunchDarkly's words names; one that no table has stays as it is."""
    return KINDS.get(word, word) if word else None


def _terms() -> Iterable[Term]:
    for action in Action:
        yield from (Term(word, action) for word in WORDS.get(action, "").split())
    for either in EITHER:
        for word in either.words.split():
            yield Term(word, either.undecided)
            for start, action in either.decided.items():
                yield Term(word, action, when=f"`titleVerb` begins with `{start}`")
    yield from (Term(word, action, "flag", "`eventType` of a flag event") for word, action in EVENT_TYPES.items())
    yield from (Term(word, object_kind=kind) for word, kind in KINDS.items())


TERMS = tuple(_terms())
"""All of it as a list."""
