"""A bag inside a ZIP or TAR, read where it lies: nothing is unpacked but what was compressed, and that into scratch.

A file from anyone is untrusted input. Its directory only says where bytes lie: what they are is proven by the bag.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tarfile
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from diadem.errors import NotFound, PackageError, Refused
from diadem.export.pages import README
from diadem.model.manifest import INDEX_PATH
from diadem.model.names import unsafe
from diadem.model.plain_text import one_line
from diadem.model.ports import Bundle, Listing, RangeReader
from diadem.model.reopenable import Reopenable
from diadem.package.tags import BAG_INFO, BAGIT
from diadem.serialization.zip_list import UNREADABLE
from diadem.store.bags import LocalBundle
from diadem.store.system import long_path, move

#: Files in a ZIP: more than any export of ours has, and fewer than would fill the memory.
_MOST: Final = 1_000_000
#: Deflate cannot do better (zlib technical details): what claims more lies.
_RATIO: Final = 1032
#: The fixed part of a local header, and where the lengths of name and extra field stand in it (APPNOTE 4.3.7).
_LOCAL: Final = struct.Struct("<4s22xHH")
_BLOCK: Final = 1 << 20
#: `create_system` of a ZIP whose permissions are those of Unix (APPNOTE 4.4.2).
_UNIX: Final = 3


class BrokenZip(PackageError):
    """A ZIP that cannot be read."""


def is_package(bundle: Bundle) -> bool:
    """Whether the files of a folder, or below a folder of a ZIP, are those of a package of ours, damaged or not."""
    if not bundle.exists(BAGIT):
        return False
    try:
        return bundle.exists(INDEX_PATH) or b"Diadem-Payload-Id:" in bundle.read(BAG_INFO, _BLOCK)
    except (PackageError, NotFound):
        return False


def packages_in(path: Path) -> list[Bundle]:
    """The packages that a path means: its folder, an unpacked export, or a ZIP or TAR of some; none for anything else.

    Raises `PackageError` for a ZIP with a package in it that would write elsewhere, or has a file twice.
    """
    if path.is_dir():
        if is_package(LocalBundle(path)):
            return [LocalBundle(path)]
        return packages_below(path) if (path / README).is_file() else []
    if not path.is_file() or not (is_tar(path) or zipfile.is_zipfile(long_path(path))):
        return []
    try:
        return [one for one in bags_in_zip(path) if is_package(one)]
    except BrokenZip:  # some other program's file
        return []


def packages_below(folder: Path) -> list[Bundle]:
    """The packages that lie in a folder, each in a folder of its own, whatever lies beside them."""
    inside = [LocalBundle(one) for one in sorted(folder.iterdir()) if one.is_dir() and not one.is_symlink()]
    return [one for one in inside if is_package(one)]


def is_tar(path: Path) -> bool:
    """Whether a file says by its name that it is a TAR that is not compressed: any place in it can be read."""
    return path.suffix.lower() == ".tar"


def bags_in_zip(path: Path) -> list[ZipBundle]:
    """The bags at the top of a ZIP or TAR, or in a folder of it; folders that hold all of it are passed by.

    Raises `PackageError` where it cannot be read, or a bag in it has a file twice, or one that leads elsewhere.
    """
    directory = Directory(path)
    return [ZipBundle(directory, root) for root in directory.roots]


def _bag_again(path: Path, root: str) -> ZipBundle:
    return ZipBundle(Directory(path), root)


class Directory:
    """What a ZIP or TAR says of itself; one for all bags in it.

    `top` are the folders that hold all of it, with a slash at the end, `roots` the bags; `infos` is empty without one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tar = is_tar(path)
        try:
            infos = self._entries()
        except (*UNREADABLE, tarfile.TarError, OverflowError, IndexError, MemoryError) as error:  # sizes of a header
            raise _broken(path, str(error)) from error
        every, infos = infos, [info for info in infos if info.filename.strip("/")]
        if len(infos) > _MOST:
            raise _broken(path, f"it names more than {_MOST:,} files, and no more are read")
        self.top = _common_folder([info.filename for info in infos if not info.is_dir()])
        self.roots = sorted({one.filename[: -len(BAGIT)] for one in infos if _is_root(one.filename, self.top)})
        if self.top in self.roots:  # what lies in it is its own, even where it looks like a bag
            self.roots = [self.top]
        if self.roots and len(infos) < len(every):
            raise _nameless(path, every)
        self.infos: dict[str, zipfile.ZipInfo] = {}
        for info in infos if self.roots else ():
            name = info.filename
            if name in self.infos:
                raise _hostile(path, name, "it occurs twice in it, and programs would read different ones")
            if (reason := unsafe(name.rstrip("/"))) is not None:
                raise _hostile(path, name, f"{reason}: this file is made to write elsewhere")
            if not info.is_dir():
                self.infos[name] = info
        #: Where compressed members are unpacked, once they are asked for.
        self._scratch: Path | None = None
        self._guard = threading.Lock()

    def _entries(self) -> Sequence[zipfile.ZipInfo]:
        """The members; those of a TAR as a ZIP's stored ones, with the place of their bytes for that of their head."""
        if not self._tar:
            with zipfile.ZipFile(long_path(self.path)) as archive:
                return archive.infolist()
        infos: list[zipfile.ZipInfo] = []
        with tarfile.open(long_path(self.path), "r:") as archive:
            while (member := archive.next()) is not None and len(infos) <= _MOST:
                archive.members.clear()  # type: ignore[attr-defined]  # else it remembers all of them a second time
                name = member.name.removeprefix("./")
                if name == "." and member.isdir():
                    continue
                info = zipfile.ZipInfo(name + "/" * member.isdir())
                plain = member.isreg() and not member.issparse()  # a sparse one does not lie there as it is
                info.create_system, info.external_attr = _UNIX, (stat.S_IFREG if plain else stat.S_IFLNK) << 16
                info.file_size = info.compress_size = member.size if plain else 0
                info.header_offset = member.offset_data
                infos.append(info)
        return infos

    def opened(self, info: zipfile.ZipInfo) -> ZipMember:
        """A member, at any place: a stored one where it lies, another from scratch."""
        if info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size and not info.flag_bits & 1:
            return ZipMember(self.path, self._start(info), info.file_size)
        with self._guard:
            if self._scratch is None:
                self._scratch = Path(tempfile.mkdtemp(prefix="diadem-zip-"))
                weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
            scratch = self._scratch / str(info.header_offset)
            if not scratch.exists():
                self._inflate(info, scratch)
        return ZipMember(scratch, 0, info.file_size)

    def _start(self, info: zipfile.ZipInfo) -> int:
        """Where the bytes of a member begin."""
        if self._tar:
            return info.header_offset
        with ZipMember(self.path, info.header_offset, _LOCAL.size) as file:
            head = file.read_at(0, _LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
            raise _broken(self.path, f"there is no '{info.filename[:200]}' where its list says")
        _, name, extra = _LOCAL.unpack(head)
        return info.header_offset + _LOCAL.size + int(name) + int(extra)

    def _inflate(self, info: zipfile.ZipInfo, target: Path) -> None:
        """Unpack a compressed member, not a byte more than it claims."""
        name, claimed = info.filename[:200], info.file_size
        if info.compress_type != zipfile.ZIP_DEFLATED or info.flag_bits & 1:
            raise _broken(self.path, f"'{name}' is packed in a way that DIADEM does not read")
        if claimed > _RATIO * info.compress_size + _BLOCK:
            raise _broken(self.path, f"'{name}' claims more bytes than it can have")
        if claimed > shutil.disk_usage(target.parent).free:
            raise Refused(
                f"there is no room to unpack {claimed:,} bytes",
                where=str(target.parent),
                next="Free space there, or unpack the ZIP elsewhere and name the folder in it.",
            )
        engine, offset = zlib.decompressobj(-zlib.MAX_WBITS), 0
        draft = target.with_suffix(".part")
        with ZipMember(self.path, self._start(info), info.compress_size) as packed, draft.open("wb") as out:
            try:
                while out.tell() <= claimed and (data := packed.read_at(offset, _BLOCK)):
                    offset += len(data)
                    while data and out.tell() <= claimed:
                        out.write(engine.decompress(data, _BLOCK))
                        data = engine.unconsumed_tail
                if out.tell() < claimed:  # the last block was full, and the engine held back the rest of a match
                    out.write(engine.flush())
            except zlib.error as error:
                raise _broken(self.path, f"'{name}' cannot be unpacked: {error}") from error
            if out.tell() != claimed:
                raise _broken(self.path, f"'{name}' does not have the bytes that it claims")
        move(draft, target)


def _common_folder(names: Sequence[str]) -> str:
    """The folders that hold all files, with a slash at the end; "" where there are several."""
    common = os.path.commonprefix(names)  # noqa: RUF071  cut at a slash below
    return common[: common.rfind("/") + 1]


def _is_root(name: str, top: str) -> bool:
    """Whether this is the declaration of a bag at the top, or in a folder of what the ZIP holds."""
    below = name.removeprefix(top)
    return below == BAGIT or (below.endswith("/" + BAGIT) and below.count("/") == 1)


def _broken(path: Path, why: str) -> BrokenZip:
    return BrokenZip(
        f"this {'TAR' if is_tar(path) else 'ZIP'} is not complete: {why}",
        where=str(path),
        next="Copy it again, or ask for it again.",
    )


def _hostile(path: Path, name: str, why: str) -> PackageError:
    return PackageError(why, where=f"{path}: {name[:200]}", next="Do not trust it; tell its sender.")


def _nameless(path: Path, infos: Sequence[zipfile.ZipInfo]) -> PackageError:
    """What is wrong with a list of members of which one has no name: its place in it is all that it can be told by."""
    number = next(number for number, info in enumerate(infos) if not info.filename.strip("/"))
    after = f", after '{one_line(infos[number - 1].filename, 200)}'," if number else ""
    return PackageError(
        f"this {'TAR' if is_tar(path) else 'ZIP'} is malformed: member {number + 1} of {len(infos)}{after} has no name",
        where=str(path),
        next="Ask its sender for another. Or unpack it, and import the folder: diadem import FOLDER",
    )


class ZipMember(RangeReader):
    """Random access to the bytes of one member."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = open(long_path(path), "rb", buffering=0)  # noqa: SIM115  closed by `close`
        self._start, self._size = start, size
        self._guard = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the member."""
        return self._size

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; the bytes read, fewer than its length only at the end."""
        wanted, done = min(len(buffer), max(0, self._size - offset)), 0
        with self._guard:
            self._file.seek(self._start + offset)
            while done < wanted and (got := self._file.readinto(buffer[done:wanted])):
                done += got
        return done

    def close(self) -> None:
        """Release the file; a second time does nothing."""
        self._file.close()


class ZipBundle(Reopenable):
    """The files below one folder of a ZIP or TAR. Implements `diadem.model.ports.Bundle`; made by `bags_in_zip`."""

    def __init__(self, directory: Directory, root: str) -> None:
        self._directory, self._root = directory, root
        self.again = partial(_bag_again, directory.path, root)

    @property
    def url(self) -> str:
        """Path of the ZIP, and the folder in it."""
        return os.path.join(str(self._directory.path), self._root.rstrip("/"))

    def listing(self) -> Listing:
        """Everything below the folder; a link is named as irregular."""
        files, irregular = dict[str, int](), dict[str, str]()
        for name, info in self._directory.infos.items():
            if name.startswith(self._root):
                kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
                if kind in (0, stat.S_IFREG):
                    files[name[len(self._root) :]] = info.file_size
                else:
                    irregular[name[len(self._root) :]] = "symlink" if kind == stat.S_IFLNK else "device"
        return Listing(files, irregular)

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        return self._root + path in self._directory.infos

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file. Raises `PackageError` above `limit` bytes, `NotFound` if absent."""
        if self._info(path).file_size > limit:
            raise PackageError(f"has more than the {limit:,} bytes allowed here", where=path)
        with self.open(path) as file:
            return file.read_at(0, limit)

    def open(self, path: str) -> ZipMember:
        """Random access to a file. Raises `NotFound`, or `PackageError` where the ZIP lies about it."""
        return self._directory.opened(self._info(path))

    def _info(self, path: str) -> zipfile.ZipInfo:
        found = self._directory.infos.get(self._root + path)
        if found is None:
            raise NotFound("is not in the bag", where=path)
        return found
