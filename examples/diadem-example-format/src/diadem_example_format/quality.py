"""What a careful colleague would see: a closed shutter, and a counter at its end."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diadem.hooks.checks import Described, Issue
from diadem_example_format.blocks import NAMESPACE
from diadem_example_format.text import read_header, read_rows

#: Counts at which the 16-bit counter stops.
_FULL = 65535
#: Share of such pixels that spoils a map.
_SHARE = 0.01


def check(path: str, files: Sequence[str], dataset: Described) -> Iterator[Issue]:
    """Look at a dataset.

    Parameters
    ----------
    path : str
        The XYF file.
    files : sequence of str
        It and its log.
    dataset : Described
        Signals, fields and extensions, as they will stand in the record.
    """
    if not any(file.lower().endswith(".xyl") for file in files):
        yield Issue(
            "no-log", "the log beside the map is missing: how light was collected is not known", severity="info"
        )
    if dataset.extensions.get(NAMESPACE, {}).get("shutter") == "closed":
        yield Issue("shutter-closed", "the shutter was closed: this is the detector's noise", severity="error")
    if dataset.signals:
        with Path(path).open("rb") as stream:
            counts = np.array(list(read_rows(stream, *read_header(stream).shape())))
        full = float((counts >= _FULL).mean())
        if full > _SHARE:
            message = f"{full:.0%} of the pixels are at {_FULL} counts, the end of the counter"
            yield Issue("saturated", message, next="Measure again with a shorter dwell time.")
