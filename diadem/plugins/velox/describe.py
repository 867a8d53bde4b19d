"""The signals of a Velox file without decoding its streams of events: shapes, types, axes and titles.

RosettaSciIO builds every spectrum image to tell its shape, which takes seconds and hundreds of megabytes. What is not
as expected raises, and the reader is asked after all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import h5py

from diadem.plugins.velox.container import Item, Json, document, is_velox, items, metadata, version_of
from diadem.plugins.velox.order import Order, order_of
from diadem.plugins.velox.pixels import Pixels, Unread
from diadem.plugins.velox.scan import shape_of_stream
from diadem.plugins.velox.titles import Titles

Signal = dict[str, Any]


def describe(path: str) -> list[Signal]:
    """Signal dictionaries like RosettaSciIO's, in its order.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    list of dict
        ``data`` of images and spectra is read from the file when it is indexed; of spectrum images made of streams it
        has shape and type alone. Axes are in the file's own units.

    Raises
    ------
    ValueError, KeyError, TypeError
        The file is no Velox file, or is one of a kind that this does not understand.
    """
    with h5py.File(path, "r") as root:
        if not is_velox(root):
            raise ValueError("no Velox file")
        order = order_of(root)
        if not order.signals:
            raise ValueError("no data of a known kind")
        titles = Titles(root, version_of(root), displays=not order.stacks)
        return [_signal(path, root, item, order, titles) for item in order.signals]


def _signal(path: str, root: Any, item: Item, order: Order, titles: Titles) -> Signal:
    if item.kind == "Image":
        return _image(path, root, item, order, titles)
    if item.kind == "Spectrum":
        return _spectrum(path, root, item, titles)
    if item.kind == "EelsSpectrumImage":
        return _eels(path, root, item)
    return _streams(root, item, order, titles)


def _dictionary(data: Any, axes: list[Json], title: str, type_: str = "") -> Signal:
    for place, axis in enumerate(axes):
        axis.update(index_in_array=place, size=data.shape[place])
    general = {"title": title} if title else {}
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": general, "Signal": {"signal_type": type_}},
        "original_metadata": {},
    }


def _image(path: str, root: Any, item: Item, order: Order, titles: Titles) -> Signal:
    """An image, or a stack of them where there is no spectrum image."""
    dataset = root[item.place]["Data"]
    tree = metadata(root, item)
    if dataset.ndim != 3 or 0 in dataset.shape:
        raise ValueError(f"{item.place} has the shape {dataset.shape}")
    axes = list(_plane(tree["BinaryResult"], navigate=False))
    if order.stacks and dataset.shape[2] > 1:
        data = Pixels(path, dataset, (2, 0, 1))
        axes.insert(0, {"name": "Time", "scale": _frame_time(tree), "offset": 0.0, "units": "s", "navigate": True})
    else:
        data = Pixels(path, dataset, (0, 1), {2: 0})
    return _dictionary(data, axes, titles.image(item, tree))


def _plane(result: Mapping[str, Any], *, navigate: bool) -> Iterator[Json]:
    """Axes y and x from `BinaryResult`, in the file's unit; images computed from spectra may have none."""
    sizes = result.get("PixelSize", {"height": 1.0, "width": 1.0})
    offsets = result.get("Offset", {"x": 0.0, "y": 0.0})
    for name, side in (("y", "height"), ("x", "width")):
        yield {
            "name": name,
            "scale": float(sizes[side]),
            "offset": float(offsets[name]),
            "units": result.get(f"PixelUnit{name.upper()}", ""),
            "navigate": navigate,
        }


def _frame_time(tree: Json) -> float:
    """Seconds of a frame: of the scan, or of the camera's exposure; a camera image keeps the time of the last scan."""
    scan = tree["Scan"]
    if "FrameTime" in scan and float(scan.get("ScanSize", {}).get("width", 1)):
        return float(scan["FrameTime"])
    number = tree["BinaryResult"]["DetectorIndex"]
    return float(tree["Detectors"][f"Detector-{number}"]["ExposureTime"])


def _energy(tree: Json, name: str) -> Json:
    """Energy axis of an X-ray spectrum: the first detector whose name has that of the data in it; in eV."""
    wanted = tree["BinaryResult"]["Detector"]
    axis = {"name": name, "navigate": False}
    for detector in tree["Detectors"].values():
        if wanted in detector["DetectorName"]:
            if "Dispersion" not in detector or "OffsetEnergy" not in detector:
                break
            scale, offset = float(detector["Dispersion"]), float(detector["OffsetEnergy"])
            return {**axis, "scale": scale, "offset": offset, "units": "eV"}
    return {**axis, "scale": 1.0, "offset": 0.0, "units": ""}


def _spectrum(path: str, root: Any, item: Item, titles: Titles) -> Signal:
    """A single spectrum, or several of one detector."""
    dataset = root[item.place]["Data"]
    if dataset.ndim != 2 or 0 in dataset.shape:
        raise ValueError(f"{item.place} has the shape {dataset.shape}")
    axes = [_energy(metadata(root, item), "Energy")]
    if dataset.shape[1] == 1:
        data = Pixels(path, dataset, (0,), {1: 0})
    else:
        data = Pixels(path, dataset, (1, 0))
        axes.insert(0, {"name": "Stack", "scale": 1.0, "offset": 0.0, "units": "", "navigate": True})
    return _dictionary(data, axes, titles.spectrum(), "EDS_TEM")


def _eels(path: str, root: Any, item: Item) -> Signal:
    """A spectrum image of energy losses, whose places are those of the X-ray spectrum image."""
    dataset = root[item.place]["Data"]
    if dataset.ndim != 3:
        raise ValueError(f"{item.place} has the shape {dataset.shape}")
    result = metadata(root, items(root, "SpectrumImage")[0])["BinaryResult"]
    acquisition = metadata(root, item, name="AcquisitionMetadata")["Data"]
    energy = {"name": "Energy-loss", "units": "eV", "navigate": False}
    energy.update(scale=float(acquisition["dispersion"]), offset=float(acquisition["offset"]))
    axes = [*_plane(result, navigate=True), energy]
    return _dictionary(Pixels(path, dataset, (2, 0, 1)), axes, "EELS", "EELS")


def _streams(root: Any, item: Item, order: Order, titles: Titles) -> Signal:
    """The sum of all streams of events over all frames."""
    tree = metadata(root, item)
    settings = document(root, f"{item.place}/AcquisitionSettings")
    lines, columns = shape_of_stream(root, item, order)
    channels = int(settings["bincount"])
    if not 0 < channels <= 1 << 16:
        raise ValueError(f"{item.place} has {channels} channels")
    data = Unread((lines, columns, channels), str(settings["StreamEncoding"]))
    axes = [*_plane(tree["BinaryResult"], navigate=True), _energy(tree, "X-ray energy")]
    return _dictionary(data, axes, titles.spectrum(), "EDS_TEM")
