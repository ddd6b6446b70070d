"""Writes down the vocabulary: the verbs, the kinds of objects, and what each vendor calls them."""

from collections.abc import Iterable, Mapping

from flagtrail.connector import Connector
from flagtrail.event import Action, ActorKind, Term

INTRODUCTION = """\
# The vocabulary

Written by `make docs` from `src/flagtrail/event.py` and the connectors' `vocabulary.py`.

`action` says what was done, `object_kind` to what. The vendor's own word is in `vendor_action`, verbatim. A word that
stands nowhere here keeps its place in `action` or `object_kind`, and `flagtrail status` counts such actions.
"""


def describe(connectors: Mapping[str, type[Connector]]) -> str:
    """Return the vocabulary as Markdown: `docs/vocabulary.md`, which `make docs` writes."""
    lines = [INTRODUCTION, "## action", ""]
    lines += _table(("verb", "means", "told by"), _verbs(connectors))
    lines += ["## object_kind", ""]
    lines += ["Others are called as the vendor calls them.", ""]
    lines += _table(("kind", "told by"), _kinds(connectors))
    lines += ["## actor_kind", ""]
    lines += _table(("kind", "means"), [(f"`{kind}`", kind.meaning) for kind in ActorKind])
    for name, connector in connectors.items():
        lines += [f"## {name}", ""]
        lines += _table(("vendor's word", "verb", "object kind", "when"), [_row(term) for term in connector.terms])
    return "\n".join(lines).rstrip() + "\n"


def _verbs(connectors: Mapping[str, type[Connector]]) -> Iterable[tuple[str, ...]]:
    for action in Action:
        by = [name for name, connector in connectors.items() if any(term.action is action for term in connector.terms)]
        yield f"`{action}`", action.meaning, ", ".join(by)


def _kinds(connectors: Mapping[str, type[Connector]]) -> Iterable[tuple[str, ...]]:
    told: dict[str, set[str]] = {}
    for name, connector in connectors.items():
        for term in connector.terms:
            if term.object_kind:
                told.setdefault(term.object_kind, set()).add(name)
    for kind, names in sorted(told.items()):
        yield f"`{kind}`", ", ".join(sorted(names))


def _row(term: Term) -> tuple[str, ...]:
    return f"`{term.word}`", *(f"`{part}`" if part else "" for part in (term.action, term.object_kind)), term.when


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    told = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [told[0], "|" + "---|" * len(head), *told[1:], ""]
