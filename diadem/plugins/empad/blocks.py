"""The block of an EMPAD scan: its whole XML document, which is a file of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from diadem.hooks.fields import Block, look_up
from diadem.hooks.text import xml

#: Bytes of a document; those seen have 4 to 6 thousand.
MOST_BYTES = 4 << 20


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001  the raw file says nothing
    """Cut the block.

    Parameters
    ----------
    path : str
        The XML document.
    files : sequence of str
        It and its raw files.

    Yields
    ------
    Block
        One, by the generation of the detector; none where the document is of another kind.
    """
    with Path(path).open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        return
    name, tree = xml(data)
    if name != "root" or not isinstance(tree, Mapping):
        return
    second = str(look_up(tree, "sensor/type")).startswith("EMPAD2") or "rawfile" in tree
    if second or "raw_file" in tree:
        yield Block("empad2-xml" if second else "empad-xml", tree)


def is_empad(path: str) -> bool:
    """EMPAD's description is an XML document `root` that names its raw file."""
    with Path(path).open("rb") as stream:
        head = stream.read(1 << 16)
    return b"<root" in head[:1024] and (b"EMPAD" in head or b"raw_file" in head)
