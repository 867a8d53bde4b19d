"""Texts as words: the same for what is stored and for what is asked, whatever database compares them.

A word is a run of letters and digits; case and accents do not count: ``Å-HAADF_001.dm4`` is ``a haadf 001 dm4``.
"""

from __future__ import annotations

import re
import unicodedata

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
