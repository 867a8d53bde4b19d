"""Signals opened from headers against RosettaSciIO's reader, which decodes everything."""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rsciio.jeol import file_reader

import diadem
from diadem.errors import ReaderError
from diadem.extract.opening import LocalFiles, array_of, open_dataset
from diadem.hooks.formats import Signal
from diadem.hooks.manager import collect
from diadem.plugins.jeol.files import counted, draw
from diadem.plugins.jeol.headers import NotJeol, Outside, members

JEOL = next(offer for offer in collect().readers if offer.name == "jeol")


def signals(path: Path) -> tuple[list[Signal], LocalFiles]:
    """Signals of a file and all that lies below its folder."""
    names = [str(file.relative_to(path.parent)) for file in path.parent.rglob("*") if file.is_file()]
    files = LocalFiles(path.parent, path.name, names, JEOL)
    return list(open_dataset(files, JEOL).signals), files


def describe(path: Path) -> list[dict[str, Any]]:
    """They, as RosettaSciIO would return them."""
    found, files = signals(path)
    return [{**one.dictionary(array_of(one, files, str(path))), "issues": one.issues} for one in found]


def plain(axis: Mapping[str, Any]) -> dict[str, Any]:
    """An axis without the types of NumPy."""
    return {key: value if isinstance(value, (str, bool)) else float(value) for key, value in axis.items()}


def same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Signals are the same, and in the same order."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one["data"].shape, one["data"].dtype) == (other["data"].shape, other["data"].dtype)
        assert [plain(axis) for axis in one["axes"]] == [plain(axis) for axis in other["axes"]]
        for part, values in one["metadata"].items():
            assert values.items() <= other["metadata"][part].items()
        if len(one["data"].shape) < 3:
            assert np.array_equal(np.asarray(one["data"]), np.asarray(other["data"]))


def test_a_whole_project(project: Path) -> None:
    started = time.process_time()
    ours = describe(project)
    assert time.process_time() - started < 1
    same(ours, file_reader(str(project), lazy=True))


@pytest.mark.parametrize("name", ["View000_0000000.img", "View000_0000004.map", "View000_0000006.pts"])
def test_each_file_alone(view: Path, name: str) -> None:
    same(describe(view / name), file_reader(str(view / name), lazy=True))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_single_spectrum(spectrum: Path) -> None:
    same(describe(spectrum), file_reader(str(spectrum)))


def test_a_picture_of_a_map_alone(view: Path, project: Path) -> None:
    """Counted by place, against a walk over the words one by one."""
    path = view / "View000_0000006.pts"
    found = describe(path)
    expected = np.zeros((512, 512), int)
    x = y = 0
    for word in np.fromfile(path, "<u2", offset=16384).tolist():
        kind, value = word & 0xF000, word & 0xFFF
        if kind == 0x8000:
            x = value // 8
        elif kind == 0x9000:
            y = value // 8
        elif kind == 0xB000:
            expected[y, x] += 1
    assert np.array_equal(counted(str(path), 16384, 512, 512), expected)
    assert expected.sum() > 100_000
    picture = draw(str(path), (), found)
    assert np.array_equal(picture, expected)
    assert draw(str(project), (), found) is None


def test_a_scanning_microscope(view: Path, tmp_path: Path) -> None:
    """As in the reader, up to 30 kV are taken for a scanning microscope."""
    entry = b"AccKV\0\x04\0\0\0\x04\0\0\0"
    data = (view / "View000_0000006.pts").read_bytes()
    path = tmp_path / "LOW.PTS"
    path.write_bytes(data.replace(entry + struct.pack("<f", 200), entry + struct.pack("<f", 20)))
    ours = describe(path)
    same(ours, file_reader(str(path), lazy=True))
    assert ours[0]["metadata"]["Signal"]["signal_type"] == "EDS_SEM"


def test_a_map_of_no_whole_frame_is_left_to_the_reader(view: Path, tmp_path: Path) -> None:
    entry = b"Sweep\0\x02\0\0\0\x02\0\0\0"
    data = (view / "View000_0000006.pts").read_bytes()
    assert entry + b"\x0e\0" in data
    path = tmp_path / "stopped.pts"
    path.write_bytes(data.replace(entry + b"\x0e\0", entry + b"\0\0"))
    ours, theirs = describe(path), file_reader(str(path), lazy=True)
    assert (ours[0]["data"].shape, ours[0]["data"].dtype) == (theirs[0]["data"].shape, theirs[0]["data"].dtype)


def test_events_are_decoded_when_they_are_asked_for(view: Path) -> None:
    path = view / "View000_0000006.pts"
    (ours,), (theirs,) = describe(path), file_reader(str(path), lazy=True)
    assert np.array_equal(ours["data"][100:110, 200:300].compute(), theirs["data"][100:110, 200:300].compute())


def test_what_the_reader_says_besides_is_there_when_it_is_loaded(view: Path) -> None:
    path = view / "View000_0000004.map"
    (ours,), (theirs,) = signals(path)[0], file_reader(str(path))
    assert ours.reader is not None
    told = ours.reader()
    assert told["metadata"] == theirs["metadata"]
    assert told["original_metadata"]["Instrument"] == theirs["original_metadata"]["Instrument"]


def test_an_image_of_a_package_is_read_from_where_it_lies(view: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(view / "View000_0000004.map", tmp_path / "data")
    signal = diadem.pack(tmp_path / "data", tmp_path / "package").load("View000_0000004.map")
    assert signal.metadata.General.diadem.verify == "leaves"
    (theirs,) = file_reader(str(view / "View000_0000004.map"))
    assert np.array_equal(signal.data.compute(), theirs["data"])


def test_a_file_that_the_project_lists_is_missing(copied: Path) -> None:
    (copied.parent / "Sample" / "00_View000" / "View000_0000003.map").unlink()
    with pytest.raises(ReaderError, match="which the project lists, is not there"):
        describe(copied)


def test_an_image_cut_short_says_so(view: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.img"
    path.write_bytes((view / "View000_0000000.img").read_bytes()[:100_000])
    (dataset,) = diadem.extract(path).to_dict()["datasets"]
    assert "truncated" in {issue["code"] for issue in dataset["issues"]}


def test_a_truncated_map_says_so(view: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.pts"
    path.write_bytes((view / "View000_0000006.pts").read_bytes()[:600_000])
    assert describe(path)[0]["issues"][0]["code"] == "truncated"


def test_a_map_with_a_long_head_states_the_length_of_the_file(view: Path, tmp_path: Path) -> None:
    content = (view / "View000_0000006.pts").read_bytes()
    (start,) = struct.unpack_from("<I", content, 28)
    long = bytearray(content[:start] + bytes(32768 - start) + content[start:])
    struct.pack_into("<2I", long, 28, 32768, len(long))
    path = tmp_path / "long.pts"
    path.write_bytes(bytes(long))
    assert not describe(path)[0]["issues"]
    path.write_bytes(bytes(long[:-1000]))
    assert describe(path)[0]["issues"][0]["code"] == "truncated"


def test_another_kind_of_file_is_left_to_the_reader(spectrum: Path, tmp_path: Path) -> None:
    """Which finds no image and no map, and refuses the project."""
    for name in ("image.img", "map.pts"):
        shutil.copy(spectrum, tmp_path / name)
        assert describe(tmp_path / name) == []
    shutil.copy(spectrum, tmp_path / "project.asw")
    (tmp_path / "empty.img").touch()
    for name in ("project.asw", "empty.img"):
        with pytest.raises(NotJeol):
            describe(tmp_path / name)


@pytest.mark.parametrize("name", ["..\\..\\secret.img", "C:\\secret.img", "a/../../secret.img", ""])
def test_a_project_leads_nowhere_else(name: str) -> None:
    project = {"SampleInfo": {"0": {"ViewInfo": {"0": {"ViewData": {"0": {"Filename": name}}}}}}}
    with pytest.raises(Outside):
        list(members(project))
