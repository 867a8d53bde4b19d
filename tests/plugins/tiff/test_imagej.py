"""The scale of ImageJ's pictures, as tifffile writes and reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import diadem
from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from tests.plugins.tiff.files import firsts, values, write

read = cutter("diadem.plugins.imagej/imagej")


def made(path: Path, unit: str) -> Path:
    picture = np.zeros((4, 6), np.uint8)
    tifffile.imwrite(path, picture, imagej=True, resolution=(4.0, 2.0), metadata={"unit": unit})
    return path


@pytest.mark.parametrize(
    ("unit", "field", "factor"),
    [
        ("nm", "image.pixel_size", 1e-9),
        ("micron", "image.pixel_size", 1e-6),
        ("\\u00B5m", "image.pixel_size", 1e-6),
        ("1/nm", "image.reciprocal_pixel_size", 1e9),
        ("pixel", "", 0.0),
        ("", "", 0.0),
    ],
)
def test_scales(tmp_path: Path, unit: str, field: str, factor: float) -> None:
    found = firsts(values(read, tables("diadem.plugins.imagej"), made(tmp_path / "a.tif", unit)))
    expected = {f"{field}_x": pytest.approx(factor / 4), f"{field}_y": pytest.approx(factor / 2)} if field else {}
    assert found == expected


def test_axes_have_them_too(tmp_path: Path) -> None:
    (dataset,) = diadem.extract(made(tmp_path / "a.tif", "nm")).datasets
    assert {axis.name: axis.scale for axis in dataset.signals[0].axes} == pytest.approx(
        {"width": 0.25e-9, "height": 0.5e-9}
    )
    assert [axis.unit for axis in dataset.signals[0].axes] == ["m", "m"]


def test_descriptions_of_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {270: b"OME"})
    assert list(read(str(path), ())) == []


def test_a_scale_goes_before_that_of_an_older_side_file(tmp_path: Path) -> None:
    """Of a picture that was rescaled the text of the microscope is out of date."""
    path = made(tmp_path / "a.tif", "nm")
    lines = "$CM_MAG 100000\n$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER 1um\n"
    path.with_suffix(".txt").write_text("$CM_FORMAT JEOL/SEM\n" + lines)
    (dataset,) = diadem.extract(path.parent).datasets
    assert dataset.value("optics.magnification") == 100000
    assert dataset.value("image.pixel_size_x") == pytest.approx(0.25e-9)
