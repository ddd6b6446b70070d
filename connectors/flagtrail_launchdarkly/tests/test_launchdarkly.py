"""LaunchDarkly passes the conformance suite."""

from flagtrail.testing.suite import ConnectorSuite
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator


class TestLaunchDarkly(ConnectorSuite):
    simulator = LaunchDarklySimulator
