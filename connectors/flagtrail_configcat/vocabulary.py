"""What each of ConfigCat's audit log types means in flagtrail's words.

The list holds the 117 values of `AuditLogType` in ConfigCat's OpenAPI document of August 2026, and four that older
documents name. It grew seven times in two years, so a type that is not here is normal: it keeps the vendor's word.
"""

from typing import NamedTuple

from flagtrail.event import Action as A  # noqa: N817 - the table below is read more often than this line
from flagtrail.event import Term

VALUE_CHANGED = "settingValueChanged"
ON_SCHEDULE = "changeRequestAppliedOnSchedule"


class Meaning(NamedTuple):
    """What was done, and to what kind of object."""

    action: A
    object_kind: str


_BY_KIND: dict[str, dict[str, A]] = {
    "flag": {
        "settingCreated": A.CREATED,
        "settingChanged": A.UPDATED,
        "settingDeleted": A.DELETED,
        "settingsReordered": A.REORDERED,
        "settingValueChanged": A.VALUE_CHANGED,
        "settingTagAdded": A.TAGGED,
        "settingTagRemoved": A.TAGGED,
        "predefinedVariationsChanged": A.VARIATION_CHANGED,
        "settingConvertedToPredefinedVariations": A.VARIATION_CHANGED,
        "settingConvertedToFreeFormValues": A.VARIATION_CHANGED,
    },
    "change_request": {
        "changeRequestCreated": A.REQUESTED,
        "changeRequestUpdated": A.UPDATED,
        "changeRequestSettingValuesUpdated": A.UPDATED,
        "changeRequestSettingValueRebased": A.UPDATED,
        "changeRequestSettingDeleted": A.UPDATED,
        "changeRequestApproved": A.APPROVED,
        "changeRequestApprovalDismissed": A.DISMISSED,
        "changeRequestApplied": A.APPLIED,
        "changeRequestAppliedOnSchedule": A.APPLIED,
        "changeRequestClosed": A.CLOSED,
        "changeRequestNeedsAttention": A.UPDATED,
        "changeRequestNeedsAttentionFixed": A.UPDATED,
        "changeRequestOwnershipClaimed": A.TRANSFERRED,
        "changeRequestCommentAdded": A.COMMENTED,
        "changeRequestCommentEdited": A.COMMENTED,
        "changeRequestCommentDeleted": A.UPDATED,  # the comment is gone, the request is not
    },
    "project": {  # ConfigCat calls it a product
        "productCreated": A.CREATED,
        "productChanged": A.UPDATED,
        "productDeleted": A.DELETED,
        "productsReordered": A.REORDERED,
        "productPreferencesUpdated": A.SETTINGS_CHANGED,
        "productOwnershipTransferred": A.TRANSFERRED,  # no longer in the list since 2026
    },
    "config": {
        "configCreated": A.CREATED,
        "configChanged": A.UPDATED,
        "configDeleted": A.DELETED,
        "configsReordered": A.REORDERED,
    },
    "environment": {
        "environmentCreated": A.CREATED,
        "environmentChanged": A.UPDATED,
        "environmentDeleted": A.DELETED,
        "environmentsReordered": A.REORDERED,
    },
    "segment": {
        "segmentCreated": A.CREATED,
        "segmentChanged": A.UPDATED,
        "segmentDeleted": A.DELETED,
    },
    "tag": {
        "tagAdded": A.CREATED,
        "tagChanged": A.UPDATED,
        "tagRemoved": A.DELETED,
    },
    "member": {
        "teamMemberInvited": A.INVITED,
        "teamMemberInvitationResent": A.INVITED,
        "teamMemberJoined": A.JOINED,
        "teamMemberAddedToProduct": A.JOINED,
        "teamMemberPermissionGroupChanged": A.ROLE_CHANGED,
        "teamMemberRemoved": A.REMOVED,
        "teamMemberLeft": A.LEFT,
        "organizationMemberJoined": A.JOINED,
        "organizationMemberRemoved": A.REMOVED,
        "organizationAdminChanged": A.ROLE_CHANGED,
        "organizationAdminLeft": A.LEFT,
        "twoFactorDisabledForMember": A.CREDENTIAL_REVOKED,
        "userEmailChanged": A.UPDATED,
        "userFullNameChanged": A.RENAMED,
        "userDisabled": A.DEACTIVATED,
        "userEnabled": A.ACTIVATED,
        "syncUserDeleted": A.REMOVED,
    },
    "invitation": {
        "teamMemberInvitationChanged": A.UPDATED,
        "teamMemberInvitationRevoked": A.DELETED,
        "teamMemberInvitationRejected": A.REJECTED,
    },
    "join_request": {
        "organizationMemberProductJoinRequested": A.REQUESTED,
        "organizationMemberProductJoinRequestApproved": A.APPROVED,
        "organizationMemberProductJoinRequestRejected": A.REJECTED,
    },
    "role": {  # ConfigCat calls it a permission group
        "permissionGroupCreated": A.CREATED,
        "permissionGroupChanged": A.PERMISSIONS_CHANGED,
        "permissionGroupDeleted": A.DELETED,
        "permissionGroupDefault": A.SETTINGS_CHANGED,
    },
    "webhook": {
        "webHookCreated": A.CREATED,
        "webHookChanged": A.UPDATED,
        "webHookDeleted": A.DELETED,
    },
    "signing_key": {
        "webhookSigningKeyCreated": A.CREATED,
        "webhookSigningKeyDeleted": A.DELETED,
        "proxyNotificationSigningKeyAdded": A.CREATED,
        "proxyNotificationSigningKeyDeleted": A.DELETED,
    },
    "api_key": {
        "apiKeyAdded": A.CREATED,
        "apiKeyRemoved": A.DELETED,
        "apiKeyConnected": A.CONNECTED,
    },
    "access_token": {
        "publicApiAccessTokenAdded": A.CREATED,
        "publicApiAccessTokenRemoved": A.DELETED,
    },
    "integration": {
        "integrationAdded": A.CREATED,
        "integrationChanged": A.UPDATED,
        "integrationRemoved": A.DELETED,
        "awsConnected": A.CONNECTED,
        "awsDisconnected": A.DISCONNECTED,
    },
    "integration_link": {
        "integrationLinkAdded": A.CONNECTED,
        "integrationLinkRemoved": A.DISCONNECTED,
    },
    "code_reference": {
        "codeReferencesUploaded": A.UPLOADED,
        "codeReferenceDeleted": A.DELETED,
        "codeReferenceStaleBranchDeleted": A.DELETED,
    },
    "organization": {
        "organizationAdded": A.CREATED,
        "organizationChanged": A.UPDATED,
        "organizationRemoved": A.DELETED,  # no longer in the list since 2026
        "organizationSubscriptionTypeChanged": A.SETTINGS_CHANGED,
    },
    "domain": {
        "domainAdded": A.CREATED,
        "domainVerified": A.ACTIVATED,
        "domainRemoved": A.DELETED,
    },
    "single_sign_on": {
        "samlIdpConfigurationAdded": A.CREATED,
        "samlIdpConfigurationUpdated": A.UPDATED,
        "samlIdpConfigurationRemoved": A.DELETED,
        "domainSamlConfigured": A.SETTINGS_CHANGED,  # no longer in the list since 2026
        "domainSamlDeleted": A.DELETED,  # no longer in the list since 2026
    },
    "provisioning": {
        "autoProvisioningConfigurationChanged": A.SETTINGS_CHANGED,
        "autoProvisioningEnabledChanged": A.TOGGLED,
        "userProvisioningConfigurationChanged": A.SETTINGS_CHANGED,
        "syncUserProvisioningEnabled": A.TURNED_ON,
        "syncUserProvisioningDisabled": A.TURNED_OFF,
    },
    "sync_group": {
        "syncGroupProvisioningRuleChanged": A.SETTINGS_CHANGED,
        "syncGroupsReordered": A.REORDERED,
        "syncGroupDeleted": A.DELETED,
    },
    "proxy": {
        "proxyConfigurationCreated": A.CREATED,
        "proxyConfigurationChanged": A.UPDATED,
        "proxyConfigurationDeleted": A.DELETED,
        "proxyConfigurationSecretRegenerated": A.CREDENTIAL_ROTATED,
    },
    "proxy_notification": {
        "proxyNotificationSettingsUpdated": A.SETTINGS_CHANGED,
        "proxyNotificationSettingsDeleted": A.DELETED,
    },
}

MEANINGS = {
    vendor_type: Meaning(action, kind) for kind, types in _BY_KIND.items() for vendor_type, action in types.items()
}
SWITCHES: dict[bool, A] = {True: A.TURNED_ON, False: A.TURNED_OFF}
"""What a changed value means when `details` shows one boolean that flipped, by what it is now."""

TERMS = (
    *(Term(vendor_type, meaning.action, meaning.object_kind) for vendor_type, meaning in MEANINGS.items()),
    *(
        Term(VALUE_CHANGED, action, "flag", f"`details` shows one boolean, which is `{str(now).lower()}` now")
        for now, action in SWITCHES.items()
    ),
)
"""All of it as a list."""
