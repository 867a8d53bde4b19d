"""How a Velox file is laid out: groups of data by kind, each with pixels and a column of JSON text for each frame.

Read off files of versions 4 to 13; the layout is also described by ``ercius/openNCEM`` (``emdVelox.py``) and the wiki
of ``keitaroyam/yamtbx`` ("EMD file"). What is not there, or not as expected, raises `KeyError`, `ValueError` or
`TypeError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import h5py

from diadem.hooks.fields import Block
from diadem.plugins.velox.fields import start

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
        raise ValueError("not a JSON object")  # noqa: TRY004  what is wrong is the text
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


# -- blocks of metadata: the text of frames, the log, and what the program was set to ----------------------------------

_KINDS = {"Image": "velox-image", "Spectrum": "velox-spectrum", "EelsSpectrumImage": "velox-eels"}
_OTHERS = ("EelsSpectrumImage", "SpectrumImage", "SpectrumStream")
#: Tables for data of which all frames are added up, or are one signal.
_STACKED = frozenset({"velox-stream", "velox-spectrum"})
#: Frames between the first and the last whose text is kept, and bytes of it for one set of data.
MOST_FRAMES = 2000
MOST_BYTES = 8 << 20
#: Bytes that are looked through for them, with the zeros that fill the columns.
_MOST_READ = 256 << 20
#: Bytes of all documents of a file after which no other set of data is cut.
_MOST_OF_ALL = 48 << 20
#: Where documents of settings lie, and how many are looked at.
_SETTINGS = ("Version", "Info", "Experiment", "Operations", "Features", "SharedProperties", "Displays")
_MOST_SETTINGS = 2048
#: A record separator before each document: RFC 7464, JSON text sequences.
_SEPARATOR = b"\x1e"


def blocks(root: Any) -> Iterator[Block]:
    """Cut the blocks of a Velox file.

    For each set of data the first frame's document, the last one's, and the bytes of those between; then the log, the
    settings, and which program wrote the file.
    """
    if "Data" not in root:
        return
    order = order_of(root)
    starts: list[str] = []
    total = 0
    for kind in ("Spectrum", "Image", *_OTHERS):
        for item in items(root, kind):
            for block in _of_item(root, item, order) if total < _MOST_OF_ALL else ():
                with suppress(KeyError, ValueError, TypeError, AttributeError):  # when it began, in UTC
                    starts += [found.value for found in start(block.tree)]
                total += len(block.data)
                yield block
    program: Json = {}
    for name in ("Version", "Info", "Experiment"):
        with suppress(KeyError, ValueError, TypeError, IndexError):
            program[name] = document(root, name)
    yield Block("velox-program", program)
    yield from _log(root, program, list(dict.fromkeys(starts)))
    yield _settings(root, order)


def _of_item(root: Any, item: Item, order: Order) -> Iterator[Block]:
    """All blocks of one set of data; tables are for those of which a signal comes."""
    numbers = order.numbers(item)
    kind = _KINDS.get(item.kind, "velox-spectrum-image") if numbers else "velox-unread"
    if numbers and item.kind == "SpectrumStream":
        kind = "velox-stream" if item == order.streams[0] else "velox-stream-detector"
    yield from _frames(root, item, "Metadata", kind, numbers, stacks=order.stacks)
    if item.kind == "EelsSpectrumImage":
        kind = "velox-eels-acquisition" if numbers else "velox-unread"
        yield from _frames(root, item, "AcquisitionMetadata", kind, numbers)


def _frames(
    root: Any, item: Item, name: str, kind: str, numbers: tuple[int, ...], *, stacks: bool = False
) -> Iterator[Block]:
    """The first frame's document, the last one's, and the bytes of those between."""
    count = frames_of(root, item, name)
    if not count:
        return
    first, last = (frame_text(root, item, frame, name) for frame in (0, count - 1))
    tree = _tree(first)
    if kind == "velox-spectrum-image":  # the settings beside it count its frames
        with suppress(KeyError, ValueError, TypeError, IndexError):
            tree["SpectrumImageSettings"] = document(root, f"{item.place}/SpectrumImageSettings")
    place = f"{item.place}/{name}"
    at = "[:,0]" if count > 1 else ""
    yield Block(kind, tree, first, "application/json", place + at, signals=numbers)
    if count == 1:
        return
    yield from _between(root, item, name, numbers)
    kind = "velox-last-frame" if kind in _STACKED or (kind == "velox-image" and stacks) else "velox-unread"
    yield Block(kind, _tree(last), last, "application/json", f"{place}[:,{count - 1}]", signals=numbers)


def _tree(text: bytes) -> Json:
    """The document; {} where the text is none."""
    try:
        return parsed(text)
    except ValueError:
        return {}


def _between(root: Any, item: Item, name: str, numbers: tuple[int, ...]) -> Iterator[Block]:
    """Texts of the frames between the first and the last in one piece, as far as the limits go."""
    count = frames_of(root, item, name)
    most = min(MOST_FRAMES, _MOST_READ // root[item.place][name].shape[0])
    texts: list[bytes] = []
    total = 0
    for frame in range(1, min(count - 1, most + 1)):
        text = frame_text(root, item, frame, name)
        total += len(text) + 1
        if total > MOST_BYTES:
            break
        texts.append(text)
    if not texts:
        return
    rest = f", {count - 2 - len(texts)} more in the file" if len(texts) < count - 2 else ""
    place = f"{item.place}/{name}[:,1:{len(texts) + 1}]{rest}"
    data = b"".join(_SEPARATOR + text for text in texts)
    yield Block("velox-frames", {}, data, "application/json-seq", place, signals=numbers)


def _log(root: Any, program: Json, starts: list[str]) -> Iterator[Block]:
    """The experiment's log, beside the starts of the file's acquisitions and the version of the program."""
    name = str(program.get("Experiment", {}).get("log", "")).strip("/")
    if not name or not isinstance(root.get(name), h5py.Dataset):
        return
    with suppress(ValueError, TypeError, IndexError):
        text = text_of(root, name)
        tree = {
            "starts": starts,
            "applicationVersion": program.get("Info", {}).get("applicationVersion"),
            **parsed(text),
        }
        yield Block("velox-log", tree, text, "application/json", name)


def _settings(root: Any, order: Order) -> Block:
    """What the program was set to, among it the elements that were looked for: small documents that are no metadata."""
    tree: dict[str, Any] = {}
    below = (path for name in _SETTINGS for path in _below(root, name, 0))
    for path in islice(below, _MOST_SETTINGS):
        with suppress(KeyError, ValueError, TypeError, IndexError):
            content = document(root, path)
            *above, name = path.split("/")
            place = tree
            for part in above:
                place = place.setdefault(part, {})
            place[name] = content
    eds = tuple(number for number, item in enumerate(order.signals) if item.kind in ("Spectrum", "SpectrumStream"))
    kind = "velox-settings" if eds else "velox-unread"
    return Block(kind, tree, place="settings", signals=eds)


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
