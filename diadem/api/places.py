"""Paths and URLs that the verbs take."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import NotFound

if TYPE_CHECKING:
    from diadem.model.ports import Bundle

StrPath = str | os.PathLike[str]
#: What may be meant as the beginning of an id; one that a node takes.
_SHORT_ID = re.compile(r"[0-9a-f]{1,7}(?:…|\.\.\.)?\Z")
ID = re.compile(r"(?:diadem:)?[0-9a-f]{8,64}\Z")


def local_path(url: StrPath) -> Path | None:
    """The folder that a path or file:// address means; None for an object store."""
    from diadem.store.addresses import parse

    parsed = parse(os.fspath(url))
    return Path(parsed.path) if parsed.kind == "local" else None


def bundle_at(url: StrPath, storage_options: Mapping[str, Any] | None) -> Bundle:
    """The files of a package in a folder, a ZIP or an object store. Raises `NotFound`, `PackageError`."""
    from diadem.store.bags import LocalBundle

    folder = local_path(url)
    if folder is None:
        from diadem.store.bags import open_remote

        return open_remote(os.fspath(url), storage_options)
    if folder.is_file() and folder.suffix.lower() == ".zip":
        return _bag_in_zip(folder)
    if not folder.is_dir():
        what = "this is a file, not a package folder" if folder.exists() else "there is no package here"
        advice = "Name the folder that holds bagit.txt"
        if _SHORT_ID.match(folder.name):
            advice += ", or a package of the node by eight digits of its id at least: see diadem search"
        elif ID.match(folder.name):
            advice = f"Ask the node for it: diadem show {folder.name}"
        raise NotFound(what, where=str(folder), next=f"{advice}.")
    return LocalBundle(folder)


def _bag_in_zip(path: Path) -> Bundle:
    """The one bag in a ZIP.

    Raises
    ------
    NotFound
        There is none, or several.
    """
    from diadem.export.zip_bag import bags_in_zip

    found = bags_in_zip(path)
    if len(found) == 1:
        return found[0]
    what = f"the ZIP holds {len(found)} packages" if found else "there is no package in this ZIP"
    advice = "Unpack it, and name one of the folders in it." if found else "Name a ZIP that diadem export has made."
    raise NotFound(what, where=str(path), next=advice)
