"""What may help a person whose search has found nothing."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.node.catalogue import vocabulary
from diadem.node.catalogue.quantities import is_number
from diadem.node.catalogue.query import And, Or, Term, Tree

#: The shortest word of which a beginning is proposed.
_SHORTEST = 3


def hint(tree: Tree) -> str:
    """One piece of advice, or "": on a number whose unit was left out, else on words that stand in longer ones."""
    terms = list(_terms(tree))
    return next((text for term in terms if (text := _on_unit(term))), "") or _on_words(terms)


def _terms(tree: Tree) -> Iterator[Term]:
    """What is asked for; not what is denied."""
    if isinstance(tree, Term):
        yield tree
    elif isinstance(tree, And | Or):
        for part in tree.parts:
            yield from _terms(part)


def _on_unit(term: Term) -> str:
    key = vocabulary.find(term.key.text) if term.key else None
    if key is None or key.kind != "number" or key.bare or key.unit in ("", "1") or not is_number(term.value.text):
        return ""
    return (
        f"{key.name}: {term.value.text} was taken for {term.value.text} {key.unit}; write the unit behind the number."
    )


def _on_words(terms: list[Term]) -> str:
    for term in terms:
        text = term.value.text
        if term.key is None and not term.value.quoted and len(text) >= _SHORTEST and text[-1].isalnum():
            return f"Whole words only; {text}* also matches longer words."
    return ""
