"""The second try of tests that failed: who gets it, who does not, and what is said."""

from pathlib import Path

import pytest

from tests import once_more

FIRST = "from pathlib import Path\nseen = Path('seen')\nbefore = seen.exists()\n"


@pytest.fixture
def tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which tests are run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take seconds, and none is asked for
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def run(folder: Path, text: str) -> int:
    (folder / "test_it.py").write_text(text)
    return once_more.main(["-q"])


def test_what_passes_is_run_once(tests: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(tests, "def test_a(): pass") == 0
    assert "Once more" not in capfd.readouterr().out


def test_what_passes_alone_is_named(tests: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(tests, f"{FIRST}def test_a():\n    seen.touch()\n    assert before\ndef test_b(): pass") == 0
    assert "Passed alone, failed beside others (mend the test): test_it.py::test_a\n" in capfd.readouterr().out


def test_what_fails_twice_has_failed(tests: Path) -> None:
    assert run(tests, "def test_a(): assert not 1") == 1


def test_a_loss_and_many_failures_have_no_second_try(tests: Path, capfd: pytest.CaptureFixture[str]) -> None:
    many = "import pytest\n@pytest.mark.parametrize('n', range(6))\n"
    assert run(tests, f"{FIRST}{many}def test_a(n):\n    seen.touch()\n    assert before") == 1
    (tests / "seen").unlink()
    lost = "def test_a(pytestconfig):\n    seen.touch()\n    pytestconfig.cache.set('flagtrail/lost', [1, 0, 0])\n"
    assert run(tests, f"{FIRST}{lost}    assert before") == 1
    said = capfd.readouterr().out
    assert "An entry was lost" in said
    assert "Once more" not in said


def test_a_run_that_is_not_about_tests_keeps_its_exit_code(tests: Path) -> None:
    assert once_more.main(["no-such-file"]) == 4
