"""A Singer tap of the audit log, made as the template of singer-sdk makes REST taps."""

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import ParseResult, parse_qsl

import requests
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.pagination import BaseHATEOASPaginator


def texts(*names: str) -> th.ObjectType:
    """Return the type of an object with these texts; the SDK makes a column of each."""
    return th.ObjectType(*(th.Property(name, th.StringType) for name in names))


class NextLink(BaseHATEOASPaginator):
    """Follows the `next` link of an answer."""

    def get_next_url(self, response: requests.Response) -> str | None:
        """Return the relative address of the next page."""
        return response.json()["_links"].get("next", {}).get("href")


class AuditLog(RESTStream[ParseResult]):
    """The audit log, newest first."""

    name = "audit_log"
    path = "/api/v2/auditlog"
    primary_keys = ("_id",)
    replication_key = "date"
    is_sorted = False
    records_jsonpath = "$.items[*]"
    schema = th.PropertiesList(
        th.Property("_id", th.StringType, required=True),
        th.Property("date", th.IntegerType),
        th.Property("kind", th.StringType),
        th.Property("name", th.StringType),
        th.Property("description", th.StringType),
        th.Property("shortDescription", th.StringType),
        th.Property("comment", th.StringType),
        th.Property("accesses", th.ArrayType(texts("action", "resource"))),
        th.Property("member", texts("_id", "email", "firstName", "lastName")),
        th.Property("token", texts("_id", "name", "ending")),
        th.Property("app", texts("_id", "name", "maintainerName")),
        th.Property("titleVerb", th.StringType),
        th.Property("title", th.StringType),
        th.Property("target", texts("name")),
        th.Property("parent", texts("name", "resource")),
        th.Property("_accountId", th.StringType),
    ).to_dict()

    @property
    def url_base(self) -> str:
        """The vendor's address."""
        return str(self.config["api_url"])

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        """The raw token in `Authorization`."""
        return APIKeyAuthenticator(key="Authorization", value=self.config["auth_token"], location="header")

    def get_new_paginator(self) -> NextLink:
        """Return a paginator that follows links."""
        return NextLink()

    def get_url_params(self, context: Mapping[str, Any] | None, next_page_token: ParseResult | None) -> dict[str, Any]:
        """Return the parameters of the next link, or of the first page."""
        if next_page_token:
            return dict(parse_qsl(next_page_token.query))
        return {"limit": 20, "after": self.get_starting_replication_key_value(context) or 0}


class TapAuditLog(Tap):
    """The tap."""

    name = "tap-audit-log"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("auth_token", th.StringType, required=True, secret=True),
    ).to_dict()

    def discover_streams(self) -> list[AuditLog]:
        """Return the one stream."""
        return [AuditLog(self)]


if __name__ == "__main__":
    sys.exit(TapAuditLog.cli())
