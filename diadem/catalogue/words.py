"""Texts as words, and what a search asks of these: the same for what is stored and asked, whatever database compares.

A word is a run of letters and digits; case and accents do not count: ``Å-HAADF_001.dm4`` is ``a haadf 001 dm4``. A
wording is a value that each database's own text search can express.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

#: Runs of letters and digits of any script; the underscore separates.
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text, in their order."""
    if text.isascii():
        return _WORD.findall(text.lower())
    decomposed = unicodedata.normalize("NFKD", text.replace("µ", "u").replace("μ", "u").casefold())
    # Casefolding may compose again what decomposes further (ŉ, ΐ), so it is not the last step.
    return _WORD.findall("".join(mark for mark in decomposed if not unicodedata.combining(mark)).casefold())


def padded(text: str) -> str:
    """The words with one space before, between and after them: a phrase is in it if its own padded text is."""
    found = words(text)
    return f" {' '.join(found)} " if found else ""


# Names of samples, each as its words


def is_short(name: tuple[str, ...]) -> bool:
    """Whether a name is no more than a number, or a letter or two: it means a sample only where nothing else stands."""
    return len(name) == 1 and (len(name[0]) < 3 or name[0].isdigit())


def needed(asked: tuple[str, ...], names: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The other names that are not found with `asked` or a shorter one anyhow: ``S-12`` finds ``S-12-a`` too."""
    found = {asked}
    for name in sorted(set(names) - found, key=lambda words: (len(words), words)):
        if not any(name[start:end] in found for start in range(len(name)) for end in range(start + 1, len(name) + 1)):
            yield name
            if not is_short(name):
                found.add(name)


# What a search asks


@dataclass(frozen=True, slots=True)
class Words:
    """Words that follow one another in one text."""

    words: tuple[str, ...]
    #: Numbers of the keys that such a text may have; None for any text.
    codes: tuple[int, ...] | None = None
    #: Whether the last word may go on.
    open: bool = False
    #: Whether the text may have no other word; only with `codes`.
    whole: bool = False
    #: Whether the text must hold for all datasets of the package.
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
