"""What would be archived: `plan`, and what is known of metadata and files before."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.api.places import StrPath, local_path
from diadem.api.tools import Tools, tools

if TYPE_CHECKING:
    from diadem.archive.plan import PackPlan


def plan(
    source: StrPath | Sequence[StrPath], *, store: StrPath | None = None, metadata: Mapping[str, Any] | None = None
) -> PackPlan:
    """What `pack` would archive, map and leave out; nothing is written.

    Parameters
    ----------
    source : path or sequence of paths
        As for `pack`.
    store : path or URL, optional
        To see that it does not lie inside the source.
    metadata : mapping, optional
        As for `pack`; validated.
    """
    return planned_with(tools(), source, store=store, metadata=metadata)


def planned_with(
    at_hand: Tools,
    source: StrPath | Sequence[StrPath],
    *,
    store: StrPath | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> PackPlan:
    """See `plan`; with these plugins."""
    from diadem.archive.plan import make_plan

    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    return make_plan(
        [Path(item) for item in sources],
        store=None if store is None else local_path(store),
        metadata=at_hand.judged(metadata),
        readers=at_hand.readers,
    )


def check_metadata(metadata: object) -> None:
    """Raise `DocumentError` where session, sample, people, instrument or an extension break their schema."""
    from diadem.serialization.record_json import validate_metadata

    tools().judged(validate_metadata({} if metadata is None else metadata))


def readable_files(folder: Path) -> list[str]:
    """Names of the files directly in a folder that some reader would take for its own, by their suffix."""
    suffixes = tuple(suffix for offer in tools().readers for suffix in offer.suffixes)
    return sorted(entry.name for entry in folder.iterdir() if entry.name.lower().endswith(suffixes))


def metadata_from_pairs(pairs: Iterable[str], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata as ``sample.name=S-12`` on a command line says them, over what a file said.

    Parameters
    ----------
    pairs : iterable of str
        ``key=value``, the key as in the record.
    base : mapping, optional
        What they are added to.

    Raises
    ------
    UsageError, DocumentError
        A pair cannot be understood, or its value breaks the schema.
    """
    from diadem.serialization.metadata_pairs import metadata_from_pairs as read

    return read(pairs, base)
