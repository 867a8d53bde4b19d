"""Packages that people elsewhere read: opened once, and given out piece by piece, whatever store they are in."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

from diadem.archive.package import Package
from diadem.errors import DiademError, NotFound, Refused, Unreachable
from diadem.model.manifest import RECORD_PATH, TAGMANIFEST, VENDOR_PATH
from diadem.model.ports import Bundle
from diadem.model.record import Record
from diadem.network.exchange import Request, Response
from diadem.network.tag_parts import tag_files, tag_part
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.package.examine import LIMITS
from diadem.serialization.record_json import MAX_BYTES, read_record

#: Packages that are kept open, and files of all of them together.
_MOST, _FILES = 64, 100_000


class Shelf:
    """The packages of a node that are being read. Safe for many threads.

    Whether somebody may read a package is decided before this is asked.

    Parameters
    ----------
    context : Context
        The node.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Package] = OrderedDict()

    def close(self) -> None:
        """Forget what was opened."""
        with self._lock:
            self._kept.clear()

    def package(self, package_id: str) -> Package:
        """A package in the best of its copies. Raises `Unreachable` where none can be read."""
        with self._lock:
            if (kept := self._kept.get(package_id)) is not None:
                self._kept.move_to_end(package_id)
                return kept
        return self._open(package_id)

    def _open(self, package_id: str) -> Package:
        """Open a package anew: its tag files are read from a copy in which they are sound."""
        try:
            opened, _ = PackageCopies(self._context, package_id).best()
        except NotFound as error:  # it is there, and nobody can read it now
            raise Unreachable("no copy of it can be read now", next="Try again later.") from error
        with self._lock:
            self._kept[package_id] = opened
            while len(self._kept) > 1 and (len(self._kept) > _MOST or self._files() > _FILES):
                self._kept.popitem(last=False)
        return opened

    def _files(self) -> int:
        return sum(len(package.manifest) for package in self._kept.values())

    def record(self, package_id: str) -> Record:
        """The sealed record. Raises `NotFound` where there is none, `Refused` before it reads one that is too large."""
        package = self.package(package_id)
        size = package.stored(RECORD_PATH).size
        if size > MAX_BYTES:
            raise Refused(f"the record has {size:,} bytes; {MAX_BYTES:,} are read", next="Read its files instead.")
        with package.open_stored(RECORD_PATH) as source:
            return read_record(source.read())

    def tags(self, package_id: str) -> Response:
        """The tag manifest and the files that it lists, in its order, each behind its length; not the large one."""
        bundle = self._open(package_id).bundle
        listed = (path for _, path in tag_files(bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])))
        size, blocks = tag_part(bundle, [TAGMANIFEST, *(path for path in listed if path != VENDOR_PATH)])
        return Response.blocks(blocks, 0, size, of=size)

    def tag(self, package_id: str, number: int, request: Request) -> Response:
        """The tag file that the tag manifest lists at a place, or the range of it that is asked for."""
        listed = tag_files(self.package(package_id).bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST]))
        if number >= len(listed):
            raise NotFound("no such tag file")
        return self._given(package_id, listed[number][1], None, request)

    def file(self, package_id: str, number: int, request: Request) -> Response:
        """The file that the manifest lists at a place, or the range of it that is asked for."""
        entries = self.package(package_id).manifest.entries
        if number >= len(entries):
            raise NotFound("no such file")
        return self._given(package_id, entries[number].path, entries[number].size, request)

    def _given(self, package_id: str, path: str, size: int | None, request: Request) -> Response:
        """Bytes of a file, from the first copy that has it in the right size."""
        for bundle in self._bundles(package_id):
            try:
                reader = bundle.open(path)
            except (DiademError, OSError):
                continue
            if size is not None and reader.size != size:
                reader.close()
                continue
            return Response.of_file(reader, request, size=reader.size)
        self._forget(package_id)
        raise Unreachable("no copy of it can be read now", next="Try again later.")

    def _bundles(self, package_id: str) -> Iterator[Bundle]:
        yield self.package(package_id).bundle
        for _, bundle in PackageCopies(self._context, package_id).readable():
            yield bundle

    def _forget(self, package_id: str) -> None:
        with self._lock:
            self._kept.pop(package_id, None)


def shelf_of(context: Context) -> Shelf:
    """The shelf of an opened node, one for all threads."""
    return context.once("shelf", lambda: Shelf(context))
