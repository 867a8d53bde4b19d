"""Blocks of a Velox file: the JSON text of its frames, the log, and what the program was set to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import h5py

from diadem.hooks.fields import Block
from diadem.plugins.velox.container import (
    Item,
    Json,
    Order,
    document,
    frame_text,
    frames_of,
    items,
    order_of,
    parsed,
    settings,
    text_of,
)
from diadem.plugins.velox.fields import start

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
    yield Block("velox-program", _documents(root, ("Version", "Info", "Experiment")))
    yield from _log(root, list(dict.fromkeys(starts)))
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


def _documents(root: Any, names: Sequence[str]) -> Json:
    """Those of the documents that are there."""
    found: Json = {}
    for name in names:
        with suppress(KeyError, ValueError, TypeError, IndexError):
            found[name] = document(root, name)
    return found


def _log(root: Any, starts: list[str]) -> Iterator[Block]:
    """The experiment's log, beside the starts of the file's acquisitions and the version of the program."""
    found = _documents(root, ("Info", "Experiment"))
    name = str(found.get("Experiment", {}).get("log", "")).strip("/")
    if not name or not isinstance(root.get(name), h5py.Dataset):
        return
    with suppress(ValueError, TypeError, IndexError):
        text = text_of(root, name)
        tree = {"starts": starts, "applicationVersion": found.get("Info", {}).get("applicationVersion"), **parsed(text)}
        yield Block("velox-log", tree, text, "application/json", name)


def _settings(root: Any, order: Order) -> Block:
    """What the program was set to, among it the elements that were looked for."""
    tree: dict[str, Any] = {}
    for path, content in settings(root):
        *above, name = path.split("/")
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[name] = content
    eds = tuple(number for number, item in enumerate(order.signals) if item.kind in ("Spectrum", "SpectrumStream"))
    kind = "velox-settings" if eds else "velox-unread"
    return Block(kind, tree, place="settings", signals=eds)
