"""The sample session is what it says: readable by other programs, calibrated, the same every time."""

from __future__ import annotations

import gc
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diadem.testing import physics
from diadem.testing.samples import MRC_HEADER, write_large, write_mrc, write_session, write_small_images

# RosettaSciIO's MRC reader leaves its file open; the collector finds it sooner or later.
pytestmark = pytest.mark.filterwarnings("ignore:.*mrc:pytest.PytestUnraisableExceptionWarning")

DATASETS = {
    "chamber_pressure.dat",
    "eds_map.hspy",
    "eds_point.msa",
    "grain_boundary.blo",
    "haadf_overview.tif",
    "haadf_series.mrc",
    "interrupted.mrc",
    "low_loss.zspy",
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sample session for the whole module."""
    folder = tmp_path_factory.mktemp("samples") / "session"
    write_session(folder)
    return folder


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read(reader: str, path: Path) -> dict[str, Any]:
    """The first signal that a RosettaSciIO reader finds."""
    module = __import__(f"rsciio.{reader}", fromlist=["file_reader"])
    signal: dict[str, Any] = module.file_reader(str(path))[0]
    gc.collect()
    return signal


def calibration(signal: dict[str, Any]) -> list[tuple[Any, str]]:
    """Scale and unit of every axis."""
    return [(pytest.approx(float(axis["scale"]), rel=1e-4), axis["units"]) for axis in signal["axes"]]


def test_what_is_written_is_what_is_returned(session: Path, tmp_path: Path) -> None:
    start = time.process_time()
    paths = write_session(tmp_path / "again")
    assert time.process_time() - start < 20  # a second or two on an idle machine
    assert paths == sorted(path for path in (tmp_path / "again").rglob("*") if path.is_file())
    assert {path.name for path in session.iterdir()} == DATASETS
    assert 4e6 < sum(path.stat().st_size for path in paths) < 12e6


def test_the_same_seed_gives_the_same_bytes(session: Path, tmp_path: Path) -> None:
    write_session(tmp_path / "same")
    write_session(tmp_path / "other", seed=1)
    assert digests(tmp_path / "same") == digests(session)
    other = digests(tmp_path / "other")
    assert all(other[name] != digests(session)[name] for name in DATASETS - {"low_loss.zspy"})


@pytest.mark.parametrize(
    ("name", "reader", "shape", "dtype", "axes"),
    [
        ("eds_map.hspy", "hspy", (32, 32, 1024), "uint16", [(1.5, "nm"), (1.5, "nm"), (0.01, "keV")]),
        ("low_loss.zspy", "zspy", (64, 1024), "float32", [(1.5, "nm"), (0.05, "eV")]),
        ("grain_boundary.blo", "blockfile", (10, 10, 144, 144), "uint8", [(1.5, "nm")] * 2 + [(0.006, "cm")] * 2),
        ("haadf_overview.tif", "tiff", (512, 512), "uint16", [(0.02, "nm")] * 2),
        ("eds_point.msa", "msa", (1024,), "float64", [(0.01, "keV")]),
    ],
)
def test_readers_agree(
    session: Path, name: str, reader: str, shape: tuple[int, ...], dtype: str, axes: list[tuple[float, str]]
) -> None:
    signal = read(reader, session / name)
    assert signal["data"].shape == shape
    assert signal["data"].dtype == dtype
    assert calibration(signal) == axes
    assert float(np.std(signal["data"])) > 0


def test_mrc_is_read_by_others(session: Path) -> None:
    signal = read("mrc", session / "haadf_series.mrc")
    assert signal["data"].shape == (8, 384, 384)
    assert signal["data"].dtype == np.int16
    assert [axis["units"] for axis in signal["axes"]][1:] == ["nm", "nm"]
    assert signal["axes"][2]["scale"] == pytest.approx(0.02)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "uint16"])
def test_mrc_header(tmp_path: Path, dtype: str) -> None:
    data = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "small.mrc"
    write_mrc(path, data, (1.0, 0.5, 0.25), "label")
    raw = path.read_bytes()
    words, reals = np.frombuffer(raw[:MRC_HEADER], "<i4"), np.frombuffer(raw[:MRC_HEADER], "<f4")
    assert list(words[:3]) == [4, 3, 2]
    assert list(reals[10:13]) == [10.0, 15.0, 20.0]  # cell in ångström
    assert (reals[19], reals[20], reals[21]) == (0.0, 23.0, 11.5)
    assert raw[208:212] == b"MAP "
    assert raw[224:229] == b"label"
    assert np.array_equal(np.frombuffer(raw[MRC_HEADER:], dtype).reshape(2, 3, 4), data)


def test_the_interrupted_series_is_shorter_than_its_header_says(session: Path) -> None:
    raw = (session / "interrupted.mrc").read_bytes()
    columns, rows, sections = np.frombuffer(raw[:12], "<i4")
    assert MRC_HEADER < len(raw) < MRC_HEADER + 2 * int(columns) * int(rows) * int(sections)
    with pytest.raises(ValueError, match="mmap length"):
        read("mrc", session / "interrupted.mrc")
    gc.collect()


def test_metadata_is_stated(session: Path) -> None:
    metadata = read("hspy", session / "eds_map.hspy")["metadata"]
    assert metadata["Acquisition_instrument"]["TEM"]["beam_energy"] == 200.0
    assert metadata["Signal"]["signal_type"] == "EDS_TEM"
    header = read("blockfile", session / "grain_boundary.blo")["original_metadata"]["blockfile_header"]
    assert header["Beam_energy"] == 200_000
    assert "#BEAMKV" in (session / "eds_point.msa").read_text("latin-1")


def test_peaks_are_where_the_tables_say(session: Path) -> None:
    spectrum = read("hspy", session / "eds_map.hspy")["data"].sum(axis=(0, 1)).astype(float)
    energies = -0.2 + 0.01 * np.arange(1024)
    zinc = np.abs(energies - physics.ZNO_LINES["Zn_Ka"][0]) < 0.2
    assert energies[zinc][np.argmax(spectrum[zinc])] == pytest.approx(8.639, abs=0.03)
    loss = read("zspy", session / "low_loss.zspy")["data"].sum(axis=0)
    scale = -6 + 0.05 * np.arange(1024)
    assert scale[np.argmax(np.where(scale > 10, loss, 0))] == pytest.approx(18.8, abs=1.0)
    assert physics.line_width(5.895) * physics.FWHM_OVER_SIGMA == pytest.approx(0.130)


def test_lattice_has_the_period_of_the_crystal() -> None:
    image = physics.hexagonal_columns((256, 256), 0.01)
    power = np.abs(np.fft.rfft2(image - image.mean())) ** 2
    row, column = np.unravel_index(np.argmax(power), power.shape)
    frequency = float(np.hypot(np.fft.fftfreq(256, 0.01)[row], np.fft.rfftfreq(256, 0.01)[column]))
    assert 1 / frequency == pytest.approx(physics.ZNO_A * 3**0.5 / 2, rel=0.1)


def test_small_images(tmp_path: Path) -> None:
    paths = write_small_images(tmp_path / "many", 25)
    assert [path.name for path in paths] == [f"frame_{number:05d}.tif" for number in range(25)]
    assert len({path.read_bytes() for path in paths}) == 25
    assert calibration(read("tiff", paths[3])) == [(0.02, "nm")] * 2
    assert all(path.stat().st_size < 8192 for path in paths)


@pytest.mark.parametrize("size", [0, 1, (16 << 20) + 5])
def test_large(tmp_path: Path, size: int) -> None:
    path = write_large(tmp_path, size)
    assert path.stat().st_size == size
    again = write_large(tmp_path / "again", size)
    assert path.read_bytes() == again.read_bytes()


def test_hyperspy_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from diadem.testing.samples import write_session;"
        f"write_session(Path({str(tmp_path)!r})); sys.exit('hyperspy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
