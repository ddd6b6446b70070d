"""The planted bugs: each still fits the code, and the histories catch a few of them; `make mutants` tries them all."""

from pathlib import Path

import pytest

from tests.properties.mutants import HISTORY, copy_of_all, failure
from tests.properties.planted import MUTANTS, ROOT, Mutant

CAUGHT_AT_ONCE = {
    "the whole window is claimed on its first page",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_still_be_planted(mutant: Mutant) -> None:
    assert mutant.occurrences() == 1, f"{mutant.file} has changed: plant the bug in its new text"
    planted = (ROOT / mutant.file).read_text(encoding="utf-8").replace(mutant.old, mutant.new)
    compile(planted, mutant.file, "exec")


def test_no_two_mutants_have_one_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 10


@pytest.mark.parametrize("name", sorted(CAUGHT_AT_ONCE))
def test_the_histories_catch_a_planted_bug(name: str, tmp_path: Path) -> None:
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    copy = copy_of_all(tmp_path / "copy")
    mutant.plant(copy)
    assert failure(copy, HISTORY, "LaunchDarkly and not postgresql") is not None
