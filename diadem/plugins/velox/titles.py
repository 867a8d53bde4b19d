"""Titles of the signals of a Velox file, as RosettaSciIO gives them: what the program calls the image, or its detector.

Facts of its reader ``rsciio/emd/_emd_velox.py``, 0.15: files before version 11 link images to operations, later ones
have only displays. What no operation claims keeps the name of the detector before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from diadem.plugins.velox.container import Item, Json, document

#: Groups of operations in the order in which they are asked, the tag that leads to the image, and what it is called.
_Namer = Callable[[Json], Any]


def _named(key: str) -> _Namer:
    return lambda operation: operation[key]


def _always(name: str) -> _Namer:
    return lambda operation: name  # noqa: ARG005


def _integration(operation: Json) -> str:
    return "iDPC" if operation["integrationMode"] == "true" else "dDPC"


def _filtered(operation: Json) -> str:
    name = _integration(operation)
    return f"Filtered {name}" if operation["enableFilter"] == "true" else name


def _difference(operation: Json) -> str | None:
    return {"0": "A-C", "1": "B-D"}.get(operation["outputs"][0]["inputIndex"])


_OPERATIONS: tuple[tuple[str, str, _Namer], ...] = (
    ("CameraInputOperation", "dataPath", _named("cameraName")),
    ("StemInputOperation", "dataPath", _named("detector")),
    ("SurfaceReconstructionOperation", "unfilteredDataPath", _integration),
    ("SurfaceReconstructionOperation", "dataPath", _filtered),
    ("MathematicsOperation", "dataPath", _difference),
    ("DpcOperation", "dataPath", _always("DPC")),
    ("IntegrationOperation", "dataPath", _always("DCFI")),
    ("FftOperation", "imageOutputPath", _always("Half FFT")),
)


class Titles:
    """Titles, asked for in the order of the signals.

    Parameters
    ----------
    root : h5py.File
        The file, open.
    version : int
        Of its layout.
    displays : bool
        Whether what the displays show names the images; only beside spectrum images.
    """

    def __init__(self, root: Any, version: int, *, displays: bool) -> None:
        self._operations = _operations(root)
        self._labels = dict(_labels(root, version)) if displays else {}
        self._last: str | None = None

    def spectrum(self) -> str:
        """Title of single spectra and of spectrum images."""
        self._last = "EDS"
        return self._last

    def image(self, item: Item, metadata: Json) -> str:
        """Title of an image, "" where nothing names it."""
        if self._operations is not None:
            self._last = self._claimed(item.key)
        else:
            number = metadata.get("BinaryResult", {}).get("DetectorIndex")
            if number is not None:
                self._last = metadata["Detectors"][f"Detector-{number}"]["DetectorName"]
        return self._labels.get(item.key, self._last) or ""

    def _claimed(self, key: str) -> str | None:
        """What the first operation that leads to an image calls it."""
        assert self._operations is not None
        for group, tag, name in _OPERATIONS:
            for operation in self._operations.get(group, {}).values():
                if key in operation.get(tag, ""):
                    found: str | None = name(operation)
                    return found
        return "Unrecognized_image_signal"


def _operations(root: Any) -> dict[str, dict[str, Json]] | None:
    """Operations by group and key; None where the file has no such group."""
    groups = root.get("Operations")
    if groups is None:
        return None
    return {
        name: {key: document(root, f"Operations/{name}/{key}") for key in group}
        for name, group in groups.items()
        if hasattr(group, "keys") and any(name == wanted for wanted, _, _ in _OPERATIONS)
    }


def _labels(root: Any, version: int) -> Iterator[tuple[str, str]]:
    """Key of an image, and what its display calls it."""
    if version < 11:
        for key in root["Presentation/Displays/ImageDisplay"]:
            shown = document(root, f"Presentation/Displays/ImageDisplay/{key}")
            yield shown["dataPath"].rpartition("/")[2], shown["display"]["label"]
        return
    for key in root["Displays/ImageDisplay"]:
        shown = document(root, f"Displays/ImageDisplay/{key}")
        if isinstance(shown.get("data"), str):
            reference: Mapping[str, Any] = document(root, shown["data"])
            yield reference["dataPath"].rpartition("/")[2], shown["id"]
