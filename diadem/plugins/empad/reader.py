"""RosettaSciIO's reader of EMPAD documents; the raw file that a document names is opened while the reader runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any


def read(path: str, lazy: bool = False) -> list[dict[str, Any]]:
    """Read a scan.

    Parameters
    ----------
    path : str
        The XML document.
    lazy : bool
        Whether the array stays in the raw file. RosettaSciIO opens it then when a chunk is computed; it is opened here
        too, where whoever calls readers sees that, for a document may name any file of the machine.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionary.
    """
    from rsciio.empad import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    for signal in signals:
        name = signal["original_metadata"]["root"]["raw_file"]["filename"]
        with suppress(FileNotFoundError), (Path(path).parent / name).open("rb"):
            pass
    return signals
