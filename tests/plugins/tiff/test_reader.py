"""Axes of TIFF files and pictures with the sizes that the tags state."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import pytest
from rsciio.tiff import file_reader

from diadem.plugins.pictures.reader import read as read_picture
from diadem.plugins.tiff.reader import read
from tests.plugins.tiff.files import write

#: Height and width of a pixel in metres by the vendors' own tags; RosettaSciIO's differ or are missing.
SIZES = {
    "tif-fei/FEI-Helios-navcam.tif": (0.135155 / 512, 0.202732 / 768),
    "tif-fei/titan_tem_bf_image_dataZeroed.tif": (1 / 275445235.2, 1 / 275445235.2),
    "tif-jeol/JEOL-SightX-TEM-mag-dummy.tif": (1 / 3642 / 150000, 1 / 3642 / 150000),
    "tif-tescan/tescan-pfib_dataZeroed.tif": (1.5625e-9, 1.5625e-9),
    "tif-zeiss-orion/orion-zeiss_dataZeroed.tif": (9.7656606023011e-10, 9.765625e-10),
}
FACTORS = {"m": 1.0, "nm": 1e-9}


def read_quietly(path: Path, reader: Any) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signals: list[dict[str, Any]] = reader(str(path), lazy=False)
    return signals


@pytest.mark.parametrize("name", SIZES)
def test_sizes_as_stated(unpacked_data: Path, name: str) -> None:
    (signal,) = read_quietly(unpacked_data / name, read)
    sizes = [axis["scale"] * FACTORS[axis["units"]] for axis in signal["axes"]]
    assert sizes == pytest.approx(SIZES[name], rel=1e-9)
    assert [axis["name"] for axis in signal["axes"]] == ["height", "width"]


def test_nothing_else_is_changed(unpacked_data: Path) -> None:
    for path in sorted(unpacked_data.glob("tif-*/*.tif")):
        for mine, reference in zip(read_quietly(path, read), read_quietly(path, file_reader), strict=True):
            assert mine["data"].shape == reference["data"].shape
            assert mine["data"].dtype == reference["data"].dtype
            assert mine["metadata"] == reference["metadata"]
            for axis, other in zip(mine["axes"], reference["axes"], strict=True):
                same = set(axis) - ({"scale", "units"} if str(path.relative_to(unpacked_data)) in SIZES else set())
                assert {key: axis[key] for key in same} == {key: other[key] for key in same}


def test_a_damaged_tag_leaves_the_readers_axes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {51023: b"<Fibics><Scan>"})
    (signal,) = read_quietly(path, read)
    assert [axis["scale"] for axis in signal["axes"]] == [1.0, 1.0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # RosettaSciIO leaves the file open
def test_width_and_height_of_a_picture(shared_data: Path) -> None:
    (signal,) = read_picture(str(shared_data / "image" / "renishaw_wire.jpg"))
    gc.collect()
    axes = {axis["name"]: (axis["size"], axis["scale"]) for axis in signal["axes"]}
    assert axes == {"x": (752, pytest.approx(1821.4 / 752)), "y": (480, pytest.approx(1201.837 / 480))}
    assert signal["data"].shape == (480, 752)
    assert all("index_in_array" not in axis for axis in signal["axes"])
