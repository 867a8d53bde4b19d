"""EMD files opened: Velox's here, those of NCEM and py4DSTEM by their own family.

Signals of a Velox file have the order and the titles that RosettaSciIO gives them (``rsciio/emd/_emd_velox.py``, 0.15);
shapes, axes and images are read here, because the reader builds every spectrum image to tell its shape, which takes
seconds and hundreds of megabytes. It is asked for its metadata and for streams of events when a signal is loaded, and
for everything where a file is not as expected.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

import numpy as np

from diadem.errors import ReaderError
from diadem.hooks.formats import Dictionary, Files, Later, Opened, Signal, made_later
from diadem.hooks.hdf5 import groups, shows
from diadem.plugins.ncem import attributes as ncem
from diadem.plugins.velox.container import (
    Item,
    Json,
    Order,
    blocks,
    document,
    is_velox,
    items,
    metadata,
    order_of,
    shape_of_stream,
)

#: Names of the halves of complex numbers: Fourier transforms (even and odd width), and differential phase contrast.
_COMPLEX = (
    ("realFloatHalfEven", "imagFloatHalfEven"),
    ("realFloatHalfOdd", "imagFloatHalfOdd"),
    ("realFloat", "imagFloat"),
)
#: Package that the reader needs for streams of events.
_DECODER = "sparse"


def is_emd(path: str) -> bool:
    """Velox has `Data` and an application's record; NCEM and py4DSTEM mark groups with `emd_group_type`."""
    return shows(path, _is_emd)


def _is_emd(root: Any) -> bool:
    if "emd_group_type" in root.attrs or {"version_major", "version_minor"} <= set(root.attrs):
        return True
    if "Data" in root and any(name in root for name in ("Version", "Experiment", "Application", "Presentation")):
        return True
    return any("emd_group_type" in group.attrs for group in groups(root).values())


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open an EMD file of any dialect."""
    import h5py

    root = h5py.File(files.hdf5(), "r")  # closed with the last array that is read from it
    if is_velox(root):
        return Opened(_signals(files, root), blocks(root))
    return Opened(files.signals(hdf5=True), ncem.blocks(root))


def _signals(files: Files, root: Any) -> Iterator[Signal]:
    """Signals; the reader's own of a file that is not as expected."""
    try:
        signals = _Described(files, root).signals()
    except Exception as error:  # what this does not understand the reader may
        logging.getLogger(__name__).debug("%s: %r", files.entry, error)
        signals = list(files.signals(hdf5=True))
    yield from signals


class _Described:
    """The signals of a Velox file. What is not as expected raises `ValueError`, `KeyError` or `TypeError`."""

    def __init__(self, files: Files, root: Any) -> None:
        self._files = files
        self._root = root
        self._order: Order = order_of(root)
        self._read: Sequence[Dictionary] | None = None
        self._lock = threading.Lock()

    def signals(self) -> list[Signal]:
        """All of them, in the reader's order."""
        if not self._order.signals:
            raise ValueError("no data of a known kind")
        makers = {"Image": self._image, "Spectrum": self._spectrum, "EelsSpectrumImage": self._energy_losses}
        titled = zip(self._order.signals, _titles(self._root, self._order), strict=True)
        made = []
        for number, (item, title) in enumerate(titled):
            data, axes, kind = makers[item.kind](item) if item.kind in makers else self._events(item, number)
            axes = [{**axis, "size": size} for axis, size in zip(axes, data.shape, strict=True)]
            general = {"title": title} if title else {}
            reader = partial(self._told, number, data.shape)
            issues = _missing() if item.kind == "SpectrumStream" else []
            told = {"General": general, "Signal": {"signal_type": kind}}
            made.append(Signal(axes, data, metadata=told, issues=issues, reader=reader))
        return made

    def _image(self, item: Item) -> tuple[Any, list[Json], str]:
        """An image, or a stack of them where there is no spectrum image."""
        dataset, tree = self._dataset(item, 3), metadata(self._root, item)
        axes = list(_plane(tree["BinaryResult"], navigate=False))
        if not self._order.stacks or dataset.shape[2] == 1:
            return _lazy(dataset, (0, 1)), axes, ""
        # Seconds of a frame: of the scan, or of the exposure of a camera, whose image keeps the time of the last scan.
        if "FrameTime" in (scan := tree["Scan"]) and float(scan.get("ScanSize", {}).get("width", 1)):
            frame = float(scan["FrameTime"])
        else:
            frame = float(tree["Detectors"][f"Detector-{tree['BinaryResult']['DetectorIndex']}"]["ExposureTime"])
        time = {"name": "Time", "scale": frame, "offset": 0.0, "units": "s", "navigate": True}
        return _lazy(dataset, (2, 0, 1)), [time, *axes], ""

    def _spectrum(self, item: Item) -> tuple[Any, list[Json], str]:
        """A single spectrum, or several of one detector."""
        dataset = self._dataset(item, 2)
        energy = _energy(metadata(self._root, item), "Energy")
        if dataset.shape[1] == 1:
            return _lazy(dataset, (0,)), [energy], "EDS_TEM"
        stack = {"name": "Stack", "scale": 1.0, "offset": 0.0, "units": "", "navigate": True}
        return _lazy(dataset, (1, 0)), [stack, energy], "EDS_TEM"

    def _energy_losses(self, item: Item) -> tuple[Any, list[Json], str]:
        """A spectrum image of energy losses, whose places are those of the X-ray spectrum image."""
        data = _lazy(self._dataset(item, 3), (2, 0, 1))
        result = metadata(self._root, items(self._root, "SpectrumImage")[0])["BinaryResult"]
        acquired = metadata(self._root, item, name="AcquisitionMetadata")["Data"]
        energy = {"name": "Energy-loss", "scale": float(acquired["dispersion"]), "offset": float(acquired["offset"])}
        return data, [*_plane(result, navigate=True), {**energy, "units": "eV", "navigate": False}], "EELS"

    def _events(self, item: Item, number: int) -> tuple[Any, list[Json], str]:
        """The sum of all streams of events over all frames, which only the reader can make."""
        tree = metadata(self._root, item)
        settings = document(self._root, f"{item.place}/AcquisitionSettings")
        lines, columns = shape_of_stream(self._root, item, self._order)
        channels = int(settings["bincount"])
        if not 0 < channels <= 1 << 16:
            raise ValueError(f"{item.place} has {channels} channels")
        shape = (lines, columns, channels)
        axes = [*_plane(tree["BinaryResult"], navigate=True), _energy(tree, "X-ray energy")]
        counted = np.dtype(str(settings["StreamEncoding"]))
        events = partial(made_later, lambda: self._told(number, shape)["data"], shape, counted)
        return Later(shape, counted, events), axes, "EDS_TEM"

    def _dataset(self, item: Item, axes: int) -> Any:
        dataset = self._root[item.place]["Data"]
        if dataset.ndim != axes or 0 in dataset.shape:
            raise ValueError(f"{item.place} has the shape {dataset.shape}")
        return dataset

    def _told(self, number: int, shape: tuple[int, ...]) -> Dictionary:
        """What the reader says of a signal; without its copies of arrays that are read here."""
        with self._lock:
            if self._read is None:
                streams = len(self._order.signals) - bool(self._order.streams)
                self._read = [
                    one if place >= streams else {**one, "data": np.broadcast_to(0, one["data"].shape)}
                    for place, one in enumerate(self._files.read({}, hdf5=True))
                ]
        if number >= len(self._read) or self._read[number]["data"].shape != shape:
            raise ReaderError(
                f"the reader has no signal {number + 1} of {' x '.join(map(str, shape))} elements",
                where=self._files.entry,
                next=f"pip install {_DECODER}" if _missing() else None,
            )
        return self._read[number]


def _missing() -> list[dict[str, str]]:
    """The issue of a spectrum image where the package is not installed that decodes it."""
    if importlib.util.find_spec(_DECODER) is not None:
        return []
    message = f"the counts of the spectrum image can only be read with the package '{_DECODER}'"
    advice = f"Install it: pip install {_DECODER}"
    return [{"code": "reader-missing", "message": message, "severity": "info", "next": advice}]


def _lazy(dataset: Any, order: tuple[int, ...]) -> Later:
    """An array that stays in the file, of these of its axes; the first of the others. Complex numbers are pairs."""
    names = dataset.dtype.names
    if names and not (names in _COMPLEX and all(dataset.dtype[name].str == "<f4" for name in names)):
        raise ValueError(f"pixels of an unknown type: {names}")

    def make() -> Any:
        from dask.array import from_array

        data = cast("Callable[..., Any]", from_array)(dataset, chunks=dataset.chunks or "auto", name=False)
        if names:
            data = data.map_blocks(lambda part: np.ascontiguousarray(part).view("c8"), dtype="c8")
        data = data[tuple(slice(None) if axis in order else 0 for axis in range(dataset.ndim))]
        return data.transpose([sorted(order).index(axis) for axis in order])

    return Later(tuple(dataset.shape[axis] for axis in order), np.dtype("c8") if names else dataset.dtype, make)


def _plane(result: Mapping[str, Any], *, navigate: bool) -> Iterator[Json]:
    """Axes y and x from `BinaryResult`, in the file's unit; images computed from spectra may have none."""
    sizes = result.get("PixelSize", {"height": 1.0, "width": 1.0})
    offsets = result.get("Offset", {"x": 0.0, "y": 0.0})
    for name, side in (("y", "height"), ("x", "width")):
        axis = {"name": name, "scale": float(sizes[side]), "offset": float(offsets[name])}
        yield {**axis, "units": result.get(f"PixelUnit{name.upper()}", ""), "navigate": navigate}


def _energy(tree: Json, name: str) -> Json:
    """Energy axis of an X-ray spectrum: the first detector whose name has that of the data in it; in eV."""
    wanted = tree["BinaryResult"]["Detector"]
    scale, offset, unit = 1.0, 0.0, ""
    for detector in tree["Detectors"].values():
        if wanted in detector["DetectorName"]:
            if "Dispersion" in detector and "OffsetEnergy" in detector:
                scale, offset, unit = float(detector["Dispersion"]), float(detector["OffsetEnergy"]), "eV"
            break
    return {"name": name, "scale": scale, "offset": offset, "units": unit, "navigate": False}


# -- titles ----------------------------------------------------------------------------------------------------------


def _integration(operation: Json) -> str:
    return "iDPC" if operation["integrationMode"] == "true" else "dDPC"


def _filtered(operation: Json) -> str:
    name = _integration(operation)
    return f"Filtered {name}" if operation["enableFilter"] == "true" else name


#: Groups of operations in the order in which they are asked, the tag that leads to the image, and what it is called.
_OPERATIONS: tuple[tuple[str, str, Callable[[Json], str | None]], ...] = (
    ("CameraInputOperation", "dataPath", lambda operation: operation["cameraName"]),
    ("StemInputOperation", "dataPath", lambda operation: operation["detector"]),
    ("SurfaceReconstructionOperation", "unfilteredDataPath", _integration),
    ("SurfaceReconstructionOperation", "dataPath", _filtered),
    ("MathematicsOperation", "dataPath", lambda one: {"0": "A-C", "1": "B-D"}.get(one["outputs"][0]["inputIndex"])),
    ("DpcOperation", "dataPath", lambda _: "DPC"),
    ("IntegrationOperation", "dataPath", lambda _: "DCFI"),
    ("FftOperation", "imageOutputPath", lambda _: "Half FFT"),
)


def _titles(root: Any, order: Order) -> Iterator[str]:
    """Titles of the signals: what the program calls an image, or its detector.

    Files before version 11 link images to operations, later ones have only displays, which count beside spectrum images
    alone. What no operation claims keeps the name of the detector before it.
    """
    operations = _operations(root)
    labels = {} if order.stacks else dict(_labels(root))
    last: str | None = None
    for item in order.signals:
        if item.kind == "EelsSpectrumImage":
            yield "EELS"
        elif item.kind != "Image":
            last = "EDS"
            yield last
        else:
            if operations is not None:
                last = _claimed(operations, item.key)
            else:
                tree = metadata(root, item)
                if (number := tree.get("BinaryResult", {}).get("DetectorIndex")) is not None:
                    last = tree["Detectors"][f"Detector-{number}"]["DetectorName"]
            yield labels.get(item.key, last) or ""


def _operations(root: Any) -> dict[str, dict[str, Json]] | None:
    """Operations by group and key; None where the file has no such group."""
    if "Operations" not in root:
        return None
    wanted = {name for name, _, _ in _OPERATIONS}
    return {
        name: {key: document(root, f"Operations/{name}/{key}") for key in group}
        for name, group in root["Operations"].items()
        if hasattr(group, "keys") and name in wanted
    }


def _claimed(operations: Mapping[str, Mapping[str, Json]], key: str) -> str | None:
    """What the first operation that leads to an image calls it."""
    for group, tag, name in _OPERATIONS:
        for operation in operations.get(group, {}).values():
            if key in operation.get(tag, ""):
                return name(operation)
    return "Unrecognized_image_signal"


def _labels(root: Any) -> Iterator[tuple[str, str]]:
    """Key of an image, and what its display calls it."""
    if int(document(root, "Version")["version"]) < 11:  # 4 in 2017, 13 in 2026
        for key in root["Presentation/Displays/ImageDisplay"]:
            shown = document(root, f"Presentation/Displays/ImageDisplay/{key}")
            yield shown["dataPath"].rpartition("/")[2], shown["display"]["label"]
        return
    for key in root["Displays/ImageDisplay"]:
        shown = document(root, f"Displays/ImageDisplay/{key}")
        if isinstance(shown.get("data"), str):
            yield document(root, shown["data"])["dataPath"].rpartition("/")[2], shown["id"]


# -- RosettaSciIO's reader -------------------------------------------------------------------------------------------


def read_emd(path: Any, lazy: bool = True) -> list[Dictionary]:
    """Read an EMD file; without the package that decodes Velox spectra, what can be read, with ``issues``."""
    import h5py

    root = h5py.File(path, "r")
    if not is_velox(root):
        from rsciio.emd import file_reader

        root.close()
        found: list[Dictionary] = file_reader(path, lazy=lazy)
        return found
    reader = _velox_reader(lazy)
    issues: list[dict[str, str]] = []
    try:
        reader.read_file(root)
    except ModuleNotFoundError:
        if not reader.dictionaries:
            raise
        issues = _missing()
    finally:
        if not lazy or not reader.dictionaries:
            root.close()  # else its arrays need it
    signals: list[Dictionary] = list(reader.dictionaries)
    for signal in signals:
        _put_axes_in_order(signal["axes"])
    if issues:
        signals[0]["issues"] = issues
    return signals


def _velox_reader(lazy: bool) -> Any:
    """RosettaSciIO's reader; streams of events get the shape of their own scan, not that of the file's last image."""
    from rsciio.emd._emd_velox import FeiEMDReader

    class Reader(FeiEMDReader):  # type: ignore[misc]
        def _read_spectrum_stream(self) -> None:
            with suppress(KeyError, ValueError, TypeError, IndexError):
                order = order_of(self.d_grp.file)
                self.spatial_shape = shape_of_stream(self.d_grp.file, order.streams[0], order)
            super()._read_spectrum_stream()

    return Reader(lazy=lazy)


def _put_axes_in_order(axes: Sequence[Json]) -> None:
    """Number the axes of energy-loss spectrum images as their array has them; RosettaSciIO 0.15 swaps y and x."""
    if [(axis["name"], axis.get("index_in_array")) for axis in axes[:2]] == [("y", 1), ("x", 0)]:
        for place, axis in enumerate(axes):
            axis["index_in_array"] = place
