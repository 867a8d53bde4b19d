"""The page of a package as a file that a browser can open, proven before it is."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diadem.errors import NotFound
from diadem.model.manifest import PAGE_PATH
from diadem.model.plain_text import quoted

if TYPE_CHECKING:
    from diadem.archive.package import Package


@dataclass(frozen=True, slots=True)
class PageFile:
    """A page.

    Attributes
    ----------
    path : Path
        The file.
    fetched : bool
        Whether it is a copy in a temporary folder, because the package lies on no disk of this machine.
    origin : str
        Where the package is.
    """

    path: Path
    fetched: bool
    origin: str


def page_file(package: Package) -> PageFile:
    """The page of a package: where it lies, or a copy of it.

    Raises
    ------
    NotFound
        The package has no page.
    DigestMismatch
        The page is not what was sealed; nothing is shown.
    """
    if PAGE_PATH not in package.manifest:
        raise NotFound(
            "the package has no page", where=package.url, next=f"Its values: diadem show {quoted(package.url)}"
        )
    data = package.read_derived(PAGE_PATH)
    if (folder := package.path) is not None:
        return PageFile(folder.joinpath(*PAGE_PATH.split("/")), fetched=False, origin=package.url)
    name = f"{package.id[7:19]}-{PAGE_PATH.rpartition('/')[2]}"
    path = Path(tempfile.mkdtemp(prefix="diadem-page-")) / name
    path.write_bytes(data)
    return PageFile(path, fetched=True, origin=package.url)
