"""LaunchDarkly's lists of projects and environments, paged by offset, and who the token belongs to."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flagtrail.testing.simulator import Reply, Request
from flagtrail_launchdarkly.simulation.account import ACCOUNT_ID, Environment, Project, link, made_up_id
from flagtrail_launchdarkly.simulation.answers import NOT_FOUND, href, invalid, number, refused
from flagtrail_launchdarkly.simulation.statements import Malformed
from flagtrail_launchdarkly.simulation.switches import Switches

T = TypeVar("T")
IDENTITY = {
    "accountId": ACCOUNT_ID,
    "authKind": "token",
    "tokenKind": "auth",
    "tokenName": "flagtrail",
    "tokenId": made_up_id("token", "flagtrail"),
    "serviceToken": True,
    "scopes": [],
}


def identity() -> Reply:
    """Answer `GET /api/v2/caller-identity`."""
    return Reply(200, IDENTITY)


def project_list(request: Request, projects: Sequence[Project], switches: Switches) -> Reply:
    """Answer `GET /api/v2/projects`."""
    if request.headers.get("ld-api-version", switches.pinned_version) < "20220603":
        # Before that version the list was whole, and held the environments.
        old = [{**p.shown(), "environments": [e.shown(p.key) for e in p.environments]} for p in projects]
        return Reply(200, {"_links": {"self": link("/api/v2/projects")}, "items": old})
    expand = "environments" in request.query.get("expand", "").split(",")

    def shown(project: Project) -> dict[str, Any]:
        if not expand:
            return project.shown()
        inner = Request("GET", f"/api/v2/projects/{project.key}/environments", {}, {})
        return {**project.shown(), "environments": environment_list(inner, project, switches).body}

    return _page(request, projects, shown, switches)


def environment_list(request: Request, project: Project | None, switches: Switches) -> Reply:
    """Answer `GET /api/v2/projects/{key}/environments`."""
    if project is None:
        return refused(NOT_FOUND)
    key = project.key

    def shown(environment: Environment) -> dict[str, Any]:
        return environment.shown(key)

    return _page(request, project.environments, shown, switches)


def _page(request: Request, things: Sequence[T], shown: Callable[[T], dict[str, Any]], switches: Switches) -> Reply:
    """Return one page of a list, with links to the pages that exist."""
    try:
        limit, offset = max(1, number(request, "limit", 20)), max(0, number(request, "offset", 0))
    except Malformed as error:
        return invalid(str(error))
    limit = min(limit, switches.page_cap or limit)
    offsets = {"self": offset}
    if offset > 0:
        offsets |= {"first": 0, "prev": max(0, offset - limit)}
    if offset + limit < len(things):
        offsets |= {"next": offset + limit, "last": (len(things) - 1) // limit * limit}
    asked = {**request.query, "limit": limit}
    links = {name: link(href(request.path, {**asked, "offset": at})) for name, at in offsets.items()}
    items = [shown(thing) for thing in things[offset : offset + limit]]
    return Reply(200, {"_links": links, "totalCount": len(things), "items": items})
