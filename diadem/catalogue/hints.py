"""What may help a person whose search has found nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from diadem.catalogue import vocabulary
from diadem.catalogue.quantities import Unreadable, in_unit, is_number, split
from diadem.catalogue.query import And, Or, Term, Tree

#: The shortest word of which a beginning is proposed.
_SHORTEST = 3
#: Fields that are proposed for a value.
_NAMED = 2
#: Words that are tried.
_TRIED = 8


def hint(tree: Tree, finds: Callable[[str], bool]) -> str:
    """One piece of advice, or "": on a number without unit or field, else on a word that stands in longer ones only.

    `finds` says whether another search finds anything.
    """
    terms = list(_terms(tree))
    told = (text for advice in (_on_unit, _on_field) for term in terms if (text := advice(term)))
    return next(told, "") or _on_words(terms[:_TRIED], finds)


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
    return f"{key.name}: {term.value.text} was taken for {term.value.text} {key.unit}; write the unit after the number."


def _on_field(term: Term) -> str:
    """On a value with its unit that stands alone: which fields it may be of."""
    text = term.value.text
    if term.key is not None or term.value.quoted or is_number(text):
        return ""
    names = [name for name in vocabulary.measured() if _goes_with(name, text)][:_NAMED]
    return f"{text} is a word here. As a value: {' or '.join(f'{name}={text}' for name in names)}" if names else ""


def _goes_with(name: str, text: str) -> bool:
    key = vocabulary.find(name)
    try:
        in_unit(*split(text), key.unit if key is not None else "")
    except Unreadable:
        return False
    return True


def _on_words(terms: list[Term], finds: Callable[[str], bool]) -> str:
    for term in terms:
        text = term.value.text
        if term.key is not None or term.value.quoted or len(text) < _SHORTEST or "*" in text or not text[-1].isalnum():
            continue
        if not finds(text) and finds(f"{text}*"):
            return f"Whole words only; {text}* also matches longer words."
    return ""
