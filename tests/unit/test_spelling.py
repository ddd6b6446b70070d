"""What PostgreSQL's index of words keeps is read alike by the server and by Python, in either case of a letter."""

import re

from flagtrail.migrations.versions import step_0013
from flagtrail.spelling import BEYOND, DOTTED, KEPT, OTHERS, expressions_of, terms_of

KEEPS = re.compile(f"[{KEPT}]")


def test_each_sign_that_is_kept_is_a_letter_whose_cases_are_kept_too() -> None:
    for sign in map(chr, range(0x110000)):
        lower = sign.lower()
        if KEEPS.match(sign):
            assert sign.isalpha() or sign in "0123456789", sign
            assert len(lower) == 1, sign
            assert KEEPS.match(lower), sign
        elif sign != DOTTED and len(lower) == 1:
            assert not KEEPS.match(lower), "an event that has it would have a piece less"


def test_every_other_case_of_a_letter_is_known() -> None:
    for sign in map(chr, range(0x110000)):
        lower = sign.lower()
        if sign not in {lower, DOTTED}:
            assert sign in {lower.upper(), lower.title(), *OTHERS.get(lower, "")}, sign
    assert not any(chr(code).isalnum() for code in range(BEYOND, 0x110000))


def test_the_index_is_of_what_is_asked_for() -> None:
    assert step_0013.KEPT == KEPT


def test_a_word_is_looked_for_by_its_pieces_and_decided_as_a_whole() -> None:
    assert terms_of("check 2e5") == ["'check':*", "'ǂ2e5':*"]
    assert terms_of('"check out"') == ["'check'", "'out'"]
    assert terms_of("a½b") == ["'a'", "'b':*"]
    assert terms_of("½") == []
    assert terms_of('über naïve kilo "Café"', folds=False) == ["'na':*", "'kilo':*", "'caf':*"]
    [expression] = expressions_of("ax")
    assert expression.endswith("[Aa][Xx]")
