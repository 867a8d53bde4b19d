"""Paths and URLs that the verbs take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import NotFound

if TYPE_CHECKING:
    from diadem.model.ports import Bundle

StrPath = str | os.PathLike[str]


def local_path(url: StrPath) -> Path | None:
    """The folder that a path or file:// address means; None for an object store."""
    from diadem.store.urls import parse

    parsed = parse(os.fspath(url))
    return Path(parsed.path) if parsed.kind == "local" else None


def bundle_at(url: StrPath, storage_options: Mapping[str, Any] | None) -> Bundle:
    """The files of a package in a folder or an object store. Raises `NotFound`."""
    from diadem.store.bundle import LocalBundle

    folder = local_path(url)
    if folder is None:
        from diadem.store.remote import open_remote

        return open_remote(os.fspath(url), storage_options)
    if not folder.is_dir():
        what = "this is a file, not a package folder" if folder.exists() else "there is no package here"
        raise NotFound(what, where=str(folder), next="Name the folder that holds bagit.txt.")
    return LocalBundle(folder)
