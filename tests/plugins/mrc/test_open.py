"""MRC files opened by their header alone: the signals that RosettaSciIO makes, without its reader."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rsciio.mrc import file_reader

from tests.plugins.opened import dictionaries

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # the reader leaves the file to the collector

OPEN = "diadem.plugins.mrc.files:open"


def stack(path: Path, shape: tuple[int, int, int], extended: bytes = b"", mode: int = 6) -> Path:
    """A stack with a cell, an origin, and pixels that differ."""
    sections, rows, columns = shape
    head = bytearray(1024)
    struct.pack_into("<10i", head, 0, columns, rows, sections, mode, 0, 0, 0, columns, rows, sections)
    struct.pack_into("<6f", head, 40, 12.5 * columns, 10.0 * rows, 3.0 * sections, 90, 90, 90)
    struct.pack_into("<i", head, 92, len(extended))
    struct.pack_into("<3f4s", head, 196, 5.0, 7.0, 9.0, b"MAP ")
    path.write_bytes(bytes(head) + extended + np.arange(sections * rows * columns, dtype="<u2").tobytes())
    return path


def fei(pixel_size: float) -> bytes:
    """FEI's first extended header: 1024 records of 128 bytes."""
    records = bytearray(1024 * 128)
    struct.pack_into("<f", records, 44, pixel_size)
    return bytes(records)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (2, 2, 2)])
@pytest.mark.parametrize("extended", [b"", bytes(640), fei(2.5e-10)], ids=["none", "other", "FEI"])
def test_the_signal_is_that_of_the_reader(tmp_path: Path, shape: tuple[int, int, int], extended: bytes) -> None:
    path = stack(tmp_path / "a.mrc", shape, extended)
    (found,), (wanted,) = dictionaries(OPEN, path), file_reader(str(path))
    assert np.array_equal(np.asarray(found["data"]), wanted["data"])
    assert found["data"].dtype == wanted["data"].dtype
    for axis, other in zip(found["axes"], wanted["axes"], strict=True):
        assert {key: axis[key] or None for key in ("name", "size", "navigate", "units")} == {
            key: other[key] or None for key in ("name", "size", "navigate", "units")
        }
        assert (axis["scale"], axis["offset"]) == pytest.approx((other["scale"], other["offset"]), rel=1e-12)


def test_a_stack_is_described_without_its_reader(tmp_path: Path) -> None:
    """Dask alone takes a second and more."""
    path = stack(tmp_path / "a.mrc", (3, 4, 5))
    program = (
        "import sys; from pathlib import Path; from diadem.extract.opening import LocalFiles, open_dataset\n"
        "from diadem.hooks.offers import ReaderOffer\n"
        f"offer = ReaderOffer('mrc', (), open='{OPEN}')\n"
        "files = LocalFiles(Path(sys.argv[1]), 'a.mrc', ['a.mrc'], offer)\n"
        "print([signal.shape for signal in open_dataset(files, offer).signals])\n"
        "print([name for name in ('dask', 'hyperspy', 'rsciio.mrc') if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path.parent)], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[(3, 4, 5)]", "[]"]
