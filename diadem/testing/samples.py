"""Honest sample files: small sessions of ZnO films at microscopes of 200 and 300 kV, as `diadem demo` archives them.

`write_session` writes:

========================  ===========================================================  ========
file                      what it is                                                   leaves
========================  ===========================================================  ========
chamber_pressure.dat      column pressure in a format that no reader knows             1
eds_map.hspy              EDS map, 32 × 32 × 1024, HDF5                                1
eds_point.msa             one EDS spectrum, text                                       1
grain_boundary.blo        4D STEM, 10 × 10 patterns of 144 × 144                       2
haadf_overview.tif        HAADF image, 512 × 512, calibrated                           1
haadf_series.mrc          eight HAADF frames of 384 × 384                              3
interrupted.mrc           the same kind of series, cut short while it was written      1
low_loss.zspy/            EELS line, 64 × 1024, a Zarr folder                          1 each
========================  ===========================================================  ========
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from diadem.testing import formats, physics
from diadem.testing.formats import Axis, signal_dictionary

#: Beam energy in keV, HyperSpy's unit.
_BEAM_ENERGY = 200.0
_HAADF_PIXEL = 0.02
_SCAN_STEP = 1.5
_BLOCK = 16 << 20


def write_session(folder: Path, *, seed: int = 0) -> list[Path]:
    """Write a small session of eight datasets, about 7 MB, in a second or two.

    Parameters
    ----------
    folder : Path
        Where to write; made if absent. Files of the same names are replaced.
    seed : int
        Seed of the noise. The same seed gives the same bytes with the same versions of NumPy and RosettaSciIO.

    Returns
    -------
    list of Path
        Every file written, sorted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    _write_images(folder, random)
    _write_spectra(folder, random)
    _write_patterns(folder, random)
    formats.write_pressure_log(folder / "chamber_pressure.dat", random, 4000)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def write_image_session(folder: Path, *, sample: str, date: str, voltage: float = 300.0, seed: int = 0) -> list[Path]:
    """Write a session of three calibrated images, HAADF and bright field, that state sample, day, voltage and mode.

    Parameters
    ----------
    folder : Path
        Where to write; made if absent.
    sample, date : str
        ``S-12``, ``2026-03-21``.
    voltage : float
        In kV.
    seed : int
        Seed of the noise.

    Returns
    -------
    list of Path
        The files: HyperSpy's, 256 × 256, about 50 kB each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    paths = []
    for number, (title, pixel) in enumerate(
        (("HAADF boundary", 0.01), ("HAADF overview", 0.02), ("BF boundary", 0.01))
    ):
        counts = physics.haadf_image(random, (256, 256), pixel, dose=250, shift=(0.07 * number, 0.03 * seed))
        frame = counts if title.startswith("HAADF") else counts.max() - counts
        meta = _metadata(title, "", acquisition_mode="STEM", magnification=40_000 / pixel, beam_energy=voltage)
        meta["General"]["date"], meta["Sample"]["name"] = date, sample
        meta["Acquisition_instrument"]["TEM"]["microscope"] = f"Simulated {voltage:g} kV microscope"
        axes = Axis("y", pixel, "nm"), Axis("x", pixel, "nm")
        paths.append(folder / f"{sample} {title}.hspy")
        formats.write_hspy(paths[-1], signal_dictionary(frame, axes, meta))
    return paths


def write_small_images(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Write `count` calibrated TIFF images of 64 × 64 pixels, about 4 kB each, no two alike.

    Returns their paths in the order written: ``frame_00000.tif``, ``frame_00001.tif`` …
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    wide = (physics.hexagonal_columns((256, 256), _HAADF_PIXEL) * 200).astype(np.uint8)
    axes = (Axis("y", _HAADF_PIXEL, "nm"), Axis("x", _HAADF_PIXEL, "nm"))
    paths = []
    for number in range(count):
        row, column = random.integers(0, 192, 2)
        frame = wide[row : row + 64, column : column + 64] + random.integers(0, 40, (64, 64), dtype=np.uint8)
        paths.append(folder / f"frame_{number:05d}.tif")
        formats.write_tiff(paths[-1], signal_dictionary(frame, axes, _metadata(f"Frame {number}", "")))
    return paths


def write_large(folder: Path, size: int, *, seed: int = 0, name: str = "large.dat") -> Path:
    """Write one file of `size` bytes that no compressor shrinks and no reader knows; returns its path.

    Memory stays at 16 MiB whatever the size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    path = folder / name
    with path.open("wb") as sink:
        for start in range(0, size, _BLOCK):
            sink.write(random.bytes(min(_BLOCK, size - start)))
    return path


def _metadata(title: str, signal_type: str, **instrument: Any) -> dict[str, Any]:
    """Metadata in HyperSpy's layout: energies in keV, times in s, angles in degrees."""
    return {
        "General": {
            "title": title,
            "date": "2026-03-14",
            "time": "15:09:26",
            "time_zone": "Europe/Berlin",
            "authors": "A. Example",
        },
        "Sample": {"name": "ZnO-S12", "elements": ["O", "Zn"]},
        "Signal": {"signal_type": signal_type},
        "Acquisition_instrument": {
            "TEM": {"microscope": "Simulated 200 kV microscope", "beam_energy": _BEAM_ENERGY, **instrument}
        },
    }


def _write_images(folder: Path, random: np.random.Generator) -> None:
    """The overview, the series, and a series that a full disk cut short."""
    pixel = Axis("y", _HAADF_PIXEL, "nm"), Axis("x", _HAADF_PIXEL, "nm")
    overview = physics.haadf_image(random, (512, 512), _HAADF_PIXEL)
    meta = _metadata("HAADF overview", "", acquisition_mode="STEM", magnification=2_000_000.0)
    formats.write_tiff(folder / "haadf_overview.tif", signal_dictionary(overview, pixel, meta))
    frames = [
        physics.haadf_image(random, (384, 384), _HAADF_PIXEL, dose=60, shift=(0.01 * n, -0.006 * n)) for n in range(8)
    ]
    series, size = np.stack(frames).astype(np.int16), (_HAADF_PIXEL,) * 3
    formats.write_mrc(folder / "haadf_series.mrc", series, size, "HAADF series, eight frames")
    cut = folder / "interrupted.mrc"
    formats.write_mrc(cut, series[::-1], size, "HAADF series, interrupted")
    with cut.open("r+b") as file:
        file.truncate(formats.MRC_HEADER + 3 * series[0].nbytes + 4321)


def _write_spectra(folder: Path, random: np.random.Generator) -> None:
    """The EDS map and point, and the energy-loss line."""
    axis = Axis("Energy", 0.01, "keV", offset=-0.2)
    energies = axis.offset + axis.scale * np.arange(1024)
    detector = {"EDS": {"energy_resolution_MnKa": 130.0, "live_time": 52.4, "real_time": 60.0, "elevation_angle": 18.0}}
    scan = (Axis("y", _SCAN_STEP, "nm", navigate=True), Axis("x", _SCAN_STEP, "nm", navigate=True))
    meta = _metadata("EDS map", "EDS_TEM", Detector=detector)
    formats.write_hspy(
        folder / "eds_map.hspy", signal_dictionary(physics.xray_map(random, (32, 32), energies), (*scan, axis), meta)
    )
    point = random.poisson(5e3 * physics.xray_spectrum(energies)).astype(np.float64)
    meta = _metadata("EDS point", "EDS_TEM", Detector=detector)
    formats.write_msa(folder / "eds_point.msa", signal_dictionary(point, (axis,), meta))
    loss = Axis("Energy loss", 0.05, "eV", offset=-6.0)
    line = physics.low_loss_line(random, 64, loss.offset + loss.scale * np.arange(1024))
    eels = {"EELS": {"collection_angle": 20.0, "dispersion": 0.05, "dwell_time": 0.01}}
    meta = _metadata("Low-loss line", "EELS", convergence_angle=9.0, Detector=eels)
    formats.write_zspy(folder / "low_loss.zspy", signal_dictionary(line, (scan[1], loss), meta))


def _write_patterns(folder: Path, random: np.random.Generator) -> None:
    """Diffraction patterns across a grain boundary; the header of the format holds V, 0.1 mm and days."""
    patterns = physics.diffraction_patterns(random, (10, 10), 144)
    scan = (Axis("y", _SCAN_STEP, "nm", navigate=True), Axis("x", _SCAN_STEP, "nm", navigate=True))
    camera = (Axis("dy", 0.006, "cm"), Axis("dx", 0.006, "cm"))
    # 2026-03-14 15:09:26 as a serial date: days since 1899-12-30.
    acquired = 46095 + (15 * 3600 + 9 * 60 + 26) / 86400
    header = {"Beam_energy": 200_000, "Camera_length": 1500, "Acquisition_time": acquired, "Note": "ZnO-S12"}
    signal = signal_dictionary(
        patterns, (*scan, *camera), _metadata("Grain boundary", "diffraction"), {"blockfile_header": header}
    )
    formats.write_blo(folder / "grain_boundary.blo", signal)
