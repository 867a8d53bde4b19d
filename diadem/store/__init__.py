"""Where packages lie; `diadem.store.contract` says what a store is, and this door opens one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diadem.store.contract import Store


def open_store(url: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Store:
    """The store at an address; nothing is asked of it, and nothing made, before it is used.

    Parameters
    ----------
    url : str or os.PathLike
        A folder, ``s3://bucket/prefix``, ``sftp://user@host/folder``, or what else fsspec understands.
    storage_options : mapping, optional
        For fsspec. Without them the ordinary configuration counts.

    Raises
    ------
    UsageError
        For an address that cannot hold packages, carries a password, or needs a package that is not installed.
    """
    from diadem.store import addresses

    place = addresses.parse(os.fspath(url))
    if place.kind == "local":
        from diadem.store.folder import FolderStore

        return FolderStore(place.path)
    from diadem.store.objects import ObjectStore  # fsspec is slow to import

    return ObjectStore(os.fspath(url), storage_options)
