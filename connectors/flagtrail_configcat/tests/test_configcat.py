"""ConfigCat passes the conformance suite."""

from flagtrail.testing.suite import ConnectorSuite
from flagtrail_configcat.simulator import ConfigCatSimulator


class TestConfigCat(ConnectorSuite):
    simulator = ConfigCatSimulator
