"""Bruker's XML cut out of containers and spectra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from diadem.hooks.fields import Block
from diadem.plugins.bruker.xml_tree import read_xml

_XML = "application/xml"
#: First bytes of the container, "AidAim SFS".
CONTAINER = b"AAMVHFSS"
_HEADER = "EDSDatabase/HeaderData"
#: Bytes of the header, and of another stream, that are read.
_LARGEST_HEADER = 64 << 20
_LARGEST_STREAM = 64 << 10


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """The header of a map with the settings of its diffraction patterns, or a spectrum's whole file.

    Parameters
    ----------
    path : str
        A ``.bcf`` or ``.spx`` file.
    files : sequence of str
        Not needed.

    Yields
    ------
    Block
        ``bruker-map``, ``bruker-ebsd`` or ``bruker-spectrum``.
    """
    with Path(path).open("rb") as stream:
        head = stream.read(512)
        if not head.startswith(CONTAINER):
            if b"<TRTSpectrum>" in head:  # the file is all metadata but for one list of counts
                data = head + stream.read(_LARGEST_HEADER)
                yield Block("bruker-spectrum", read_xml(data), place="XML", signals=(0,))
            return
    yield from _container(path)


def _container(path: str) -> Iterator[Block]:
    """Streams of a container; RosettaSciIO knows how they are put together."""
    from rsciio.bruker._api import SFS_reader

    container = SFS_reader(path)
    data = _content(container.get_file(_HEADER), _LARGEST_HEADER)
    yield Block("bruker-map", read_xml(data), data, _XML, _HEADER)
    for name, item in container.vfs.get("EBSDData", {}).items():
        data = b"" if isinstance(item, dict) else _content(item, _LARGEST_STREAM)
        if data.startswith(b"<?xml") and b"<Data>" not in data:  # pictures are no settings
            yield Block("bruker-ebsd", _parsed(data), data, _XML, f"EBSDData/{name}")


def _content(item: Any, most: int) -> bytes:
    """The bytes of a stream; none where it is too large to be metadata."""
    return bytes(item.get_as_BytesIO_string().getvalue()) if item.size <= most else b""


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        return read_xml(data)
    except ParseError:
        return {}
