"""Small files in the formats of microscopes, through RosettaSciIO's writers where it has one.

The writers get plain signal dictionaries, so HyperSpy itself is not imported.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: Bytes of an MRC header (MRC2014, doi 10.1016/j.jsb.2015.04.002).
MRC_HEADER = 1024
#: MRC mode numbers by NumPy type.
_MRC_MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6}


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


def write_hspy(path: Path, signal: dict[str, Any]) -> None:
    """A HyperSpy file in HDF5, gzip-compressed."""
    from rsciio.hspy import file_writer

    file_writer(str(path), signal, show_progressbar=False)


def write_zspy(path: Path, signal: dict[str, Any]) -> None:
    """A HyperSpy file in Zarr: a folder of many small files."""
    from numcodecs import Zstd  # type: ignore[import-untyped]
    from rsciio.zspy import file_writer

    with warnings.catch_warnings():
        # Zarr 2 says that the folder store will go in version 3, which RosettaSciIO excludes.
        warnings.simplefilter("ignore", FutureWarning)
        # The default, Blosc, writes its blocks in the order in which threads finish: other bytes each time.
        file_writer(str(path), signal, compressor=Zstd(level=3), show_progressbar=False)


def write_blo(path: Path, signal: dict[str, Any]) -> None:
    """A NanoMEGAS block file: header, virtual bright field, one 8-bit pattern a scan position."""
    from rsciio.blockfile import file_writer

    file_writer(str(path), signal, show_progressbar=False)


def write_tiff(path: Path, signal: dict[str, Any]) -> None:
    """A TIFF with the calibration that ImageJ and DigitalMicrograph read."""
    from rsciio.tiff import file_writer

    file_writer(str(path), signal)


def write_msa(path: Path, signal: dict[str, Any]) -> None:
    """An EMSA/MAS spectrum (ISO 22029), plain text."""
    from rsciio.msa import file_writer

    file_writer(str(path), signal)


def write_mrc(path: Path, data: npt.NDArray[Any], pixel: tuple[float, float, float], label: str) -> None:
    """An MRC2014 file; RosettaSciIO reads the format but does not write it.

    Parameters
    ----------
    path : Path
        File to write.
    data : ndarray
        Sections, rows, columns; int8, int16, uint16 or float32.
    pixel : tuple of float
        Size of a voxel along z, y and x in nm; the header holds ångström.
    label : str
        First of the ten labels, at most 80 ASCII characters.
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
