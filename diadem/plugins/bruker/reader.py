"""RosettaSciIO's reader of Bruker's files, with what it gets wrong mended. Imported in the worker only."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from diadem.hooks.fields import look_up
from diadem.plugins.bruker.blocks import CONTAINER, read

_DETECTOR = "TRTSpectrum/TRTHeaderedClass/TRTDetectorHeader"
#: Where a serial number stands, by kind of block.
_SERIALS = {
    "bruker-map": f"TRTSpectrumDatabase/SpectrumData0/{_DETECTOR}/Serial",
    "bruker-spectrum": f"{_DETECTOR}/Serial",
}


def read_bruker(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read a map or a spectrum, whatever it is called.

    RosettaSciIO 0.15 goes by the suffix, gives a map's pixels their height as their width, and takes a serial number
    such as ``8279_80`` for the number 827980.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether arrays stay in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries.
    """
    from rsciio.bruker._api import bcf_reader, spx_reader

    with Path(path).open("rb") as stream:
        reader = bcf_reader if stream.read(len(CONTAINER)) == CONTAINER else spx_reader
    signals: list[dict[str, Any]] = reader(path, lazy=lazy)
    serial = _serial(path)
    for signal in signals:
        detector = signal["original_metadata"].get("Detector", {})
        if serial and "Serial" in detector:
            detector["Serial"] = serial
        width = signal["original_metadata"].get("Microscope", {}).get("DX")
        for axis in signal["axes"]:
            if axis["name"] == "width" and width is not None:
                axis["scale"] = width
    return signals


def _serial(path: str) -> str:
    """Serial number of the detector as it is written; "" where there is none."""
    try:
        for block in read(path, ()):
            if isinstance(found := look_up(block.tree, _SERIALS.get(block.kind, block.kind)), str):
                return found
    except Exception as error:  # the reader's own number is no better than none, but its pixels are
        logging.getLogger(__name__).debug("serial number in %s: %r", path, error)
    return ""
