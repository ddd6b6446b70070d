"""LaunchDarkly's words for what happened, in flagtrail's vocabulary.

The tables are data, so that documentation can be made from them. LaunchDarkly's list of actions is open and grows
(https://launchdarkly.com/docs/home/account/roles/role-actions), so rules catch what the tables do not name, and a word
that no rule knows stays as it is.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from flagtrail.event import Action

WORDS: dict[Action, str] = {
    Action.TOGGLED: "updateOn toggleFlag updateAlertOn updateCodeRefsRepositoryOn",
    Action.ROLLOUT_CHANGED: """
        updateFallthrough updateFallthroughWithMeasuredRollout updateMeasuredRolloutConfiguration
        stopMeasuredRolloutOnFlagFallthrough stopMeasuredRolloutOnFlagRule updateReleasePhaseStatus""",
    Action.TARGETING_CHANGED: """
        updateRules updateRulesWithMeasuredRollout updateTargets updateExpiringTargets updatePrerequisites
        updateFlagRuleDescription updateIncluded updateExcluded""",
    Action.VARIATION_CHANGED: """
        updateOffVariation updateFlagVariations updateFlagDefaultVariations updateVariationJsonSchema
        updateAIConfigVariation deleteAIConfigVariation""",
    Action.ARCHIVED: "updateGlobalArchived updateArchived updateExperimentArchived",
    Action.DEPRECATED: "updateDeprecated",
    Action.SCHEDULED: "updateScheduledChanges updateFeatureWorkflows",
    Action.COPIED: "copyFlagConfigFrom copyFlagConfigTo cloneFlag",
    Action.REQUESTED: "createApprovalRequest createPendingRequest sendMfaRequest sendMfaRecoveryCode",
    Action.APPROVED: "approvePendingRequest approveDomainMatchedMember",
    Action.REJECTED: "denyPendingRequest",
    Action.APPLIED: "applyApprovalRequest bypassRequiredApproval",
    Action.CLOSED: "deleteApprovalRequest",
    Action.INVITED: "createMember",
    Action.REMOVED: "deleteMember",
    Action.ACTIVATED: "activateScimMember",
    Action.DEACTIVATED: "deactivateScimMember revokeSessions",
    Action.ROLE_CHANGED: "updateRole updateCustomRole updateMemberRoleAttributes updateTeamCustomRoles",
    Action.PERMISSIONS_CHANGED: """
        updatePolicy updateBasePermissions updateMembers updateTokens updateTeamPermissionGrants updateAccessTokenPolicy
        updateRelayAutoConfigurationPolicy updateAccountOwner""",
    Action.CREDENTIAL_ROTATED: """
        updateApiKey updateMobileKey updateSecret resetAccessToken resetRelayAutoConfiguration resetMemberMfa
        updateSamlX509Certificate updateSamlX509KeystoreId""",
    Action.CONNECTED: """
        createFlagLink linkSegmentToView addExperimentToHoldout addReleasePipeline validateConnection""",
    Action.DISCONNECTED: "deleteFlagLink unlinkSegmentFromView removeExperimentFromHoldout removeReleasePipeline",
    Action.UPLOADED: "importEventData",
    Action.REORDERED: "updateReleasePolicyRank",
    # What is made or deleted here is only a part of the object that the entry is about.
    Action.UPDATED: """
        createApplicationVersion deleteApplicationVersion updateApplicationVersionName updateApplicationVersionSupport
        updateReleasePipelinePhase updateReleasePipelinePhaseName replaceReleasePipeline deleteContextInstance
        reviewApprovalRequest updateTeamMembers updateMetricGroupMetrics updateErrorStatus updateHoldoutStatus""",
    Action.SETTINGS_CHANGED: """
        createTriggers deleteTriggers updateTriggers createAnnouncement deleteAnnouncement updateAnnouncement
        createSamlConfig deleteSamlConfig createScimConfig deleteScimConfig deleteSubscription updateSubscription
        updateAccountToken deleteAccountToken updateAccountTokenLimit updateBillingContact updateOrganization
        updatePaymentCard updateRequireMfa updateSamlDecryptionEnabled updateSamlDefaultRole updateSamlEnabled
        updateSamlLogoutUrl updateSamlRequestSigningEnabled updateSamlRequireSso updateSamlSsoUrl updateSessionDuration
        updateSessionRefresh createIpAllowlistEntry deleteIpAllowlistEntry updateIpAllowlistEntry
        updateIpAllowlistEnabled updateDefaultClientSideAvailability updateDefaultReleasePipeline
        updateIncludeInSnippetByDefault updateProjectFlagDefaults updateViewAssociationRequirements
        updateLifecycleSettings updateObservabilitySettings updateApplicationKind updateApplicationMaintainer
        updateCodeRefsRepositoryBranches updateCodeRefsRepositoryConfiguration updateAvailabilityForExperiments
        updateConfiguration updateApprovalSettings updateColor updateConfirmChanges updateCritical
        updateDefaultTrackEvents updateRequireComments updateSecureMode updateTtl updateLayerConfiguration
        updateClientSideFlagAvailability updateFlagConfigMigrationSettings updateFlagCustomProperties
        updateIncludeInSnippet updateTemporary updateFlagSalt updateTrackEvents updateMaintainer manageFlagFollowers
        updateHoldoutMethodology updateHoldoutRandomizationUnit updateEventDefault updateEventKey updateNumeric
        updateNumericSuccess updateNumericUnit updateRandomizationUnits updateSelector updateUnitAggregationType
        updateUrls updateMetricDenominator updateWindowOffset updateAnalysisType updateMetricGroupMaintainer
        updateAccessTokenExpiry updateAlertConfiguration updateQuery updateStatements updateUrl""",
}
"""The actions that do not follow the rules below."""

RULES: tuple[tuple[str, Action], ...] = (
    (r"(view|get)[A-Z].*", Action.VIEWED),
    (r"create[A-Z].*", Action.CREATED),
    (r"delete[A-Z].*", Action.DELETED),
    (r"update([A-Z]\w*)?Name", Action.RENAMED),
    (r"update([A-Z]\w*)?Description", Action.DESCRIBED),
    (r"update([A-Z]\w*)?Tags?", Action.TAGGED),
    (r"update[A-Z].*", Action.UPDATED),
)
"""How an action that is in no table is understood; the first rule that fits counts."""

VERBS: dict[str, tuple[tuple[str, Action], ...]] = {
    Action.TOGGLED: (
        ("turned on ", Action.TURNED_ON),
        ("enabled ", Action.TURNED_ON),
        ("turned off ", Action.TURNED_OFF),
        ("disabled ", Action.TURNED_OFF),
    ),
    Action.ARCHIVED: (("restored ", Action.RESTORED), ("unarchived ", Action.RESTORED)),
    Action.DEPRECATED: (("restored ", Action.RESTORED), ("undeprecated ", Action.RESTORED)),
    "reviewApprovalRequest": (
        ("approved ", Action.APPROVED),
        ("declined ", Action.REJECTED),
        ("commented ", Action.COMMENTED),
    ),
}
"""Actions that can mean opposite things: how the entry's `titleVerb` begins decides."""

SIGNIFICANCE: tuple[Action, ...] = (
    Action.TURNED_ON,
    Action.TURNED_OFF,
    Action.TOGGLED,
    Action.CREATED,
    Action.DELETED,
    Action.ARCHIVED,
    Action.RESTORED,
    Action.DEPRECATED,
    Action.ROLLOUT_CHANGED,
    Action.TARGETING_CHANGED,
    Action.VARIATION_CHANGED,
    Action.APPLIED,
    Action.APPROVED,
    Action.REJECTED,
    Action.REQUESTED,
    Action.SCHEDULED,
    Action.COPIED,
    Action.CREDENTIAL_ROTATED,
    Action.PERMISSIONS_CHANGED,
    Action.ROLE_CHANGED,
)
"""Of an entry with several actions, the one that is earliest here counts; then the others, in the vendor's order."""

EVENT_TYPES: dict[str, Action] = {
    "enabled_targeting": Action.TURNED_ON,
    "disabled_targeting": Action.TURNED_OFF,
}
"""The `eventType` of flag events, as far as it is documented."""

_BY_WORD = {word: action for action, words in WORDS.items() for word in words.split()}
_RANK = {action: rank for rank, action in enumerate(SIGNIFICANCE)}


def meaning(word: str, title_verb: str = "") -> Action | None:
    """Return what one of LaunchDarkly's actions means, or None when nothing tells."""
    word = word.strip()  # a stray tab was seen in a published payload
    action = _BY_WORD.get(word) or _ruled(word)
    begins = f"{title_verb.strip().lower()} "
    for start, decided in VERBS.get(word) or VERBS.get(action or "", ()):
        if begins.startswith(start):
            return decided
    return action


@lru_cache(maxsize=1024)
def _ruled(word: str) -> Action | None:
    """Return what the first rule makes of a word that the tables do not name."""
    return next((action for pattern, action in RULES if re.fullmatch(pattern, word)), None)


def most_significant(words: Iterable[str], title_verb: str = "") -> Action | None:
    """Return the meaning of an entry with these actions, or None when nothing tells."""
    meant = [action for word in words if (action := meaning(word, title_verb)) is not None]
    return min(meant, key=lambda action: _RANK.get(action, len(_RANK)), default=None)
