"""What PostgreSQL is asked about texts: expressions that decide as `words` does, and terms by which its index proposes.

The index keeps runs of the signs in `KEPT`, and anything else divides there, also letters whose cases are not the same
everywhere, such as a sigma. So a word may be several pieces in it: an event that has the word has them all.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from flagtrail.words import LONGEST, asked

LETTER = "ǂ"  # before each word that begins with a digit: PostgreSQL would take `0e1f2a9` for a number and a word
DOTTED = "\u0130"  # its lower case is an i and a mark, which divides
KELVIN = "\u212a"  # its lower case is a k, also for a server that knows the cases of ASCII only
# Letters to the parser of PostgreSQL and to Python, with their other cases; for both to read, as these escapes.
KEPT = (
    r"0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u012f\u0131-\u017f\u0386\u0388-\u038a\u038c\u038e-\u0397\u0399-\u03a1"
    r"\u03a4-\u03b7\u03b9-\u03c1\u03c4-\u03ce\u0400-\u0481\u048a-\u052f\u05d0-\u05ea\u0620-\u064a\u0904-\u0939"
    r"\u0e01-\u0e30\u1e00-\u1eff\u2126\u212a-\u212b\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)
# Signs whose lower case is a letter that is not theirs the other way round; which sigma it is depends on what follows.
OTHERS = {"k": KELVIN, "\u00e5": "\u212b", "\u00df": "\u1e9e", "\u03b8": "\u03f4", "\u03c3": "\u03a3",
          "\u03c2": "\u03a3", "\u03c9": "\u2126"}  # fmt: skip
_ASCII = frozenset(map(chr, range(128)))
BEYOND = 0x40000  # there is no letter from here on
_PIECE = re.compile(f"[{KEPT}]+")


def terms_of(text: str, *, folds: bool = True) -> list[str]:
    """Return what PostgreSQL's index of words is asked for by a text: an event that has it meets each of these.

    There is none when the index has nothing of the text. `folds` says whether the server knows the cases of letters
    beyond ASCII, which it does not with the locale C.
    """
    beginnings, groups = asked(text)
    terms = [term for word in beginnings for term in _pieces(word, begins=True, folds=folds)]
    # A word that was cut is known by its beginning only.
    whole = ((word, len(word) == LONGEST) for group in groups for word in group)
    terms += [term for word, cut in whole for term in _pieces(word, begins=cut, folds=folds)]
    return list(dict.fromkeys(terms))


def _pieces(word: str, *, begins: bool, folds: bool) -> Iterator[str]:
    for found in _PIECE.finditer(word):
        piece, begun = found[0], begins and found.end() == len(word)
        if not folds and (other := next((sign for sign in piece if _forms(sign) - {sign, KELVIN, *_ASCII}), None)):
            piece, begun = piece.partition(other)[0], True  # it may stand there as a capital from here on
        if piece:
            yield f"'{LETTER if piece[0] in '0123456789' else ''}{piece}'{':*' if begun else ''}"


def expressions_of(text: str) -> list[str]:
    """Return the regular expressions of PostgreSQL that a text has to match, each somewhere, to have what is asked for.

    Of a capital sigma, either small one is taken for its lower case: a few too many.
    """
    beginnings, groups = asked(text)
    return [_begun() + _signs(word[:-1]) + _ending(word, "", "") for word in beginnings] + [
        _together(g) for g in groups
    ]


def _begun() -> str:
    return f"(?:^|[^{_letters()}]|{DOTTED})"


def _together(group: tuple[str, ...]) -> str:
    """Return the expression of whole words that stand together."""
    between, end = f"[^{_letters()}]", f"(?![{_letters()}])"
    found = _begun()
    for place, word in enumerate(group, start=1):
        last = place == len(group)
        cut = f"[{_letters()}]*" if len(word) == LONGEST else ""
        found += _signs(word[:-1]) + _ending(
            word, cut + (end if last else f"{between}+"), "" if last else f"{between}*"
        )
    return found


def _ending(word: str, then: str, then_divided: str) -> str:
    """Return the last sign of a word, with what comes then; and after a sign that divides by itself."""
    if not word.endswith("i"):
        return _signs(word[-1]) + then
    return f"(?:[iI]{then}|{DOTTED}{then_divided})"


def _signs(word: str) -> str:
    """Return the expression of the signs of a word in lower case; for each, those whose lower case it is will do."""
    return "".join(f"[{''.join(sorted(_forms(sign)))}]" for sign in word)


def _forms(sign: str) -> set[str]:
    others = (form for form in (sign.upper(), sign.title()) if len(form) == 1 and form.lower() == sign)
    return {sign, *others, *OTHERS.get(sign, "")}


@lru_cache(maxsize=1)
def _letters() -> str:
    """Return the letters and digits that words are made of, as ranges; `[[:alnum:]]` depends on the server."""
    every = "".join(map(chr, range(BEYOND)))
    return "".join(f"{found[0][0]}-{found[0][-1]}" for found in re.finditer(r"[^\W_]+", every))
