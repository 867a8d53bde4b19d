"""A look through an HDF5 file's links before any reader follows them: what leads out of the file, loops, or lies.

The walk follows hard links only. It runs in the worker, under its limits, because the library itself may be attacked.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import h5py

from diadem.extract.extraction import issue

#: Objects, depth and seconds that a walk may take; real files have some thousands of objects at a depth below 15.
MAX_OBJECTS = 50_000
MAX_DEPTH = 64
MAX_SECONDS = 5.0
#: A dataset that says it has more than this, and a thousand times the file's size, is mostly unwritten.
_HUGE = 1 << 30


@dataclass(slots=True)
class Walk:
    """What a walk found. `refused` means that no reader may open the file."""

    issues: list[dict[str, Any]] = field(default_factory=list)
    refused: bool = False
    huge: bool = False

    def refuse(self, code: str, message: str) -> None:
        """Note a reason not to read, once for each code."""
        self.refused = True
        if not any(found["code"] == code for found in self.issues):
            self.issues.append(issue(code, message + "; the file was not read", file="f1"))


def walk(path: str, size: int, members: Collection[str]) -> Walk:
    """Walk through a file.

    Parameters
    ----------
    path : str
        The file.
    size : int
        Its bytes.
    members : collection of str
        Names of files in the same folder that belong to the dataset; links to these are allowed.

    Returns
    -------
    Walk
        Codes ``external-link``, ``external-storage``, ``virtual-dataset``, ``group-loop``, ``too-many-objects``
        (all refused) and ``mostly-unwritten``.
    """
    found = Walk()
    with h5py.File(path, "r") as file:
        walker = _Walker(found, size, members)
        walker.group(file["/"].id, (), 0)
        walker.soft_links()
    return found


class _Walker:
    """The state of one walk."""

    def __init__(self, found: Walk, size: int, members: Collection[str]) -> None:
        self._found = found
        self._size = size
        self._members = members
        self._until = time.monotonic() + MAX_SECONDS
        self._weights: dict[Any, int] = {}
        self._count = 0
        self._soft: list[tuple[Any, bytes, tuple[Any, ...]]] = []

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
            if target not in self._members:
                self._found.refuse("external-link", "the file links to another file outside the dataset")
            return 1
        self._found.refuse("external-link", "the file has links of a kind that only its own program understands")
        return 1

    def soft_links(self) -> None:
        """Judge soft links last: a path may lead through an external link, which has been refused by now."""
        for group, name, above in self._soft:
            if self._found.refused:
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
        return 1

    def _dataset(self, dataset: Any) -> None:
        """Refuse values that lie in other files; note a size that the file cannot hold."""
        creation = dataset.get_create_plist()
        if creation.get_external_count():
            self._found.refuse("external-storage", "a dataset of the file keeps its values in another file")
        if creation.get_layout() == h5py.h5d.VIRTUAL:
            sources = {creation.get_virtual_filename(index) for index in range(creation.get_virtual_count())}
            if not sources <= {".", *self._members}:
                self._found.refuse("virtual-dataset", "a dataset of the file is put together from other files")
        declared = dataset.get_type().get_size()
        for length in dataset.shape or ():
            declared *= length
        if declared > max(_HUGE, 1000 * self._size):
            self._found.huge = True
            if not any(found["code"] == "mostly-unwritten" for found in self._found.issues):
                message = f"a dataset declares {declared} bytes, the file has {self._size}"
                self._found.issues.append(issue("mostly-unwritten", message, file="f1"))
