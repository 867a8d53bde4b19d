"""A stranger's ZIP archive: its list of members is read only where that does not fill the memory."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import BinaryIO, Final

#: Bytes that a list of members may have; in memory it takes some ten times as much.
MAX_LIST: Final = 16 << 20
try:
    from lzma import LZMAError as _LZMAError
except ImportError:  # a Python without it raises NotImplementedError for what is packed so
    _LZMAError = zlib.error  # type: ignore[misc,assignment]
#: What `zipfile` raises for an archive that is damaged, encrypted, or of a kind that nobody here writes. A name that is
#: no UTF-8, and a place before the beginning, are `ValueError`s; a kind that it does not know is a `RuntimeError`.
UNREADABLE: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, _LZMAError, EOFError, OSError, RuntimeError, ValueError,
    struct.error,
)  # fmt: skip


class _Sparing:
    """An archive of which nothing is read at once that is longer than a list may be; `zipfile` reads the list so."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, 2)
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._stream.tell())
        wanted = left if size < 0 else min(size, left)
        if wanted > MAX_LIST:
            raise zipfile.LargeZipFile(f"its list of members has more than {MAX_LIST >> 20} MiB")
        return self._stream.read(wanted)


def open_zip(stream: BinaryIO) -> zipfile.ZipFile:
    """Open an archive for reading; the stream stays open. Raises one of `UNREADABLE`.

    Members are to be read piece by piece, and no further than they are wanted.
    """
    return zipfile.ZipFile(_Sparing(stream))  # type: ignore[call-overload,no-any-return,unused-ignore]
