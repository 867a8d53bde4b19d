"""Where packages lie: `open_store` opens a store.

The room, in the order in which it reads:

==========================================  ==========================================================================
`contract`                                  what a store is, and a draft of a package to be packed into one
`store`, `own_files`, `package_copy`        what all stores do alike: find, add, remove, hints, their own small files
`folder`, `stage`, `copy`, `mend`, `slot`   a store in a folder: stage, seal, one rename; mending in place
`objects`, `upload`, `claim`                a store behind requests: claim, send, prove, the tag manifest last
`client`, `s3`, `plain`, `sftp`, `retry`    the requests, each tried again; what a failure means
`bags`, `remote`, `adopted`, `addresses`    packages to be read: here, on a server, in the folder of their people
`source`                                    a folder to be archived
`system`, `whole`, `disks`                  what differs between operating systems; small files; which disk it is
`sqlite_file`                               a small database of the node, for many threads and processes
==========================================  ==========================================================================
"""

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
