"""Loads the audit log with Airbyte's low-code CDK: its command line reads a manifest, and its records go into SQLite.

Airbyte's own destinations are containers, and most of them no Python. So what it prints is stored with as little work
as possible here, which is less than any destination of its own does.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

STREAM = "audit_log"
FIELDS = {
    "_id": "string", "date": "integer", "kind": "string", "name": "string", "description": "string",
    "shortDescription": "string", "comment": "string", "accesses": "array", "member": "object", "token": "object",
    "app": "object", "titleVerb": "string", "title": "string", "target": "object", "parent": "object",
    "_links": "object", "_accountId": "string",
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "additionalProperties": True,
    "properties": {name: {"type": ["null", kind]} for name, kind in FIELDS.items()},
}


def manifest(url: str, start: str) -> dict[str, Any]:
    """Return the connector: one stream that follows `next` links, newest first, from a start on."""
    stream = {
        "type": "DeclarativeStream",
        "name": STREAM,
        "primary_key": ["_id"],
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {
                "type": "HttpRequester",
                "url_base": url,
                "path": "/api/v2/auditlog",
                "http_method": "GET",
                "authenticator": {
                    "type": "ApiKeyAuthenticator",
                    "api_token": "{{ config['token'] }}",
                    "inject_into": {"type": "RequestOption", "inject_into": "header", "field_name": "Authorization"},
                },
                "request_parameters": {"limit": "20"},
            },
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["items"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": {"type": "RequestPath"},
                "pagination_strategy": {
                    "type": "CursorPagination",
                    "cursor_value": "{{ response.get('_links', {}).get('next', {}).get('href') }}",
                    "stop_condition": "{{ not response.get('_links', {}).get('next') }}",
                },
            },
        },
        "incremental_sync": {
            "type": "DatetimeBasedCursor",
            "cursor_field": "date",
            "cursor_datetime_formats": ["%ms"],
            "datetime_format": "%ms",
            "start_datetime": {"type": "MinMaxDatetime", "datetime": start, "datetime_format": "%Y-%m-%dT%H:%M:%SZ"},
            "start_time_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "after"},
        },
        "schema_loader": {"type": "InlineSchemaLoader", "schema": SCHEMA},
    }
    spec = {"type": "object", "properties": {"token": {"type": "string"}}, "additionalProperties": True}
    return {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [STREAM]},
        "streams": [stream],
        "spec": {"type": "Spec", "connection_specification": spec},
    }


def catalog() -> dict[str, Any]:
    """Return what to read: the stream, incrementally."""
    modes = ["full_refresh", "incremental"]
    stream = {"name": STREAM, "json_schema": SCHEMA, "supported_sync_modes": modes, "source_defined_cursor": True}
    return {"streams": [{"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append_dedup"}]}


def records(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield id and JSON of each record among the messages."""
    for line in lines:
        message = orjson.loads(line)
        if message["type"] == "RECORD":
            data = message["record"]["data"]
            yield data["_id"], orjson.dumps(data)


def main(url: str, token: str, database: str) -> None:
    """Run the connector and store its records."""
    start = (datetime.now(UTC) - timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ")
    files = {"config": {"token": token}, "catalog": catalog(), "manifest": manifest(url, start)}
    for name, content in files.items():
        Path(f"{name}.yaml" if name == "manifest" else f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    command = Path(sys.executable).with_name("source-declarative-manifest")
    words = ["read", "--config", "config.json", "--catalog", "catalog.json", "--manifest-path", "manifest.yaml"]
    rows = sqlite3.connect(database)
    rows.execute("CREATE TABLE entry (id TEXT PRIMARY KEY, record BLOB)")
    with subprocess.Popen([command, *words], stdout=subprocess.PIPE) as connector:
        assert connector.stdout is not None
        found = records(connector.stdout)
        while some := list(islice(found, 1000)):
            rows.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", some)
            rows.commit()
    rows.close()
    sys.exit(connector.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
