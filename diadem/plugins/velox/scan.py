"""How many lines and columns a stream of events has: the part of the scan that was measured.

RosettaSciIO takes the shape of the file's last image, which may be an overview of another size.
"""

from __future__ import annotations

from typing import Any

from diadem.plugins.velox.container import Item, document, metadata
from diadem.plugins.velox.order import Order


def shape_of_stream(root: Any, item: Item, order: Order) -> tuple[int, int]:
    """Lines and columns.

    Parameters
    ----------
    root : h5py.File
        The file, open.
    item : Item
        The stream.
    order : Order
        Of the file.

    Returns
    -------
    (int, int)
        From the size of the raster and the part of it that was scanned; an image of the same shape confirms it.

    Raises
    ------
    ValueError, KeyError
        They are not told, or no image has this shape.
    """
    raster = document(root, f"{item.place}/AcquisitionSettings")["RasterScanDefinition"]
    area = metadata(root, item)["Scan"]["ScanArea"]
    sides = []
    for size, near, far in (("Height", "top", "bottom"), ("Width", "left", "right")):
        sides.append(round(int(raster[size]) * (float(area[far]) - float(area[near]))))
    shape = (sides[0], sides[1])
    images = {root[image.place]["Data"].shape[:2] for image in order.signals if image.kind == "Image"}
    if shape not in images:
        raise ValueError(f"a stream of {shape} events, and images of {sorted(images)}")
    return shape
