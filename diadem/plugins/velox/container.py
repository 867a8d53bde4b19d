"""How a Velox file is laid out: groups of data by kind, each with pixels and a column of JSON text for each frame.

Read off files of versions 4 to 13; the layout is also described by ``ercius/openNCEM`` (``emdVelox.py``) and the wiki
of ``keitaroyam/yamtbx`` ("EMD file"). What is not there, or not as expected, raises `KeyError`, `ValueError` or
`TypeError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Programs that write this dialect name themselves in `Version`.
_FORMATS = frozenset({"Velox", "DevelopersKit"})
#: Bytes of one JSON document; Velox reserves 60 000.
MAX_TEXT = 1 << 20
#: Sets of data that are looked at in one group; the largest file seen has 8.
MAX_ITEMS = 1024

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One set of data: ``Data/Image/<32 hexadecimal digits>``."""

    kind: str
    key: str

    @property
    def place(self) -> str:
        """Path in the file."""
        return f"Data/{self.kind}/{self.key}"


def is_velox(root: Any) -> bool:
    """Whether the root of an HDF5 file is of this dialect."""
    try:
        return document(root, "Version").get("format") in _FORMATS
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):
        return False


def version_of(root: Any) -> int:
    """Version of the layout: 4 in 2017, 13 in 2026."""
    return int(document(root, "Version")["version"])


def items(root: Any, kind: str) -> list[Item]:
    """Sets of data of one kind, in the order of their keys, which is that of RosettaSciIO."""
    group = root["Data"].get(kind)
    if group is None:
        return []
    if len(group) > MAX_ITEMS:
        raise ValueError(f"Data/{kind} has {len(group)} sets of data")
    return [Item(kind, key) for key in group]


def document(root: Any, name: str) -> Json:
    """A JSON document that is the one element of a dataset of texts."""
    return parsed(text_of(root, name))


def text_of(root: Any, name: str) -> bytes:
    """Bytes of the one text in a dataset."""
    dataset = root[name]
    if dataset.shape != (1,) or dataset.dtype.kind != "O":
        raise ValueError(f"{name} is not one text")
    text = dataset[0]
    if not isinstance(text, bytes) or len(text) > MAX_TEXT:
        raise ValueError(f"{name} is not one text")
    return text


def parsed(text: bytes) -> Json:
    """A JSON object from its text."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  what is wrong is the text
    return found


def frames_of(root: Any, item: Item, name: str = "Metadata") -> int:
    """How many JSON documents a set of data has; 0 where there is nothing of the kind."""
    dataset: Any = root[item.place].get(name)
    shape: tuple[int, ...] = getattr(dataset, "shape", ())
    if len(shape) != 2 or dataset.dtype.str != "|u1" or not 0 < shape[0] <= MAX_TEXT:
        return 0
    return int(shape[1])


def frame_text(root: Any, item: Item, frame: int, name: str = "Metadata") -> bytes:
    """The JSON text of one frame as it stands in the file, up to the zeros that fill its column."""
    return bytes(root[item.place][name][:, frame].tobytes().partition(b"\0")[0])


def metadata(root: Any, item: Item, frame: int = 0, name: str = "Metadata") -> Json:
    """The JSON document of one frame."""
    if not 0 <= frame < frames_of(root, item, name):
        raise KeyError(f"{item.place}/{name}")
    return parsed(frame_text(root, item, frame, name))


def settings(root: Any, most: int = 2048) -> Iterator[tuple[str, Json]]:
    """Path and content of the small JSON documents that are no metadata: operations, displays, properties."""
    for name in ("Version", "Info", "Experiment", "Operations", "Features", "SharedProperties", "Displays"):
        for path in _below(root, name, 0):
            most -= 1
            if most < 0:
                return
            try:
                yield path, document(root, path)
            except (KeyError, ValueError, TypeError, IndexError):
                continue


def _below(root: Any, path: str, depth: int) -> Iterator[str]:
    """Paths of datasets at or below a path."""
    found = root.get(path)
    if found is None or depth > 3:
        return
    if hasattr(found, "keys"):
        for name in found:
            yield from _below(root, f"{path}/{name}", depth + 1)
    else:
        yield path


@dataclass(frozen=True, slots=True)
class Order:
    """Which set of data is which signal, by number from 0."""

    #: The set of data behind each; a spectrum image, the last one, stands for all streams, which are added up.
    signals: list[Item] = field(default_factory=list)
    #: Streams of events, one for each detector; none where the file has been pruned.
    streams: list[Item] = field(default_factory=list)
    #: Whether images keep all their frames; beside a spectrum image only the first is given.
    stacks: bool = True

    def numbers(self, item: Item) -> tuple[int, ...]:
        """Numbers of the signals that a set of data is about; none where no signal comes of it."""
        if item in self.signals:
            return (self.signals.index(item),)
        mapped = self.streams and item.kind in ("SpectrumStream", "SpectrumImage")
        return (len(self.signals) - 1,) if mapped else ()


def order_of(root: Any) -> Order:
    """The order of a file, which is RosettaSciIO's.

    It looks for images first of all: with images and a spectrum image there are single spectra, images, energy-loss
    spectrum images and the sum of all streams; with images alone nothing else is looked for.
    """
    data = root["Data"]
    if "Image" not in data:
        return Order(items(root, "Spectrum"))
    if "SpectrumImage" not in data:
        return Order(items(root, "Image"))
    streams = items(root, "SpectrumStream")
    signals = [*items(root, "Spectrum"), *items(root, "Image"), *items(root, "EelsSpectrumImage"), *streams[:1]]
    return Order(signals, streams, stacks=False)


def shape_of_stream(root: Any, item: Item, order: Order) -> tuple[int, int]:
    """Lines and columns of a stream of events: of the part of the scan that was measured.

    RosettaSciIO takes the shape of the file's last image, which may be an overview of another size; an image of the
    same shape confirms ours.
    """
    raster = document(root, f"{item.place}/AcquisitionSettings")["RasterScanDefinition"]
    area = metadata(root, item)["Scan"]["ScanArea"]
    lines, columns = (
        round(int(raster[size]) * (float(area[far]) - float(area[near])))
        for size, near, far in (("Height", "top", "bottom"), ("Width", "left", "right"))
    )
    images = {root[image.place]["Data"].shape[:2] for image in order.signals if image.kind == "Image"}
    if (lines, columns) not in images:
        raise ValueError(f"a stream of {lines} x {columns} events, and images of {sorted(images)}")
    return lines, columns
