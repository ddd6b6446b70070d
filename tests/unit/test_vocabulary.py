"""The vocabulary page, and that the words of all vendors are verbs of the trail."""

from pathlib import Path

import pytest

from flagtrail.connector import Connector, installed
from flagtrail.event import Action, ActorKind
from flagtrail.vocabulary import describe

ROOT = Path(__file__).parents[2]
CONNECTORS = installed()


def test_the_vocabulary_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "vocabulary.md").read_text(encoding="utf-8") == describe(CONNECTORS), "run `make docs`"


def test_every_verb_and_every_kind_of_actor_has_a_short_meaning_of_its_own() -> None:
    for words in (Action, ActorKind):
        meanings = [word.meaning for word in words]
        assert len(set(meanings)) == len(meanings)
        assert all(0 < len(meaning) < 100 and "\n" not in meaning for meaning in meanings)


def test_no_verb_is_there_that_nobody_tells() -> None:
    assert {term.action for connector in CONNECTORS.values() for term in connector.terms} - {None} == set(Action)


@pytest.mark.parametrize("connector", CONNECTORS.values(), ids=CONNECTORS)
def test_a_vendors_words_are_told_once_in_one_condition(connector: type[Connector]) -> None:
    told = [(term.word, term.when, term.action is None) for term in connector.terms]
    assert len(told) == len(set(told))
    assert all(term.action or term.object_kind for term in connector.terms)
