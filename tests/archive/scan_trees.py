"""Small trees as groups lay them out, of honest HyperSpy files that state when and where they were recorded."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import diadem
from diadem.testing import samples
from diadem.testing.samples import Axis

#: Scans folders as `diadem.scan` does, with workers that live longer than one scan (see conftest.py).
Scanner = Callable[..., diadem.Scan]
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names, links or rights")
TITAN = "FEI Titan 80-300"
QUANTA = "Quanta FEG"


def image(
    path: Path, when: str = "2026-03-14T10:00:00", *, microscope: str = TITAN, sample: str = "", kv: float = 200.0
) -> Path:
    """Write an image of 8 × 8; no two paths have the same content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = int.from_bytes(hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).digest()[:4], "big")
    data = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    date, _, time = when.partition("T")
    general = {"title": path.stem, **({"date": date, "time": time} if when else {})}
    metadata = {
        "General": general,
        "Signal": {"signal_type": ""},
        **({"Sample": {"name": sample}} if sample else {}),
        "Acquisition_instrument": {"TEM": {"beam_energy": kv, **({"microscope": microscope} if microscope else {})}},
    }
    axes = (Axis("y", 0.02, "nm"), Axis("x", 0.02, "nm"))
    samples.write_signal(path, samples.signal_dictionary(data, axes, metadata), kind=".hspy")
    return path


def digest_of_tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything about a tree that a scan could have changed: names, modes, times, contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, content)
    return found
