"""NeXus, DECTRIS and NORDIF opened; dates and times of Semper's and Phenom's readers."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from diadem.errors import ReaderError
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.formats import Files, Opened, Signal, axis
from diadem.hooks.hdf5 import children, groups, plain, shows, values
from diadem.hooks.times import moments
from diadem.model.layout import ArrayLayout
from diadem.terms.dates import full_year

# -- NeXus -----------------------------------------------------------------------------------------------------------

#: Entries, and items of a group, that are looked at; characters of a text.
_ENTRIES, _ITEMS, _LONGEST = 16, 200, 2000
_CLASSES = ("NXuser", "NXsample", "NXinstrument")


def open_nexus(files: Files) -> Opened:
    """Open a NeXus file: texts of every entry, and of the groups of people, samples and instruments in it."""
    return Opened(files.signals(), _entries(files))


def _entries(files: Files) -> Iterator[Block]:
    import h5py

    with h5py.File(files.hdf5(), "r") as file:
        inside = islice(children(file, soft=True), _ENTRIES)
        trees = [(name, _entry(group)) for name, group in inside if _class(group) == "NXentry"]
    kind = "nexus-entry" if len(trees) == 1 else "nexus-entries"  # of several it is not known which signals are whose
    yield from (Block(kind, tree, place=name) for name, tree in trees if tree)


def _entry(group: Any) -> dict[str, Any]:
    tree: dict[str, Any] = dict(_texts(group))
    for _, item in islice(children(group, soft=True), _ITEMS):
        if (kind := _class(item)) in _CLASSES and (inner := _texts(item)):
            tree.setdefault(kind, inner)
    return tree


def _class(item: Any) -> str:
    return str(plain(item.attrs.get("NX_class", "")))


def _texts(group: Any) -> dict[str, str]:
    """Short texts of a group."""
    found = values(group, most=1, soft=True)
    return {name: text for name, text in found.items() if isinstance(text, str) and len(text) <= _LONGEST}


# -- DECTRIS ---------------------------------------------------------------------------------------------------------

_DETECTOR = "entry/instrument/detector"


def is_arina(path: str) -> bool:
    """A DECTRIS master names itself so and keeps links to its data files in `entry/data`."""
    is_master = Path(path).name.lower().endswith("_master.h5")
    return is_master and shows(path, lambda root: "entry" in root and "data" in root["entry"])


def open_arina(files: Files) -> Opened:
    """Open a master file: settings of the detector; its tables of corrections stay in the file."""
    return Opened(files.signals(), _master(files))


def _master(files: Files) -> Iterator[Block]:
    import h5py

    with h5py.File(files.hdf5(), "r") as file:
        detector = file.get(_DETECTOR)
        inside = {name: values(group, most=1, unit="units") for name, group in groups(detector).items()}
        tree = values(detector, most=1, unit="units") | {name: inner for name, inner in inside.items() if inner}
    if tree:
        yield Block("nxmx-master", tree, place=_DETECTOR)


# -- NORDIF ----------------------------------------------------------------------------------------------------------

_MAGIC = "[NORDIF]"
_PATTERNS = "pattern.dat"
_LARGEST = 1 << 20
_SIZES = re.compile(r"(\d+)x(\d+)\Z")


def open_nordif(files: Files) -> Opened:
    """Open NORDIF's diffraction patterns, ``Pattern.dat``, described by the text ``Setting.txt`` beside it.

    The patterns follow each other row by row, a byte a pixel: in the real file 3 x 3 patterns of 60 x 60 pixels are its
    32400 bytes.
    """
    text = files[files.entry].read_at(0, _LARGEST).decode("latin-1")
    tree = settings(text) if text.startswith(_MAGIC) else {}
    return Opened(_patterns(files, tree), [Block("nordif-settings", tree, place="settings")] if tree else [])


def settings(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Sections of name, value and unit: ``Working distance<TAB>24.7<TAB>mm``; the first of a name counts."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    section = ""
    for line in text.splitlines():
        name, value, unit = (part.strip() for part in f"{line}\t\t".split("\t", 3)[:3])
        if name.startswith("[") and name.endswith("]"):
            section = name[1:-1]
        elif name and value:
            found.setdefault(section, {}).setdefault(name, {"value": value, **({"unit": unit} if unit else {})})
    return found


def _patterns(files: Files, tree: Tree) -> Iterator[Signal]:
    """The signal; `ReaderError` where the patterns are not there, or not as many or as large as the settings say."""
    place = PurePosixPath(files.entry)
    name = next((name for name in files if PurePosixPath(name).name.lower() == _PATTERNS), "")
    if not name:
        raise ReaderError(f"there is no {_PATTERNS} beside it", where=place.name, next="Archive the two together.")
    columns, rows = _scanned(tree)
    width, height = _sizes(tree, "Acquisition settings", "Resolution")
    shape = (rows, columns, height, width)
    if files[name].size != rows * columns * height * width:
        message = f"{files[name].size} bytes are not {columns} x {rows} patterns of {width} x {height} pixels"
        raise ReaderError(message, where=name)
    written, unit = look_up(tree, "Area/Step size/value"), look_up(tree, "Area/Step size/unit")
    step = (float(written), 0.0, unit) if written and unit else (1.0, 0.0, "px")
    places = [axis("y", rows, *step, navigate=True), axis("x", columns, *step, navigate=True)]
    axes = [*places, axis("dy", height, units="px"), axis("dx", width, units="px")]
    array = ArrayLayout.packed(name, 0, "|u1", shape)
    title = look_up(tree, "Specimen/Name/value")
    general = {"original_filename": place.name, **({"title": title} if title else {})}
    yield Signal(axes, None, array, {"General": general, "Signal": {}}, {"original_metadata": tree})


def _sizes(tree: Tree, section: str, name: str) -> tuple[int, int]:
    match = _SIZES.match(str(look_up(tree, f"{section}/{name}/value")))
    if match is None:
        raise ReaderError(f"the settings have no '{name}'")
    return int(match[1]), int(match[2])


def _scanned(tree: Tree) -> tuple[int, int]:
    """Columns and rows of the scan; which of the two numbers is which is told by the width, where it differs."""
    first, second = _sizes(tree, "Area", "Number of samples")
    lengths = [str(look_up(tree, f"Area/{name}/value")).partition(" ")[0] for name in ("Width", "Height", "Step size")]
    if first != second and all(re.fullmatch(r"\d+(\.\d+)?", length) for length in lengths):
        width, height, step = map(float, lengths)
        if step and (round(width / step), round(height / step)) == (second, first):
            return second, first
    return first, second


# -- Semper and Phenom, whose trees are the readers' -----------------------------------------------------------------


def semper_time(tree: Tree) -> Iterator[Found]:
    """The label has six numbers in a fixed order; RosettaSciIO's writer leaves the century out of the year."""
    raw = str(tree["DATE"])
    date, _, clock = raw.partition(" ")
    year, month, day = (int(part) for part in date.split("-"))
    hour, minute, second = (int(part) for part in clock.split(":"))
    local = dt.datetime(full_year(year), month, day, hour, minute, second)  # noqa: DTZ001 - no zone is stated
    yield from moments("time.acquired_start", "DATE", raw, local=local)


def phenom_times_are_possible(tree: Tree) -> bool:
    """Whether the detector was not live for longer than it was on: maps of Elid2Version0.elid say 4.05 s of 3.00 s."""
    live, real = (look_up(tree, f"acquisition/scan/detectors/EDS/{name}_time") for name in ("live", "real"))
    return live is not None and real is not None and float(live) <= float(real)
