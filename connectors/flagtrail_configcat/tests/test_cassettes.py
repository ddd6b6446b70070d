"""What ConfigCat answered on tape still gives the same table. The tape was recorded from the simulator."""

from pathlib import Path

from pydantic import SecretStr

from flagtrail.testing.cassette import CassetteSuite
from flagtrail_configcat import ConfigCat
from flagtrail_configcat.simulator import ConfigCatSimulator


class TestConfigCatOnTape(CassetteSuite):
    simulator = ConfigCatSimulator
    connector = ConfigCat(username=SecretStr("made-up"), password=SecretStr("made-up"))
    tape = Path(__file__).parent / "cassettes" / "a_month.yaml"
