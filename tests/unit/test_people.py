"""One person is one person: by e-mail at every vendor, and by what the config says is theirs."""

from typing import Any

import pytest

from flagtrail.people import People, Person, PersonSettings

ANA = PersonSettings(
    email="Ana.Silva@acme.example", name="Ana Silva", also=["ana@old.example", "asilva", "5c0ffee00000000000000001"]
)
BO = PersonSettings(email="bo@acme.example")
PEOPLE = People([ANA, BO])


def row(**actor: Any) -> dict[str, Any]:
    told = {"vendor": "launchdarkly", "kind": "member", "id": None, "name": None, "email": None} | actor
    return {"vendor": told.pop("vendor")} | {f"actor_{name}": value for name, value in told.items()}


@pytest.mark.parametrize(
    "text",
    ["ana.silva@ACME.example", "Ana Silva", "ana silva", "ana@old.example", " asilva", "5C0FFEE00000000000000001"],
)
def test_any_identity_of_a_person_gives_all_of_them(text: str) -> None:
    told = PEOPLE.identities(text)
    assert told[0] == "Ana.Silva@acme.example"
    assert set(told) == {ANA.email, "Ana Silva", *ANA.also}


@pytest.mark.parametrize("text", ["ana", "Silva", "zoe@acme.example", "", "%"])
def test_a_text_that_names_nobody_whole_stays_as_it_is(text: str) -> None:
    assert PEOPLE.identities(text) == (text,)
    assert People().identities(text) == (text,)


def test_who_has_no_other_name_is_named_by_the_address_alone() -> None:
    assert PEOPLE.identities("BO@acme.example") == ("bo@acme.example",)


@pytest.mark.parametrize(
    "actor",
    [
        {"email": "ANA.silva@acme.example", "name": "A. Silva"},
        {"vendor": "configcat", "email": "ana@old.example"},
        {"email": "somebody.else@acme.example", "id": "5c0ffee00000000000000001"},
        {"vendor": "configcat", "kind": "unknown", "name": "asilva"},
        {"kind": "member", "name": "ana silva"},
        {"kind": "token", "id": "5c0ffee00000000000000001", "name": "terraform"},
    ],
)
def test_a_person_whom_the_config_knows_is_one_at_every_vendor(actor: dict[str, Any]) -> None:
    assert PEOPLE.person(row(**actor)) == Person("ana.silva@acme.example", "Ana Silva")


@pytest.mark.parametrize(
    ("actor", "person"),
    [
        ({"email": "Zoe@Acme.example", "name": "Zoe", "id": "7"}, Person("zoe@acme.example", "Zoe")),
        ({"vendor": "configcat", "email": "zoe@acme.example"}, Person("zoe@acme.example", "zoe@acme.example")),
        # A name is no proof: there is an address, and it is another one.
        ({"email": "ana.silva@elsewhere.example", "name": "Ana Silva"},
         Person("ana.silva@elsewhere.example", "Ana Silva")),
        ({"kind": "token", "id": "t1", "name": "Ana Silva"}, Person("launchdarkly:token:t1", "Ana Silva")),
        ({"kind": "app", "id": "t1", "name": "Deploys"}, Person("launchdarkly:app:t1", "Deploys")),
        ({"vendor": "configcat", "kind": "unknown", "name": "Deploy Bot"},
         Person("configcat:unknown:deploy bot", "Deploy Bot")),
        ({"vendor": "configcat", "kind": "automation"}, Person("configcat:automation", "automation")),
        ({"kind": "unknown"}, Person("launchdarkly:unknown", "unknown")),
        ({"email": "bo@acme.example", "name": "Bo"}, Person("bo@acme.example", "Bo")),
    ],
)  # fmt: skip
def test_others_are_told_apart_by_what_the_vendor_says(actor: dict[str, Any], person: Person) -> None:
    assert PEOPLE.person(row(**actor)) == person
    assert PEOPLE.person(row(**actor)) == PEOPLE.person(row(**actor))


@pytest.mark.parametrize(
    ("other", "identity"),
    [
        ({"email": "cy@acme.example", "also": ["ASILVA"]}, "ASILVA"),
        ({"email": "cy@acme.example", "name": "ana silva"}, "ana silva"),
        ({"email": "ana@old.example"}, "ana@old.example"),
    ],
)
def test_an_identity_belongs_to_one_person(other: dict[str, Any], identity: str) -> None:
    told = f"^'{identity}' belongs to two persons, {ANA.email} and {other['email']}; leave it with one of them$"
    with pytest.raises(ValueError, match=told):
        People([ANA, PersonSettings(**other)])


def test_a_person_stands_there_once() -> None:
    with pytest.raises(ValueError, match=r"^'ana\.silva@acme\.example' stands there twice; put the two together$"):
        People([ANA, PersonSettings(email="ana.silva@acme.example")])


def test_a_person_may_be_told_the_same_twice() -> None:
    told = PersonSettings(email="cy@acme.example", name="cy", also=["CY@acme.example", "cy"])
    assert People([told]).identities("Cy")[0] == "cy@acme.example"
