"""The account of Fernweh Travel at LaunchDarkly: who acts in it, and its projects and environments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from flagtrail.testing.cast import PEOPLE, Person

ACCOUNT_ID = "61f0c2a4b7d39e5508ac417b"
TOKEN = "api-2f7b1c9e-fern-4a55-9c1e-7d0e3b9a6401"  # noqa: S105 - opens the simulator only

Who = Mapping[str, Any]
"""The keys of an audit entry that say who acted: `member`, `token`, `app`, two of them, or none."""


def link(href: str, type_: str = "application/json") -> dict[str, str]:
    """Return a link the way LaunchDarkly writes it: a relative address and a media type."""
    return {"href": href, "type": type_}


def made_up_id(*parts: object) -> str:
    """Return 24 hexadecimal digits that are always the same for the same words."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()[:24]


def member_fields(person: Person) -> dict[str, Any]:
    """Return a person the way an audit entry shows a member."""
    id_ = made_up_id("member", person.email)
    return {
        "_links": {"parent": link("/api/v2/members"), "self": link(f"/api/v2/members/{id_}")},
        "_id": id_,
        "email": person.email,
        "firstName": person.first,
        "lastName": person.last,
    }


def by_member(person: Person) -> Who:
    """Return the keys of an entry that a person caused."""
    return {"member": member_fields(person)}


def by_token(name: str, *, person: Person | None = None) -> Who:
    """Return the keys of an entry that an access token caused: a person's own, or else a service token."""
    id_ = made_up_id("token", name)
    token = {
        "_links": {"parent": link("/api/v2/tokens"), "self": link(f"/api/v2/tokens/{id_}")},
        "_id": id_,
        "name": name,
        "ending": id_[-4:],
        "serviceToken": person is None,
    }
    return {"token": token} if person is None else {"member": member_fields(person), "token": token}


def by_app(name: str, *, scim: bool) -> Who:
    """Return the keys of an entry that an installed app caused."""
    id_ = made_up_id("app", name)[:22] + "=="
    oauth = "/internal/account/oauth2/applications"
    links = {
        "external": link("https://identity.fernweh.example/", "text/html"),
        "parent": link(oauth),
        "self": link(f"{oauth}/{id_}"),
        # The vendor really calls this page JSON.
        "site": link(f"/settings/authorization/oauth/{id_}/review"),
    }
    return {"app": {"_links": links, "_id": id_, "isScim": scim, "name": name, "maintainerName": "fernweh"}}


MEMBERS = tuple(by_member(person) for person in PEOPLE)
NAMELESS = by_member(Person("", "", "ops@fernweh.example"))
SCIM = by_app("Fernweh Identity", scim=True)
TERRAFORM = by_token("terraform")
PIPELINE = by_token("release pipeline", person=PEOPLE[1])
NOBODY: Who = {}


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment of a project."""

    key: str
    name: str
    color: str = "417505"

    def shown(self, project: str) -> dict[str, Any]:
        """Return the environment as the vendor lists it, with (made-up) SDK keys in it."""
        id_ = made_up_id("environment", project, self.key)
        return {
            "_links": {"self": link(f"/api/v2/projects/{project}/environments/{self.key}")},
            "_id": id_,
            "key": self.key,
            "name": self.name,
            "apiKey": f"sdk-{id_[:8]}-0000-4000-8000-{id_[12:]}",
            "mobileKey": f"mob-{id_[:8]}-0000-4000-8000-{id_[12:]}",
            "color": self.color,
            "defaultTtl": 0,
            "secureMode": False,
            "defaultTrackEvents": False,
            "requireComments": self.key == "production",
            "confirmChanges": self.key == "production",
            "critical": self.key == "production",
            "tags": [],
        }


PRODUCTION = Environment("production", "Production", "417505")
STAGING = Environment("staging", "Staging", "F5A623")
TEST = Environment("test", "Test", "7B42BC")


@dataclass(slots=True)
class Project:
    """One project, with its environments."""

    key: str
    name: str
    environments: list[Environment] = field(default_factory=lambda: [PRODUCTION, STAGING, TEST])

    @property
    def id(self) -> str:
        """The vendor's own id of the project."""
        return made_up_id("project", self.key)

    def shown(self) -> dict[str, Any]:
        """Return the project as the vendor lists it, without its environments."""
        self_href = f"/api/v2/projects/{self.key}"
        return {
            "_links": {"self": link(self_href), "environments": link(f"{self_href}/environments")},
            "_id": self.id,
            "key": self.key,
            "name": self.name,
            "includeInSnippetByDefault": False,
            "defaultClientSideAvailability": {"usingMobileKey": True, "usingEnvironmentId": False},
            "tags": [],
        }


def projects() -> list[Project]:
    """Return the projects that Fernweh Travel starts with."""
    return [Project("web", "Web shop"), Project("mobile", "Mobile apps"), Project("platform", "Platform")]
