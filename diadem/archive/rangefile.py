"""An open binary file on top of random access, for readers that take files in place of paths (h5py, tifffile)."""

from __future__ import annotations

import atexit
import io
from functools import cache
from typing import Any, NoReturn

from diadem.model.ports import RangeReader

#: What h5py takes for the name of every HDF5 file that is read through a `RangeFile` begins with this.
_MARK = "<diadem "
#: Bytes in which lines are looked for at once.
_BLOCK = 1 << 13


class PositionedFile(io.RawIOBase):
    """A seekable, readable file on top of `size` and `readinto_at`, which a subclass gives."""

    _position = 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        raise NotImplementedError

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than its length only at the end of the file."""
        raise NotImplementedError

    @property
    def mode(self) -> str:
        """``rb``."""
        return "rb"

    def require_open(self) -> None:
        """Raise `ValueError` where the file was closed, as files of Python do."""
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position, bytes from the start."""
        self.require_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; see `io.IOBase.seek`."""
        self.require_open()
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        base = (0, self._position, self.size)[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to so many bytes from the position; all that is left without a number."""
        data: bytes = super().read(-1 if size is None else size)
        return data

    def write(self, _: Any) -> NoReturn:
        """A package never changes. Raises `io.UnsupportedOperation`."""
        raise io.UnsupportedOperation("not writable")

    def readline(self, size: int | None = -1) -> bytes:
        """The next line, read in blocks: `io.RawIOBase` reads byte by byte."""
        self.require_open()
        most = self.size if size is None or size < 0 else size
        line = bytearray()
        while len(line) < most:
            block = bytearray(min(_BLOCK, most - len(line)))
            count = self.readinto_at(self._position, memoryview(block))
            end = block.find(b"\n", 0, count) + 1
            line += block[: end or count]
            self._position += end or count
            if end or not count:
                break
        return bytes(line)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position."""
        self.require_open()
        count = self.readinto_at(self._position, memoryview(buffer).cast("B"))
        self._position += count
        return count


class RangeFile(PositionedFile):
    """A seekable file that reads through a `RangeReader`, which it does not close."""

    def __init__(self, reader: RangeReader, name: str) -> None:
        super().__init__()
        self._reader = reader
        self._name = name

    def __repr__(self) -> str:
        """No path: whoever takes it for one finds nothing there."""
        return shown_name(self._name)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._reader.size

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`."""
        return self._reader.readinto_at(offset, buffer)


def shown_name(name: str) -> str:
    """What h5py calls a file that is read through a `RangeFile`."""
    return f"{_MARK}{name}>".encode("ascii", "replace").decode()


@cache
def close_hdf5_at_exit() -> None:
    """See to it that HDF5 files on top of Python objects are closed while there is still a Python to close them.

    The HDF5 library closes what is open when the process ends, after the interpreter is gone, and its call into the
    file object then crashes the process. A lazy signal keeps its file open, so this is the usual case.
    """
    atexit.register(_close_hdf5)


def _close_hdf5() -> None:
    from h5py import h5f, h5i

    for item in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_DATASET | h5f.OBJ_GROUP | h5f.OBJ_ATTR):
        if _ours(h5i.get_file_id(item)):
            _release(item)
    for file in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_FILE):
        if _ours(file):
            _release(file)


def _ours(file: Any) -> bool:
    from h5py import h5f

    return bool(h5f.get_name(file).startswith(_MARK.encode()))


def _release(item: Any) -> None:
    from h5py import h5i

    while item.valid:
        h5i.dec_ref(item)
