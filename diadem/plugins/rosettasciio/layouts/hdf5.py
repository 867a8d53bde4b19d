"""HDF5: where chunks lie, and how they are packed, is the library's to know. Its readers take an open file."""

from __future__ import annotations

from collections.abc import Mapping

from diadem.model.layout import FileObject
from diadem.model.ports import RangeReader


def layout(files: Mapping[str, RangeReader], name: str) -> FileObject | None:
    """An open file for a dataset of one file; None where there are more, as links to those need a folder."""
    return FileObject() if len(files) == 1 and name in files else None
