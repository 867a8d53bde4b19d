"""Velox files made up for what the real ones do not have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]

#: What a document needs for RosettaSciIO to read its image.
MINIMAL: Json = {
    "Instrument": {"InstrumentClass": "Talos", "InstrumentId": "1", "Manufacturer": "FEI Company"},
    "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1488794201"}},
    "Optics": {"AccelerationVoltage": "200000", "OperatingMode": "2"},
    "Stage": {"Position": {"x": "1e-6", "y": "0", "z": "0"}, "AlphaTilt": "0", "BetaTilt": "0"},
    "Scan": {"ScanSize": {"width": "4", "height": "4"}, "DwellTime": "1e-6", "FrameTime": "0.5"},
    "Detectors": {"Detector-0": {"DetectorName": "HAADF", "DetectorType": "ScanningDetector"}},
    "BinaryResult": {
        "DetectorIndex": "0",
        "Detector": "HAADF",
        "PixelSize": {"width": "1e-9", "height": "2e-9"},
        "Offset": {"x": "0", "y": "0"},
        "PixelUnitX": "m",
        "PixelUnitY": "m",
    },
    "CustomProperties": {"StemMagnification": {"type": "double", "value": "1000"}},
}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    """A document with some of its values changed; None takes one away."""
    found = dict(base)
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            found[key] = merged(found[key], value)
        else:
            found[key] = value
    return found


def columns(texts: Sequence[bytes], rows: int = 60000) -> NDArray[np.uint8]:
    """Texts as the columns of an array, filled up with zeros."""
    array = np.zeros((rows, len(texts)), np.uint8)
    for column, text in enumerate(texts):
        array[: len(text), column] = np.frombuffer(text, np.uint8)
    return array


def one_text(group: Any, name: str, content: Any) -> None:
    """A dataset of one text of variable length."""
    text = content if isinstance(content, str) else json.dumps(content)
    group.create_dataset(name, data=np.array([text.encode()], object), dtype=h5py.string_dtype())


def velox(
    path: Path,
    documents: Sequence[Mapping[str, Any] | bytes] = (MINIMAL,),
    *,
    data: NDArray[Any] | None = None,
    log: str = "",
    program: str = "2.10.0.1",
    version: str = "8",
) -> Path:
    """Write a file with one image or stack; a document for each frame."""
    texts = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in documents]
    if data is None:
        data = np.arange(12 * len(texts), dtype=np.int16).reshape(3, 4, len(texts))
    with h5py.File(path, "w") as root:
        one_text(root, "Version", {"version": version, "format": "Velox"})
        one_text(root, "Info", {"applicationVersion": program})
        image = root.create_group("Data/Image/" + 32 * "a")
        image.create_dataset("Data", data=data, chunks=data.shape)
        rows = max(60000, *(len(text) for text in texts))
        image.create_dataset("Metadata", data=columns(texts, rows), chunks=(rows, 1))
        operation = {"dataPath": "/Data/Image/" + 32 * "a", "detector": "HAADF"}
        one_text(root.create_group("Operations/StemInputOperation"), 32 * "b", operation)
        if log:
            one_text(root.create_group("Data/Text"), 32 * "c", {"text": quote(log)})
            one_text(root, "Experiment", {"log": "/Data/Text/" + 32 * "c"})
    return path
