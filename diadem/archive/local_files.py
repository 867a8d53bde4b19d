"""Files of a package as paths on this machine, proven: for programs that want a name and know nothing of packages.

Where the package is a folder of this machine, they are proven where they lie. Of any other they are copied, proven on
the way, into the user's cache, and stay there: the next call proves the copy and fetches again only what was changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from diadem.archive.loading_package import plan_of, source_of
from diadem.errors import DigestMismatch, PackageError
from diadem.model.ids import PackageId
from diadem.model.manifest import FileEntry
from diadem.model.ports import Listener, Progress
from diadem.store.bags import LocalBundle
from diadem.store.system import discard, long_path, make_deep, or_else, patiently, translated

if TYPE_CHECKING:
    from diadem.archive.package import Package

_BLOCK: Final = 4 << 20


def local_path(package: Package, path: str, *, folder: Path | None, listener: Listener) -> Path:
    """See `Package.local`."""
    plan = plan_of(package, path)
    source = source_of(package, plan, listener)
    if folder is None and source.local_path() is not None:
        return source.prove(again=True)
    top = (folder or cache_folder() / PackageId(package.id).hex[:16]).absolute()
    entries = [package.find(file.path) for file in plan.files]
    total, done = sum(entry.size for entry in entries), 0
    for entry in entries:
        if not _is_whole(package, entry, top):
            for count in _fetched(package, entry, top.joinpath(*entry.name.split("/"))):
                listener(Progress("fetch", done + count, total, entry.name))
        done += entry.size
    return top.joinpath(*plan.entry.split("/"))


def cache_folder() -> Path:
    """Where copies stay: ``DIADEM_CACHE``, else the user's cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("DIADEM_CACHE") or user_cache_path("diadem")) / "files"


def _is_whole(package: Package, entry: FileEntry, top: Path) -> bool:
    """Whether a copy lies there and is, byte for byte, what was archived."""
    if not os.path.isfile(long_path(top.joinpath(*entry.name.split("/")))):  # noqa: PTH113
        return False
    try:
        with closing(package.stored_as(entry, LocalBundle(top).open(entry.name))) as copy:
            while copy.read(_BLOCK):
                pass
    except (DigestMismatch, PackageError):
        return False
    return True


def _fetched(package: Package, entry: FileEntry, target: Path) -> Iterator[int]:
    """A proven copy, which appears whole or not at all; how much of it is there."""
    make_deep(str(target.parent))
    draft = target.with_name(f".diadem-{uuid4().hex[:8]}.part")
    with translated(str(target), "nothing was copied"), or_else(lambda: discard(str(draft))):
        with package.open(entry.path) as source, open(long_path(draft), "xb") as copy:  # noqa: PTH123
            while block := source.read(_BLOCK):
                copy.write(block)
                yield source.tell()
        patiently(lambda: os.replace(long_path(draft), long_path(target)))  # noqa: PTH105
