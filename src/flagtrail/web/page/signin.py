"""The page Sign in: a token, kept by the browser in a cookie that no script reads."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
