"""What is remembered of texts takes a bounded room, however long the texts are that a vendor sends."""

from collections.abc import Callable
from typing import Any

import pytest

from flagtrail import search, sentence

LONG = "a word, " * 100_000


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (search.told, search._told),
        (lambda text: search.marks(("object_key", "object_name"), (None, text)), search._marks),
    ],
)
def test_only_short_texts_are_remembered(asked: Callable[[str], str], kept: Any) -> None:
    kept.cache_clear()
    before = kept.cache_info().currsize
    assert asked(LONG) == asked(LONG)
    assert kept.cache_info().currsize == before
    asked("a short text of this test")
    assert kept.cache_info().currsize == before + 1


def test_of_a_long_text_only_its_beginning_is_remembered() -> None:
    assert sentence.tidy(LONG) == sentence.tidy(LONG + "and another end")
    sentence._tidy.cache_clear()
    sentence.tidy(LONG)
    before = sentence._tidy.cache_info().currsize
    sentence.tidy(LONG * 2)
    assert sentence._tidy.cache_info().currsize == before, "texts with one beginning are one"
