"""Takes the page into the app: its addresses, and what an error looks like there."""

from fastapi import APIRouter

from flagtrail.web.page import around, change, completion, coverage, object, person, signin, static, timeline

router = APIRouter(include_in_schema=False)
for subject in (static, timeline, completion, change, around, object, person, coverage, signin):
    router.include_router(subject.router)
