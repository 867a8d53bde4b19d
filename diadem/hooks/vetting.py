"""Whether an offer is what its type says, before anything of DIADEM relies on it. A plugin may be untyped code."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from diadem.hooks.offers import ReaderOffer

#: Bytes of a file's beginning in which a magic number can be looked for.
REACH = 4096


def faults(offer: Any) -> Iterator[str]:
    """What is wrong with an offer, in words for its author; nothing for one that can be used.

    Parameters
    ----------
    offer : dataclass
        One of `diadem.hooks.offers`.
    """
    wrong = list(_misfits(offer, ""))
    yield from wrong
    if not wrong and isinstance(offer, ReaderOffer):
        yield from _reader_faults(offer)


def _misfits(item: Any, where: str) -> Iterator[str]:
    """Attributes that are not of their declared type."""
    kind: Any = type(item)
    hints = _hints(kind)
    for name in (declared.name for declared in fields(item)):
        value = getattr(item, name)
        if not _fits(value, hints[name]):
            yield f"{where}{name} is {repr(value)[:80]}; it must be {_words(hints[name])}"


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type: of those that offers are made of."""
    if hint is Any:
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, arguments[0]) and _fits(item, arguments[1]) for key, item in value.items()
        )
    if origin is types.UnionType:
        return any(_fits(value, argument) for argument in arguments)
    if is_dataclass(hint):
        return isinstance(value, hint) and not any(_misfits(value, ""))  # type: ignore[arg-type]
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _words(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Sequence:
        return f"a tuple or list, each item {_words(arguments[0])}"
    if origin is Mapping:
        return f"a mapping of {_words(arguments[0])} to {_words(arguments[1])}"
    return "anything" if hint is Any else str(getattr(hint, "__name__", hint))


def _reader_faults(offer: ReaderOffer) -> Iterator[str]:
    """What types cannot say of a reader."""
    if not offer.name or offer.name != offer.name.lower() or " " in offer.name:
        yield f"the name '{offer.name}' must be lower case with dashes"
    if not offer.suffixes and not offer.folders:
        yield "it has neither suffixes nor folders, so that no file would ever be given to it"
    for suffix in (*offer.suffixes, *offer.folders):
        if len(suffix) < 2 or "/" in suffix or "*" in suffix:
            yield f"'{suffix}' is no suffix"
    for magic in offer.magic:
        if not magic.data or magic.offset < 0 or magic.offset + len(magic.data) > REACH:
            yield f"a magic number has at least one byte and lies in the first {REACH} bytes of the file, not {magic}"
    try:
        json.dumps(dict(offer.options), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"options must be JSON values: {error}"
