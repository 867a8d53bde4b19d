"""Magic decides: files whose name says nothing, or another program's, are read by what they are."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import diadem


@pytest.mark.parametrize(
    ("original", "renamed"),
    [
        ("bruker/test_TEM.bcf", "a.dat"),
        ("bruker/bruker_nano.spx", "a.dat"),
        ("tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif", "a.dat"),
        ("dm/EELS_SI.dm4", "a.bin"),
        ("msa/example1.msa", "a.txt"),
    ],
)
def test_a_renamed_file_says_the_same(shared_data: Path, tmp_path: Path, original: str, renamed: str) -> None:
    shutil.copy(shared_data / original, tmp_path / renamed)
    (was,) = diadem.extract(shared_data / original).datasets
    (found,) = diadem.extract(tmp_path / renamed).datasets
    assert found.primary.format == was.primary.format
    assert [signal.shape for signal in found.signals] == [signal.shape for signal in was.signals]
    assert set(found.fields) == set(was.fields)
    assert not found.issues


@pytest.mark.parametrize("name", ["a.map", "a.mrcs", "a.rec"])
def test_an_mrc_file_is_known_by_its_header(tmp_path: Path, name: str) -> None:
    head = bytearray(struct.pack("<10i3f", 8, 6, 2, 2, 0, 0, 0, 8, 6, 2, 16.0, 12.0, 2.0).ljust(1024, b"\0"))
    head[208:212] = b"MAP "
    (tmp_path / name).write_bytes(bytes(head) + np.ones(96, np.float32).tobytes())
    (dataset,) = diadem.extract(tmp_path / name).datasets
    assert (dataset.primary.format, dataset.signals[0].shape) == ("mrc", (2, 6, 8))
    assert dataset.value("image.pixel_size_x") == pytest.approx(2e-10)
    assert not dataset.issues
