"""Headers cut out of an MRC file, and the texts beside it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block
from diadem.plugins.mrc import direct_electron, fei, fei_early, mdoc, serialem

#: Bytes of the header of MRC2014 (Cheng et al., doi 10.1016/j.jsb.2015.04.002).
HEADER = 1024
#: Bytes of an extended header and of a text that are read.
_LONGEST = 16 << 20
_LABELS, _LABEL = 10, 80


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a stack and its side files.

    Parameters
    ----------
    path : str
        The stack, or a list without one.
    files : sequence of str
        All files of the dataset.

    Yields
    ------
    Block
        ``serialem-mdoc`` and ``de-settings`` of texts; ``mrc-header``; of FEI's extended header
        ``fei-extended-header`` with the tree of its first record and ``fei-last-record``, or ``fei-early-header``;
        ``mrc-extended-header`` of others.
    """
    for file in dict.fromkeys([path, *files]):
        name = file.lower()
        if name.endswith(".mdoc"):
            yield from _text(file, path, "serialem-mdoc", mdoc.parse)
        elif name.endswith("_info.txt"):
            yield from _text(file, path, "de-settings", direct_electron.parse)
    if not path.lower().endswith(".mdoc"):
        yield from _stack(path)


def read_lists(path: str, files: Sequence[str]) -> Iterator[Block]:
    """SerialEM's lists beside a picture of another format.

    Parameters
    ----------
    path : str
        The picture.
    files : sequence of str
        All files of the dataset.
    """
    for file in dict.fromkeys(files):
        if file.lower().endswith(".mdoc"):
            yield from _text(file, path, "serialem-mdoc", mdoc.parse)


def _text(file: str, path: str, kind: str, parse: Any) -> Iterator[Block]:
    with Path(file).open("rb") as stream:
        tree = parse(stream.read(_LONGEST))
    if tree:
        yield Block(kind, tree, file="" if file == path else file)


def _stack(path: str) -> Iterator[Block]:
    with Path(path).open("rb") as stream:
        head = stream.read(HEADER)
        tree = header(head)
        if not tree:
            return
        yield Block("mrc-header", tree, head, place="header", byte_range=(0, HEADER))
        extended = stream.read(min(tree["NSYMBT"], _LONGEST))
    if not extended:
        return
    kind, trees = _records(extended, tree)
    place, end = "extended header", HEADER + len(extended)
    yield Block(kind, trees[0] if trees else {}, extended, place=place, byte_range=(HEADER, end))
    if len(trees) > 1:
        yield Block("fei-last-record", trees[-1], place=f"{place}/record {tree['NZ']}")


def _records(extended: bytes, tree: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Kind of an extended header, and what its first and last record say."""
    if records := fei.records(extended, tree["EXTTYPE"], tree["NZ"]):
        return "fei-extended-header", records
    if packed := serialem.common(extended, tree):
        return "serialem-extended-header", [packed]
    if early := fei_early.parse(extended, tree["NZ"]):
        return "fei-early-header", [early]
    return "mrc-extended-header", []


def header(data: bytes) -> dict[str, Any]:
    """Members of the header by the names of MRC2014; none where it is no header.

    Parameters
    ----------
    data : bytes
        The first 1024 bytes.
    """
    if len(data) < HEADER:
        return {}
    order = "<" if 0 <= struct.unpack_from("<i", data, 12)[0] < 1 << 16 else ">"
    size = struct.unpack_from(f"{order}4i", data)
    counts = struct.unpack_from(f"{order}3i", data, 28)
    cell = struct.unpack_from(f"{order}6f", data, 40)
    extended = struct.unpack_from(f"{order}i", data, 92)[0]
    if min(size[:3]) < 1 or not 0 <= size[3] < 200 or extended < 0:
        return {}
    labels = min(max(struct.unpack_from(f"{order}i", data, 220)[0], 0), _LABELS)
    texts = [data[224 + _LABEL * number :][:_LABEL] for number in range(labels)]
    return {
        **dict(zip(("NX", "NY", "NZ", "MODE"), size, strict=True)),
        **dict(zip(("MX", "MY", "MZ"), counts, strict=True)),
        "CELLA": list(cell[:3]),
        "CELLB": list(cell[3:]),
        "NSYMBT": extended,
        "EXTTYPE": data[104:108].rstrip(b"\0 ").decode("ascii", "replace"),
        **dict(zip(("NINT", "NREAL"), struct.unpack_from(f"{order}2h", data, 128), strict=True)),
        "byte order": order,
        "LABEL": [text.split(b"\0", 1)[0].decode("latin-1").strip() for text in texts],
    }
