"""What LaunchDarkly answered on tape still gives the same table. The tape was recorded from the simulator."""

from pathlib import Path

from pydantic import SecretStr

from flagtrail.testing.cassette import CassetteSuite
from flagtrail_launchdarkly import LaunchDarkly
from flagtrail_launchdarkly.simulator import LaunchDarklySimulator


class TestLaunchDarklyOnTape(CassetteSuite):
    simulator = LaunchDarklySimulator
    connector = LaunchDarkly(token=SecretStr("api-made-up"))
    tape = Path(__file__).parent / "cassettes" / "a_month.yaml"
