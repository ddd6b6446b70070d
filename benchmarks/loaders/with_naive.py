"""Loads the audit log as one writes it in an afternoon: page after page, row after row, with httpx and SQLModel."""

import sys
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlmodel import JSON, Column, Field, Session, SQLModel, create_engine


class Entry(SQLModel, table=True):
    """An entry of the audit log."""

    id: str = Field(primary_key=True)
    occurred_at: datetime
    kind: str
    name: str
    action: str | None
    resource: str | None
    member: str | None
    comment: str | None
    title: str | None
    record: dict[str, Any] = Field(sa_column=Column(JSON))


def entry(item: dict[str, Any]) -> Entry:
    """Return the row for an entry."""
    access = (item["accesses"] or [{}])[0]
    return Entry(
        id=item["_id"],
        occurred_at=datetime.fromtimestamp(item["date"] / 1000, UTC),
        kind=item["kind"],
        name=item["name"],
        action=access.get("action"),
        resource=access.get("resource"),
        member=item.get("member", {}).get("email"),
        comment=item.get("comment"),
        title=item.get("title"),
        record=item,
    )


def main(url: str, token: str, database: str) -> None:
    """Follow the `next` links from the newest entry to the oldest."""
    engine = create_engine(f"sqlite:///{database}")
    SQLModel.metadata.create_all(engine)
    path = "/api/v2/auditlog?limit=20"
    with httpx.Client(base_url=url, headers={"Authorization": token}) as client, Session(engine) as session:
        while path:
            body = client.get(path).raise_for_status().json()
            for item in body["items"]:
                session.add(entry(item))
            session.commit()
            path = body["_links"].get("next", {}).get("href")


if __name__ == "__main__":
    main(*sys.argv[1:])
