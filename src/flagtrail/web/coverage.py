"""The address of coverage: how much of each stream is here, and why not all of it."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from flagtrail.counts import unmapped
from flagtrail.deadline import within
from flagtrail.event import Action
from flagtrail.status import status
from flagtrail.status_json import status_as_json
from flagtrail.web.access import Asked, reads
from flagtrail.web.answers import Streams, answered
from flagtrail.web.problems import Refused

router = APIRouter(tags=["coverage"])


class StreamFilters(BaseModel):
    """Which streams are asked for."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str | None, Field(max_length=100, description="name of a source in the config")] = None


@router.get("/streams", response_model=Streams, dependencies=[reads])
def streams(trail: Asked, asked: Annotated[StreamFilters, Query()]) -> Response:
    """Return each stream with its covered windows, how much of them is verified, gaps with reasons, lag, and errors."""
    store = trail.store
    with within(trail.settings.timeout.total_seconds()):
        looks = [look for look in store.sources() if asked.source in (None, look.source)]
        if asked.source is not None and not looks:
            raise Refused(404, "there is no source of this name in this database")
        return answered(status_as_json(status(store, asked.source), looks, unmapped(store, set(Action))))
