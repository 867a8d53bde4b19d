"""Protochips' tables: what the notes in the second column say, ``User agreeing to terms = eric``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.hooks.fields import Block

_HEAD = 64 << 10
_NOTE = re.compile(r"\s*\d+\s*,\s*([^=,]+?) = ([^,]*?)\s*,")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """The notes of the first lines.

    Parameters
    ----------
    path : str
        A ``.csv`` file.
    files : sequence of str
        Not needed.
    """
    with Path(path).open("rb") as stream:
        text = stream.read(_HEAD).decode("latin-1")
    if text.split("\n", 1)[0].replace(" ", "").startswith("Time,Notes,"):
        tree = notes(text)
        if tree:
            yield Block("protochips-notes", tree, place="Notes")


def notes(text: str) -> dict[str, str]:
    """Names and values; the first of a name counts."""
    found: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if match := _NOTE.match(line):
            found.setdefault(match[1], match[2])
    return found
