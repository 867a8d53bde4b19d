"""Writing ZIP files: one on a disk, and one that is made while it is sent.

ZIP64 throughout, so that neither a file nor the whole has a limit that a microscope reaches. No data descriptors in
what is written to a disk: sizes and checksums stand before each file, which every program of every system can read.
"""

from __future__ import annotations

import contextlib
import io
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

from diadem.errors import IntegrityError
from diadem.export.names import target_names
from diadem.export.stage import NOTHING
from diadem.model.manifest import FileEntry
from diadem.store.system import long_path, translated

_BLOCK = 4 << 20
#: Bytes that are read and sent at once.
_PIECE = 1 << 20
#: Deflate's quickest level. On frames, spectra and headers of seven vendors level 6 took two to ten times as long and
#: saved a further 3 % in the middle.
_LEVEL = 1
#: Pieces of a file that are tried before it is decided, their bytes, and the share of them that must be saved.
_PROBES, _PROBE_SIZE, _WORTHWHILE = 3, 64 << 10, 0.2
#: A ZIP knows the years from 1980 to 2107, its extended timestamp 32 bits of seconds.
_FIRST, _LAST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)


class Content(Protocol):
    """What goes into a ZIP: bytes at any place, of a size that is known."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly the bytes that are there."""


class ZipFileWriter:
    """A new ZIP at a path; as a context, it is complete where nothing was raised in it. Errors name it as `called`."""

    def __init__(self, path: Path, called: Path) -> None:
        self._path, self._called = path, str(called)

    def __enter__(self) -> Self:
        with translated(self._called, NOTHING):
            self._file = open(long_path(self._path), "xb", buffering=1 << 20)
        self._zip = zipfile.ZipFile(self._file, "w", allowZip64=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with translated(self._called, NOTHING):
                self._zip.close()
                self._file.close()
        for end in (self._zip.close, self._file.close):
            with contextlib.suppress(Exception):  # it may want to write its end on a full disk
                end()

    def add(self, name: str, content: Content, *, mtime_ns: int, read: Callable[[int], None] | None = None) -> None:
        """Write one file, ``/`` between the parts of its name; `read` is told how many bytes each block has."""
        info = zip_info(name, mtime_ns)
        info.file_size = content.size
        if _is_worth_deflating(content):
            info.compress_type = zipfile.ZIP_DEFLATED
            info._compresslevel = _LEVEL  # type: ignore[attr-defined]  # noqa: SLF001  no public name before 3.13
        with translated(self._called, NOTHING), self._zip.open(info, "w") as sink:
            for offset in range(0, content.size, _BLOCK):
                block = content.read_at(offset, min(_BLOCK, content.size - offset))
                if len(block) != min(_BLOCK, content.size - offset):
                    raise IntegrityError(f"a file ends after {offset + len(block):,} bytes", where=name)
                sink.write(block)
                if read is not None:
                    read(len(block))

    def add_folder(self, name: str) -> None:
        """Note a folder that holds nothing."""
        info = zipfile.ZipInfo(name.rstrip("/") + "/", _FIRST)
        info.external_attr = (stat.S_IFDIR | 0o755) << 16 | 0x10  # 0x10: MS-DOS, directory
        with translated(self._called, NOTHING):
            self._zip.writestr(info, b"")


def zip_info(name: str, mtime_ns: int) -> zipfile.ZipInfo:
    """The head of a file in a ZIP: its name, and when it was last changed, as far as a ZIP can say that."""
    seconds = mtime_ns // 10**9
    try:
        local = time.localtime(seconds)[:6]
    except (OSError, OverflowError, ValueError):  # a time that this system has no calendar for
        local = _FIRST
    info = zipfile.ZipInfo(name, min(max(local, _FIRST), _LAST))
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    if -(1 << 31) <= seconds < 1 << 31:  # Info-ZIP's extended timestamp: UTC, where the date above is local time
        info.extra = struct.pack("<HHBi", 0x5455, 5, 1, seconds)
    return info


def _is_worth_deflating(content: Content) -> bool:
    """Whether pieces of a file, from its whole length, become a good deal smaller."""
    size = content.size
    room = max(0, size - _PROBE_SIZE)
    places = {room * number // (_PROBES - 1) for number in range(_PROBES)} if room else {0}
    pieces = [content.read_at(place, min(_PROBE_SIZE, size - place)) for place in sorted(places)]
    given = sum(map(len, pieces))
    return given > 0 and sum(len(zlib.compress(piece, _LEVEL)) for piece in pieces) < (1 - _WORTHWHILE) * given


class ZipStream:
    """Files of packages, which `opened` gives by name, as one ZIP that is made while it is sent: each byte proven.

    Nothing is compressed, so that the length can be told before the first byte, and a line that ends early is seen to;
    the list of files comes last, and what has no list is no ZIP to any program. The files lie in one folder, under
    names that every system can hold.
    """

    def __init__(self, opened: Callable[[str], io.RawIOBase], entries: Sequence[FileEntry], folder: str) -> None:
        self._opened, self._entries = opened, entries
        self.names = [f"{folder}/{name}" for name in target_names(entries)]

    @property
    def size(self) -> int:
        """How many bytes it will have: those of the files, and of its heads and its list, which are written for it."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
            for name, entry in zip(self.names, self._entries, strict=True):
                info = zip_info(name, entry.mtime_ns)
                with archive.open(info, "w", force_zip64=True):
                    pass
                info.file_size = info.compress_size = entry.size
                sink.at += entry.size
                sink.taken()
            archive.start_dir = sink.at
        return sink.at

    def __iter__(self) -> Iterator[bytes]:
        """The ZIP, a piece at a time. Raises `IntegrityError` where a file is damaged; nothing may follow then."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
            for name, entry in zip(self.names, self._entries, strict=True):
                sent = 0
                with (
                    self._opened(entry.name) as source,
                    archive.open(zip_info(name, entry.mtime_ns), "w", force_zip64=True) as member,
                ):
                    while piece := source.read(_PIECE):
                        sent += len(piece)
                        member.write(piece)
                        yield sink.taken()
                if sent != entry.size:
                    raise IntegrityError(f"a file ends after {sent:,} bytes", where=entry.path)
        yield sink.taken()


class _Sink:
    """Where `zipfile` writes to: it cannot go back, knows how far it is, and gives what is there to be sent."""

    def __init__(self) -> None:
        self.at = 0
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.at += len(data)
        self._waiting.append(bytes(data))
        return len(data)

    def tell(self) -> int:
        return self.at

    def flush(self) -> None:
        """Nothing lies between here and the line."""

    def taken(self) -> bytes:
        data = b"".join(self._waiting)
        self._waiting.clear()
        return data
