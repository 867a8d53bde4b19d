"""Values of a Velox document that need more than one of its keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.terms.matter import symbols_of


def field_of_view(tree: Tree) -> Iterator[Found]:
    """Width and height of the image: of the whole scan, less where only a part of it was scanned."""
    for axis, direction, sides in (("x", "x", ("left", "right")), ("y", "y", ("top", "bottom"))):
        key = f"Optics/FullScanFieldOfView/{axis}"
        whole = float(look_up(tree, key))
        near, far = (float(look_up(tree, f"Scan/ScanArea/{side}")) for side in sides)
        if not 0 <= near < far <= 1:
            continue
        field = f"optics.field_of_view_{direction}"
        if (near, far) == (0.0, 1.0):
            yield Found(field, whole, key, look_up(tree, key), "m")
        else:
            value = whole * (far - near)
            yield Found(field, value, f"{key} + Scan/ScanArea", f"{whole}, {near} to {far}", "m", status="derived")


def frames(tree: Tree) -> Iterator[Found]:
    """Frames that were added up."""
    number = count(tree)
    if number:
        key = "SpectrumImageSettings/endFramePosition"
        yield Found("scan.frames", number, key, look_up(tree, key), "1")


def count(tree: Tree) -> int:
    """Number of frames of a spectrum image; 0 where it is not told. Newer files say where they begin."""
    end = int(look_up(tree, "SpectrumImageSettings/endFramePosition") or 0)
    return end - int(look_up(tree, "SpectrumImageSettings/startFramePosition") or 1) + 1


def symbols(numbers: Any) -> list[str] | None:
    """Symbols of atomic numbers, each once; none where one of them is no element."""
    if not isinstance(numbers, Sequence) or isinstance(numbers, (str, bytes)):
        return None
    return symbols_of(map(int, numbers)) or None
