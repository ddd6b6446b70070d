"""The list of mutants, which would rot silently: it is run by hand, and each names a piece of the code."""

import pytest

from tests.properties.mutants import MUTANTS, ROOT, Mutant, occurrences


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_still_be_planted(mutant: Mutant) -> None:
    assert occurrences(mutant) == 1, f"{mutant.file} has changed: plant the bug in its new text"
    planted = (ROOT / mutant.file).read_text(encoding="utf-8").replace(mutant.old, mutant.new)
    compile(planted, mutant.file, "exec")


def test_no_two_mutants_have_one_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 10
