"""An open binary file on top of random access, for readers that take files in place of paths (h5py, tifffile)."""

from __future__ import annotations

import atexit
from functools import cache
from typing import Any

from diadem.archive.positioned import PositionedFile
from diadem.model.ports import RangeReader

#: What h5py takes for the name of every HDF5 file that is read through a `RangeFile` begins with this.
_MARK = "<diadem "


class RangeFile(PositionedFile):
    """A seekable file that reads through a `RangeReader`, which it does not close.

    Parameters
    ----------
    reader : RangeReader
        Gives the bytes.
    name : str
        Shown by `repr`, which h5py uses as the name of the file.
    """

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
