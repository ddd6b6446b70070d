from datetime import UTC, datetime
from typing import Any

import pytest

from flagtrail.errors import UnexpectedResponse
from flagtrail.event import Action, ActorKind, Change, Event, Record
from flagtrail.window import from_ms
from flagtrail_configcat.events import audit_event, id_and_ms
from flagtrail_configcat.simulation.account import TRAVEL
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_configcat.vocabulary import MEANINGS

# The values of `AuditLogType`: https://api.configcat.com/docs, August 2026.
DOCUMENTED = """
    apiKeyAdded apiKeyConnected apiKeyRemoved autoProvisioningConfigurationChanged autoProvisioningEnabledChanged
    awsConnected awsDisconnected changeRequestApplied changeRequestAppliedOnSchedule changeRequestApprovalDismissed
    changeRequestApproved changeRequestClosed changeRequestCommentAdded changeRequestCommentDeleted
    changeRequestCommentEdited changeRequestCreated changeRequestNeedsAttention changeRequestNeedsAttentionFixed
    changeRequestOwnershipClaimed changeRequestSettingDeleted changeRequestSettingValueRebased
    changeRequestSettingValuesUpdated changeRequestUpdated codeReferenceDeleted codeReferenceStaleBranchDeleted
    codeReferencesUploaded configChanged configCreated configDeleted configsReordered domainAdded domainRemoved
    domainVerified environmentChanged environmentCreated environmentDeleted environmentsReordered integrationAdded
    integrationChanged integrationLinkAdded integrationLinkRemoved integrationRemoved organizationAdded
    organizationAdminChanged organizationAdminLeft organizationChanged organizationMemberJoined
    organizationMemberProductJoinRequestApproved organizationMemberProductJoinRequestRejected
    organizationMemberProductJoinRequested organizationMemberRemoved organizationSubscriptionTypeChanged
    permissionGroupChanged permissionGroupCreated permissionGroupDefault permissionGroupDeleted
    predefinedVariationsChanged productChanged productCreated productDeleted productPreferencesUpdated
    productsReordered proxyConfigurationChanged proxyConfigurationCreated proxyConfigurationDeleted
    proxyConfigurationSecretRegenerated proxyNotificationSettingsDeleted proxyNotificationSettingsUpdated
    proxyNotificationSigningKeyAdded proxyNotificationSigningKeyDeleted publicApiAccessTokenAdded
    publicApiAccessTokenRemoved samlIdpConfigurationAdded samlIdpConfigurationRemoved samlIdpConfigurationUpdated
    segmentChanged segmentCreated segmentDeleted settingChanged settingConvertedToFreeFormValues
    settingConvertedToPredefinedVariations settingCreated settingDeleted settingTagAdded settingTagRemoved
    settingValueChanged settingsReordered syncGroupDeleted syncGroupProvisioningRuleChanged syncGroupsReordered
    syncUserDeleted syncUserProvisioningDisabled syncUserProvisioningEnabled tagAdded tagChanged tagRemoved
    teamMemberAddedToProduct teamMemberInvitationChanged teamMemberInvitationRejected teamMemberInvitationResent
    teamMemberInvitationRevoked teamMemberInvited teamMemberJoined teamMemberLeft teamMemberPermissionGroupChanged
    teamMemberRemoved twoFactorDisabledForMember userDisabled userEmailChanged userEnabled userFullNameChanged
    userProvisioningConfigurationChanged webHookChanged webHookCreated webHookDeleted webhookSigningKeyCreated
    webhookSigningKeyDeleted
"""


def item(**fields: Any) -> Record:
    return {
        "auditLogId": 4711,
        "auditLogDateTime": "2026-03-14T09:26:53.589Z",
        "auditLogTypeEnum": "settingValueChanged",
        "truncated": False,
        "modelVersion": 2,
        "auditLogType": "Changed the value of a feature flag",
        "userEmail": "mei.tanaka@fernweh.example",
        "userName": "Mei Tanaka",
        "where": "Web Shop / Payments / Production",
        "why": "Canary looks good",
        "actionTarget": "checkout_v2",
        "details": "\r\ncheckout_v2: false ➔ true",
        **fields,
    }


def event(**fields: Any) -> Event:
    return audit_event(item(**fields), "org")


def test_every_field_of_an_item_lands_in_its_column() -> None:
    assert event(changeSetId="7c0e") == Event(
        vendor_id="4711",
        occurred_at=datetime(2026, 3, 14, 9, 26, 53, 589000, UTC),
        actor_kind=ActorKind.MEMBER,
        actor_name="Mei Tanaka",
        actor_email="mei.tanaka@fernweh.example",
        action="turned_on",
        vendor_action="settingValueChanged",
        object_kind="flag",
        object_key="checkout_v2",
        object_name="checkout_v2",
        project="Web Shop",
        project_name="Web Shop",
        environment="Production",
        environment_name="Production",
        organization="org",
        location="Web Shop / Payments / Production",
        summary="turned on checkout_v2",
        comment="Canary looks good",
        changes=[Change(path="checkout_v2", before=False, after=True)],
        change_set="7c0e",
    )


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-14T09:26:53.589Z",
        "2026-03-14T09:26:53.589+00:00",
        "2026-03-14T10:26:53.589+01:00",
        "2026-03-14T09:26:53.589",
        "2026-03-14T09:26:53.5899999Z",
        "2026-03-14 09:26:53.589123",
    ],
)
def test_every_way_to_write_a_moment_means_the_same_millisecond(written: str) -> None:
    assert id_and_ms(item(auditLogDateTime=written)) == ("4711", 1773480413589)
    assert event(auditLogDateTime=written).occurred_at == from_ms(1773480413589)


@pytest.mark.parametrize(("written", "ms"), [("2026-03-14T09:26:53Z", 0), ("2026-03-14T09:26:53.5Z", 500)])
def test_a_moment_may_have_few_or_no_fraction_digits(written: str, ms: int) -> None:
    assert id_and_ms(item(auditLogDateTime=written))[1] % 1000 == ms


@pytest.mark.parametrize(
    "fields",
    [
        {"auditLogId": None},
        {"auditLogId": True},
        {"auditLogId": 1.5},
        {"auditLogId": ""},
        {"auditLogId": "x1"},
        {"auditLogDateTime": None},
        {"auditLogDateTime": 1773480413589},
        {"auditLogDateTime": "2026-03-14"},
        {"auditLogDateTime": "2026-02-31T09:26:53Z"},
        {"auditLogDateTime": "0001-01-01T00:00:00+05:00"},
        {"auditLogDateTime": "yesterday\nevening"},
    ],
)
def test_an_item_without_usable_id_or_date_is_reported_in_one_line(fields: Record) -> None:
    with pytest.raises(UnexpectedResponse, match=r"auditLog(Id|DateTime)") as raised:
        event(**fields)
    assert "\n" not in str(raised.value)


def test_a_missing_id_is_reported_too() -> None:
    with pytest.raises(UnexpectedResponse):
        id_and_ms({})


def test_an_id_may_be_written_as_text() -> None:
    assert event(auditLogId="4711").vendor_id == "4711"


@pytest.mark.parametrize("odd", [None, "", "  ", 5, True, [], {"a": 1}])
def test_odd_shapes_of_everything_else_are_borne(odd: Any) -> None:
    names = set(item(changeSetId="")) - {"auditLogId", "auditLogDateTime"}
    told = audit_event({**item(), **dict.fromkeys(names, odd)}, "org")
    assert told.action == told.vendor_action == "unknown"
    assert told.actor_kind is ActorKind.UNKNOWN
    assert told.object_kind is None
    assert told.location is None


def test_an_item_of_id_and_date_only_is_borne() -> None:
    assert audit_event({"auditLogId": 1, "auditLogDateTime": "2026-03-14T09:26:53Z"}, "org").vendor_id == "1"


def test_only_who_has_an_address_is_known_to_be_a_person() -> None:
    assert event(userName="").actor_kind is ActorKind.MEMBER
    assert event(userName="").actor_name is None
    nobody = event(userEmail=None, userName="")
    assert (nobody.actor_kind, nobody.actor_name) == (ActorKind.UNKNOWN, None)
    named = event(userEmail=None)
    assert (named.actor_kind, named.actor_name) == (ActorKind.UNKNOWN, "Mei Tanaka")


def test_a_schedule_acts_by_itself_unless_a_person_is_named() -> None:
    scheduled = "changeRequestAppliedOnSchedule"
    assert event(auditLogTypeEnum=scheduled, userEmail=None, userName="").actor_kind is ActorKind.AUTOMATION
    assert event(auditLogTypeEnum=scheduled).actor_kind is ActorKind.MEMBER


def test_every_documented_type_has_a_verb_and_a_kind() -> None:
    assert len(DOCUMENTED.split()) == 117
    assert [name for name in DOCUMENTED.split() if name not in MEANINGS] == []
    assert len(MEANINGS) == 121
    assert all(isinstance(meaning.action, Action) and meaning.object_kind for meaning in MEANINGS.values())


@pytest.mark.parametrize(
    ("vendor_type", "action", "kind"),
    [
        ("settingCreated", "created", "flag"),
        ("predefinedVariationsChanged", "variation_changed", "flag"),
        ("changeRequestAppliedOnSchedule", "applied", "change_request"),
        ("changeRequestCommentDeleted", "updated", "change_request"),
        ("teamMemberPermissionGroupChanged", "role_changed", "member"),
        ("proxyConfigurationSecretRegenerated", "credential_rotated", "proxy"),
        ("organizationRemoved", "deleted", "organization"),
        ("productOwnershipTransferred", "transferred", "project"),
        ("permissionGroupChanged", "permissions_changed", "role"),
        ("changeRequestApprovalDismissed", "dismissed", "change_request"),
        ("twoFactorDisabledForMember", "credential_revoked", "member"),
        ("settingTagRemoved", "tagged", "flag"),
    ],
)
def test_types_become_verbs_and_kinds(vendor_type: str, action: str, kind: str) -> None:
    told = event(auditLogTypeEnum=vendor_type)
    assert (told.action, told.object_kind, told.vendor_action) == (action, kind, vendor_type)


def test_an_unknown_type_keeps_the_vendors_word() -> None:
    told = event(auditLogTypeEnum="settingTeleported", auditLogType="")
    assert (told.action, told.object_kind) == ("settingTeleported", None)
    assert told.summary == "setting teleported checkout_v2"


def test_the_display_text_serves_when_the_type_is_missing() -> None:
    assert event(auditLogTypeEnum=None).vendor_action == "Changed the value of a feature flag"


@pytest.mark.parametrize(
    ("details", "action"),
    [
        ("\r\ncheckout_v2: false ➔ true", "turned_on"),
        ("checkout_v2: true ➔ false\n", "turned_off"),
        ("checkout_v2: true ➔ true", "value_changed"),
        ("checkout_v2: 0 ➔ 1", "value_changed"),
        ("checkout_v2: false ➔ true\r\nmap_view: false ➔ true", "value_changed"),
        ("checkout_v2: false ➔ true\r\n  Targeting rules changed:", "value_changed"),
        ("checkout_v2: false ➔ true ➔ false", "value_changed"),
        ('{"settingKey":"checkout_v2"}', "value_changed"),
        ("", "value_changed"),
    ],
)
def test_only_one_plain_boolean_is_turned_on_or_off(details: str, action: str) -> None:
    assert event(details=details).action == action


def test_shortened_details_tell_nothing_for_sure() -> None:
    told = event(truncated=True)
    assert told.action == "value_changed"
    assert told.changes is None


def test_values_that_are_numbers_and_booleans_are_decoded_and_texts_stay() -> None:
    details = "a: 7 ➔ -7.5\r\n\r\nb: 007 ➔ 1e9\r\nc:  ➔ x: y\r\nd: null ➔ NaN\r\ne: 12345678901234567890 ➔ "
    assert event(details=details).changes == [
        Change(path="a", before=7, after=-7.5),
        Change(path="b", before="007", after="1e9"),
        Change(path="c", before="", after="x: y"),
        Change(path="d", before="null", after="NaN"),
        Change(path="e", before="12345678901234567890", after=""),
    ]


@pytest.mark.parametrize(
    "details", ["\r\n", "created", "checkout_v2:\r\n  + 20% true", ": 1 ➔ 2", "a ➔ b", "x: 1 ➔ 2\n?"]
)
def test_details_of_another_form_are_not_guessed_at(details: str) -> None:
    assert event(details=details).changes is None


@pytest.mark.parametrize(
    ("where", "project", "environment"),
    [
        ("Web Shop / Payments / Production", "Web Shop", "Production"),
        ("Web Shop > Payments > Production", "Web Shop", "Production"),
        ("Web Shop → Payments → Production", "Web Shop", "Production"),
        ("Web Shop ➔ Payments", "Web Shop", None),
        ("Web Shop", None, None),
        ("Web/Shop", None, None),
        ("Web Shop / Payments > Production", None, None),
        ("Web Shop / Search / Ranking / Production", None, None),
        ("Web Shop /  / Production", None, None),
    ],
)
def test_a_place_is_split_only_when_it_is_plain(where: str, project: str | None, environment: str | None) -> None:
    told = event(where=where)
    assert (told.project, told.environment, told.location) == (project, environment, where)
    assert (told.project_name, told.environment_name) == (project, environment)


@pytest.mark.parametrize(
    ("fields", "key", "name"),
    [
        ({}, "checkout_v2", "checkout_v2"),
        ({"actionTarget": "Checkout, 2nd try"}, None, "Checkout, 2nd try"),
        ({"auditLogTypeEnum": "segmentCreated", "actionTarget": "Staff"}, None, "Staff"),
        ({"auditLogTypeEnum": "settingsReordered", "actionTarget": "Main"}, None, "Main"),
        ({"actionTarget": None}, None, None),
    ],
)
def test_a_target_is_a_key_only_when_it_looks_like_a_flags(fields: Record, key: str | None, name: str | None) -> None:
    told = event(**fields)
    assert (told.object_key, told.object_name) == (key, name)


@pytest.mark.parametrize(
    ("fields", "summary"),
    [
        ({"details": "checkout_v2: 1 ➔ 2"}, "changed the value of checkout_v2"),
        ({"actionTarget": ""}, "turned on a flag"),
        (
            {"auditLogTypeEnum": "environmentCreated", "auditLogType": "Created a new environment",
             "actionTarget": "Staging"},
            "created a new environment Staging",
        ),
        ({"auditLogTypeEnum": "x", "auditLogType": "SAML set up", "actionTarget": None}, "SAML set up"),
        ({"auditLogTypeEnum": "x", "auditLogType": "A thing\r\n happened", "actionTarget": None}, "a thing happened"),
    ],
)  # fmt: skip
def test_a_summary_is_a_short_sentence(fields: Record, summary: str) -> None:
    assert event(**fields).summary == summary


def test_a_very_long_target_does_not_make_a_long_summary() -> None:
    assert len(event(actionTarget="x" * 100_000).summary or "") == 300


def test_long_details_without_an_arrow_are_read_in_no_time() -> None:
    assert event(details="a: " * 200_000).changes is None


def test_the_whole_simulated_history_is_told() -> None:
    with ConfigCatSimulator() as simulator:
        simulator.fill(3000)
        stream = f"audit_log[{TRAVEL.id}]"
        told = {
            vendor_id: audit_event(simulator.shown(stream, vendor_id), TRAVEL.id)
            for vendor_id in simulator.truth()[stream]
        }
        assert {vendor_id: round(each.occurred_at.timestamp() * 1000) for vendor_id, each in told.items()} == (
            simulator.truth()[stream]
        )
    assert {"turned_on", "turned_off", "value_changed", "created"} <= {each.action for each in told.values()}
    assert any(each.change_set for each in told.values())
