"""What a search asks of the texts of a package, as a value that each database's own text search can express. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Words:
    """Words that follow one another in one text.

    Attributes
    ----------
    words : tuple of str
        As `words.words` makes them.
    codes : tuple of int or None
        Numbers of the keys that such a text may have; None for any text.
    open : bool
        Whether the last word may go on.
    whole : bool
        Whether the text may have no other word; only with `codes`.
    everywhere : bool
        Whether the text must hold for all datasets of the package.
    """

    words: tuple[str, ...]
    codes: tuple[int, ...] | None = None
    open: bool = False
    whole: bool = False
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Every:
    """All of the parts, perhaps in different texts of the package."""

    parts: tuple[Wording, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of the parts at least."""

    parts: tuple[Wording, ...]


@dataclass(frozen=True, slots=True)
class Without:
    """What the first part finds and the second does not."""

    part: Wording
    denied: Wording


Wording = Words | Every | Either | Without


def either(parts: Sequence[Wording]) -> Wording:
    """One of the parts."""
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def every(parts: Sequence[Wording]) -> Wording:
    """All of the parts."""
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def everywhere(wording: Wording) -> Wording:
    """The same, of texts that hold for all datasets of a package."""
    if isinstance(wording, Words):
        return replace(wording, everywhere=True)
    if isinstance(wording, Without):
        return Without(everywhere(wording.part), everywhere(wording.denied))
    return replace(wording, parts=tuple(map(everywhere, wording.parts)))


def phrases(wording: Wording) -> list[Words]:
    """Every phrase in it."""
    if isinstance(wording, Words):
        return [wording]
    parts = (wording.part, wording.denied) if isinstance(wording, Without) else wording.parts
    return [found for part in parts for found in phrases(part)]
