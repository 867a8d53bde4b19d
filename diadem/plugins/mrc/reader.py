"""RosettaSciIO's reader of MRC files, with axes that claim no size where none is stated. In the worker only."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from diadem.plugins.mrc import direct_electron
from diadem.plugins.mrc.blocks import HEADER, header


def read(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a stack.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether the array stays in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries. RosettaSciIO 0.15 takes every size that Direct Electron's settings state for
        1, and makes up sizes where the header has no cell or a negative one.
    """
    from rsciio.mrc import file_reader

    signals: list[dict[str, Any]] = file_reader(path, lazy=lazy)
    try:
        with Path(path).open("rb") as stream:
            head = header(stream.read(HEADER))
        for signal in signals:
            if "fei_header" in signal["original_metadata"]:  # the size is its own
                continue
            settings = signal["original_metadata"].get("de_metadata")
            known = _of_settings(settings) if isinstance(settings, Mapping) else _of_header(head)
            _mend(signal["axes"], known, in_settings=isinstance(settings, Mapping))
    except Exception as error:  # the reader's own axes are better than none
        logging.getLogger(__name__).debug("axes of %s: %r", path, error)
    return signals


def read_list(path: str, lazy: bool = True) -> list[dict[str, Any]]:  # noqa: ARG001  the signature of all readers
    """No signals: the stack of a list is a file of its own."""
    return []


def _of_settings(settings: Mapping[str, Any]) -> dict[str, float]:
    """Sizes at the sample; those of patterns have no unit in the settings."""
    return direct_electron.sizes({name: str(value) for name, value in settings.items()})


def _of_header(head: Mapping[str, Any]) -> dict[str, float]:
    """Axes whose cell and count the header has; their sizes are the reader's."""
    if not head:
        return {}
    counts = [head[name] for name in ("MX", "MY")]
    return {
        axis: cell / count / 10
        for axis, cell, count in zip("xy", head["CELLA"], counts, strict=False)
        if cell > 0 and count > 0
    }


def _mend(axes: list[MutableMapping[str, Any]], known: Mapping[str, float], *, in_settings: bool) -> None:
    """Give axes their sizes, and no unit to those that have none."""
    for axis in axes:
        name = str(axis.get("name"))
        if name in known:
            if in_settings:
                axis["scale"] = known[name]
        elif name in ("x", "y", "kx", "ky"):
            axis.update(scale=1.0, units=None)
