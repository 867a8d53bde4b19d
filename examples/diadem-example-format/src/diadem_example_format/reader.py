"""The reader: from a path to signals, as RosettaSciIO describes them."""

from pathlib import Path
from typing import Any

import numpy as np

from diadem_example_format.text import read_header, read_rows


def read(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read an XYF file.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether the array may stay in the file. Text must be read to be understood: it is in memory either way.

    Returns
    -------
    list of dict
        One signal: ``data, axes, metadata, original_metadata``.
    """
    with Path(path).open("rb") as stream:
        header = read_header(stream)
        rows, columns = header.shape()
        pixel = header.number("Pixel", "nm")
        counts = np.fromiter(read_rows(stream, rows, columns), dtype=np.dtype((np.uint16, (columns,))), count=rows)
    axes = [
        {
            "name": name,
            "size": size,
            "scale": pixel,
            "offset": 0.0,
            "units": "nm",
            "navigate": False,
            "index_in_array": n,
        }
        for n, (name, size) in enumerate((("y", rows), ("x", columns)))
    ]
    metadata = {"General": {"title": header.values.get("Title", "")}, "Signal": {"signal_type": ""}}
    if lazy:
        import dask.array as da

        data: Any = da.from_array(counts, chunks="auto")
    else:
        data = counts
    return [{"data": data, "axes": axes, "metadata": metadata, "original_metadata": dict(header.values)}]
