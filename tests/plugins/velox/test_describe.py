"""Signals told without a reader are those that the reader gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diadem.extract.axes import describe_axes
from diadem.extract.preview import preview
from diadem.plugins.rosettasciio.reader import read_emd
from diadem.plugins.velox.describe import describe
from diadem.plugins.velox.pixels import Pixels
from tests.plugins.velox.made_up import MINIMAL, merged, velox

NAMES = [
    "1532 Camera Ceta.emd", "Test SI 16x16 ReducedData 215 kx.emd", "example_velox_EELS_EDS.emd", "fei_emd_image.emd",
    "fei_emd_si.emd", "fei_example_dpc_titles.emd", "fei_example_tem_stack.emd",
]  # fmt: skip


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Title, shape, type and axes in SI units."""
    assert ours["metadata"]["General"].get("title") == theirs["metadata"]["General"].get("title")
    assert ours["data"].shape == theirs["data"].shape
    assert ours["data"].dtype == theirs["data"].dtype
    mine, other = (describe_axes(signal["axes"], signal["data"].shape) for signal in (ours, theirs))
    for one, reference in zip(mine, other, strict=True):
        for key in ("name", "size", "unit", "navigate"):
            assert one.get(key) == reference.get(key), key
        for key in ("scale", "offset"):
            assert one[key] == pytest.approx(reference[key], rel=1e-9, abs=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_as_the_reader(shared_data: Path, name: str) -> None:
    path = str(shared_data / "emd-velox" / name)
    described, loaded = describe(path), read_emd(path)
    assert len(described) == len(loaded)
    for ours, theirs in zip(described, loaded, strict=True):
        assert_same(ours, theirs)
        data = ours["data"]
        if isinstance(data, Pixels):
            whole = np.asarray(theirs["data"])
            everything = (slice(None),) * data.ndim
            np.testing.assert_array_equal(data[everything], whole)
            np.testing.assert_array_equal(
                data[(slice(1, None, 2),) * data.ndim], whole[(slice(1, None, 2),) * data.ndim]
            )
            np.testing.assert_array_equal(data[0], whole[0])


@pytest.mark.filterwarnings("ignore")
def test_the_events_of_a_part_of_the_scan_are_counted_where_they_were(shared_data: Path) -> None:
    """RosettaSciIO alone spreads 16 times 20 places over the 128 times 128 of the last image."""
    loaded = read_emd(str(shared_data / "emd-velox" / "example_velox_EELS_EDS.emd"), lazy=False)
    assert loaded[-1]["data"].shape == (16, 20, 4096)
    singles = sum(int(signal["data"].sum()) for signal in loaded[:6])
    assert int(loaded[-1]["data"].sum()) == pytest.approx(singles, rel=0.1)


def test_a_picture_is_drawn(shared_data: Path) -> None:
    for name in NAMES:
        picture = preview(describe(str(shared_data / "emd-velox" / name)))
        assert picture is not None, name
        assert 8 <= max(picture.shape) <= 160, name


@pytest.mark.filterwarnings("ignore")
def test_made_up_files(tmp_path: Path) -> None:
    result = {"PixelUnitX": "1/m", "PixelUnitY": "1/m", "PixelSize": {"width": "4e7", "height": "5e7"}}
    reciprocal = merged(MINIMAL, {"BinaryResult": result})
    pair = np.zeros((3, 4, 1), np.dtype([("realFloatHalfEven", "<f4"), ("imagFloatHalfEven", "<f4")]))
    pair["realFloatHalfEven"], pair["imagFloatHalfEven"] = 1, np.arange(12).reshape(3, 4, 1)
    cases = [
        velox(tmp_path / "one.emd"),
        velox(tmp_path / "stack.emd", [MINIMAL] * 3),
        velox(tmp_path / "reciprocal.emd", [reciprocal], data=pair),
        velox(tmp_path / "no pixel size.emd", [merged(MINIMAL, {"BinaryResult": {"PixelSize": None}})]),
    ]
    for path in cases:
        (ours,), (theirs,) = describe(str(path)), read_emd(str(path))
        assert_same(ours, theirs)
        everything = (slice(None),) * ours["data"].ndim
        np.testing.assert_array_equal(ours["data"][everything], np.asarray(theirs["data"]))


def test_a_stack_of_a_camera_has_its_exposure(tmp_path: Path) -> None:
    """The scan's frame time is of the scan before it; RosettaSciIO takes that."""
    camera = merged(
        MINIMAL,
        {
            "Scan": {"ScanSize": {"width": "0", "height": "0"}},
            "Detectors": {"Detector-0": {"DetectorType": "ImagingDetector", "ExposureTime": "0.25"}},
        },
    )
    (signal,) = describe(str(velox(tmp_path / "a.emd", [camera] * 2)))
    assert signal["axes"][0] == {
        "name": "Time", "scale": 0.25, "offset": 0.0, "units": "s", "navigate": True, "index_in_array": 0, "size": 2,
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{"BinaryResult": None}, {"Scan": None}, {"Detectors": None}])
def test_what_is_unsure_raises(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = velox(tmp_path / "a.emd", [merged(MINIMAL, changes)] * 2)
    if "Detectors" not in changes:
        with pytest.raises((KeyError, ValueError, TypeError)):
            describe(str(path))
    else:
        assert describe(str(path))


def test_other_dialects_raise(shared_data: Path) -> None:
    for path in (shared_data / "emd-ncem").iterdir():
        with pytest.raises((KeyError, ValueError)):
            describe(str(path))
