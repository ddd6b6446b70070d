"""The documentation is built as a site, without a warning, and fetches nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FETCHING = (
    r"""<(?:script|img|iframe|source)[^>]+?src="?(https?:)?//|<link[^>]+?href="?(https?:)?//|url\(["']?(https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    said = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "WARNING" not in said.stderr
    return folder


def test_every_document_is_a_page_of_the_site_and_exists_once(site: Path) -> None:
    documents = {
        path.relative_to(ROOT).with_suffix(".html")
        for form in ("docs/*.md", "connectors/*/README.md", "CONTRIBUTING.md", "CHANGELOG.md")
        for path in ROOT.glob(form)
    }
    for page in documents:
        there = site / page.with_stem("index" if page.stem == "README" else page.stem)
        assert there.is_file(), page
    assert "See it in a minute" in (site / "index.html").read_text(encoding="utf-8")
    for place in (ROOT / "pages").rglob("*"):
        inside = any(parent.is_symlink() for parent in place.parents)
        assert inside or place.is_symlink() or place.is_dir(), f"{place} is a copy; make it a link"
        assert place.exists(), f"{place} leads nowhere"


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    assert re.search(FETCHING, '<link rel="stylesheet" href="https://fonts.example.com/x">')
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        found = re.search(FETCHING, re.sub(r'<link rel="canonical"[^>]*>', "", file.read_text(encoding="utf-8")))
        assert found is None, f"{file.name}: {found and found[0]}"
