"""JEOL's side file ``<picture>.txt``: lines of ``$CM_MAG 5000``, ``$$SM_WD 10.0``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.hooks.fields import Block
from diadem.hooks.text import decode

#: Bytes of a side file that are read; real ones have 1 to 4 kB.
_LARGEST = 1 << 20
_LINE = re.compile(r"(\${1,2}[A-Z]{2}_[A-Z0-9_]+)\s*=?\s*(.*)\Z")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Side files of JEOL among the files of a dataset.

    Parameters
    ----------
    path : str
        The picture.
    files : sequence of str
        All files of the dataset; those named `.txt` are looked at.
    """
    del path
    for file in files:
        if not file.lower().endswith(".txt"):
            continue
        with Path(file).open("rb") as stream:
            tree = parse(decode(stream.read(_LARGEST)))
        if tree:
            yield Block("jeol-text", tree, file=file)


def parse(text: str) -> dict[str, str]:
    """Values by their names; none where no line is JEOL's own."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.match(line.strip())
        if match is not None:
            found.setdefault(match[1], match[2].strip())
    return found if any(name.startswith("$CM_") for name in found) else {}
