"""HDF5 files of EBSD, all grown from one proposal (Jackson et al. 2014, doi:10.1186/2193-9772-3-4).

A group for each scan has groups of techniques (``EBSD``, ``EDS``, ``Electron Image``, ``SEM``), each with a `Header` of
single values and `Data`, whose arrays have one row for each point of the map, row by row from the upper left corner.
Makers differ in names, not in the order. EMsoft's files hold simulated patterns, in groups of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import h5py

from diadem.errors import ReaderError
from diadem.hooks.fields import Block
from diadem.hooks.formats import Files, Opened, Signal, axis, failing
from diadem.hooks.hdf5 import LONGEST, Left, children, groups, is_array, shows
from diadem.hooks.text import number
from diadem.plugins.ebsd.maps import Shape, Steps, grid, map_axes, signal, told_uneven

#: Of one file: scans, arrays of a scan, values of a header, groups inside one another.
_SCANS, _ARRAYS, _VALUES, _DEEPEST = 256, 256, 2000, 4
#: Parts that cannot be read which are told.
_FAILURES = 8
#: Items of a value of a header; pictures and backgrounds have more.
_ITEMS = 64
#: Points of a map.
_POINTS = 1 << 26
_COLUMNS = ("X Cells", "NCOLS", "nColumns", "n_columns")
_ROWS = ("Y Cells", "NROWS", "nRows", "n_rows")
_STEPS = (("Y Step", "YSTEP", "Step Y", "step_y"), ("X Step", "XSTEP", "Step X", "step_x"))
#: Names of grids whose rows have equally many points; hexagonal ones have not.
_SQUARE = ("", "isometric", "SqrGrid", "square")
#: What the axes say.
_PLACES = frozenset({"X", "Y", "X Position", "Y Position"})
#: Kinds of blocks by who wrote the file.
_KINDS = {"oxford": "h5oina", "bruker": "bruker-ebsd", "edax": "edax-ebsd", "kikuchipy": "kikuchipy"}
#: The map that looks like a picture of the sample; it goes before the others.
_PICTURES = frozenset({"Band Contrast", "IQ", "RadonQuality"})


def is_h5oina(path: str) -> bool:
    """Oxford Instruments names its format's version and its slices."""
    return shows(path, lambda root: {"Format Version", "Index"} <= set(root) and "oxford" in _maker(root))


def _is_of(maker: str, path: str) -> bool:
    """Whether it is a file of EBSD of this maker."""
    return shows(path, lambda root: maker in _maker(root) and any("EBSD" in scan for _, scan in _scans(root)))


is_bruker = partial(_is_of, "bruker")  # ESPRIT's export
is_edax = partial(_is_of, "edax")  # OIM's and TEAM's
is_kikuchipy = partial(_is_of, "kikuchipy")


def open_emsoft(files: Files) -> Opened:
    """Open a file of EMsoft: patterns, or a sphere of them, that a program has made."""
    root = h5py.File(files.hdf5(), "r")
    return Opened(_simulated(root), [Block("emsoft", _tree(root["EMheader"], Left(_VALUES)), place="EMheader")])


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open scans of a camera's maker, or kikuchipy's: signals, and headers of each technique.

    What a program says beside the patterns it says of all of the scan; only Oxford has a header for each technique.
    """
    root = h5py.File(files.hdf5(), "r")
    told, maker = _file(root), _maker(root)
    kind = next((kind for name, kind in _KINDS.items() if name in maker), "h5oina")
    signals: list[Signal] = []
    blocks, failed, uneven = [], [], False
    scans = list(itertools.islice(_scans(root), _SCANS + 1))
    for place, scan in scans[:_SCANS]:
        first, own = len(signals), []
        for technique in _techniques(scan):
            part, before = _Part(place, scan, technique, told), len(signals)
            uneven = uneven or part.uneven
            try:
                signals += part.signals()
            except Exception as error:  # one odd array costs neither the others nor what the headers say
                failed.append(f"{place}/{technique} cannot be read: {type(error).__name__}: {error}")
            own.append((part, range(before, len(signals))))
        for part, numbers in own:
            tree = {**part.header, "Technique": part.technique, "File": told}
            meant = numbers if numbers and kind == "h5oina" else range(first, len(signals))
            blocks.append(Block(kind, tree, place=f"{place}/{part.technique}/Header", signals=tuple(meant)))
    if len(scans) > _SCANS:
        failed.append(f"the file has more than {_SCANS} scans; the first are described")
    signals = list(told_uneven(signals)) if uneven else signals
    if failed and signals:
        issues = [{"code": "not-described", "message": message[:300]} for message in failed[:_FAILURES]]
        signals[0] = replace(signals[0], issues=[*signals[0].issues, *issues])
    if failed and not signals:
        return Opened(failing(ReaderError(failed[0][:300], where=files.entry)), blocks)
    return Opened(signals, blocks)


# -- groups and values -----------------------------------------------------------------------------------------------


def _file(root: Any) -> dict[str, Any]:
    """Values at the root; EDAX has a blank before their names, kikuchipy small letters."""
    found = _tree(root, Left(100), _DEEPEST).items()
    return {name.strip().title() if name.islower() else name.strip(): value for name, value in found}


def _maker(root: Any) -> str:
    return str(_file(root).get("Manufacturer", "")).lower()


def _scans(root: Any) -> Iterator[tuple[str, Any]]:
    """Groups with groups of techniques in them: below the root, or below projects, samples and areas."""
    found = 0
    todo: list[tuple[str, Any, int]] = [("", root, 0)]
    while todo and found <= _SCANS:
        place, group, depth = todo.pop(0)
        for name, inner in groups(group).items():
            where = f"{place}/{name}".lstrip("/")
            if any(_techniques(inner)):
                found += 1
                yield where, inner
            elif depth < _DEEPEST and len(todo) < _SCANS:
                todo.append((where, inner, depth + 1))


def _techniques(scan: Any) -> list[str]:
    """Names of the groups that have a header."""
    return [name for name, group in groups(scan).items() if "Header" in groups(group)]


def _tree(group: Any, left: Left, depth: int = 0) -> dict[str, Any]:
    """Values and groups of a header. A unit stands at ``name@Unit``."""
    found: dict[str, Any] = {}
    for name, item in children(group):
        if is_array(item) and 0 < item.size <= _ITEMS and item.nbytes <= LONGEST and left.take():
            found[name] = _plain(item[()])
            if unit := _plain(item.attrs.get("Unit", "")):
                found[f"{name}@Unit"] = unit
    for name, inner in groups(group).items() if depth < _DEEPEST and left else ():
        found[name] = _tree(inner, left, depth + 1)
    return found


def _plain(value: Any) -> Any:
    """A value without NumPy; of one in a list, it."""
    value = value.tolist() if hasattr(value, "tolist") else value
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else value


# -- signals ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the rows of an array lie: shape of the map, if there is one, and its steps; None where it is hexagonal."""

    size: int
    shape: Shape = ()
    steps: Steps | None = (0.0, 0.0)
    order: Any = None

    def axes(self, *, navigate: bool) -> list[dict[str, Any]]:
        """Axes of the points."""
        return map_axes(self.shape or (self.size,), self.steps, navigate=navigate)


class _Part:
    """One technique of one scan."""

    def __init__(self, place: str, scan: Any, technique: str, told: Mapping[str, Any]) -> None:
        self.place, self.technique = place, technique
        self._scan, self._data = scan, scan[technique].get("Data")
        self._title = "" if place == str(told.get("Index", "")) else f"{place}: "
        self.header = _tree(scan[technique]["Header"], Left(_VALUES))
        self.uneven = str(self.header.get("Grid Type", "")) not in _SQUARE

    def signals(self) -> Iterator[Signal]:
        """Patterns first, then what is known of each point."""
        arrays = list(itertools.islice(self._arrays(), _ARRAYS))
        where: _Grid | None = None
        for name, array in sorted(arrays, key=lambda one: (-max(one[1].ndim, 2), one[0] not in _PICTURES)):
            where = where if where and where.size == array.shape[0] else self._grid(array.shape[0])
            yield from _mapped(f"{self._title}{name}", array, where, self.header)

    def _arrays(self) -> Iterator[tuple[str, Any]]:
        """Arrays that have a row for each point, in the group or in groups below it: elements, detectors."""
        for name, item in children(self._data):
            if name in _PLACES and not self.uneven:
                continue
            for below, array in children(item) if isinstance(item, h5py.Group) else [("", item)]:
                if is_array(array, "iufb") and array.shape and array.shape[0] > 1:
                    yield f"{name} {below}".strip(), array

    def _grid(self, size: int) -> _Grid:
        """How the points lie."""
        shape, steps = grid(self._first(_ROWS), self._first(_COLUMNS)), (self._first(_STEPS[0]), self._first(_STEPS[1]))
        if self.uneven:
            return _Grid(size, steps=None)
        return _Grid(size, shape, steps) if shape and prod(shape) == size else self._region(size, steps)

    def _region(self, size: int, steps: Steps) -> _Grid:
        """A part of Bruker's map: column and row of each point are listed, in any order."""
        import numpy as np

        listed = [self._scan.get(f"{self.technique}/SEM/{name}") for name in ("IY", "IX")]
        if size > _POINTS or not all(is_array(one, "iu") and one.shape == (size,) for one in listed):
            return _Grid(size)
        row, column = (one[()].astype(np.int64) - int(one[()].min()) for one in listed)
        shape = int(row.max()) + 1, int(column.max()) + 1
        places = row * shape[1] + column
        if shape[0] * shape[1] != size or len(np.unique(places)) != size:
            return _Grid(size)
        order = np.argsort(places)
        return _Grid(size, grid(*shape), steps, None if (order[1:] > order[:-1]).all() else order)

    def _first(self, names: Sequence[str]) -> float | None:
        return next((found for name in names if (found := number(self.header.get(name, ""))) is not None), None)


def _mapped(title: str, array: Any, where: _Grid, header: Mapping[str, Any]) -> Iterator[Signal]:
    """The signal of an array; of few columns, such as the Euler angles, one for each."""
    data = _lazy(array, where)
    rest = list(array.shape[1:])
    if not rest or (len(rest) == 1 and rest[0] <= 4):
        for column in range(rest[0]) if rest else (None,):
            named = title if column is None or rest == [1] else f"{title} {column + 1}"
            yield signal(named, where.axes(navigate=False), data if column is None else data[..., column])
        return
    if len(rest) == 1 and not where.shape and where.steps is not None:  # a picture beside the map
        yield signal(title, [axis("y", array.shape[0]), axis("x", rest[0])], data)
        return
    if len(rest) == 1:
        width, start = (number(header.get(name, "")) for name in ("Channel Width", "Start Channel"))
        axes = [axis("Energy" if width else "", rest[0], width or 1.0, start or 0.0, "eV" if width else "")]
    else:
        axes = [axis(name, size) for name, size in zip(("z", "dy", "dx")[-len(rest) :], rest, strict=False)]
    yield signal(title, [*where.axes(navigate=True), *axes], data)


def _lazy(array: Any, where: _Grid) -> Any:
    """The array as a Dask array in the shape of the map, cut between rows of it."""
    import dask.array

    da: Any = dask.array  # it has no types
    row = where.shape[-1] if where.shape else 1
    point = array.dtype.itemsize * max(1, int(array.size // array.shape[0]))
    chunk = row * max(1, (4 << 20) // (row * point))
    data = da.from_array(array, chunks=(min(chunk, array.shape[0]), *array.shape[1:]), name=False)
    if where.order is not None:
        data = data[where.order]
    return data.reshape(*(where.shape or (where.size,)), *array.shape[1:])


def _simulated(root: Any) -> Iterator[Signal]:
    """Every array of pictures below ``EMData``."""
    found = 0
    for program, group in groups(root["EMData"]).items():
        for name, array in children(group):
            if is_array(array, "iuf") and array.ndim > 2:
                where = _Grid(array.shape[0])
                axes = [axis("xyzt"[place], size, navigate=place > 1) for place, size in enumerate(array.shape[::-1])]
                yield signal(f"{program}: {name}", axes[::-1], _lazy(array, where).reshape(array.shape))
                found += 1
    if not found:
        raise ReaderError("there are no patterns below EMData", where="EMData")
