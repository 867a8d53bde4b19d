"""What is refused, or doubted, before any reader runs: archives that would fill the memory, streams for whose end a
reader would wait for ever, HDF5 files that lead out of the dataset, in circles, or are shorter than they say.

All of it runs in the worker, under its limits, because parsers and the HDF5 library itself may be attacked; `load`
walks through HDF5 files the same way. The walk follows hard links and references to objects only, and reads through
Python files, so that the library opens nothing by a name that a file gives.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import h5py
import numpy as np

from diadem.extract.extraction import issue
from diadem.hooks.formats import CutShort, cut_short
from diadem.serialization.zip_list import open_zip

#: An archive may not hold more than this many times its own bytes …
MAX_RATIO = 200
#: … unless all of it is smaller than this.
SMALL_ENOUGH = 64 << 20
#: Members that an archive may have.
MAX_MEMBERS = 200_000
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
#: The mark at the end of a bzip2 stream, at any bit; a checksum of 32 bits follows.
_BZIP2_END, _BZIP2_MASK = 0x177245385090, (1 << 48) - 1

#: Objects, depth and seconds that a walk may take; real files have some thousands of objects at a depth below 15.
MAX_OBJECTS = 50_000
MAX_DEPTH = 64
MAX_SECONDS = 5.0
#: How the files end that keep links to their parts (NeXus' NXmx).
_MASTER = "_master.h5"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: A dataset that says it has more than this, and a thousand times the file's size, is mostly unwritten.
_HUGE = 1 << 30


@dataclass(slots=True)
class Walk:
    """What was found.

    `refused` means that no reader may open the file; `huge`, that none may read all of it; `missing` are parts of a
    master that should lie beside it, so that what it says itself may be read and nothing else.
    """

    issues: list[dict[str, Any]] = field(default_factory=list)
    refused: bool = False
    huge: bool = False
    missing: list[str] = field(default_factory=list)

    def refuse(self, code: str, message: str, what: str = "the file") -> None:
        """Note a reason not to read, once for each code."""
        self.refused = True
        if not any(found["code"] == code for found in self.issues):
            self.issues.append(issue(code, f"{message}; {what} was not read", file="f1"))

    def add(self, other: Walk) -> None:
        """Note what was found elsewhere, too."""
        self.issues += [issue for issue in other.issues if issue not in self.issues]
        self.refused, self.huge = self.refused or other.refused, self.huge or other.huge
        self.missing += other.missing


def look_through(
    found: Walk, root: Path, entry: str, names: Sequence[str], formats: Sequence[str], ids: Mapping[str, str]
) -> None:
    """Look at the files of a dataset before any reader does; the primary comes first in `names`.

    `found` is filled in: what stands there when an exception is raised was found before. A file that is cut short may
    still be read, for its metadata, but not whole. `formats` may be tried, best first; `ids` is what the record calls
    the files. Raises whatever the HDF5 library does, and where a file cannot be opened.
    """
    sizes = {name: (root / name).stat().st_size for name in names}
    of_hdf5 = False
    for name, size in sizes.items():
        with (root / name).open("rb") as stream:
            if (start := begins_at(stream, size)) is not None:
                of_hdf5 = True
                if (end := _end_of_hdf5(stream, start)) > size:
                    found.issues.append({**CutShort(name, end, size).issue, "file": ids.get(name, "f1")})
            elif name == names[0] == entry:
                stream.seek(0)
                if stream.read(4) in _ZIP:
                    _archive(found, stream, name, size)
                elif formats[:1] == ["phenom"] and not _bzip2_ends(stream, size):
                    why = "the end of its compressed stream is missing; it was not read"
                    found.issues.append({**cut_short(name, why), "file": "f1"})
                    found.refused = True
    if of_hdf5 and not found.refused:
        found.add(walk_all(entry, sizes, lambda name: (root / name).open("rb")))


def _archive(found: Walk, stream: BinaryIO, name: str, size: int) -> None:
    """Refuse an archive that would fill the memory."""
    try:
        with open_zip(stream) as archive:
            members = archive.infolist()
    except zipfile.LargeZipFile as error:
        found.refuse("expands-too-much", f"'{name}' would fill the memory: {error}", "it")
    except zipfile.BadZipFile as error:
        why = f"its list of members is missing or damaged ({type(error).__name__})"
        found.issues.append({**cut_short(name, why), "file": "f1"})
    except Exception as error:  # the file may be whole: what it says of itself is odd
        message = f"the header of '{name}' cannot be understood ({type(error).__name__})"
        found.issues.append(issue("odd-header", message, file="f1"))
    else:
        whole = sum(member.file_size for member in members)
        if len(members) > MAX_MEMBERS or (whole > SMALL_ENOUGH and whole > MAX_RATIO * size):
            message = f"'{name}' has {size} bytes and says it holds {whole} in {len(members)} members"
            found.refuse("expands-too-much", message, "it")


def _bzip2_ends(stream: BinaryIO, size: int) -> bool:
    """Whether a stream has its end, for which RosettaSciIO 0.15's Phenom reader waits for ever."""
    stream.seek(max(0, size - 64))
    tail = stream.read(64)
    bits = int.from_bytes(tail, "big")
    return any((bits >> shift) & _BZIP2_MASK == _BZIP2_END for shift in range(32, 8 * len(tail) - 47))


# -- HDF5 ----------------------------------------------------------------------------------------------------------


def begins_at(stream: BinaryIO, size: int) -> int | None:
    """Where the library finds its signature: at byte 0, 512, 1024, …, each time twice as far, to the file's end."""
    place = 0
    while place + len(SIGNATURE) <= size:
        stream.seek(place)
        if stream.read(len(SIGNATURE)) == SIGNATURE:
            return place
        place = 2 * place or 512
    return None


def _end_of_hdf5(stream: BinaryIO, start: int) -> int:
    """The end of the file by its superblock (HDF5 file format specification 3.0, II.A); 0 where it says nothing."""
    stream.seek(start)
    block = stream.read(96).ljust(96, b"\0")
    version = block[8]
    width = block[13 if version < 2 else 9]
    if width not in (2, 4, 8):
        return 0
    first = {0: 24, 1: 28}.get(version, 12)
    base, end = (int.from_bytes(block[at : at + width], "little") for at in (first, first + 2 * width))
    return end + (start if base == 0 else 0)


def walk_all(
    entry: str,
    sizes: Mapping[str, int],
    open_file: Callable[[str], AbstractContextManager[BinaryIO]],
) -> Walk:
    """Walk through every file of a dataset that the library would open, whatever it is called.

    Only `entry`, which the reader is given, may link to others, and to those of its folder alone; so that no two files
    can lead into each other.
    """
    found = Walk()
    folder = entry.rpartition("/")[0]
    beside = {name.rpartition("/")[2] for name in sizes if name != entry and name.rpartition("/")[0] == folder}
    for name in sorted(sizes, key=lambda name: name != entry):
        with open_file(name) as stream:
            if begins_at(stream, sizes[name]) is None:
                continue
            found.add(walk(stream, name, sizes[name], beside if name == entry else ()))
    return found


def walk(file: BinaryIO, name: str, size: int, members: Collection[str] = ()) -> Walk:
    """Walk through an open file of `size` bytes, by its stored name; links to `members`, beside it, are allowed.

    Codes ``external-link``, ``external-storage``, ``virtual-dataset``, ``group-loop``, ``too-many-objects`` (all
    refused) and ``mostly-unwritten``.
    """
    found = Walk()
    with h5py.File(file, "r") as opened:
        walker = _Walker(found, name.rpartition("/")[2], size, members)
        walker.group(opened["/"].id, (), 0)
        walker.soft_links()
        walker.virtual_datasets(opened.id)
    return found


def _flat(values: Any) -> Iterator[Any]:
    """The references in what h5py gives of attributes and datasets that hold some, among other things perhaps."""
    if isinstance(values, (h5py.h5r.Reference, h5py.h5r.RegionReference)):
        yield values
    elif isinstance(values, np.ndarray) and values.dtype.names:
        for name in values.dtype.names:
            yield from _flat(values[name])
    elif isinstance(values, list) or (isinstance(values, (np.ndarray, np.void)) and values.dtype.hasobject):
        each: Any = values.flat if isinstance(values, np.ndarray) else values
        for value in each:
            yield from _flat(value)


class _Walker:
    """The state of one walk."""

    def __init__(self, found: Walk, name: str, size: int, members: Collection[str]) -> None:
        self._found = found
        self._own = {".", name}
        self._stem = name.removesuffix(_MASTER) + "_" if name.endswith(_MASTER) else ""
        self._size = size
        self._members = members
        self._until = time.monotonic() + MAX_SECONDS
        self._weights: dict[Any, int] = {}
        self._count = 0
        #: Addresses of the objects whose references have been followed.
        self._asked: set[Any] = set()
        self._soft: list[tuple[Any, bytes, tuple[Any, ...]]] = []
        #: Virtual datasets of the file, and the paths of those in the same file that they take from.
        self._virtual: dict[Any, set[str]] = {}

    def group(self, group: Any, above: tuple[Any, ...], depth: int) -> int:
        """Visit a group; return how many objects a reader that knows no loops would meet below it."""
        key = h5py.h5o.get_info(group).addr
        if key in above:
            self._found.refuse("group-loop", "a group of the file contains itself")
            return 0
        if key in self._weights:
            return self._weights[key]
        if depth > MAX_DEPTH:
            self._found.refuse("too-many-objects", f"groups are nested more than {MAX_DEPTH} deep")
            return 0
        weight = 1
        self._references(group, above, depth)
        for name in list(group):
            if self._found.refused:
                return weight
            weight += self._link(group, name, (*above, key), depth)
            self._count += 1
            if weight > MAX_OBJECTS or self._count > MAX_OBJECTS or time.monotonic() > self._until:
                self._found.refuse("too-many-objects", "the file has more objects than any reader should follow")
        self._weights[key] = weight
        return weight

    def _link(self, group: Any, name: bytes, above: tuple[Any, ...], depth: int) -> int:
        """Judge one link, and visit what a hard link leads to."""
        kind = group.links.get_info(name).type
        if kind == h5py.h5l.TYPE_HARD:
            return self._object(h5py.h5o.open(group, name), above, depth)
        if kind == h5py.h5l.TYPE_SOFT:
            self._soft.append((group, name, above))
            return 1
        if kind == h5py.h5l.TYPE_EXTERNAL:
            target = group.links.get_val(name)[0].decode("utf-8", "replace")
            if self._is_part(target):
                self._found.missing.append(target)
            elif target not in self._members:
                self._found.refuse("external-link", "the file links to another file outside the dataset")
            return 1
        self._found.refuse("external-link", "the file has links of a kind that only its own program understands")
        return 1

    def _is_part(self, target: str) -> bool:
        """Whether a name that leads out is that of a master's own part, by their common beginning, and it is lost."""
        plain = not {"/", "\\", ":"} & set(target)
        return plain and target not in self._members and bool(self._stem) and target.startswith(self._stem)

    def soft_links(self) -> None:
        """Judge soft links last: a path may lead through an external link, which has been refused by now."""
        for group, name, above in self._soft:
            if self._found.refused or self._found.missing:  # no path is followed through a link to a lost file
                return
            try:
                target = h5py.h5o.get_info(group, name).addr
            except (KeyError, RuntimeError, OSError):
                continue  # it leads nowhere, or in circles: readers get an error
            if target in above:
                self._found.refuse("group-loop", "a group of the file contains itself through a soft link")

    def _object(self, item: Any, above: tuple[Any, ...], depth: int) -> int:
        """Visit a group, or judge where a dataset keeps its values."""
        if isinstance(item, h5py.h5g.GroupID):
            return self.group(item, above, depth + 1)
        if isinstance(item, h5py.h5d.DatasetID):
            self._dataset(item)
            self._references(item, above, depth)
        return 1

    def _references(self, item: Any, above: tuple[Any, ...], depth: int) -> None:
        """Visit what an object refers to: that may have no name, and readers find it all the same."""
        address = h5py.h5o.get_info(item).addr
        if address in self._asked or self._found.refused:
            return
        self._asked.add(address)
        attributes = h5py.AttributeManager(SimpleNamespace(id=item))
        values = []
        for index in range(h5py.h5a.get_num_attrs(item)):
            attribute = h5py.h5a.open(item, index=index)
            if attribute.get_type().detect_class(h5py.h5t.REFERENCE):
                values.append(attributes[attribute.name.decode("utf-8", "surrogateescape")])
        if isinstance(item, h5py.h5d.DatasetID) and item.get_type().detect_class(h5py.h5t.REFERENCE):
            if item.get_space().get_simple_extent_npoints() > MAX_OBJECTS:
                self._found.refuse("too-many-objects", "the file has more references than any reader should follow")
                return
            values.append(h5py.Dataset(item)[()])
        for reference in _flat(values):
            if time.monotonic() > self._until:
                self._found.refuse("too-many-objects", "the file has more references than any reader should follow")
                return
            target = h5py.h5r.dereference(reference, item) if reference else None
            if target is None:
                continue
            address = h5py.h5o.get_info(target).addr
            if address in self._asked or address in self._weights or address in above:  # it was, or is being, visited
                continue
            self._count += 1
            if depth >= MAX_DEPTH or self._count > MAX_OBJECTS:
                self._found.refuse("too-many-objects", "the file has more objects than any reader should follow")
                return
            self._object(target, above, depth + 1)

    def _dataset(self, dataset: Any) -> None:
        """Refuse values that lie in other files; note a size that the file cannot hold."""
        creation = dataset.get_create_plist()
        if creation.get_external_count():
            self._found.refuse("external-storage", "a dataset of the file keeps its values in another file")
        if creation.get_layout() == h5py.h5d.VIRTUAL:
            self._note_virtual(h5py.h5o.get_info(dataset).addr, creation)
        declared = dataset.get_type().get_size()
        for length in dataset.shape or ():
            declared *= length
        if declared > max(_HUGE, 1000 * self._size):
            self._found.huge = True
            if not any(found["code"] == "mostly-unwritten" for found in self._found.issues):
                message = f"a dataset declares {declared} bytes, the file has {self._size}"
                self._found.issues.append(issue("mostly-unwritten", message, file="f1"))

    # -- virtual datasets ------------------------------------------------------------------------------------------

    def _note_virtual(self, address: Any, creation: Any) -> None:
        """Refuse a virtual dataset that takes from other files; remember what it takes from its own."""
        if address in self._virtual:
            return
        inner = self._virtual[address] = set()
        for index in range(creation.get_virtual_count()):
            name = creation.get_virtual_filename(index)
            if name in self._own:
                inner.add(creation.get_virtual_dsetname(index))
            elif name not in self._members:
                self._found.refuse("virtual-dataset", "a dataset of the file is put together from other files")
                return
            self._count += 1
            if self._count > MAX_OBJECTS or time.monotonic() > self._until:
                self._found.refuse("too-many-objects", "the file has more objects than any reader should follow")
                return

    def virtual_datasets(self, file: Any) -> None:
        """Refuse virtual datasets that take from each other in circles: the library follows them until it crashes."""
        below = {address: self._sources(file, paths) for address, paths in self._virtual.items()}
        while below:  # take away those that end, until none is left but circles
            ended = [address for address, sources in below.items() if not sources & below.keys()]
            if not ended:
                self._found.refuse("virtual-dataset", "datasets of the file take their values from each other")
                return
            for address in ended:
                del below[address]

    def _sources(self, file: Any, paths: Iterable[str]) -> set[Any]:
        """Addresses of the objects at some paths. Only hard links are followed: others lead anywhere."""
        found = set()
        for path in paths:
            place = file
            try:
                for part in path.encode().strip(b"/").split(b"/"):
                    if part not in (b"", b"."):
                        if place.links.get_info(part).type != h5py.h5l.TYPE_HARD:
                            self._found.refuse("virtual-dataset", "a dataset of the file is put together through links")
                            return set()
                        place = h5py.h5o.open(place, part)
                found.add(h5py.h5o.get_info(place).addr)
            except (KeyError, RuntimeError, OSError, AttributeError):
                continue  # there is no such source: its part is empty
        return found
