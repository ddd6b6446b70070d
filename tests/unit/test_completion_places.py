"""Which part of a question is being typed."""

import pytest

from flagtrail.web.page.completion import place_of


@pytest.mark.parametrize(
    ("typed", "field", "part", "stays"),
    [  # the caret stands at |
        ("|", None, "", "|"),
        ("env|", None, "env", "|"),
        ("en|v", None, "en", "|"),
        ("environment:|", "environment", "", "environment:|"),
        ("environment:pro|", "environment", "pro", "environment:|"),
        ("environment:pro|duction actor:ana", "environment", "pro", "environment:| actor:ana"),
        ("environment:a,b|", "environment", "b", "environment:a,|"),
        ("environment:a,b|,c", "environment", "b", "environment:a,|,c"),
        ('-environment:"a, b|', "environment", "a, b", "-environment:|"),
        ('environment:"a, b",c|', "environment", "c", 'environment:"a, b",|'),
        ("-act|", None, "act", "-|"),
        ("after:2|", "since", "2", "after:|"),
        ("a b |", None, "", "a b |"),
        ("ac|tor:ana", None, "ac", "|ana"),
        ('"two words|', None, '"two words', "|"),
    ],
)
def test_what_is_typed_is_told_apart_from_what_stays(typed: str, field: str | None, part: str, stays: str) -> None:
    at = typed.index("|")
    text = typed.replace("|", "")
    found = place_of(text, at)
    assert (found.field, found.part) == (field, part)
    assert text[: found.since] + "|" + text[found.until :] == stays
