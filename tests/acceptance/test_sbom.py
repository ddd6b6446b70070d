"""`make sbom` writes a CycloneDX document that names every library that flagtrail asks for."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def test_the_sbom_names_every_direct_dependency_with_its_version(tmp_path: Path) -> None:
    if not shutil.which("make"):
        pytest.skip("make is not here, and what it would run cannot be asked")
    asked = [
        "make",
        "--dry-run",
        "--no-print-directory",
        "--old-file=.venv/.test-ready",
        "sbom",
        f"OF={sys.executable}",
    ]
    recipe = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    recipe = re.sub(r"^\.venv/bin/python", sys.executable, recipe.replace("\\\n", " "), flags=re.MULTILINE)
    words = [word if word != "sbom.json" else str(tmp_path / word) for word in recipe.splitlines()[-1].split()]
    assert words[1:4] == ["-m", "cyclonedx_py", "environment"]
    words.insert(4, "--no-validate")  # of all that tests need, it takes ten seconds
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=120)

    bom = json.loads((tmp_path / "sbom.json").read_text(encoding="utf-8"))
    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == ("CycloneDX", "flagtrail")
    found = {each["name"].lower().replace("_", "-"): each for each in bom["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        one for text in project["dependencies"] if (one := Requirement(text)).marker is None or one.marker.evaluate()
    ]
    assert len(wanted) > 15
    for each in wanted:
        component = (
            found[each.name.lower().replace("_", "-").replace(".", "-")] if each.name not in found else found[each.name]
        )
        assert component["version"] == version(each.name)
        assert component["purl"].startswith("pkg:pypi/")
