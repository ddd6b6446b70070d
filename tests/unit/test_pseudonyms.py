"""What a forgotten person went by is known wherever it stands, and nothing else is taken for it."""

from time import process_time
from typing import Any

import pytest

from flagtrail.event import ActorKind
from flagtrail.pseudonyms import COLUMNS, NESTED, Pseudonyms, hashed

KEY = b"k" * 32
ADA, JU, MO = "person-00000001", "person-00000002", "person-00000003"
WHO = {
    ADA: ("Ada.Lovelace@acme.example", "Ada Lovelace", "5f0c1e77", "ada"),
    JU: ("jürgen.groß@acme.example", "Jürgen Groß"),
    MO: ("m.o'neil@acme.example", "08d9-4c1a-77fe"),
}
KNOWN = Pseudonyms(KEY, [one for name, all_ in WHO.items() for text in all_ for one in hashed(KEY, text, name)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ADA.LOVELACE@ACME.EXAMPLE", ADA),
        ("by <ada.lovelace@acme.example>, and 'Ada.Lovelace@acme.example'.", f"by <{ADA}>, and '{ADA}'."),
        ("mailto:ada.lovelace@acme.example?x", f"mailto:{ADA}?x"),
        ("https://x/y?who=ada.lovelace%40acme.example&z=%2F", f"https://x/y?who={ADA}&z=/"),
        ("/u/J%C3%BCrgen%20Gro%C3%9F", f"/u/{JU}"),
        ("100 % of it by ada.lovelace%40acme.example", f"100 % of it by {ADA}"),
        ("m.o'neil@acme.example", MO),
        ("ADA  LOVELACE and ada-lovelace, Lovelace, Ada", f"{ADA} and {ADA}, {ADA}"),
        ("Ju\u0308rgen Gross", JU),
        ("member/5f0c1e77:x, 08D9-4C1A-77FE", f"member/{ADA}:x, {MO}"),
        ('{"by": "ada.lovelace@acme.example"}', f'{{"by": "{ADA}"}}'),
        # Somebody or something else.
        ("not-ada.lovelace@acme.example.org", f"not-{ADA}@acme.example.org"),  # another address, with the name in it
        ("Ada Lovelacey, ada, 5f0c1e778, Ada\n\n\n\nLovelace", "Ada Lovelacey, ada, 5f0c1e778, Ada\n\n\n\nLovelace"),
        ("100 % of Ju\u0308", "100 % of Ju\u0308"),
        (ADA, ADA),
    ],
)
def test_texts(text: str, told: str) -> None:
    assert KNOWN.text(text) == told
    assert KNOWN.text(told) == told, "what was replaced stays"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"_id": "5f0c1e77", "firstName": "A.", "lastName": "L.", "name": "al"},
         {"_id": ADA, "firstName": ADA, "lastName": "", "name": ADA}),
        ({"first_name": "Ada", "last_name": "Lovelace"}, {"first_name": ADA, "last_name": ""}),
        ({"userEmail": "ada.lovelace@acme.example", "userName": "A", "name": "flag"},
         {"userEmail": ADA, "userName": ADA, "name": "flag"}),
        ({"email": "al@other.example", "firstName": "Ada", "lastName": "Lovelace", "name": "Ada Lovelace"},
         {"email": "al@other.example", "firstName": "Ada", "lastName": "Lovelace", "name": "Ada Lovelace"}),
        ({"maintainerId": "5f0c1e77", "name": "checkout"}, {"maintainerId": ADA, "name": "checkout"}),
        ({"ada.lovelace@acme.example": [1, None, {"name": "ada"}]}, {ADA: [1, None, {"name": ADA}]}),
        ({"ada.lovelace@acme.example": 1, "Ada Lovelace": 2, "x": 3}, {ADA: 2, f"{ADA} (2)": 1, "x": 3}),
        ({"tags": ["ada"], "value": "ada"}, {"tags": ["ada"], "value": "ada"}),
    ],
)  # fmt: skip
def test_json(value: Any, told: Any) -> None:
    assert KNOWN.value(value) == told
    assert KNOWN.value(told) == told


def row(**more: Any) -> dict[str, Any]:
    return dict.fromkeys((*COLUMNS, *NESTED)) | {"actor_kind": ActorKind.MEMBER} | more


def test_whoever_acted_goes_by_the_pseudonym_in_all_columns() -> None:
    hers = {"actor_id": ADA, "actor_name": ADA, "actor_email": ADA}
    assert KNOWN.columns(row(actor_id="5f0c1e77", actor_name="Addy")) == hers
    assert KNOWN.columns(row(actor_name="Ada Lovelace")) == {"actor_name": ADA, "actor_email": ADA}
    assert KNOWN.columns(row(**hers)) == {}
    token = row(actor_kind=ActorKind.TOKEN, actor_name="Ada Lovelace")
    assert KNOWN.columns(token) == {"actor_name": ADA}, "a token is nobody, and still tells the name"
    for other in ("al@other.example", "not-ada.lovelace@acme.example", "ada.lovelace@other.example"):
        assert KNOWN.columns(row(actor_email=other, actor_name="Ada Lovelace")) == {}
    assert KNOWN.columns(row(object_key="ada", object_name="x", summary="ada did")) == {"object_key": ADA}


def test_a_long_text_is_looked_through_in_one_go() -> None:
    long = "x" * 100_000
    begun = process_time()
    assert KNOWN.text(f"{long} ada.lovelace@acme.example {long}") == f"{long} {ADA} {long}"
    assert process_time() - begun < 3, "each letter was looked at from every other before it"


def test_an_identity_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing can be known by it"):
        hashed(KEY, " ... ", ADA)
