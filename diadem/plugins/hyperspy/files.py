"""HyperSpy's files opened: .hspy, .hdf5 and .zspy. RosettaSciIO reads the signals; the metadata are cut out here.

HyperSpy marks types in names (``_list_elements``, ``_datetime_date``); source: RosettaSciIO, ``_hierarchical.py``.
"""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from diadem.hooks.fields import Block
from diadem.hooks.formats import Dictionary, Files, Opened
from diadem.hooks.hdf5 import Left, child, children, groups, is_array, shows
from diadem.plugins.hyperspy.signal import origin_of, vendor_blocks
from diadem.plugins.hyperspy.zarr import LONGEST_LIST, Store, ZarrGroup

if TYPE_CHECKING:
    import h5py

#: The group with a group for each signal.
_SIGNALS = "Experiments"
#: Names of the two trees, those of HyperSpy 0.x last.
_METADATA = ("metadata", "mapped_parameters")
_ORIGINAL = ("original_metadata", "original_parameters")
#: Groups and values of one file that are looked at; groups within groups.
_MOST, _DEEPEST = 50_000, 30
_NUMBERED = re.compile(r"_(?:list|tuple)_\d+_(.+)\Z", re.DOTALL)
_CALL = re.compile(r"(?:datetime\.)?(date|time)?(\([\d, ]*\))\Z")


def is_hspy(path: str) -> bool:
    """HyperSpy marks its files, and keeps its signals in `Experiments`."""
    return shows(path, lambda root: root.attrs.get("file_format") == "HyperSpy" or _SIGNALS in root)


def open_hspy(files: Files) -> Opened:
    """Open an HDF5 file of HyperSpy; arrays are read through the open file."""
    return Opened(files.signals(hdf5=True), _of_hdf5(files))


def open_zspy(files: Files) -> Opened:
    """Open a Zarr store of HyperSpy, a folder or an archive."""
    return Opened(files.signals(), _of_zarr(files))


def read_zspy(path: str, lazy: bool = True) -> list[Dictionary]:
    """Read a zspy folder or archive without asking for write access, which RosettaSciIO does when lazy."""
    with closing(Store(path)) as store:
        store.require_known_codecs()
    from rsciio.zspy import file_reader

    signals: list[Dictionary] = file_reader(path, lazy=lazy, mode="r")
    return signals


# -- blocks ----------------------------------------------------------------------------------------------------------


def _of_hdf5(files: Files) -> Iterator[Block]:
    import h5py

    left = Left(_MOST)
    with h5py.File(files.hdf5(), "r") as file:
        # In the order of the reader: what has data.
        held = [(name, group) for name, group in groups(child(file, _SIGNALS)).items() if "data" in group]
        for number, (name, group) in enumerate(held):
            yield from _blocks(name, Hdf5Group(group), number, left)


def _of_zarr(files: Files) -> Iterator[Block]:
    left = Left(_MOST)
    with closing(Store(files.path())) as store:
        held = [name for name in store.children(_SIGNALS) if "data" in store.children(f"{_SIGNALS}/{name}")]
        for number, name in enumerate(held):
            yield from _blocks(name, ZarrGroup(store, f"{_SIGNALS}/{name}"), number, left)


def _blocks(name: str, group: Hdf5Group | ZarrGroup, number: int, left: Left) -> Iterator[Block]:
    """Blocks of one signal: those of the vendor that are known, then HyperSpy's own."""
    trees: dict[str, Mapping[str, Any]] = {
        inside: tree_of(content, left) for inside, content in group.groups() if inside in (*_METADATA, *_ORIGINAL)
    }
    place = f"{_SIGNALS}/{name}"
    metadata, original = (next((key for key in keys if key in trees), "") for keys in (_METADATA, _ORIGINAL))
    told, kept = trees.get(metadata, {}), trees.get(original, {})
    origin = origin_of(told, kept)
    vendors = list(vendor_blocks(origin, told, kept, f"{place}/{original}", number))
    yield from vendors
    tree: dict[str, Any] = {key: trees[key] for key in (metadata, original) if key}
    if tree:
        tree |= {"read by": origin, "vendor's own": bool(vendors)}
        yield Block("hyperspy-signal", tree, place=place, signals=(number,))


class Hdf5Group:
    """A group of an HDF5 file that is read attribute by attribute; links are not followed, long arrays not read."""

    def __init__(self, group: h5py.Group) -> None:
        self._group = group

    def values(self) -> Iterator[tuple[str, Any]]:
        """Attributes and small arrays by name; texts as texts."""
        for name in self._group.attrs:
            yield str(name), self._group.attrs[name]
        import h5py

        for name, item in children(self._group):
            if is_array(item, "") and item.size <= LONGEST_LIST:
                yield name, item.asstr()[()] if h5py.check_string_dtype(item.dtype) is not None else item[()]

    def groups(self) -> Iterator[tuple[str, Hdf5Group]]:
        """Groups in it by name."""
        yield from ((name, Hdf5Group(group)) for name, group in groups(self._group).items())


def tree_of(group: Hdf5Group | ZarrGroup, left: Left, depth: int = 0) -> dict[str, Any]:
    """A group as nested mappings and lists; `left` is shared by all trees of a file."""
    found: dict[str, Any] = {}
    for name, value in group.values():
        if not left.take():
            return found
        if not name.startswith(("_ragged_shapes_", "_sig_")):
            mark = next(mark for mark in _MARKS if name.startswith(mark))
            found[name.removeprefix(mark)] = _MARKS[mark](value)
    for name, inside in group.groups() if depth < _DEEPEST else ():
        if not left.take():
            return found
        if name.startswith(("_sig_", "_hspy_AxesManager_")):
            continue
        content = tree_of(inside, left, depth + 1)
        numbered = _NUMBERED.match(name)
        found[numbered[1] if numbered else name] = [content[key] for key in sorted(content)] if numbered else content
    return found


def _moment(value: Any) -> str:
    """``datetime.date(1991, 10, 1)``, as the first versions wrote it, in ISO 8601; other texts as they are."""
    text = str(_plain(value))
    match = _CALL.match(text)
    if match is None:
        return text
    numbers = ast.literal_eval(match[2])
    made = dt.time(*numbers) if match[1] == "time" else dt.date(*numbers)
    return made.isoformat()


def _plain(value: Any) -> Any:
    """A value without NumPy: texts, numbers, lists; ``_None_`` is None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_plain(item) for item in value[:LONGEST_LIST]]
    return None if value == "_None_" else value


#: Marks of types in names, and what the value is then; "" is any other name.
_MARKS: Mapping[str, Callable[[Any], Any]] = {
    "_list_empty_": lambda _: [],
    "_tuple_empty_": lambda _: [],
    "_list_": _plain,
    "_tuple_": _plain,
    "_datetime_": _moment,
    "_bs_": lambda value: value if isinstance(value, str) else bytes(value),
    "": _plain,
}
