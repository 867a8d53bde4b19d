"""RosettaSciIO's reader of movies, without the sizes that it makes up. Imported in the worker only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diadem.plugins.tvips_movie.blocks import general, is_copy

#: Bytes of the general header.
_HEADER = 256


def read(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a movie.

    Parameters
    ----------
    path : str
        The part that ends with ``_000.tvips``.
    lazy : bool
        Whether the array stays in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries. The header's pixel size is that of the camera, 15600 nm, which
        RosettaSciIO 0.15 takes for that of the image, or of a pattern in 1/nm; only its own writer puts this there.
    """
    from rsciio.tvips import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    with Path(path).open("rb") as stream:
        movie = general(stream.read(_HEADER))
    if movie is None or is_copy(movie.tree):
        return signals
    for signal in signals:
        for axis in signal["axes"]:
            if axis.get("name") in ("dx", "dy"):
                axis.update(scale=1.0, units=None)
    return signals
