"""Splits text into words, the same way wherever text is kept for searching and asked for.

A word is a run of letters and digits; case does not matter. `checkout-v2` is two words, and so is `rate_limit`.
"""

import re
from functools import lru_cache
from itertools import takewhile

LONGEST = 64  # characters of a word that count; what is longer is found by its beginning
STAYING = ("\u0130", "\u212a")  # the Turkish I with a dot, and the sign of the kelvin
_STAYING = re.compile(f"([{''.join(STAYING)}])")
_WORD = re.compile(r"[^\W_]+")


def folded(text: str | None) -> str | None:
    """Return a text in which case does not matter any more; SQLite's own `lower` knows ASCII only.

    The two signs whose lower case would be an ASCII letter stay, as they do in SQLite's indexes of `lower`.
    """
    if text is None or text.isascii():
        return text and text.lower()
    return "".join(part if part in STAYING else part.lower() for part in _STAYING.split(text))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, in their order."""
    return [word[:LONGEST] for word in _WORD.findall(text.lower())]


def found_by(text: str) -> list[str]:
    """Return what a text is found by: its words, and of each with digits also the letters that it begins with.

    Who asks for `check` means `checkout2` too, and of words with digits there is no list: there may be too many.
    """
    found = words(text)
    mixed = (word for word in found if not word.isalpha())
    return [*found, *filter(None, ("".join(takewhile(str.isalpha, word)) for word in mixed))]


def spelled(text: str) -> str:
    """Return what is asked for by a text: words that blanks divide, of which those that belong together are in quotes.

    A quote that nothing closes stands for nothing. A text without a word gives an empty one.
    """
    parts = text.split('"')
    quoted = range(1, len(parts) - 1, 2)
    told = [(" ".join(words(part)), place in quoted) for place, part in enumerate(parts)]
    return " ".join(f'"{part}"' if together else part for part, together in told if part)


@lru_cache(maxsize=256)
def asked(wanted: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the words whose beginnings are asked for, and the groups of whole words that stand together."""
    parts = spelled(wanted).split('"')
    return tuple(" ".join(parts[::2]).split()), tuple(tuple(part.split()) for part in parts[1::2])


def has_words(text: str | None, wanted: str) -> bool:
    """Return whether a text has what is asked for: beginnings of words, and in quotes whole words that stand together.

    Without any word in it, nothing has it.
    """
    text = (text or "").lower()
    beginnings, groups = asked(wanted)
    every = [*beginnings, *(word for group in groups for word in group)]
    if not every or not all(one in text for one in every):
        return False
    found = words(text)
    return all(any(word.startswith(one) for word in found) for one in beginnings) and all(
        any(tuple(found[place : place + len(group)]) == group for place in range(len(found))) for group in groups
    )
