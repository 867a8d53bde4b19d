"""TopSpin's documents: XML texts in an HDF5 file, one for each session."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from diadem.hooks.fields import Block

if TYPE_CHECKING:
    import h5py

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
#: Bytes of a document; they have some ten kilobytes.
_LONGEST = 8 << 20
#: Key of the times at which the session's objects were written, beside what the document says.
WRITTEN = "HDF5 object times"
#: Levels of a document that are read.
_DEEPEST = 40


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Cut TopSpin's documents out of a file.

    Parameters
    ----------
    path : str
        The .app5 file.
    files : sequence of str
        All files of the dataset: this one.

    Yields
    ------
    Block
        One for each session, with the numbers of its signals.
    """
    import h5py

    with h5py.File(path, "r") as file:
        before = 0
        for place, names in sessions(file):
            numbers = range(before, before + len(names))
            before += len(names)
            yield from _session(file, place, numbers)


def sessions(file: h5py.File) -> Iterator[tuple[str, list[str]]]:
    """Sessions in the order of the reader.

    Yields
    ------
    (str, list of str)
        Path of the document, and paths of the arrays and series that it describes.
    """
    if "Metadata" in file:
        yield "Metadata", [name for name in file if _GUID.match(name)]
        return
    import h5py

    for top in file:
        if _GUID.match(top) and isinstance(file[top], h5py.Group) and "Metadata" in file[top]:
            yield f"{top}/Metadata", [f"{top}/{name}" for name in file[top] if _GUID.match(name)]


def _session(file: h5py.File, place: str, signals: range) -> Iterator[Block]:
    dataset = file[place]
    if dataset.shape != () or dataset.id.get_storage_size() > _LONGEST:
        return
    text = dataset[()]
    data = text if isinstance(text, bytes) else str(text).encode()
    tree = document(data)
    if tree:
        tree[WRITTEN] = _written(file, place.removesuffix("Metadata"))
        yield Block("topspin-session", tree, data, "application/xml", place, signals=tuple(signals))


def _written(file: h5py.File, folder: str) -> dict[str, int]:
    """When the session's own objects were written, seconds since 1970 UTC: HDF5 keeps it with some objects."""
    import h5py

    found = {}
    for name in ("Version", "Thumbnail"):
        if folder + name in file and (seconds := h5py.h5o.get_info(file[folder + name].id).ctime):
            found[name] = int(seconds)
    return found


def document(data: bytes) -> dict[str, Any]:
    """A document as a tree.

    Parameters
    ----------
    data : bytes
        XML of elements whose attribute ``Serializer`` names their type.

    Returns
    -------
    dict
        Texts by tag; ``Item`` elements by their ``Name``; empty for another kind of XML.
    """
    root = element(data)
    found = _value(root, 0)
    return found if isinstance(found, dict) and root.tag == "Metadata" else {}


def element(data: bytes) -> ET.Element:
    """The root of a document; its declaration may name an encoding that the text no longer has."""
    return ET.fromstring(re.sub(r"\A\s*<\?xml.*?\?>", "", data.decode("utf-8"), count=1))  # noqa: S314


def _value(element: ET.Element, depth: int) -> Any:
    """Text of an element, or a mapping of what it contains."""
    if not len(element) or depth > _DEEPEST:
        return element.text or ""
    inside: dict[str, Any] = {}
    for child in element:
        name, value = child.tag, child
        if child.tag == "Item" and (named := child.findtext("Name")) and (held := child.find("Value")) is not None:
            name, value = named, held
        inside.setdefault(name, _value(value, depth + 1))
    return inside
