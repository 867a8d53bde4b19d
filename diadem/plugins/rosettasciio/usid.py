"""USID: files of pycroscopy."""

from __future__ import annotations

from diadem.hooks.hdf5 import shows


def is_usid(path: str) -> bool:
    """USID numbers its measurements from `Measurement_000`."""
    return shows(path, lambda root: "Measurement_000" in root)
