"""DENSsolutions' Impulse: the log of an experiment, ``<name>_Metadata.log``, beside its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.hooks.fields import Block

_ENDING = "_metadata.log"
_LARGEST = 1 << 20
_NOTES = "Live notes"


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """The log: name and value in each line, then the notes that were taken.

    Parameters
    ----------
    path : str
        The table.
    files : sequence of str
        All files of the dataset, the log among them.
    """
    for file in files:
        if file.lower().endswith(_ENDING):
            with Path(file).open("rb") as stream:
                tree = parse(stream.read(_LARGEST).decode("utf-8-sig", "replace"))
            if "Experiment date" in tree:
                yield Block("impulse-log", tree, place=Path(file).name, file=file)


def parse(text: str) -> dict[str, str]:
    """Names and values of a log; the notes are one text of several lines."""
    found: dict[str, str] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines):
        name, comma, value = line.partition(",")
        if name == _NOTES:
            found[_NOTES] = "\n".join([value.strip(), *lines[number + 1 :]])
            break
        if comma:
            found[name.strip()] = value.strip().strip('"')
    return found
