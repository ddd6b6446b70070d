"""Every view of the page, by an address of the known trail."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from tests.browser.trail import FLAG, INCIDENT, LAUNCHDARKLY, id_of

PERSON = "ana.silva@fernweh.example"


def address(path: str, **asked: str) -> str:
    return f"{path}?{urlencode(asked)}" if asked else path


def moment(now: datetime) -> str:
    """Return the moment of the incident, a little after its cause."""
    return (now - INCIDENT).strftime("%Y-%m-%dT%H:%M:%SZ")


def views(now: datetime) -> Mapping[str, str]:
    """Return the addresses of the views, by what to call them."""
    change = id_of("known-rollout")
    return {
        "timeline": "/",
        "search": address("/", q=f'environment:production "{FLAG}"', since="2d", by="environment"),
        "empty": address("/", q="nothing-is-called-so", since="2d"),
        "pane": address("/", since="2d", event=change),
        "change": f"/event/{change}",
        "around": address("/around", at=moment(now)),
        "object": address("/object", source=LAUNCHDARKLY, project="web", kind="flag", key=FLAG),
        "person": address("/person", who=PERSON),
        "coverage": "/coverage",
        "error": "/event/nothing",
        "wrong": address("/", q="nofield:x since:never"),
    }
