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

import hashlib
import importlib
import random
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diadem.model.manifest import RECORD_PATH, FileEntry
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.tags import HashedFile, seal
from diadem.store.bags import MemoryBundle
from diadem.testing import physics
from diadem.trust.hashing import LeafHasher

#: Beam energy in keV, HyperSpy's unit.
_BEAM_ENERGY = 200.0
_HAADF_PIXEL = 0.02
_SCAN_STEP = 1.5
_BLOCK = 16 << 20
#: Bytes of an MRC header (MRC2014, doi 10.1016/j.jsb.2015.04.002).
MRC_HEADER = 1024
#: RosettaSciIO's module for a suffix, and what its writer is told.
_WRITERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    ".hspy": ("hspy", {"show_progressbar": False}),
    ".blo": ("blockfile", {"show_progressbar": False}),
    ".tif": ("tiff", {}),
    ".msa": ("msa", {}),
}
#: MRC mode numbers by NumPy type.
_MRC_MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6}
#: Names that are hard for some store, an empty file, whole and cut leaves, and one file of more than 16 MiB.
HARD_FILES = {
    "data/scan.dm4": 2_300_000,
    "data/empty.txt": 0,
    "data/one leaf.raw": 1 << 20,
    "data/übersicht + näher & weiter/日本語 (1) [x] {y}.tif": 12_345,
    "data/sub/deep/er/~tilde#hash;semi=eq,comma@at!$'.bin": 70_000,
    "data/.hidden/.file": 3,
    "data/large.raw": (17 << 20) + 5,
}


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
    write_pressure_log(folder / "chamber_pressure.dat", random, 4000)
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
        write_signal(paths[-1], signal_dictionary(frame, axes, meta))
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
        write_signal(paths[-1], signal_dictionary(frame, axes, _metadata(f"Frame {number}", "")))
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
    write_signal(folder / "haadf_overview.tif", signal_dictionary(overview, pixel, meta))
    frames = [
        physics.haadf_image(random, (384, 384), _HAADF_PIXEL, dose=60, shift=(0.01 * n, -0.006 * n)) for n in range(8)
    ]
    series, size = np.stack(frames).astype(np.int16), (_HAADF_PIXEL,) * 3
    write_mrc(folder / "haadf_series.mrc", series, size, "HAADF series, eight frames")
    cut = folder / "interrupted.mrc"
    write_mrc(cut, series[::-1], size, "HAADF series, interrupted")
    with cut.open("r+b") as file:
        file.truncate(MRC_HEADER + 3 * series[0].nbytes + 4321)


def _write_spectra(folder: Path, random: np.random.Generator) -> None:
    """The EDS map and point, and the energy-loss line."""
    axis = Axis("Energy", 0.01, "keV", offset=-0.2)
    energies = axis.offset + axis.scale * np.arange(1024)
    detector = {"EDS": {"energy_resolution_MnKa": 130.0, "live_time": 52.4, "real_time": 60.0, "elevation_angle": 18.0}}
    scan = (Axis("y", _SCAN_STEP, "nm", navigate=True), Axis("x", _SCAN_STEP, "nm", navigate=True))
    meta = _metadata("EDS map", "EDS_TEM", Detector=detector)
    write_signal(
        folder / "eds_map.hspy", signal_dictionary(physics.xray_map(random, (32, 32), energies), (*scan, axis), meta)
    )
    point = random.poisson(5e3 * physics.xray_spectrum(energies)).astype(np.float64)
    meta = _metadata("EDS point", "EDS_TEM", Detector=detector)
    write_signal(folder / "eds_point.msa", signal_dictionary(point, (axis,), meta))
    loss = Axis("Energy loss", 0.05, "eV", offset=-6.0)
    line = physics.low_loss_line(random, 64, loss.offset + loss.scale * np.arange(1024))
    eels = {"EELS": {"collection_angle": 20.0, "dispersion": 0.05, "dwell_time": 0.01}}
    meta = _metadata("Low-loss line", "EELS", convergence_angle=9.0, Detector=eels)
    write_zspy(folder / "low_loss.zspy", signal_dictionary(line, (scan[1], loss), meta))


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
    write_signal(folder / "grain_boundary.blo", signal)


# -- files in the formats of microscopes, through RosettaSciIO's writers where it has one: they get plain dictionaries,
# so HyperSpy itself is not imported -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Axis:
    """One calibrated axis of a signal; `scale` and `offset` are in `units`."""

    name: str
    scale: float
    units: str
    navigate: bool = False
    offset: float = 0.0


def signal_dictionary(
    data: npt.NDArray[Any],
    axes: tuple[Axis, ...],
    metadata: Mapping[str, Any],
    original_metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What RosettaSciIO's writers take: data, axes in the order of the array, metadata in HyperSpy's layout."""
    described = [
        {
            "_type": "UniformDataAxis",
            "name": axis.name,
            "units": axis.units,
            "navigate": axis.navigate,
            "is_binned": False,
            "size": size,
            "scale": axis.scale,
            "offset": axis.offset,
        }
        for axis, size in zip(axes, data.shape, strict=True)
    ]
    return {
        "data": data,
        "axes": described,
        "metadata": {**metadata, "_HyperSpy": {}},
        "original_metadata": dict(original_metadata or {}),
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "models": {},
        "package_info": {},
        "tmp_parameters": {},
    }


def write_signal(path: Path, signal: dict[str, Any], *, kind: str = "") -> None:
    """A file as `kind` or its suffix says: ``.hspy``, ``.blo``, ``.msa``, or ``.tif`` with ImageJ's calibration."""
    module, options = _WRITERS[kind or path.suffix]
    importlib.import_module(f"rsciio.{module}").file_writer(str(path), signal, **options)


def write_zspy(path: Path, signal: dict[str, Any]) -> None:
    """A HyperSpy file in Zarr: a folder of many small files."""
    from numcodecs import Zstd  # type: ignore[import-untyped]
    from rsciio.zspy import file_writer

    with warnings.catch_warnings():
        # Zarr 2 says that the folder store will go in version 3, which RosettaSciIO excludes.
        warnings.simplefilter("ignore", FutureWarning)
        # The default, Blosc, writes its blocks in the order in which threads finish: other bytes each time.
        file_writer(str(path), signal, compressor=Zstd(level=3), show_progressbar=False)


def write_mrc(path: Path, data: npt.NDArray[Any], pixel: tuple[float, float, float], label: str) -> None:
    """An MRC2014 file of sections, rows, columns; RosettaSciIO reads the format but does not write it.

    `pixel` is the size of a voxel along z, y and x in nm, where the header holds ångström; `label` is at most 80 ASCII
    characters.
    """
    sections, rows, columns = data.shape
    words = np.zeros(MRC_HEADER // 4, dtype="<i4")
    words[0:4] = columns, rows, sections, _MRC_MODES[data.dtype.name]
    words[7:10] = columns, rows, sections
    reals = words.view("<f4")
    reals[10:13] = [10 * size * count for size, count in zip(pixel[::-1], (columns, rows, sections), strict=True)]
    reals[13:16] = 90.0
    words[16:19] = 1, 2, 3
    reals[19:22] = data.min(), data.max(), data.mean(dtype=np.float64)
    words[27] = 20140
    header = bytearray(words.tobytes())
    header[208:216] = b"MAP \x44\x44\x00\x00"
    struct.pack_into("<fi", header, 216, float(data.std(dtype=np.float64)), 1)
    header[224:304] = label.encode("ascii").ljust(80)[:80]
    path.write_bytes(bytes(header) + data.astype(data.dtype.newbyteorder("<")).tobytes())


def write_pressure_log(path: Path, random: np.random.Generator, records: int) -> None:
    """A column pressure log in a format that no reader knows: magic, count, then (seconds, pascal) pairs."""
    seconds = np.arange(records, dtype="<f8") * 0.5
    pascal = 2e-5 * (1 + np.exp(-seconds / 60)) * random.lognormal(0, 0.02, records)
    pairs = np.column_stack([seconds, pascal]).astype("<f8")
    path.write_bytes(b"VACLOG\x00\x01" + struct.pack("<I", records) + pairs.tobytes())


# -- packages, for those who test stores -------------------------------------------------------------------------------


@dataclass(frozen=True)
class SamplePackage:
    """A sealed package in memory.

    Attributes
    ----------
    path : str
        Where it should lie in a store.
    files : mapping of str to bytes
        Everything in it, by bag path.
    opened : TagFiles
        What its tag files say.
    """

    path: str
    files: Mapping[str, bytes]
    opened: TagFiles

    @property
    def bundle(self) -> MemoryBundle:
        """The package, to be read."""
        return MemoryBundle(self.files, f"memory of {self.path}")

    def spoiled(self, path: str, data: bytes | None) -> MemoryBundle:
        """The package with one file exchanged, or missing (None)."""
        files = {**self.files, path: data} if data is not None else {k: v for k, v in self.files.items() if k != path}
        return MemoryBundle(files, f"spoiled {self.path}")

    def entry(self, path: str) -> FileEntry:
        """The entry of a file."""
        return self.opened.manifest[path]


def make_package(
    sizes: Mapping[str, int] | None = None, *, seed: int = 1, date: str = "2026-03-14", slug: str = "zno"
) -> SamplePackage:
    """Seal a package of random files.

    Parameters
    ----------
    sizes : mapping of str to int, optional
        Bag path below ``data/`` to bytes; `HARD_FILES` by default.
    seed : int
        The same seed gives the same payload.
    date : str
        Archiving date: another one makes another package of the same payload.
    slug : str
        For the package's name.
    """
    generator = random.Random(seed)  # noqa: S311  bytes of samples are no secret
    files = {path: generator.randbytes(size) for path, size in (HARD_FILES if sizes is None else sizes).items()}
    files[RECORD_PATH] = f'{{"schema": "diadem-record/1.0.0", "made": "{date}"}}\n'.encode()
    sealed = seal([_hashed(path, data) for path, data in files.items()], vendor=b"", date=date, software="samples")
    files |= sealed.tag_files
    opened = open_tag_files(MemoryBundle(files))
    path = f"{date[:4]}/{date.replace('-', '')}-{slug}-{sealed.payload_id[:12]}"
    return SamplePackage(path, files, opened)


def _hashed(path: str, data: bytes) -> HashedFile:
    leaves = LeafHasher()
    leaves.update(data)
    entry = FileEntry(path, len(data), hashlib.sha256(data).hexdigest(), 1_770_000_000_000_000_000)
    return HashedFile(entry, leaves.digest())
