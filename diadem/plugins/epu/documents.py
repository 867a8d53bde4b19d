"""EPU's documents: opened alone, cut from beside an image, and what of them is no data.

A document is an XML file of .NET's own making: of one image (`MicroscopeImage`), which lies beside it, or of a session
(`EpuSessionXml`). It holds no signal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.binary import head_of
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.formats import Files, Opened
from diadem.hooks.text import positive, xml

#: Bytes of a document; those seen have 14 thousand, those of a session some hundred thousand.
MOST_BYTES = 4 << 20
_ROOT, _SESSION = b"<MicroscopeImage", b"<EpuSessionXml"
#: Kind of block by the root of the document.
_KINDS = {"MicroscopeImage": "epu-xml", "EpuSessionXml": "epu-session"}
#: What .NET calls an entry of a dictionary.
_ENTRY = "KeyValueOfstringanyType"
_DEEPEST = 60


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """A document without its image, or of a session: it is known, and holds no signal."""
    return Opened(blocks=_block(files[files.entry].read_at(0, MOST_BYTES + 1)))


def beside(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of the documents beside an image; a document is opened by itself."""
    for file in files:
        if Path(file) != Path(path) and file.lower().endswith((".xml", ".dm")):
            yield from _block(head_of(file, MOST_BYTES + 1), file)


def _block(data: bytes, file: str = "") -> Iterator[Block]:
    """``epu-xml`` of an image, ``epu-session`` of a session."""
    if not any(root in data[:4096] for root in (_ROOT, _SESSION)) or len(data) > MOST_BYTES:
        return
    name, tree = xml(data.removeprefix(b"\xef\xbb\xbf"))
    if name in _KINDS and isinstance(tree, Mapping):
        told = {**plain(tree), "Assembly": tree.get("@Assembly", "")} if name == "EpuSessionXml" else plain(tree)
        yield Block(_KINDS[name], told, file=file)


def plain(tree: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A tree in which dictionaries of .NET are mappings, values without their types, and what is nil is left out."""
    if depth > _DEEPEST:
        raise ValueError("the document is nested too deeply")
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if name == _ENTRY:
            for entry in value if isinstance(value, list) else [value]:
                if isinstance(entry, Mapping) and isinstance(entry.get("Key"), str):
                    found[entry["Key"]] = _value(entry.get("Value"), depth)
        elif not name.startswith("@"):
            found[name] = _value(value, depth)
    return {name: value for name, value in found.items() if value is not None}


def _value(value: Any, depth: int) -> Any:
    """A text, a tree, or a list of them; None for nil."""
    if isinstance(value, list):
        return [_value(one, depth + 1) for one in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("@nil") == "true":
        return None
    if "#text" in value and all(name.startswith(("@", "#")) for name in value):
        return value["#text"]
    return plain(value, depth + 1)


# -- what is no data: names inside of keys, and the one sample of a session ----------------------------------------

_CAMERA = "microscopeData/acquisition/camera/Name"
_SAMPLE = "Samples/_items/SampleXml"
#: The purpose whose settings are those of the images; others are of finding and focusing.
_IMAGES = "Acquisition"


def pixel_sizes(tree: Tree) -> Iterator[Found]:
    """Size of a pixel, where its unit is the metre."""
    for axis in "xy":
        key = f"SpatialScale/pixelSize/{axis}/numericValue"
        unit = look_up(tree, f"SpatialScale/pixelSize/{axis}/unit")
        symbols = [value for name, value in (unit or {}).items() if "Symbol" in name]
        raw = look_up(tree, key)
        if symbols == ["m"] and raw is not None:
            yield Found(f"image.pixel_size_{axis}", abs(float(raw)), key, raw, "m")


def camera(tree: Tree) -> Iterator[str]:
    """Where what is said of the camera stands, under its own name."""
    if name := look_up(tree, _CAMERA):
        yield f"CustomData/Detectors[{name}]."


def _sample(tree: Tree) -> tuple[str, Any]:
    """Path and tree of the one sample; a list of several has none that is the session's."""
    found = look_up(tree, _SAMPLE)
    present = [one for one in found if one] if isinstance(found, list) else [found]
    if len(present) != 1 or not isinstance(present[0], Mapping):
        return "", {}
    return (f"{_SAMPLE}/{found.index(present[0])}" if isinstance(found, list) else _SAMPLE), present[0]


def sample(tree: Tree) -> Iterator[str]:
    """Where the one sample of a session is; else the session itself stands for it."""
    place, _ = _sample(tree)
    yield f"{place}/" if place else ""


def session_settings(tree: Tree) -> Iterator[Found]:
    """Spot and exposure with which images are taken; the magnification is a place in the microscope's list: 30."""
    place, sample = _sample(tree)
    pairs = look_up(sample, "MicroscopeSettings/KeyValuePairs") or {}
    (listed,) = pairs.values()
    for number, pair in enumerate(listed if isinstance(listed, list) else [listed]):
        if pair.get("key") != _IMAGES:
            continue
        for field, key, unit in (
            ("beam.spot_index", "Optics/SpotIndex", "1"),
            ("camera.exposure", "Acquisition/camera/ExposureTime", "s"),
        ):
            raw = look_up(pair, f"value/{key}")
            if raw is not None and (value := positive(raw)):
                yield Found(field, value, f"{place}/MicroscopeSettings/{number}/value/{key}", raw, unit)
