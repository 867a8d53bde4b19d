"""Blocks of a DM3 or DM4 file: its tag directory, and the tags of each image that the reader gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block, look_up
from diadem.plugins.gatan.tags import Directory, read_directory
from diadem.plugins.rosettasciio.layouts.local import LocalFile

#: Where StackBuilder puts the tags of the images that it has stacked.
STACKED = "ImageTags/source/Tags at creation"


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - a DM file has no others
    """Cut the blocks of a DigitalMicrograph file.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        All files of the dataset, which is this one.

    Yields
    ------
    Block
        The directory, with a list of what is left out; then one block for each image. Of a file that was cut off, in
        which thumbnails cannot be told from images, tags are read only where one image has any.

    Raises
    ------
    ReaderError
        The tags cannot be read.
    """
    with LocalFile(path) as reader:
        directory = read_directory(reader, Path(path).name)
    yield _directory_block(directory)
    found = images(directory.tree)
    certain = directory.whole or sum("ImageTags" in image for _, image in found) == 1
    for number, (name, image) in enumerate(found):
        kind = "gatan-stack" if isinstance(look_up(image, STACKED), Mapping) else "gatan-image"
        signals = (number,) if directory.whole else ()
        yield Block(kind if certain else "gatan-unsure", image, place=f"ImageList/{name}", signals=signals)


def _directory_block(directory: Directory) -> Block:
    """The bytes of the directory; the tree says which bytes of the file are not among them."""
    head = directory.head
    tree = {
        "version": head.version,
        "little_endian": head.little_endian,
        "whole": directory.whole,
        "left out": [{"tag": one.tag, "offset": one.offset, "bytes": one.length} for one in directory.left_out],
    }
    place = "tag directory (the file without the arrays that are listed as left out)"
    return Block("gatan-directory", tree, directory.data, "application/x-gatan-dm", place)


def images(tree: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Images in the order of RosettaSciIO's signals, thumbnails left out.

    Parameters
    ----------
    tree : mapping
        All tags.
    """
    listed = tree.get("ImageList")
    thumbnails = tree.get("Thumbnails")
    small = [item.get("ImageIndex") for item in _groups(thumbnails).values()]
    return [(name, image) for name, image in _groups(listed).items() if _number(name) not in small]


def _groups(tree: Any) -> dict[str, Mapping[str, Any]]:
    """The groups directly below a group."""
    if not isinstance(tree, Mapping):
        return {}
    return {name: item for name, item in tree.items() if isinstance(item, Mapping)}


def _number(name: str) -> int:
    """The number of an unnamed group: ``TagGroup1``; -1 for others."""
    digits = name.removeprefix("TagGroup")
    return int(digits) if digits.isdecimal() else -1
