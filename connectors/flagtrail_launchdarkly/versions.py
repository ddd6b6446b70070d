"""Tells what a change changed: the places in which the two versions of a full audit entry differ.

LaunchDarkly shows whole objects before and after a change, a flag with all its environments: up to megabytes, and most
of it the same. What is told here is for the engineer on call, and is short; the record beside it has every byte. Of
what was made or deleted only one version is shown, and the event's action says all of it: that has no changes.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from flagtrail.event import Change, Record, from_json, to_json
from flagtrail_launchdarkly.readable import Told, Whole, clause, is_empty, is_noise, labels, readable, readable_value

MOST_CHANGES = 40
MOST_ITEMS = 20  # of a list or an object that is told whole
LONGEST_TEXT = 200
LONGEST_VALUE = 2000  # bytes of JSON
DEEPEST = 12  # levels that are compared; what lies deeper is compared whole
DEEPEST_TOLD = 5  # levels of a value that is told whole
IDENTITIES = ("_id", "key", "id")

# SDK keys are among them. The words are found at the end of a name: `secureMode` and `tokenId` are none.
SECRET = re.compile(
    r"((api|sdk|mobile|private|license|signing)_?keys?|secrets?|tokens?|passwords?|credentials?|authorization|headers?"
    r"|(?<![a-z])urls?)(?=$|[.\[])",
    re.IGNORECASE,
)


def told_changes(record: Record) -> list[Change] | None:
    """Return what an audit entry in its full form changed; None when it does not tell, as in its list form."""
    before, after = record.get("previousVersion"), record.get("currentVersion")
    try:
        if isinstance(before, dict) and isinstance(after, dict):
            return _capped(_objects("", *readable(before, after), 0))
        operations = _operations(record.get("delta"))
        return None if operations is None else _capped(_patched(operations))
    except RecursionError:  # a depth that only nonsense has
        return None


def _capped(changes: Iterable[Change]) -> list[Change]:
    """Return the first changes, and how many more there are."""
    left = iter(changes)
    found = list(islice(left, MOST_CHANGES))
    more = sum(1 for _ in left)
    return [*found, Change(path="…", after=f"and {more} more changes, in the record")] if more else found


def _differences(path: str, before: Any, after: Any, depth: int) -> Iterator[Change]:
    """Yield the places in which two values differ; what is empty and what is not there are the same."""
    if is_empty(before) and is_empty(after):
        return
    whole = depth >= DEEPEST or isinstance(before, Whole) or isinstance(after, Whole)
    if not whole and isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(path, before, after, depth)
    elif not whole and _list_or_nothing(before) and _list_or_nothing(after):
        yield from _lists(path, before or [], after or [], depth)
    elif _form(before) != _form(after):
        yield _change(path, before, after)


def _objects(path: str, before: dict[str, Any], after: dict[str, Any], depth: int) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        if not (name == "_id" and isinstance(before, Told)):
            yield from _differences(_below(path, name), before.get(name), after.get(name), depth + 1)


def _lists(path: str, before: list[Any], after: list[Any], depth: int) -> Iterator[Change]:
    if not any(isinstance(item, dict | list) for item in [*before, *after]):
        yield from _plain_lists(path, before, after)
        return
    name = next((name for name in IDENTITIES if _identified(before, name) and _identified(after, name)), None)
    if name is None:
        yield from _nameless_lists(path, before, after, depth)
        return
    old, new = ({item[name]: item for item in items} for items in (before, after))
    called = {item[name]: label for items in (before, after) for item, label in zip(items, labels(items), strict=True)}
    for id_ in dict.fromkeys([*old, *new]):
        yield from _differences(f"{path}[{called[id_]}]", old.get(id_), new.get(id_), depth + 1)
    if [id_ for id_ in old if id_ in new] != [id_ for id_ in new if id_ in old]:
        orders = [{"order": [called[id_] for id_ in items]} for items in (old, new)]
        yield _change(path, *orders)


def _plain_lists(path: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    """Yield what was removed from and added to a list; the whole lists when only the order differs."""
    if _form(before) == _form(after):
        return
    old, new = ({_form(item): item for item in items} for items in (before, after))
    removed = [item for form, item in old.items() if form not in new]
    added = [item for form, item in new.items() if form not in old]
    if removed or added:
        yield _change(path, {"removed": removed} if removed else None, {"added": added} if added else None)
    else:
        yield _change(path, before, after)


def _nameless_lists(path: str, before: list[Any], after: list[Any], depth: int) -> Iterator[Change]:
    """Yield how lists differ whose items have no ids: those that are the same on both sides drop out."""
    both = Counter(map(_form, before)) & Counter(map(_form, after))
    old, new = _without(before, both.copy()), _without(after, both.copy())
    if len(old) == len(new):
        for (_, item), (at, other) in zip(old, new, strict=True):
            yield from _differences(f"{path}[{at}]", item, other, depth + 1)
        return
    yield from (_change(f"{path}[{at}]", item, None) for at, item in old)
    yield from (_change(f"{path}[{at}]", None, item) for at, item in new)


def _without(items: list[Any], gone: Counter[bytes]) -> list[tuple[int, Any]]:
    """Return the items that are left, with their positions."""
    left = []
    for at, item in enumerate(items, start=1):
        form = _form(item)
        if gone[form]:
            gone[form] -= 1
        else:
            left.append((at, item))
    return left


def _identified(items: list[Any], name: str) -> bool:
    ids = [item.get(name) if isinstance(item, dict) else None for item in items]
    usable = all(isinstance(id_, str | int) and not isinstance(id_, bool) for id_ in ids)
    return usable and len(set(ids)) == len(ids)


def _list_or_nothing(value: Any) -> bool:
    return isinstance(value, list) or value is None


def _operations(delta: Any) -> list[dict[str, Any]] | None:
    """Return the operations of a JSON patch, also as text or beside a comment; None when it is none."""
    if isinstance(delta, str):
        try:
            delta = from_json(delta)
        except ValueError:
            return None
    if isinstance(delta, dict):
        delta = delta.get("patch")
    if not isinstance(delta, list) or not delta:
        return None
    usable = all(isinstance(o, dict) and isinstance(o.get("op"), str) and isinstance(o.get("path"), str) for o in delta)
    return delta if usable else None


def _patched(operations: list[dict[str, Any]]) -> Iterator[Change]:
    """Yield what a JSON patch changes; what was there before is known only if the patch tests it."""
    known: dict[str, Any] = {}
    for operation in operations:
        op, pointer = operation["op"], operation["path"]
        names = _pointed(pointer)
        value = readable_value(names[-1] if names else "", operation.get("value"))
        if op == "test":
            known[pointer] = value
        elif not any(map(is_noise, names)):
            source = operation.get("from")
            if isinstance(source, str) and op in ("move", "copy"):
                after: Any = f"({op} of {_place(_pointed(source))})"
            else:
                after = "(removed)" if op == "remove" else value
            yield _change(_place(names), known.get(pointer), after)


def _pointed(pointer: str) -> list[str]:
    return [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]]


def _place(names: Iterable[str]) -> str:
    path = ""
    for name in names:
        path = f"{path}[{name}]" if re.fullmatch(r"\d+|-", name) else _below(path, name)
    return path or "(everything)"


def _below(path: str, name: str) -> str:
    """Return the path of what stands under a name; one that is no plain word stands in brackets."""
    if not re.fullmatch(r"[\w$-]+", name):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


def _change(path: str, before: Any, after: Any) -> Change:
    """Return a change with values that are short enough to be read, and no secrets."""
    if SECRET.search(path):
        hidden = [_hidden(value, text) for value, text in ((before, "(secret)"), (after, "(another secret)"))]
        return Change(path=_short(path), before=hidden[0], after=hidden[1])
    start = 0
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > LONGEST_TEXT:
        same = next(
            (at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
        )
        start = max(0, same - 20)
    return Change(path=_short(path), before=_told(before, start), after=_told(after, start))


def _told(value: Any, start: int) -> Any:
    """Return a value to be read whole."""
    told = f"…{value[start:]}" if start and isinstance(value, str) else value
    told = _shown(told, 0)
    text = to_json(told)
    return told if len(text) <= LONGEST_VALUE else _short(text.decode("utf-8", "replace"))


def _shown(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _short(value)
    if not isinstance(value, dict | list) or not value:
        return value
    if depth >= DEEPEST_TOLD:
        return "…"
    more = len(value) - MOST_ITEMS
    if isinstance(value, list):
        items = [_shown(item, depth + 1) for item in value[:MOST_ITEMS]]
        return [*items, f"… and {more} more"] if more > 0 else items
    if isinstance(value, Told) and (words := clause(value)):
        return words
    told = {
        _short(name): _hidden(inner, "(secret)") if SECRET.search(name) else _shown(inner, depth + 1)
        for name, inner in islice(value.items(), MOST_ITEMS)
        if not (isinstance(value, Told) and (name == "_id" or is_empty(inner)))
    }
    return told | {"…": f"and {more} more"} if more > 0 else told


def _hidden(value: Any, text: str) -> Any:
    """Return what stands for a secret; yes, no, a number and nothing are none."""
    return text if isinstance(value, str | dict | list) and value else value


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _form(value: Any) -> bytes:
    """Return what is the same for the same JSON only: to Python, 1 and true are the same too."""
    return to_json(value, sort_keys=True)
