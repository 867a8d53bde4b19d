"""`pack`: a folder becomes a package."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diadem.api.opening import addressed
from diadem.api.places import StrPath, local_path
from diadem.api.planning import planned_with
from diadem.api.tools import tools
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar

if TYPE_CHECKING:
    from diadem.archive.package import Package


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
    from diadem.archive.composing import Options
    from diadem.archive.packing import pack_local
    from diadem.store.folder import FolderStore
    from diadem.store.urls import refuse_copy_address

    refuse_copy_address(os.fspath(store))
    at_hand = tools()
    options = Options(strict=strict, license=license, software=at_hand.software)
    folder = local_path(store)
    planned = planned_with(at_hand, source, store=folder, metadata=metadata)
    with at_hand.extractor() as extractor:
        if readable := sum(bool(dataset.offers) for dataset in planned.datasets):
            extractor.warm(readable)
        if folder is not None:
            outcome = pack_local(planned, FolderStore(folder), extractor=extractor, options=options, listener=listener)
        else:
            from diadem.archive.packing_remote import pack_object

            outcome = pack_object(
                planned,
                os.fspath(store),
                storage_options=storage_options,
                extractor=extractor,
                options=options,
                listener=listener,
            )
    package = outcome.package
    package.outcome = outcome
    package.readers, package.extractor = tuple(at_hand.readers), at_hand.extractor
    return addressed(package, (package.bundle,))
