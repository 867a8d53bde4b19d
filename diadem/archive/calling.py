"""Calling a reader: lazily if it can, with every failure translated into one that names the file and the reader."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any, cast

from diadem.archive.neutralising import detached
from diadem.errors import DiademError, ReaderError
from diadem.hooks.offers import ReaderOffer

#: Signal dictionaries as RosettaSciIO defines them.
Dictionaries = list[dict[str, Any]]


def call_reader(offer: ReaderOffer, where: str, target: Callable[[], Any], lazy: bool) -> Dictionaries:
    """Read a dataset.

    Parameters
    ----------
    offer : ReaderOffer
        The reader.
    where : str
        Stored path, for errors.
    target : callable
        Gives what the reader reads from: a path, or a fresh open file.
    lazy : bool
        Whether to try lazily first.

    Raises
    ------
    DigestMismatch
        The reader met damage in a file that is proven as it is read.
    ReaderError
        Anything else went wrong.
    """
    reader = reader_of(offer)
    try:
        if lazy:
            try:
                return reader(target(), lazy=True)
            except DiademError:
                raise
            except Exception:  # noqa: S110 - many readers cannot read lazily, and each says so in its own way
                pass
        return reader(target(), lazy=False)
    except DiademError:
        raise
    except Exception as error:
        raise unreadable(offer, where, error) from error


def reader_of(offer: ReaderOffer) -> Callable[..., Dictionaries]:
    """The reader with its options; files that it forgets to close are closed without a warning to the user."""
    try:
        function = resolve(offer.load)
    except ImportError as error:
        raise ReaderError(
            f"the reader '{offer.name}' needs a package that is not installed: {error.name or error}",
            next=f"pip install {error.name}" if error.name else None,
        ) from error

    def call(target: Any, *, lazy: bool) -> Dictionaries:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            return [detached(found) for found in function(target, **{"lazy": lazy, **offer.options})]

    return call


def resolve(target: str) -> Callable[..., Any]:
    """The function that ``module:function`` names."""
    module, _, name = target.partition(":")
    return cast("Callable[..., Any]", getattr(importlib.import_module(module), name))


def unreadable(offer: ReaderOffer, where: str, error: Exception) -> ReaderError:
    """The error for whatever a reader raised."""
    return ReaderError(
        f"'{offer.name}' cannot read it: {brief(error)}",
        where=where,
        next="The bytes are as they were archived; `open` gives them.",
    )


def brief(error: Exception) -> str:
    """Kind and beginning of a foreign error's message."""
    return f"{type(error).__name__}: {str(error)[:200]}".removesuffix(": ")
