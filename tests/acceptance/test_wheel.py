"""What pip, pipx, uv and the image install: a wheel of exactly the files that the image copies."""

import fnmatch
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from flagtrail import __version__, migrations
from flagtrail.testing.configured import write_config
from flagtrail_configcat.simulator import ConfigCatSimulator
from tests.acceptance.conftest import environment
from tests.acceptance.test_serve_command import answered, free
from tests.faults.running import Process, wait_until
from tests.unit.test_published import published

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def left_out(path: Path) -> bool:
    """Return whether .dockerignore keeps a file, or a folder above it, from the image."""
    names = [name for place in (path, *path.parents) for name in (str(place), f"**/{place.name}")]
    return any(fnmatch.fnmatch(name, form) for name in names for form in IGNORED)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the image builds, from what it copies and nothing else; no network is asked."""
    copied, made = tmp_path_factory.mktemp("src"), tmp_path_factory.mktemp("wheel")
    for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            files = [ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*")
            for file in (each for each in files if each.is_file() and not left_out(each.relative_to(ROOT))):
                (copied / file.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copied / file.relative_to(ROOT))
    command = [sys.executable, "-m", "pip", "wheel", str(copied), "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(made)], check=True, capture_output=True, timeout=120)
    [built] = made.iterdir()
    assert built.name == f"flagtrail-{__version__}-py3-none-any.whl"
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, beside the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True, timeout=120)
    [packages] = folder.glob("lib/python3.*/site-packages")
    # By their names in sys.path, without the .pth files there: one of them leads to these sources.
    libraries = [each for each in sys.path if each.endswith("site-packages")] or [sysconfig.get_path("purelib")]
    (packages / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")
    return folder / "bin"


def test_the_wheel_holds_all_that_is_no_test_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
        described = opened.read(f"flagtrail-{__version__}.dist-info/METADATA").decode()
    paths = [path.relative_to(ROOT) for path in published()]
    ours = {
        str(Path(*path.parts[1:]))
        for path in paths
        if path.parts[0] in ("src", "connectors") and "tests" not in path.parts
    }
    assert held == ours
    for needed in ("flagtrail/py.typed", f"flagtrail/migrations/versions/step_{migrations.HEAD}.py"):
        assert needed in held
    assert {Path(name).suffix for name in held} >= {".html", ".css", ".js", ".md"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (
        set(re.findall(r"^Provides-Extra: (.*)$", described, re.MULTILINE)) == project["optional-dependencies"].keys()
    )


def test_what_is_installed_reads_stores_and_serves_its_page(installed: Path, tmp_path: Path) -> None:
    where = [
        str(installed / "python"),
        "-c",
        "import flagtrail, flagtrail_configcat as c; print(flagtrail.__file__, c.__file__)",
    ]
    told = subprocess.run(where, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert all(path.startswith(str(installed.parent)) for path in told.stdout.split()), "these are the sources"
    said = subprocess.run(
        [installed / "flagtrail", "--help"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert "backfill" in said.stdout
    address = free()
    with ConfigCatSimulator() as vendor:
        vendor.fill(50, 30, seed=1)
        path = write_config(tmp_path, {"cc": vendor}, "sqlite:///trail.db")
        path.write_text(f'{path.read_text(encoding="utf-8")}\n[serve]\nlisten = "{address}"\n', encoding="utf-8")
        with Process("run", "--config", str(path), folder=tmp_path, command=[str(installed / "flagtrail")]) as daemon:
            wait_until(lambda: daemon.lines("tick"), "it has read")
            page = answered(address, "/")
            assert page.status_code == 200
            needed = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
            assert {Path(name.partition("?")[0]).suffix for name in needed} >= {".css", ".js"}
            for name in needed:
                assert answered(address, name).status_code == 200, name
            assert answered(address, "/api/v1/events").json()["events"]
            assert daemon.terminated()[0] == 0
