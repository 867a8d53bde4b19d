"""Names of fields: the error for one that does not exist says which ones come close."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from diadem.errors import UsageError


class UnknownField(UsageError, KeyError):
    """A key that is not in the closed list of fields. Also a `KeyError`."""

    code = "unknown-field"


def require_known(key: str, known: Collection[str]) -> None:
    """Raise `UnknownField` for a key outside `known`, naming close matches."""
    if key not in known:
        raise UnknownField(f"there is no field '{key}'", next=_advice(key, known))


def _advice(key: str, known: Collection[str]) -> str:
    if near := close_matches(key, known):
        return f"Did you mean {' or '.join(near)}?"
    return "diadem.serialization.fields.field_keys() lists every field."


def close_matches(key: str, known: Collection[str]) -> list[str]:
    """Up to three known keys that resemble `key`, or end in the same word."""
    last = key.rpartition(".")[2].lower()
    same_ending = sorted(name for name in known if name.rpartition(".")[2] == last)
    near = get_close_matches(key.lower(), sorted(known), n=3, cutoff=0.75)
    return list(dict.fromkeys([*near, *same_ending]))[:3]
