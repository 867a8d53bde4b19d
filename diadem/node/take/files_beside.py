"""What lies beside packages that are handed over: what an export puts there, and anything else."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from diadem.custody.chain import MAX_BYTES, begins_chain
from diadem.custody.corrections import MAX_SHEET, CorrectionSheet
from diadem.errors import PackageError
from diadem.export.pages import CORRECTIONS, README, lies_beside
from diadem.export.zip_bag import BrokenZip, Directory, is_tar
from diadem.model.ports import Bundle
from diadem.node.take.folder_look import only_browsing
from diadem.scan.tree import is_systems_own
from diadem.store.system import long_path

#: Bytes of chains that are read with one import.
MAX_CHAINS: Final = 4 * MAX_BYTES
_SHEETS: Final = 4 * MAX_SHEET
#: Bytes that say what a file is.
_HEAD: Final = 1 << 10


class FileBeside(NamedTuple):
    """A file beside packages: its name, its bytes, and how to read so many of them."""

    name: str
    size: int
    read: Callable[[int], bytes]


def names_beside(path: Path, packages: Sequence[Bundle]) -> list[str]:
    """What lies beside the packages in an unpacked export or a ZIP, and is neither the export's own nor a system's.

    `packages` are all those of it, see `packages_in`.
    """
    roots = [Path(bundle.url) for bundle in packages]
    if not packages or path in roots:
        return []
    directory = None
    if path.is_dir():
        names = set(os.listdir(long_path(path)))
    else:
        directory = Directory(path)
        if directory.roots == [directory.top]:
            return []
        names = {name.removeprefix(directory.top).partition("/")[0] for name in directory.infos}
        chains = [info.file_size for name, info in directory.infos.items() if lies_beside(name[len(directory.top) :])]
        if sum(chains) > MAX_CHAINS:  # nobody reads so many: what they are is not looked at
            directory.infos.clear()
    names -= {root.name for root in roots}
    return sorted(
        name
        for name in names
        if not (lies_beside(name) and _is_exports_own(path, directory, name))
        and not only_browsing(name)
        and not is_systems_own(name)
    )


def _is_exports_own(path: Path, directory: Directory | None, name: str) -> bool:
    """Whether what has a name of an export's file is one: a folder, or somebody's data, may be called chain.json."""
    signed = name in (README, CORRECTIONS)
    if directory is not None:
        info = directory.infos.get(f"{directory.top}{name}")
        return info is not None and (signed or begins_chain(_member(path, directory, info, name, _HEAD)))
    try:
        return (path / name).is_file() and (signed or begins_chain(_read(path / name, _HEAD)))
    except OSError:
        return False


def files_beside(path: Path) -> Iterator[FileBeside]:
    """What people and nodes signed and lies beside packages: in the ZIP, in the folder, or beside ZIP or folder."""
    seen, places = {README}, [path.parent]
    if path.is_dir():
        places = [path, path.parent]
    else:
        directory = Directory(path)
        for info in directory.infos.values():
            name = info.filename.removeprefix(directory.top)
            if lies_beside(name) and name not in seen:
                seen.add(name)
                yield FileBeside(name, info.file_size, partial(_member, path, directory, info, name))
    for folder in places:
        names: list[str] = []
        with suppress(OSError):  # who may not list the folder around it can import what lies there
            names = sorted(name for name in os.listdir(long_path(folder)) if lies_beside(name) and name not in seen)
        for name in names:
            file = folder / name
            ours = (folder / README).is_file() if name == CORRECTIONS else _may_be_chain(file)
            if ours and file.is_file():
                seen.add(name)
                yield FileBeside(name, file.stat().st_size, partial(_read, file))


def sheets_in(files: Iterable[FileBeside]) -> list[CorrectionSheet]:
    """The sheets of corrections and judgements in such files. Raises `DocumentError`; nothing of them is proven."""
    lines = b"".join(one.read(_SHEETS) for one in files if one.name == CORRECTIONS).splitlines()
    return [CorrectionSheet.from_line(line) for line in lines]


def _may_be_chain(path: Path) -> bool:
    """Whether a file is to be looked at as a chain: what lies around packages may be anybody's."""
    try:
        return path.is_file() and begins_chain(_read(path, _HEAD))
    except OSError:
        return True  # to be told


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)


def _member(path: Path, directory: Directory, info: zipfile.ZipInfo, name: str, limit: int) -> bytes:
    try:
        with directory.opened(info) as member:
            data = member.read_at(0, min(limit, member.size))
        whole = len(data) == info.file_size and not is_tar(path)
        if whole and zlib.crc32(data) != info.CRC:  # signatures prove them; this tells what went wrong
            raise BrokenZip("its bytes are not those of its checksum")  # noqa: TRY301
    except (BrokenZip, OSError) as error:
        message = f"'{name}' in the {path.suffix[1:].upper()} cannot be read: {error}"
        raise PackageError(message, where=str(path), next="Copy it again, or ask for it again.") from error
    return data
