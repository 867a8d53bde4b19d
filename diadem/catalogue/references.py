"""``@NAME`` in a search stands for a search that was saved. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from diadem.catalogue.query import MAX_LENGTH, pointing
from diadem.errors import UsageError

#: A quoted text, which is left as it is, or a name with its sign.
_PIECE: Final = re.compile(r"[\"“”„][^\"“”„]*[\"“”„]|(?<![^\s(])@(?P<name>[^\s()\"“”„]+)(?=[\s()]|\Z)")
#: How many saved searches may stand on one another.
MAX_LEVELS: Final = 20
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")


def checked_query_name(name: str) -> str:
    """The name of a saved search, lower-cased.

    Raises
    ------
    UsageError
        It has other characters than letters, digits, dots, hyphens and underscores, or more than 64.
    """
    plain = name.strip().removeprefix("@").lower()
    if not _NAME.match(plain):
        raise UsageError(
            f"'{name}' cannot be the name of a saved search",
            next="Use letters a-z, digits, dots, hyphens and underscores, 64 at most: zno-haadf",
        )
    return plain


def references(query: str) -> list[str]:
    """Names of the saved searches that a search stands on, directly."""
    return list(dict.fromkeys(found["name"].lower() for found in _named(query)))


def expanded(query: str, saved: Mapping[str, str]) -> str:
    """The search with the saved ones in the place of their names, in parentheses.

    Parameters
    ----------
    query : str
        ``@zno HAADF``.
    saved : mapping of str to str
        Searches by name.

    Raises
    ------
    UsageError
        There is none of this name, they stand on one another in a ring or too deep, or what comes out is too long.
    """
    return _expanded(query, saved, ())


def _named(query: str) -> Iterator[re.Match[str]]:
    return (found for found in _PIECE.finditer(query) if found["name"] is not None)


def _expanded(query: str, saved: Mapping[str, str], path: tuple[str, ...]) -> str:
    parts, end, size = [], 0, len(query)
    for found in _named(query):
        name = found["name"].lower()
        if name not in saved:
            raise _unknown(query, found, name, saved)
        if name in path:
            ring = " → ".join(f"@{one}" for one in (*path[path.index(name) :], name))
            raise UsageError(
                f"saved searches refer to one another in a circle: {ring}", next=f"Save one of them again: @{name}."
            )
        if len(path) == MAX_LEVELS:
            raise UsageError(
                f"more than {MAX_LEVELS} saved searches refer to one another", next="Save the search itself."
            )
        inner = f"({_expanded(saved[name], saved, (*path, name))})"
        parts += [query[end : found.start()], inner]
        end, size = found.end(), size + len(inner)
        if size > MAX_LENGTH:
            raise UsageError(f"with @{name} filled in, the search is longer than {MAX_LENGTH} characters")
    return "".join(parts) + query[end:]


def _unknown(query: str, found: re.Match[str], name: str, saved: Mapping[str, str]) -> UsageError:
    near = get_close_matches(name, list(saved), n=3, cutoff=0.6)
    advice = f"Did you mean {' or '.join(f'@{one}' for one in near)}?" if near else "See: diadem search --saved."
    what = f"there is no saved search '@{name}'"
    return pointing(query, found.start(), found.end(), what, next=f'{advice} For the word itself: "@{name}"')
