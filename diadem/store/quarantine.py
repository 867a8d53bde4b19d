"""Moving aside what has no place in a package: never deleted, out of the package's way, in the same store.

::

    <store>/.diadem/quarantine/<64 hex of the package id>/<path in the bag>
"""

from __future__ import annotations

import os
from pathlib import Path

from diadem.errors import Refused, StoreError
from diadem.model.ids import PackageId
from diadem.package.paths import unsafe
from diadem.store.mending_place import Place, package_folder
from diadem.store.system import flush_folder, long_path, refuse_links, translated

_MOST_TWINS = 1000


def set_aside(root: Path, path: str, file: str, package: PackageId) -> str:
    """Move a file, link or folder out of a package.

    Parameters
    ----------
    root : Path
        The store.
    path : str
        Path of the package in the store.
    file : str
        Path of the thing in the bag.
    package : PackageId
        The package, which names the place where it goes.

    Returns
    -------
    str
        Where it lies now, relative to the store.

    Raises
    ------
    Refused
        If it is not there, or lies behind a link.
    StoreError
        If the store cannot be written.
    """
    if reason := unsafe(path) or unsafe(file):
        raise Refused(f"is not touched: {reason}", where=file, next="Move it away by hand.")
    with translated(str(root), "it stays where it is"), Place(root / path, file) as place:
        if place.status() is None:
            raise Refused("is no longer there", where=file, next="Verify the package again.")
        package_folder(root, path)
        refuse_links(root, root / ".diadem" / "quarantine" / package.hex)
        target = _free(root / ".diadem" / "quarantine" / package.hex / file)
        os.makedirs(long_path(target.parent), exist_ok=True)
        place.move(str(target))
        flush_folder(long_path(target.parent))
    return target.relative_to(root).as_posix()


def _free(target: Path) -> Path:
    """The path, or the path with a number where something has been set aside under it before."""
    for number in range(1, _MOST_TWINS):
        candidate = target if number == 1 else target.with_name(f"{target.name}~{number}")
        if not os.path.lexists(long_path(candidate)):
            return candidate
    raise StoreError("too much has been set aside under this name", where=str(target), next="Clear it up.")
