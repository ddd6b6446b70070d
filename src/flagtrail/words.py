"""Splits text into words, the same way wherever text is kept for searching and asked for.

A word is a run of letters and digits; case does not matter. `checkout-v2` is two words, and so is `rate_limit`.
"""

import re

LONGEST = 64  # characters of a word that count; what is longer is found by its beginning
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, in their order."""
    return [word.lower()[:LONGEST] for word in _WORD.findall(text)]


def has_words(text: str | None, wanted: str) -> bool:
    """Return whether each of the wanted words, which blanks divide, is a word of a text or the beginning of one."""
    text = (text or "").lower()
    if not all(one in text for one in wanted.split(" ")):
        return False
    found = words(text)
    return all(any(word.startswith(one) for word in found) for one in wanted.split(" "))
