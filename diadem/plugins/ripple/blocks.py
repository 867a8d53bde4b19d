"""The keys of a .rpl file: a name, a tab and a value on each line; ``(MLX::NAME : value)`` as INCA writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block

#: Bytes that are looked at; a file has about one kilobyte.
_LONGEST = 1 << 20
_INCA = re.compile(r"\(\s*MLX::([A-Z-]+)\s*:\s*(.*?)\s*\)?\s*\Z", re.IGNORECASE)
#: Programs that write keys which Lispix does not define, with HyperSpy's units.
_WRITERS = re.compile(r";\s*File created by (HyperSpy|RosettaSciIO) version (\S+)")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Read the keys.

    Parameters
    ----------
    path : str
        The .rpl file.
    files : sequence of str
        All files of the dataset.

    Yields
    ------
    Block
        One, where there are keys.
    """
    with Path(path).open("rb") as stream:
        text = stream.read(_LONGEST).decode("latin-1")
    if tree := parse(text):
        yield Block("ripple-keys", tree)


def parse(text: str) -> dict[str, Any]:
    """Keys in lower case, with texts as they stand; ``written by`` names the program where the file does."""
    tree: dict[str, Any] = {}
    if writer := _WRITERS.match(text):
        tree["written by"] = f"{writer[1]} {writer[2]}"
    for line in text.splitlines():
        if line.startswith(";"):
            continue
        inca = _INCA.match(line.strip())
        name, tab, value = (inca[1], "\t", inca[2]) if inca else line.partition(";")[0].partition("\t")
        if tab and name.strip().lower() != "key":
            tree[name.strip().lower()] = value.strip()
    return tree
