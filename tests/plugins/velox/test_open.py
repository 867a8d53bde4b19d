"""Signals told without a reader are those that the reader gives; what is not understood is left to it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diadem
from diadem.extract.axes import describe_axes
from diadem.extract.preview import preview
from diadem.hooks.formats import Later, Signal
from diadem.plugins.velox.files import read_emd
from tests.plugins.opened import blocks, dictionaries, opened
from tests.plugins.velox.made_up import MINIMAL, merged, velox

OPEN = "diadem.plugins.velox.files:open"
SPECTRA = "Test SI 16x16 ReducedData 215 kx.emd"
NAMES = [
    "1532 Camera Ceta.emd", SPECTRA, "example_velox_EELS_EDS.emd", "fei_emd_image.emd",
    "fei_emd_si.emd", "fei_example_dpc_titles.emd", "fei_example_tem_stack.emd",
]  # fmt: skip


def signals(path: Path, load: str = "") -> list[Signal]:
    return list(opened(OPEN, path, load)[0].signals)


def array(signal: Signal) -> Any:
    assert isinstance(signal.data, Later)
    return signal.data.make()


def assert_same(ours: Signal, theirs: dict[str, Any]) -> None:
    """Title, shape, type and axes in SI units."""
    assert ours.metadata["General"].get("title") == theirs["metadata"]["General"].get("title")
    assert ours.shape == theirs["data"].shape
    assert ours.dtype == theirs["data"].dtype
    mine, other = describe_axes(ours.axes, ours.shape), describe_axes(theirs["axes"], ours.shape)
    for one, reference in zip(mine, other, strict=True):
        for key in ("name", "size", "unit", "navigate"):
            assert one.get(key) == reference.get(key), key
        for key in ("scale", "offset"):
            assert one[key] == pytest.approx(reference[key], rel=1e-9, abs=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_as_the_reader(shared_data: Path, name: str) -> None:
    path = shared_data / "emd-velox" / name
    described, loaded = signals(path, "diadem.plugins.velox.files:read_emd"), read_emd(str(path))
    assert len(described) == len(loaded)
    for ours, theirs in zip(described, loaded, strict=True):
        assert_same(ours, theirs)
        whole = np.asarray(theirs["data"])
        made = array(ours)
        assert (made.shape, made.dtype) == (ours.shape, ours.dtype)
        assert np.array_equal(np.asarray(made), whole)
        every = (slice(1, None, 2),) * made.ndim
        assert np.array_equal(np.asarray(made[every]), whole[every])
        assert ours.reader is not None
        assert ours.reader()["metadata"] == theirs["metadata"]


@pytest.mark.filterwarnings("ignore")
def test_the_events_of_a_part_of_the_scan_are_counted_where_they_were(shared_data: Path) -> None:
    """RosettaSciIO alone spreads 16 times 20 places over the 128 times 128 of the last image."""
    loaded = read_emd(str(shared_data / "emd-velox" / "example_velox_EELS_EDS.emd"), lazy=False)
    assert loaded[-1]["data"].shape == (16, 20, 4096)
    singles = sum(int(signal["data"].sum()) for signal in loaded[:6])
    assert int(loaded[-1]["data"].sum()) == pytest.approx(singles, rel=0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lazy", [True, False])
def test_a_loaded_map_has_the_reader_s_counts_and_units(shared_data: Path, tmp_path: Path, lazy: bool) -> None:
    """Axes are those of the record, in the units that HyperSpy's users know."""
    path = shared_data / "emd-velox" / SPECTRA
    package = diadem.pack(path, tmp_path)
    (dataset,) = package.record.datasets
    loaded = package.load(SPECTRA, lazy=lazy)
    theirs = read_emd(str(path), lazy=False)
    assert len(loaded) == len(theirs) == len(dataset.signals)
    for one, other, told in zip(loaded, theirs, dataset.signals, strict=True):
        assert np.array_equal(np.asarray(one.data), other["data"])
        units = {axis.units for axis in one.axes_manager._axes}
        assert units <= {"nm", "keV"}
        assert {axis.unit for axis in told.axes} <= {"m", "eV"}
        assert one.metadata.General.diadem.verify == "leaves"


def test_without_the_package_that_decodes_events(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record describes the map and says what it takes to read it; all else can be loaded."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "sparse" else find(name, *rest)
    )
    path = shared_data / "emd-velox" / "fei_emd_si.emd"
    image, events = signals(path, "diadem.plugins.velox.files:read_emd")
    assert image.issues == []
    assert [issue["code"] for issue in events.issues] == ["reader-missing"]
    assert "'sparse'" in events.issues[0]["message"]
    assert events.shape == (16, 16, 4096)
    (read,) = read_emd(str(path))
    assert [issue["code"] for issue in read["issues"]] == ["reader-missing"]
    loaded = diadem.pack(path, tmp_path).load("fei_emd_si.emd")
    assert loaded.data.shape == (16, 16)
    assert "EDS" in str(loaded.metadata.General.diadem.notes)


def test_a_picture_is_drawn(shared_data: Path) -> None:
    for name in NAMES:
        picture = preview(dictionaries(OPEN, shared_data / "emd-velox" / name))
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
        (ours,), (theirs,) = signals(path), read_emd(str(path))
        assert_same(ours, theirs)
        assert np.array_equal(np.asarray(array(ours)), np.asarray(theirs["data"]))


def test_a_stack_of_a_camera_has_its_exposure(tmp_path: Path) -> None:
    """The scan's frame time is of the scan before it; RosettaSciIO takes that."""
    camera = merged(
        MINIMAL,
        {
            "Scan": {"ScanSize": {"width": "0", "height": "0"}},
            "Detectors": {"Detector-0": {"DetectorType": "ImagingDetector", "ExposureTime": "0.25"}},
        },
    )
    (signal,) = signals(velox(tmp_path / "a.emd", [camera] * 2))
    assert signal.axes[0] == {
        "name": "Time", "scale": 0.25, "offset": 0.0, "units": "s", "navigate": True, "size": 2,
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{"BinaryResult": None}, {"Scan": None}, {"Detectors": None}])
def test_what_is_unsure_is_left_to_the_reader(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = velox(tmp_path / "a.emd", [merged(MINIMAL, changes)] * 2)
    if "Detectors" in changes:
        assert signals(path)
    else:
        with pytest.raises(ZeroDivisionError, match="division"):
            signals(path, f"{__name__}:reader")
    assert next(block.kind for block in blocks(OPEN, path)) == "velox-image"


def reader(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """A reader that fails in its own way."""
    raise ZeroDivisionError("division")


def test_other_dialects_are_read_by_the_reader(shared_data: Path) -> None:
    for path in (shared_data / "emd-ncem").iterdir():
        with pytest.raises(ZeroDivisionError):
            signals(path, f"{__name__}:reader")
        assert {block.kind.partition("-")[0] for block in blocks(OPEN, path)} <= {"ncem", "prismatic", "py4dstem"}
