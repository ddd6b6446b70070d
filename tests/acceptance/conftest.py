"""Runs flagtrail the way its users do: as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flagtrail.testing.simulator import Simulator
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator

COMMAND = [sys.executable, "-m", "flagtrail"]
Flagtrail = Callable[..., subprocess.CompletedProcess[str]]


def environment(**more: str) -> dict[str, str]:
    """Return an environment without anything that would change what flagtrail prints."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("FLAGTRAIL_CONFIG", "COLUMNS", "NO_COLOR")
    }
    return kept | {"COLUMNS": "120", "TZ": "UTC"} | more


@pytest.fixture
def flagtrail(tmp_path: Path) -> Flagtrail:
    """A function that runs `flagtrail` in an own folder and returns what came of it."""

    def run(*words: str, timeout: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], cwd=tmp_path, env=environment(**variables), capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def vendors() -> Iterator[dict[str, Simulator]]:
    """Both vendors, each with a short history."""
    with LaunchDarklySimulator() as launchdarkly, ConfigCatSimulator() as configcat:
        launchdarkly.fill(300, 60, seed=5)
        configcat.fill(300, 60, seed=5)
        yield {"acme-launchdarkly": launchdarkly, "acme-configcat": configcat}
