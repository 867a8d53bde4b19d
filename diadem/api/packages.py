"""`pack`: a folder becomes a package."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diadem.api.opening import addressed
from diadem.api.places import StrPath, local_path
from diadem.api.tools import tools
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar

if TYPE_CHECKING:
    from diadem.archive.package import Package


from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from diadem.api.tools import Tools

if TYPE_CHECKING:
    from diadem.pack.plan import PackPlan


def pack(
    source: StrPath | Sequence[StrPath],
    store: StrPath,
    *,
    metadata: Mapping[str, Any] | None = None,
    strict: bool = False,
    license: str = "",  # noqa: A002
    storage_options: Mapping[str, Any] | None = None,
    listener: Listener = progress_bar,
) -> Package:
    """Archive a folder as one verified package, without a node.

    Parameters
    ----------
    source : path or sequence of paths
        A session folder, a file, or several of them. Never changed.
    store : path or URL
        A folder, or ``s3://bucket/prefix``. Made if it is not there.
    metadata : mapping, optional
        ``session``, ``sample``, ``people`` and ``instrument``; see `schemas/record/1.0.0/metadata.schema.json`.
    strict : bool
        Refuse, and write nothing, where anything cannot be archived (a link, an unreadable file).
    license : str
        What may be done with the data; the crate says "ask the owner" without it.
    storage_options : mapping, optional
        For fsspec, when the store is a URL.
    listener : callable
        Told of progress as `diadem.model.ports.Progress`.

    Returns
    -------
    Package
        The package in the store; `package.outcome` says whether it is new, and what was left out.

    Raises
    ------
    UsageError, DocumentError
        If there is nothing to archive, or the metadata breaks its schema.
    NotFound
        If the source does not exist.
    Refused, StoreError
        With `strict`; or where the store cannot be written.
    Unreachable
        If an object store does not answer.
    Interrupted
        On Ctrl-C; nothing is visible in the store.
    """
    from diadem.archive.package import Package
    from diadem.pack.compose import Options
    from diadem.pack.pack import pack as pack_plan
    from diadem.store.addresses import refuse_copy_address
    from diadem.store.base import open_store

    refuse_copy_address(os.fspath(store))
    at_hand = tools()
    options = Options(strict=strict, license=license, software=at_hand.software)
    planned = planned_with(at_hand, source, store=store, metadata=metadata)
    place = open_store(store, storage_options)
    with at_hand.extractor() as extractor:
        if readable := sum(bool(dataset.offers) for dataset in planned.datasets):
            extractor.warm(readable)
        packed = pack_plan(planned, place, extractor=extractor, options=options, listener=listener)
    bundle, outcome = place.bundle(packed.path), packed.outcome
    package = Package(
        bundle,
        opened=packed.opened,
        proven=outcome.proven,
        readers=at_hand.readers,
        extractor=at_hand.extractor,
        outcome=outcome,
    )
    return addressed(package, (bundle,))


# -- What would be archived: `plan`, and what is known of metadata and files before.


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
    from diadem.pack.plan import make_plan

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

    Raises `UsageError` where a pair cannot be understood, `DocumentError` where its value breaks the schema.
    """
    from diadem.serialization.metadata_pairs import metadata_from_pairs as read

    return read(pairs, base)
