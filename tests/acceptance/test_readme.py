"""The README's commands, in their order, as a stranger types them; only the vendors are simulated."""

import re
import signal
import sqlite3
import subprocess
from pathlib import Path

from pydantic import SecretStr

from flagtrail.testing.simulator import Simulator
from tests.acceptance.conftest import COMMAND, Flagtrail, environment

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_commands_of_the_readme_work_one_after_the_other(
    tmp_path: Path, flagtrail: Flagtrail, vendors: dict[str, Simulator]
) -> None:
    section = README.split("## Use it on your accounts")[1]
    [block] = re.findall(r"^```console\n(.*?)^```", section, re.DOTALL | re.MULTILINE)[:1]
    lines = [line.removeprefix("$ ") for line in block.splitlines()]
    commands = [line.split()[1:] for line in lines if line.startswith("flagtrail ")]
    assert [words[0] for words in commands] == ["init", "check", "sync", "events", "status", "run"]
    names = re.findall(r"([A-Z_]+)=", next(line for line in lines if line.startswith("export ")))
    values = [v for vendor in vendors.values() for v in vendor.settings().values() if isinstance(v, SecretStr)]
    variables = {name: value.get_secret_value() for name, value in zip(names, values, strict=True)}
    for words in commands[:-1]:
        result = flagtrail(*words, **variables)
        assert result.returncode == 0, result.stderr
        if words[0] == "init":
            _lead_to(tmp_path / "flagtrail.toml", vendors)
    daemon = subprocess.Popen(
        [*COMMAND, *commands[-1]], cwd=tmp_path, env=environment(**variables), stderr=subprocess.PIPE
    )
    assert daemon.stderr is not None
    assert any(b"daemon_started" in line for line in iter(daemon.stderr.readline, b""))
    daemon.send_signal(signal.SIGTERM)
    daemon.communicate(timeout=10)
    assert daemon.returncode == 0
    [query] = re.findall(r"^```sql\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    connection = sqlite3.connect(tmp_path / "flagtrail.db")
    assert connection.execute(query).fetchall()
    connection.close()


def _lead_to(config: Path, vendors: dict[str, Simulator]) -> None:
    """Let the sources of a config read the simulators instead of the vendors."""
    text = config.read_text(encoding="utf-8")
    for name, vendor in vendors.items():
        text = text.replace(f'name = "{name}"\n', f'name = "{name}"\nbase_url = "{vendor.url}"\n')
    config.write_text(text, encoding="utf-8")
