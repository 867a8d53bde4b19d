"""A picture of a map of events: how many X-rays came from each place in the first frames. Nothing is decoded whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.plugins.jeol.files import read_header

#: Words of events that are looked at: 8 MB, some frames of 512 x 512 pixels.
_WORDS = 4 << 20
#: Upper four bits of a word, and what the lower twelve are then: a column, a row, the channel of an X-ray. Columns and
#: rows count in 4096ths of the field, as RosettaSciIO's JEOL reader has found out.
_KIND, _VALUE = 0xF000, 0x0FFF
_COLUMN, _ROW, _XRAY = 0x8000, 0x9000, 0xB000
_FIELD = 4096


def draw(path: str, files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ARG001
    """Draw a ``.pts`` file that stands alone; a project has pictures of its own.

    Parameters
    ----------
    path : str
        The primary file.
    files : sequence of str
        Not needed.
    signals : sequence of mapping
        Of which the first tells the size of the map.

    Returns
    -------
    ndarray or None
        X-rays by place; None for other kinds of file.
    """
    if Path(path).suffix.lower() != ".pts" or not signals:
        return None
    rows, columns = signals[0]["data"].shape[:2]
    counts = counted(path, int(read_header(path).tree["Data"]["offset"]), rows, columns)
    return counts if counts.any() else None


def counted(path: str, offset: int, rows: int, columns: int) -> Any:
    """X-rays by place, in the first frames."""
    import numpy as np

    words = np.fromfile(path, "<u2", _WORDS, offset=offset)
    kinds, values = words & _KIND, (words & _VALUE).astype(np.int64)
    order = np.arange(len(words))
    x, y = (
        values[np.maximum.accumulate(np.where(kinds == kind, order, 0))] * size // _FIELD
        for kind, size in ((_COLUMN, columns), (_ROW, rows))
    )
    seen = kinds == _XRAY
    return np.bincount(y[seen] * columns + x[seen], minlength=rows * columns).reshape(rows, columns)
