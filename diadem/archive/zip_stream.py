"""Files of a package as one ZIP that is made while it is sent: each byte proven, its length known before the first.

Nothing is compressed, so that the length can be told, and a line that ends early is seen to; the list of files comes
last, and what has no list is no ZIP to any program.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from typing import Final

from diadem.archive.package import Package
from diadem.errors import IntegrityError
from diadem.model.manifest import FileEntry
from diadem.package.portable import portable_names
from diadem.store.zip_stage import zip_info

#: Bytes that are read and sent at once.
_PIECE: Final = 1 << 20


class ZipStream:
    """Some files of a package as a ZIP, under names that every system can hold.

    Parameters
    ----------
    package : Package
        Where they are.
    entries : sequence of FileEntry
        Which.
    folder : str
        The folder in the ZIP in which they lie.
    """

    def __init__(self, package: Package, entries: Sequence[FileEntry], folder: str) -> None:
        self._package, self._entries = package, entries
        self.names = [f"{folder}/{name}" for name in portable_names(entries)]

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
                    self._package.open(entry.name) as source,
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
