"""JEOL's headers cut out of the files of a dataset: everything but pixels, counts and events."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.hooks.fields import Block
from diadem.plugins.jeol.describe import project_files
from diadem.plugins.jeol.files import Header, NotJeol, read_header


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Headers of a JEOL file, or of a project and the files that it lists.

    Parameters
    ----------
    path : str
        The primary file.
    files : sequence of str
        All files of the dataset; others are not opened.

    Yields
    ------
    Block
        ``jeol-project``, ``jeol-image``, ``jeol-map``, ``jeol-spectrum``: the bytes before the data with the tree, and
        those behind the data.
    """
    try:
        header = read_header(path)
    except NotJeol:
        return
    if header.kind != "project":
        yield from _pieces(path, "", header, 0)
        return
    yield Block("jeol-project", header.tree, place="project")
    known = {_same(file): file for file in files}
    for number, member in enumerate(project_files(path, header)):
        if (file := known.get(_same(member))) is not None:
            yield from _pieces(member, file, read_header(member), number)
        elif Path(member).is_file():
            yield from _of_another(member, read_header(member), number)


def _pieces(path: str, file: str, header: Header, signal: int) -> Iterator[Block]:
    """One header, in the pieces that it stands in."""
    kind = f"jeol-{header.kind}"
    name = f"{Path(path).name}/" if file else ""
    with Path(path).open("rb") as stream:
        for number, (start, end) in enumerate(header.pieces):
            stream.seek(start)
            data = stream.read(end - start)
            tree = header.tree if not number else {}
            place = f"{name}{'header' if not number else 'footer'}"
            yield Block(kind, tree, data, place=place, file=file, signals=(signal,), byte_range=(start, end))


def _of_another(path: str, header: Header, signal: int) -> Iterator[Block]:
    """What a file states that the project lists, and that is a dataset of its own: a folder has several projects.

    The bytes are kept there.
    """
    yield Block(f"jeol-{header.kind}", header.tree, place=f"{Path(path).name}/header", signals=(signal,))


def _same(path: str) -> str:
    return os.path.normcase(Path(path))
