"""Which leaves of an arriving package are proven: a map in memory, and a file beside the package that survives.

A record is appended when leaves were written (W), when everything that was written before is on the disk (S), when the
SHA-256 of whole files held (H), and when a file turned out to be wrong and begins anew (F). After a crash leaves that
were written and synced are trusted; those written and not known to be synced are hashed again, and where one is wrong
its file has an F, and behind it a W for what is right of it: the next S is of them alone. A torn end is cut off.
"""

from __future__ import annotations

import struct
import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from diadem.store.system import flush_file, long_path

FORMAT: Final = "diadem-arrival/1"
_RECORD: Final = struct.Struct(">cxxxIQ")
_CHECK: Final = struct.Struct(">I")
_SIZE: Final = _RECORD.size + _CHECK.size
_WRITTEN, _SYNCED, _HASHED, _FORGOTTEN = b"W", b"S", b"H", b"F"
#: Records, and bytes of files that they are of, that are gathered before they are written: small files have two each.
_KEPT: Final = 256
_GATHERED: Final = 1 << 20
#: Records that are read at once.
_PAGE: Final = 1 << 16


class Journal:
    """Proven leaves and hashed files of one arriving package. Safe for many threads of one process.

    `first` has for each file the number of its first leaf among all; one more at the end: how many there are. The file
    of another package is begun anew.
    """

    def __init__(self, path: Path, package: str, first: list[int]) -> None:
        self._path, self._first = path, first
        self._lock = threading.Lock()
        self._head = f"{FORMAT} {package} {first[-1]}\n".encode()
        #: One byte a leaf: whether it is proven.
        self.proven = bytearray(first[-1])
        self.hashed = bytearray(len(first) - 1)
        self.count = 0
        self._written = 0
        #: Of each record of leaves that may not be on the disk, the runs of them: more than one where a file between
        #: them began anew. One item a record, or what `synced` counts would be others.
        self._unsure: list[list[tuple[int, int]]] = []
        self._load()
        self._records, self._gathered = bytearray(), 0
        self._file = open(long_path(path), "ab", buffering=0)  # noqa: SIM115  closed by `close`

    # -- reading ---------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Read what is there, and cut off what is torn; the file of another package is begun anew."""
        try:
            with open(long_path(self._path), "rb") as source:
                good = len(self._head) if source.read(len(self._head)) == self._head else 0
                if good:
                    good += self._replay(iter(lambda: source.read(_PAGE * _SIZE), b"")) * _SIZE
        except FileNotFoundError:
            good = 0
        with open(long_path(self._path), "r+b" if good else "wb") as target:
            target.truncate(good)
            if not good:
                target.write(self._head)
        self.count = sum(self.proven)

    def _replay(self, pages: Iterator[bytes]) -> int:
        """Follow the records; how many are whole."""
        good = 0
        for page in pages:
            for at in range(0, len(page) - _SIZE + 1, _SIZE):
                record, (check,) = page[at : at + _RECORD.size], _CHECK.unpack_from(page, at + _RECORD.size)
                if zlib.crc32(record) != check or not self._follows(*_RECORD.unpack(record)):
                    return good
                good += 1
        return good

    def _follows(self, kind: bytes, count: int, first: int) -> bool:
        """Take one record; False where it makes no sense."""
        if kind == _WRITTEN and first + count <= len(self.proven):
            self._unsure.append([(first, count)])
            self._written += 1
        elif kind == _SYNCED and 0 <= (done := len(self._unsure) - (self._written - first)) <= len(self._unsure):
            for start, length in chain.from_iterable(self._unsure[:done]):
                self.proven[start : start + length] = b"\x01" * length
            del self._unsure[:done]
        elif kind == _HASHED and first + (files := count or 1) <= len(self.hashed):  # earlier versions wrote 0 for one
            self.hashed[first : first + files] = b"\x01" * files
        elif kind == _FORGOTTEN and first < len(self.hashed):
            self._clear(first)
            self._unsure = [[part for run in runs for part in self._outside(run, first)] for runs in self._unsure]
        else:
            return False
        return True

    def _outside(self, run: tuple[int, int], number: int) -> list[tuple[int, int]]:
        """What of a run, before and behind it, is not of a file that begins anew."""
        first, end = run[0], run[0] + run[1]
        parts = (first, min(end, self._first[number])), (max(first, self._first[number + 1]), end)
        return [(begin, stop - begin) for begin, stop in parts if begin < stop]

    def unsure(self) -> list[tuple[int, int]]:
        """Runs of leaves, first and count, that were written and may not be on the disk."""
        return list(chain.from_iterable(self._unsure))

    # -- writing ---------------------------------------------------------------------------------------------------

    def mark(self, first: int, count: int, size: int = 0) -> None:
        """Leaves of `size` bytes were proven and written; a run within one file, or of whole ones.

        They are on record at the latest when `_GATHERED` bytes are: so much a killed process may have to fetch again.
        """
        with self._lock:
            self.count += count - sum(self.proven[first : first + count])
            self.proven[first : first + count] = b"\x01" * count
            self._append(_WRITTEN, count, first, size)
            self._written += 1
            self._unsure.append([(first, count)])

    def hashes_held(self, numbers: Iterable[int]) -> None:
        """The SHA-256 of whole files are right. Those that follow each other are on record together."""
        with self._lock:
            first = end = -1
            for number in numbers:
                self.hashed[number] = 1
                if number != end:
                    if first >= 0:
                        self._append(_HASHED, end - first, first)
                    first = number
                end = number + 1
            if first >= 0:
                self._append(_HASHED, end - first, first)

    def forget(self, number: int) -> None:
        """A file is not what was proven: it begins anew."""
        with self._lock:
            self._clear(number)
            self.count = sum(self.proven)
            self._append(_FORGOTTEN, 0, number)

    def take_back(self, number: int) -> None:
        """Leaves of a file that were marked are not on the disk: only those that are proven now stay so.

        A record can take back a whole file alone: so those are marked anew behind it.
        """
        with self._lock:
            self._take_back(number)

    def _take_back(self, number: int) -> None:
        begin, stop = self._first[number], self._first[number + 1]
        self.hashed[number] = 0
        self._append(_FORGOTTEN, 0, number)
        while (begin := self.proven.find(1, begin, stop)) >= 0:
            end = self.proven.find(0, begin, stop)
            end = end if end >= 0 else stop
            self._append(_WRITTEN, end - begin, begin)
            self._written += 1
            self._unsure.append([])  # the disk has them, or an earlier record of them is unsure
            begin = end

    def lose_unsure(self) -> list[int]:
        """Nothing that was written since the last `synced` is proven any more; the files that it was of.

        Not written yet, for a disk that is full may say no: `flush` does that.
        """
        with self._lock:
            files = set[int]()
            for first, count in self.unsure():
                self.proven[first : first + count] = bytes(count)
                between = range(bisect_right(self._first, first) - 1, bisect_right(self._first, first + count - 1))
                files.update(number for number in between if self._first[number] < self._first[number + 1])
            self._unsure = [[] for _ in self._unsure]
            for number in sorted(files):
                self._take_back(number)
            self.count = sum(self.proven)
            return sorted(files)

    def _clear(self, number: int) -> None:
        begin, end = self._first[number], self._first[number + 1]
        self.proven[begin:end] = bytes(end - begin)
        self.hashed[number] = 0

    def written(self) -> int:
        """How often leaves were marked: what of it is on the disk is told by `synced`."""
        with self._lock:
            return self._written

    def synced(self, written: int) -> None:
        """Everything that was marked up to then is on the disk, and stays proven."""
        with self._lock:
            self._append(_SYNCED, 0, written)
            del self._unsure[: len(self._unsure) - (self._written - written)]
            self._write()
        flush_file(long_path(self._path))

    def flush(self) -> None:
        """Put everything on record: a killed process loses nothing of it."""
        with self._lock:
            self._write()

    def _append(self, kind: bytes, count: int, first: int, size: int = 0) -> None:
        record = _RECORD.pack(kind, count, first)
        self._records += record + _CHECK.pack(zlib.crc32(record))
        self._gathered += size
        if self._gathered >= _GATHERED or len(self._records) >= _KEPT * _SIZE:
            self._write()

    def _write(self) -> None:
        while self._records:  # a disk that becomes full takes a part
            del self._records[: self._file.write(self._records)]
        self._gathered = 0

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if not self._file.closed:
                try:
                    self._write()
                finally:
                    self._file.close()
