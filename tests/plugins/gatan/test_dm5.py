"""Dm5 files: a real one of Nion Swift's, and one with the tags of a microscope."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import diadem
from tests.plugins.opened import opened


def write(
    path: Path, data: NDArray[Any], chunks: bool | None = None, info: Mapping[str, Any] = MappingProxyType({})
) -> Path:
    """A file of one image and its thumbnail."""
    with h5py.File(path, "w") as root:
        root.create_group("DocumentObjectList")
        root.create_group("Thumbnails/[0]").attrs["ImageIndex"] = 0
        for number, pixels in ((0, data[..., :1]), (1, data)):
            image = root.create_group(f"ImageList/[{number}]")
            image.create_dataset("ImageData/Data", data=pixels, chunks=chunks)
            for place in range(pixels.ndim):
                axis = image.create_group(f"ImageData/Calibrations/Dimension/[{place}]")
                axis.attrs.update({"Origin": 2.0, "Scale": 0.5, "Units": np.bytes_("nm")})
            image.create_group("ImageTags/Microscope Info").attrs.update(info)
    return path


def test_a_real_file(shared_data: Path) -> None:
    (dataset,) = diadem.extract(shared_data / "more" / "dm" / "nion_ref_T_0_2.dm5").datasets
    assert dataset.primary.format == "dm5"
    (signal,) = dataset.signals
    assert (signal.shape, signal.dtype, signal.kind) == ((3, 4, 5), "<f4", "image_stack")
    assert [axis.scale for axis in signal.axes] == pytest.approx([2.0, 2.2, 2.4])
    assert [axis.offset for axis in signal.axes] == pytest.approx([1.0, 1.1, 1.2])
    assert not dataset.issues


@pytest.mark.parametrize("name", ["a.dm5", "a.dat"])
def test_the_tags_mean_what_they_mean_in_dm4(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        np.ones((3, 4), np.int16),
        info={
            "Illumination Mode": np.bytes_("TEM"),
            "Imaging Mode": np.bytes_("IMAGING"),
            "Voltage": 200e3,
            "Indicated Magnification": 5e4,
        },
    )
    (dataset,) = diadem.extract(path).datasets
    assert dataset.primary.format == "dm5"
    assert [signal.shape for signal in dataset.signals] == [(3, 4)]
    assert (dataset.value("beam.acceleration_voltage"), dataset.value("optics.magnification")) == (200e3, 5e4)
    assert dataset.value("image.pixel_size_x") == pytest.approx(0.5e-9)
    assert dataset.signals[0].axes[0].offset == pytest.approx(-1e-9)


@pytest.mark.parametrize("chunks", [None, True])
def test_it_is_loaded_as_it_is(tmp_path: Path, chunks: bool | None) -> None:
    data = np.arange(12, dtype=np.float32).reshape(3, 4)
    write(tmp_path / "a.dm5", data, chunks)
    package = diadem.pack(tmp_path / "a.dm5", tmp_path / "out")
    signal = package.load("a.dm5", lazy=False)
    assert np.array_equal(signal.data, data)
    assert [axis.scale for axis in signal.axes_manager.signal_axes] == [0.5, 0.5]


def test_other_hdf5_files_are_none(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.dm5", "w") as root:
        root["x"] = [1]
    (dataset,) = diadem.extract(tmp_path / "a.dm5").datasets
    assert dataset.primary.format == "unknown"


def test_arrays_that_lie_flat_are_read_where_they_lie(tmp_path: Path) -> None:
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found, _ = opened("diadem.plugins.gatan.files:open_dm5", write(tmp_path / "a.dm5", data))
    (signal,) = found.signals
    assert signal.array is not None
    content = (tmp_path / "a.dm5").read_bytes()
    assert content[signal.array.offset :][: data.nbytes] == data.tobytes()


@pytest.mark.parametrize("chunks", [None, True])
def test_energies_of_a_spectrum_image_are_the_signal(tmp_path: Path, chunks: bool | None) -> None:
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    write(tmp_path / "a.dm5", data, chunks)
    with h5py.File(tmp_path / "a.dm5", "r+") as root:
        told = root["ImageList/[1]/ImageTags"].create_group("Meta Data")
        told.attrs.update({"Format": np.bytes_("Spectrum image"), "Signal": np.bytes_("EELS")})
        root["ImageList/[1]/ImageData/Calibrations/Dimension/[2]"].attrs["Units"] = np.bytes_("eV")
    package = diadem.pack(tmp_path / "a.dm5", tmp_path / "out")
    (recorded,) = package.record.datasets[0].signals
    assert (recorded.shape, recorded.kind) == ((3, 4, 2), "spectrum_image")
    assert [axis.name for axis in recorded.axes] == ["y", "x", "Energy loss"]
    assert np.array_equal(package.load("a.dm5", lazy=False).data, np.moveaxis(data, 0, -1))
