"""How light was collected, as an extension; a picture in its colours; a closed shutter, and a counter at its end."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diadem.hooks.fields import Extension
from diadem.hooks.offers import Described, Issue
from diadem.hooks.text import decode, ini, quantity
from diadem.terms.units import convert

NAMESPACE = "org.example.cl"
#: Red, green and blue of no, half and full brightness: dark violet to white.
COLOURS = np.array([(10, 0, 30), (150, 60, 220), (255, 255, 255)], dtype=float)
#: Counts at which the 16-bit counter stops, and the share of such pixels that spoils a map.
FULL, SHARE = 65535, 0.01


def read(_path: str, files: Sequence[str]) -> Iterator[Extension]:
    """What the log beside a map says, in SI units; what it does not say is left out."""
    for file in (Path(file) for file in files if file.lower().endswith(".xyl")):
        log = ini(decode(file.read_bytes()[:65536])).get("", {})
        found: dict[str, Any] = {
            key: log[name] for name, key in (("Mirror", "mirror"), ("Shutter", "shutter")) if name in log
        }
        for name, key, unit in (("Slit", "slit_width", "m"), ("Grating", "grating_density", "1/m")):
            if stated := quantity(log.get(name, "")):
                found[key] = convert(*stated, unit)
        yield Extension(NAMESPACE, "1.0.0", found)


def draw(_path: str, _files: Sequence[str], signals: Sequence[Mapping[str, Any]]) -> Any:
    """Red, green and blue of the first signal; of a large one only some points are read."""
    data = signals[0]["data"]
    step = max(1, -(-max(data.shape) // 160))
    counts = np.asarray(data[::step, ::step], dtype=float)
    bright = counts / (counts.max() or 1.0) * (len(COLOURS) - 1)
    pixels = np.stack([np.interp(bright, range(len(COLOURS)), channel) for channel in COLOURS.T], axis=-1)
    return pixels.astype(np.uint8)


def check(_path: str, files: Sequence[str], dataset: Described) -> Iterator[Issue]:
    """What the log says against the map, or that there is none."""
    if not any(file.lower().endswith(".xyl") for file in files):
        yield Issue("no-log", "the log beside the map is missing: how light was collected is not known", "info")
    if dataset.extensions.get(NAMESPACE, {}).get("shutter") == "closed":
        yield Issue("shutter-closed", "the shutter was closed: this is the detector's noise", "error")


def counter(_path: str, _files: Sequence[str], dataset: Described) -> Iterator[Issue]:
    """How many pixels are at the end of the counter."""
    for counts in dataset.arrays.values():
        full = float((np.asarray(counts) >= FULL).mean())
        if full > SHARE:
            message = f"{full:.0%} of the pixels are at {FULL} counts, the end of the counter"
            yield Issue("saturated", message, next="Measure again with a shorter dwell time.")
