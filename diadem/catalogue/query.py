"""A search as a tree, and the error that points at a word of it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from diadem.errors import UsageError

#: Characters of a query that an error shows, around the place that it points at.
_SHOWN: Final = 70
#: Characters that it says: a word of the query may be very long.
_SAID: Final = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the query: its text (quotes taken off), and where it stands."""

    text: str
    start: int
    end: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """``key operator value``, or a word alone: then `key` is None and `operator` is ``:``."""

    key: Piece | None
    operator: str
    value: Piece


@dataclass(frozen=True, slots=True)
class Everything:
    """A query without any word: every package."""


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts at least."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not the part."""

    part: Tree


Tree = Everything | Term | And | Or | Not


_EXAMPLE = "Example: diadem search 'HAADF voltage>=200kV sample:S-12'"


def pointing(query: str, start: int, end: int, what: str, *, next: str | None = None) -> UsageError:  # noqa: A002
    """The error that shows the query with carets under one piece of it.

    Parameters
    ----------
    query : str
        The whole.
    start, end : int
        The piece; at the end of the query the caret stands behind it.
    what : str
        What is wrong.
    next : str, optional
        What to do; by default an example of a search.
    """
    first = max(0, min(start - _SHOWN // 2, len(query) - _SHOWN))
    shown = _printable(query[first : first + _SHOWN])
    dots, more = "…" if first else "", "…" if first + _SHOWN < len(query) else ""
    before = " " * (len(dots) + _columns(shown[: start - first]))
    carets = "^" * max(1, _columns(shown[start - first : end - first]))
    said = _printable(what if len(what) <= _SAID else what[:_SAID] + "…")
    return UsageError(f"{said}\n  {dots}{shown}{more}\n  {before}{carets}", next=next or _EXAMPLE)


def _printable(text: str) -> str:
    return "".join(" " if _is_control(character) else character for character in text)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _columns(text: str) -> int:
    """Columns that a text takes on a terminal (Unicode Standard Annex 11)."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) != 0 for character in text)
