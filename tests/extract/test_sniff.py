"""What names and first bytes tell, what headers promise, and which archives are not unpacked."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import diadem
from diadem.extract.survey import rank, survey
from diadem.hooks.manager import collect
from diadem.testing.faults import overwrite

READERS = collect().readers


def ranked(name: str, head: bytes) -> tuple[list[str], list[str]]:
    """Readers and issue codes for a name and a head."""
    names, _, issues = rank(survey([(name, len(head))], READERS)[0], head, READERS)
    return names, [issue["code"] for issue in issues]


@pytest.mark.parametrize(
    ("name", "head", "names", "codes"),
    [
        ("a.dm4", b"\x00\x00\x00\x04" + bytes(8), ["digitalmicrograph"], []),
        ("a.dm4", b"\x89PNG\r\n\x1a\n" + bytes(8), [], ["wrong-type"]),
        ("a.ser", bytes(range(64)), [], ["wrong-type"]),
        ("a.msa", b"#FORMAT", ["msa"], []),
        ("a.msa", b"PK\x03\x04", [], ["wrong-type"]),
        ("a.map", b"no map of ours", [], []),
        ("a.img", b"IM" + bytes(20), ["hamamatsu"], []),
        ("a.tif", b"MM\x00*", ["tiff"], []),
        ("a.hspy", bytes(512) + b"\x89HDF\r\n\x1a\n", ["hspy"], []),
        ("a.txt", b"words", [], []),
        ("a.dat", b"II*\x00", ["tiff"], []),
        ("a.dat", b"AAMVHFSS" + bytes(8), ["bruker"], []),
        ("a.ser", b"AAMVHFSS" + bytes(8), ["bruker"], []),
        ("a.dat", b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<TRTSpectrum>", ["bruker"], []),
        ("a.txt", b"#FORMAT      : EMSA/MAS Spectral Data File\r\n", ["msa"], []),
        ("a.map", bytes(208) + b"MAP ", ["mrc"], []),
        ("a.mrcs", bytes(208) + b"MAP\x00", ["mrc"], []),
        ("a.mrcz", bytes(208) + b"MAP ", ["mrcz", "mrc"], []),
        ("a.map", b"II*\x00", ["tiff"], []),
        ("noname", b"\0\0\0\3\0\1\2\3\0\0\0\1\1\0\0\0", ["digitalmicrograph"], []),
        ("a.dat", b"\0\0\0\3" + bytes(range(30, 60)), [], []),  # four bytes of any program's are no sign
        ("a.dat", b"\0\0\0\4" + bytes(7) + b"\7\0\0\0\1\1\0\0\0", ["digitalmicrograph"], []),
        ("a.zip", b"PK\x03\x04", [], []),
        ("a.gz", b"\x1f\x8b\x08", [], []),
        ("a.bz2", b"BZh91AY", [], []),
    ],
)
def test_rank(name: str, head: bytes, names: list[str], codes: list[str]) -> None:
    assert ranked(name, head) == (names, codes)


def test_a_shared_suffix_keeps_all_that_may_read_it() -> None:
    names, codes = ranked("a.h5", b"\x89HDF\r\n\x1a\n")
    assert set(names) >= {"arina", "delmic", "emd", "tofwerk", "usid"}
    assert codes == []


#: What the readers of a damaged file say of its content.
OF_READERS = {"reader-failed", "metadata-unread", "no-signal", "memory-limit"}


def codes(path: Path) -> list[str]:
    """Codes of the issues of a file, but for those of its readers."""
    (dataset,) = diadem.extract(path).datasets
    return [issue["code"] for issue in dataset.issues if issue["code"] not in OF_READERS]


def mrc(shape: tuple[int, int, int], mode: int, pixels: int) -> bytes:
    """An MRC file with so many bytes of pixels."""
    return struct.pack("<4I", *reversed(shape), mode).ljust(1024, b"\0") + bytes(pixels)


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["Experiments/a"] = np.arange(1000)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.mrc", lambda path: path.write_bytes(mrc((2, 8, 8), 6, 256))),
        ("a.hspy", write_hdf5),
    ],
)
def test_whole_files_pass_and_cut_ones_do_not(tmp_path: Path, name: str, write: object) -> None:
    path = tmp_path / name
    assert callable(write)
    write(path)
    whole = path.read_bytes()
    assert codes(path) == []
    for kept in (len(whole) - 40, len(whole) // 2 + 1):  # tifffile ends its files with bytes that nothing refers to
        path.write_bytes(whole[:kept])
        assert codes(path) == ["truncated"], kept


@pytest.mark.parametrize("behind", [4, 8])
def test_a_dm4_file_of_either_writer_is_whole(tmp_path: Path, behind: int) -> None:
    """Nion Swift ends its files with four zeros where DigitalMicrograph writes eight, and counts neither."""
    path = tmp_path / "a.dm4"
    root = bytes(2) + struct.pack(">Q", 0) + bytes(500)
    path.write_bytes(struct.pack(">IQI", 4, len(root), 1) + root + bytes(behind))
    assert codes(path) == []
    path.write_bytes(path.read_bytes()[:-20])
    assert codes(path) == ["truncated"]


def test_a_header_that_promises_the_moon(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc((2_000_000, 2_000_000, 100), 2, 100))
    assert codes(path) == ["truncated"]


def test_an_archive_that_expands_too_far(tmp_path: Path) -> None:
    path = tmp_path / "a.prz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes(80 << 20))
    (dataset,) = diadem.extract(path).datasets
    assert [issue["code"] for issue in dataset.issues] == ["expands-too-much"]
    assert dataset.issues[0]["message"].endswith("; it was not read")
    assert (dataset.primary.format, dataset.signals) == ("pantarhei", ())


def test_an_archive_without_its_list(tmp_path: Path) -> None:
    path = tmp_path / "a.prz"
    path.write_bytes(b"PK\x03\x04" + bytes(200))
    assert codes(path) == ["truncated"]


@pytest.mark.parametrize(("at", "byte"), [(46, b"\xe5"), (6, b"\xff")], ids=["name", "version"])
def test_an_archive_with_an_odd_list_is_not_called_cut_short(tmp_path: Path, at: int, byte: bytes) -> None:
    path = tmp_path / "a.prz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\u00fcber.npy", b"x")
    overwrite(path, path.read_bytes().rindex(b"PK\1\2") + at, byte)
    assert codes(path) == ["odd-header"]


def test_a_list_of_members_that_fills_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.prz"
    size = 2 << 30
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, size - 4, 4, 0))
    (dataset,) = diadem.extract(path).datasets
    assert [issue["code"] for issue in dataset.issues] == ["expands-too-much"]
    assert dataset.issues[0]["message"].endswith("; it was not read")
    assert (dataset.primary.format, dataset.signals) == ("pantarhei", ())


@pytest.mark.parametrize("name", ["a.mrc", "a.ser", "a.dm3", "a.tif", "a.bcf"])
def test_short_heads_are_no_accident(tmp_path: Path, name: str) -> None:
    starts = {"a.ser": b"II\x97\x01", "a.dm3": b"\0\0\0\3",
              "a.tif": b"II*\0", "a.bcf": b"AAMVHFSS"}  # fmt: skip
    path = tmp_path / name
    for length in (0, 1, 5, 40):
        path.write_bytes(starts.get(name, b"") + b"\xff" * length)
        assert set(codes(path)) <= {"empty", "truncated", "odd-header", "wrong-type"}
