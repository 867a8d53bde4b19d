"""RosettaSciIO's TIFF reader, and what it does to pixel sizes mended.

It exchanges width and height of Thermo Fisher, TVIPS and Olympus pixels, rounds JEOL's by up to half a percent, takes
reciprocal lengths of TVIPS patterns as lengths, and knows none of Orion, TESCAN, Fibics and Tecnai pictures.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, MutableMapping
from typing import Any

from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.manifest import fields_of
from diadem.hooks.offers import FieldsOffer, target
from diadem.hooks.tables import table
from diadem.terms.units import to_si

#: Families whose tables state pixel sizes from tags of the file itself.
FAMILIES = ("thermofisher", "zeiss", "tvips", "olympus", "sightx", "gatan_tiff", "tescan", "fibics", "imagej", "aspex")
#: Fields of pixel sizes, by the axis they are of and their unit.
_SIZES = {
    f"image.{prefix}pixel_size_{direction}": (axis, unit)
    for prefix, unit in (("", "m"), ("reciprocal_", "1/m"))
    for direction, axis in (("x", "width"), ("y", "height"))
}


def read(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a TIFF file.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether arrays stay in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries; axes ``width`` and ``height`` have the sizes that the vendor's tags state.
    """
    from rsciio.tiff import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    try:
        blocks = list(_stated(path))
    except Exception as error:  # the reader's own axes are better than none
        logging.getLogger(__name__).debug("pixel sizes of %s: %r", path, error)
        return signals
    for number, signal in enumerate(signals):
        for block, sizes in blocks:
            if not block.signals or number in block.signals:
                _mend(signal.get("axes") or [], sizes)
                break
    return signals


def _stated(path: str) -> Iterator[tuple[Block, dict[str, tuple[float, str]]]]:
    """Blocks that state pixel sizes, and these by axis: size and unit."""
    for family in FAMILIES:
        for offer in fields_of(f"diadem.plugins.{family}"):
            yield from _of_offer(path, offer)


def _of_offer(path: str, offer: FieldsOffer) -> Iterator[tuple[Block, dict[str, tuple[float, str]]]]:
    for block in target(offer.blocks)(path, ()):
        if not block.tree or block.kind not in offer.tables:
            continue
        sizes: dict[str, tuple[float, str]] = {}
        for value in apply(table(offer.tables[block.kind]), block, offer.name).values:
            if value.field in _SIZES:
                axis, unit = _SIZES[value.field]
                sizes.setdefault(axis, (value.value, unit))
        if {"width", "height"} <= set(sizes):
            yield block, sizes


def _mend(axes: list[MutableMapping[str, Any]], sizes: dict[str, tuple[float, str]]) -> None:
    """Give axes the sizes stated, in the axis' unit where it is of the same kind."""
    for axis in axes:
        stated = sizes.get(str(axis.get("name")))
        if stated is None or "scale" not in axis:
            continue
        size, unit = stated
        kind, factor = to_si(axis.get("units"))
        if kind != unit:
            axis["units"], factor = unit, 1.0
        if not math.isclose(axis["scale"] * factor, size, rel_tol=1e-6):
            axis["scale"] = float(f"{size / factor:.15g}")
