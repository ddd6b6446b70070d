"""Nothing that is installed here has a known vulnerability, as far as PyPI's service tells."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_nothing_that_is_installed_has_a_known_vulnerability(tmp_path: Path) -> None:
    installed = tmp_path / "installed.txt"
    freeze = [sys.executable, "-m", "pip", "freeze", "--disable-pip-version-check", "--exclude-editable"]
    installed.write_text(subprocess.run(freeze, check=True, capture_output=True, text=True).stdout)
    options = ("--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "10")
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options, "-r", str(installed)], capture_output=True, text=True, check=False
    )
    if done.returncode and "known vulnerabilit" not in done.stderr:
        last = done.stderr.strip().splitlines()[-1:]
        pytest.skip(f"PyPI's vulnerability service does not tell: {' '.join(last)}")
    assert done.returncode == 0, done.stdout
