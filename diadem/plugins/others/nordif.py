"""NORDIF's diffraction patterns: ``Pattern.dat``, described by the text file ``Setting.txt`` beside it.

The text has sections and lines of name, value and unit, apart by tabs: ``Working distance<TAB>24.7<TAB>mm``. The
patterns follow each other row by row, a byte a pixel: in the real file 3 x 3 patterns of 60 x 60 pixels are its 32400
bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block, Found, Tree, look_up

_MAGIC = "[NORDIF]"
_PATTERNS = "pattern.dat"
_LARGEST = 1 << 20
_SIZES = re.compile(r"(\d+)x(\d+)\Z")


class Unlike(ValueError):
    """Settings and patterns do not fit together."""


def settings(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Sections of the text: name to ``{"value", "unit"}``; the first of a name counts."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    section = ""
    for line in text.splitlines():
        name, value, unit = (part.strip() for part in f"{line}\t\t".split("\t", 3)[:3])
        if name.startswith("[") and name.endswith("]"):
            section = name[1:-1]
        elif name and value:
            found.setdefault(section, {}).setdefault(name, {"value": value, **({"unit": unit} if unit else {})})
    return found


def _parsed(path: str) -> dict[str, dict[str, dict[str, str]]]:
    with Path(path).open("rb") as stream:
        text = stream.read(_LARGEST).decode("latin-1")
    return settings(text) if text.startswith(_MAGIC) else {}


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """The settings.

    Parameters
    ----------
    path : str
        A ``Setting.txt``.
    files : sequence of str
        Not needed.
    """
    if tree := _parsed(path):
        yield Block("nordif-settings", tree, place="settings")


def load(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read the patterns.

    Parameters
    ----------
    path : str
        A ``Setting.txt``; the patterns are beside it.
    lazy : bool
        Whether they stay in the file.

    Returns
    -------
    list of dict
        One signal dictionary as RosettaSciIO's readers give them.

    Raises
    ------
    FileNotFoundError
        There are no patterns beside the settings.
    Unlike
        The patterns are not as many, or not as large, as the settings say.
    """
    import numpy as np

    tree = _parsed(path)
    columns, rows = _scanned(tree)
    width, height = _sizes(tree, "Acquisition settings", "Resolution")
    patterns = _beside(Path(path))
    shape = (rows, columns, height, width)
    if patterns.stat().st_size != rows * columns * height * width:
        raise Unlike(
            f"{patterns.stat().st_size} bytes are not {columns} x {rows} patterns of {width} x {height} pixels"
        )
    data: Any = np.memmap(patterns, "u1", "r", shape=shape) if lazy else np.fromfile(patterns, "u1").reshape(shape)
    if lazy:
        import dask.array as da

        data = da.from_array(data, chunks=("auto", "auto", height, width))  # type: ignore[no-untyped-call]
    return [{"data": data, "axes": _axes(tree, shape), "metadata": _metadata(path), "original_metadata": tree}]


def _sizes(tree: Tree, section: str, name: str) -> tuple[int, int]:
    match = _SIZES.match(str(look_up(tree, f"{section}/{name}/value")))
    if match is None:
        raise Unlike(f"the settings have no '{name}'")
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


def _beside(path: Path) -> Path:
    """The patterns' file, in any case."""
    for item in path.parent.iterdir():
        if item.name.lower() == _PATTERNS:
            return item
    raise FileNotFoundError(f"no {_PATTERNS} beside {path.name}")


def _axes(tree: Tree, shape: Sequence[int]) -> list[dict[str, Any]]:
    step, unit = look_up(tree, "Area/Step size/value"), look_up(tree, "Area/Step size/unit")
    known = {"scale": float(step), "units": str(unit)} if step and unit else {"scale": 1.0, "units": "px"}
    pixels = {"scale": 1.0, "units": "px"}
    return [
        {"name": name, "size": size, "offset": 0.0, "navigate": place < 2, **(known if place < 2 else pixels)}
        for place, (name, size) in enumerate(zip(("y", "x", "dy", "dx"), shape, strict=True))
    ]


def _metadata(path: str) -> dict[str, Any]:
    return {"General": {"original_filename": Path(path).name, "title": Path(path).parent.name}, "Signal": {}}


def software(tree: Tree) -> Iterator[Found]:
    version = look_up(tree, "NORDIF/Software version/value")
    if version:
        yield Found("instrument.software", f"NORDIF {version}", "NORDIF/Software version/value", version)
