"""The vendor behind every test of the database."""

from collections.abc import Iterator

import pytest

from flagtrail_launchdarkly.simulator import LaunchDarklySimulator


@pytest.fixture
def vendor() -> Iterator[LaunchDarklySimulator]:
    """LaunchDarkly with a month of history."""
    with LaunchDarklySimulator() as simulator:
        simulator.fill(300, 30, seed=6, flag_events=40)
        yield simulator
