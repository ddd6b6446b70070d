"""Configs as tests write them, and the lines of the errors that they give."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flagtrail.config import load
from flagtrail.errors import ConfigError

SECRET = "api-s3cret-0123456789"
SOURCE = '[[source]]\nname = "acme"\nconnector = "launchdarkly"\n'
Write = Callable[[str], Path]


def source(*lines: str, token: str = '{ env = "TOKEN" }') -> str:
    return "\n".join([SOURCE.rstrip(), f"token = {token}", *lines, ""])


def mistakes(path: Path) -> list[str]:
    """Return the lines of the error that a config gives, when it is read or when its sources are built."""
    with pytest.raises(ConfigError) as raised:
        load(path).sources()
    assert SECRET not in str(raised.value)
    assert SECRET not in repr(raised.value)
    return str(raised.value).splitlines()
