"""Knows forgotten persons by keyed hashes of what they went by, and puts their pseudonyms in its place.

An e-mail address is known as a whole, in whatever case; a name or an id as a row of whole words, whatever divides them.
A single word that may be anybody's (shorter than 8 letters, and without a digit) is known only as a whole value where
persons are named. What has been replaced once stays as it is.
"""

import hmac
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple
from unicodedata import normalize
from urllib.parse import quote, unquote

from flagtrail.people import HUMAN

WORD = re.compile(r"[^\W_]+")
# No longer before its @ than any that is: where there is none, each letter is looked at from so many others only.
ADDRESS = re.compile(r"""[^\s@<>"(),;:/?&=\\\[\]{}|`]{1,254}@[\w-]+(?:\.[\w-]+)*""")
BEFORE = "'*_-.~#!$^+"  # signs that an address may begin with, and that may as well stand before one
BETWEEN = 3  # signs that may stand between two words of a name
SURE = 8  # letters from which on a single word is nobody else's
COLUMNS = (
    "actor_id",
    "actor_name",
    "actor_email",
    "object_key",
    "object_name",
    "location",
    "summary",
    "comment",
    "url",
)
NESTED = ("changes", "impact")
PLACES = ("stream", "project", "project_name", "environment", "environment_name", "vendor_id")  # these stay
# Keys of a JSON object that is a person: what tells who it is, and what the person is called, in lower case without _.
SELF, SELF_NAMES = ("email", "id"), ("name", "fullname", "displayname", "nickname", "username")
USER, USER_NAMES = ("useremail", "userid", "memberemail"), ("username", "userfullname", "membername")
FIRST, LAST = ("firstname", "givenname"), ("lastname", "familyname", "surname")


class Identity(NamedTuple):
    """What a forgotten person went by, as it is kept; `words` is 0 for an address. See the table `identity`."""

    digest: bytes
    pseudonym: str
    words: int
    begins: int
    within: bool


def new_pseudonym() -> str:
    """Return a pseudonym that says nothing of whom it stands for."""
    return f"person-{secrets.token_hex(4)}"


def hashed(key: bytes, identity: str, pseudonym: str) -> list[Identity]:
    """Return what is kept of an address, an id or a name; a name of two words the other way round too.

    Raises ValueError when there is no word in it.
    """
    identity = normalize("NFC", identity).strip()
    if ADDRESS.fullmatch(identity):
        return [Identity(_digest(key, identity.lower()), pseudonym, 0, 0, within=True)]
    words = _words(identity)
    if not words:
        raise ValueError(f"{identity!r} has no letters and no digits: nothing can be known by it")
    within = len(words) > 1 or len(words[0]) >= SURE or any(sign.isdigit() for sign in words[0])
    ways = [words, words[::-1]] if len(words) == 2 and not any(map(str.isdigit, "".join(words))) else [words]
    return [
        Identity(_digest(key, " ".join(way)), pseudonym, len(way), _begins(key, way[0]), within)
        for way in dict.fromkeys(map(tuple, ways))
    ]


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")


def _begins(key: bytes, word: str) -> int:
    """Return 12 bits of a word's hash: enough to tell it from most others, and too few to know it by."""
    return int.from_bytes(_digest(key, f"begins {word}")[:2]) >> 4


def _words(text: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(text)]


def _apart(names: dict[str, str]) -> dict[str, str]:
    """Return what keys of an object are called, each otherwise: nothing is lost where one person was two of them."""
    if len(set(names.values())) == len(names):
        return names
    known: Counter[str] = Counter()
    for key in sorted(names):
        known[names[key]] += 1
        names[key] += f" ({known[names[key]]})" if known[names[key]] > 1 else ""
    return names


class Pseudonyms:
    """All forgotten persons; safe to use from many threads."""

    def __init__(self, key: bytes, known: Iterable[Identity]) -> None:
        known = list(known)
        self._key = key
        self.count = len(known)
        self._by_digest = {each.digest: each for each in known}
        self._pseudonyms = {each.pseudonym for each in known}
        self._lengths = sorted({each.words for each in known if each.words and each.within}, reverse=True)
        begins = frozenset(each.begins for each in known if each.words)
        self._may_begin = lru_cache(65_536)(lambda word: _begins(key, word) in begins)
        self.text, self.find = lru_cache(8192)(self._text), lru_cache(8192)(self._find)

    def may_stand_in(self, text: str) -> bool:
        """Return whether a JSON text may hold a forgotten person: quick, too often yes, and never no in vain."""
        if "\\" in text or "%" in text:
            return True  # there, a word may begin with a sign that is none
        text = text if text.isascii() else normalize("NFC", text)
        if any(self._may_begin(word.casefold()) for word in set(WORD.findall(text))):
            return True
        return "@" in text and any(self._address(match) != match[0] for match in ADDRESS.finditer(text))

    def _find(self, identity: str) -> str | None:
        """Return the pseudonym of whoever an identity, or a pseudonym, is; None when nobody forgotten is."""
        identity = normalize("NFC", identity).strip()
        if identity in self._pseudonyms:
            return identity
        whole = identity.lower() if ADDRESS.fullmatch(identity) else " ".join(_words(identity))
        found = self._by_digest.get(_digest(self._key, whole))
        return found.pseudonym if found else None

    def value(self, value: Any) -> Any:
        """Return a JSON value with pseudonyms in it; keys of objects are looked at too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return self._object(value)
        return value

    def columns(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of the table `event` that have another value with pseudonyms.

        Whoever acted goes by the pseudonym in all columns of the actor, the address included, so that one person stays
        one at every vendor. The name of an actor with somebody else's address is that person's own.
        """
        told: dict[str, Any] = {name: self._named(row[name]) for name in COLUMNS if row[name]}
        told |= {name: self.value(row[name]) for name in NESTED if row[name]}
        id, name, email = (row[f"actor_{part}"] for part in ("id", "name", "email"))
        who = self._first(email, id) or (self._first(name) if not email and row["actor_kind"] in HUMAN else None)
        if who:
            told |= {column: who for column in ("actor_id", "actor_name") if row[column]} | {"actor_email": who}
        elif email:
            told["actor_name"] = name
        return {name: value for name, value in told.items() if value != row[name]}

    def stays_in(self, row: Mapping[str, Any]) -> bool:
        """Return whether the name of a place or the vendor's own id holds what a forgotten person went by."""
        return any(row[name] and self.text(row[name]) != row[name] for name in PLACES)

    def _first(self, *identities: str | None) -> str | None:
        return next((found for each in identities if each and (found := self.find(each))), None)

    def _named(self, text: str) -> str:
        """Return what stands where somebody is named; a whole address of somebody else stays, whatever is in it."""
        return self.find(text) or (text if ADDRESS.fullmatch(text) else self.text(text))

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        texts = {key.lower().replace("_", ""): item for key, item in value.items() if isinstance(item, str) and item}
        self_, user = self._first(*map(texts.get, SELF)), self._first(*map(texts.get, USER))
        first, last = (next((texts[key] for key in keys if key in texts), None) for keys in (FIRST, LAST))
        foreign = not (self_ or user) and any("@" in texts.get(key, "") for key in (*SELF, *USER))
        if not self_ and not foreign and first and last:
            self_ = self.find(f"{first} {last}")
        names = _apart({key: self.text(key) for key in value})
        return {names[key]: self._item(key, item, self_, user, foreign) for key, item in value.items()} | (
            {key: "" for key in value if self_ and first and key.lower().replace("_", "") in LAST and value[key]}
        )

    def _item(self, key: str, item: Any, self_: str | None, user: str | None, foreign: bool) -> Any:
        """Return what stands in a JSON object that is a person, or tells of a user; `foreign`: of somebody else."""
        if not isinstance(item, str) or not item:
            return self.value(item)
        key = key.lower().replace("_", "")
        if self_ and key in (*SELF_NAMES, *FIRST, *LAST):
            return self_
        if user and key in USER_NAMES:
            return user
        if key in (*SELF_NAMES, *USER_NAMES, *FIRST, *LAST):
            return item if foreign else self._named(item)
        return self._named(item) if key in (*SELF, *USER) else self.text(item)

    def _text(self, text: str) -> str:
        """Return a text with pseudonyms in it; what a URL spells by percent signs is known too."""
        plain = text if text.isascii() else normalize("NFC", text)
        if "%" in plain and (spelled := normalize("NFC", unquote(plain))) != plain:
            told = self._replaced(spelled)
            if told != spelled:
                return told if re.search(r"\s", plain) else quote(told, safe="/:?#[]@!$&'()*+,;=~")
        told = self._replaced(plain)
        return text if told == plain else told

    def _replaced(self, text: str) -> str:
        if "@" in text:
            text = ADDRESS.sub(self._address, text)
        return self._names(text) if self._lengths else text

    def _address(self, match: re.Match[str]) -> str:
        address = match[0]
        bare = address.lstrip(BEFORE)
        for whole in dict.fromkeys((address, bare)):
            found = self._by_digest.get(_digest(self._key, whole.lower()))
            if found:
                return address[: len(address) - len(whole)] + found.pseudonym
        return address

    def _names(self, text: str) -> str:
        """Return a text with pseudonyms in place of rows of words; the longest row at a place counts."""
        found = [(match.start(), match.end(), match[0].casefold()) for match in WORD.finditer(text)]
        parts, place, at = [], 0, 0
        while at < len(found):
            length, pseudonym = self._row(found, at) if self._may_begin(found[at][2]) else (1, None)
            if pseudonym:
                parts += [text[place : found[at][0]], pseudonym]
                place = found[at + length - 1][1]
            at += length
        return "".join([*parts, text[place:]]) if parts else text

    def _row(self, found: list[tuple[int, int, str]], at: int) -> tuple[int, str | None]:
        for length in self._lengths:
            row = found[at : at + length]
            near = all(after[0] - before[1] <= BETWEEN for before, after in pairwise(row))
            if len(row) == length and near:
                known = self._by_digest.get(_digest(self._key, " ".join(word for _, _, word in row)))
                if known and known.within:
                    return length, known.pseudonym
        return 1, None
