"""A picture of the map in the colours of light: dark violet to white."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Red, green and blue of no, half and full brightness.
_COLOURS = np.array([(10, 0, 30), (150, 60, 220), (255, 255, 255)], dtype=float)


def draw(_path: str, _files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:
    """Draw the first signal.

    Parameters
    ----------
    _path, _files
        Not needed: the reader has read all.
    signals : sequence of mapping
        What the reader returned.

    Returns
    -------
    ndarray
        Red, green and blue.
    """
    data = signals[0]["data"]
    step = max(1, -(-max(data.shape) // 160))
    counts = np.asarray(data[::step, ::step], dtype=float)
    bright = counts / (counts.max() or 1.0) * (len(_COLOURS) - 1)
    pixels = np.stack([np.interp(bright, range(len(_COLOURS)), channel) for channel in _COLOURS.T], axis=-1)
    return pixels.astype(np.uint8)
