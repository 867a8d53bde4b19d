"""The quick description against RosettaSciIO's reader, which decodes everything."""

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

from diadem.plugins.jeol.describe import describe
from diadem.plugins.jeol.files import NotJeol, members
from diadem.plugins.jeol.preview import counted, draw


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
            assert np.array_equal(one["data"][:], np.asarray(other["data"]))


def test_a_whole_project(project: Path) -> None:
    started = time.process_time()
    ours = describe(str(project))
    assert time.process_time() - started < 1
    same(ours, file_reader(str(project), lazy=True))


@pytest.mark.parametrize("name", ["View000_0000000.img", "View000_0000004.map", "View000_0000006.pts"])
def test_each_file_alone(view: Path, name: str) -> None:
    same(describe(str(view / name)), file_reader(str(view / name), lazy=True))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_single_spectrum(spectrum: Path) -> None:
    same(describe(str(spectrum)), file_reader(str(spectrum)))


def test_a_picture_of_a_map_alone(view: Path, project: Path) -> None:
    """Counted by place, against a walk over the words one by one."""
    path = view / "View000_0000006.pts"
    signals = describe(str(path))
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
    picture = draw(str(path), (), signals)
    assert np.array_equal(picture, expected)
    assert draw(str(project), (), signals) is None


def test_a_scanning_microscope(view: Path, tmp_path: Path) -> None:
    """As in the reader, up to 30 kV are taken for a scanning microscope."""
    entry = b"AccKV\0\x04\0\0\0\x04\0\0\0"
    data = (view / "View000_0000006.pts").read_bytes()
    path = tmp_path / "LOW.PTS"
    path.write_bytes(data.replace(entry + struct.pack("<f", 200), entry + struct.pack("<f", 20)))
    ours = describe(str(path))
    same(ours, file_reader(str(path), lazy=True))
    assert ours[0]["metadata"]["Signal"]["signal_type"] == "EDS_SEM"


def test_a_map_of_no_whole_frame_is_left_to_the_reader(view: Path, tmp_path: Path) -> None:
    entry = b"Sweep\0\x02\0\0\0\x02\0\0\0"
    data = (view / "View000_0000006.pts").read_bytes()
    assert entry + b"\x0e\0" in data
    path = tmp_path / "stopped.pts"
    path.write_bytes(data.replace(entry + b"\x0e\0", entry + b"\0\0"))
    with pytest.raises(ValueError, match="no whole frame"):
        describe(str(path))


def test_a_file_that_the_project_lists_is_missing(copied: Path) -> None:
    (copied.parent / "Sample" / "00_View000" / "View000_0000003.map").unlink()
    with pytest.raises(FileNotFoundError):
        describe(str(copied))


def test_a_truncated_map_says_so(view: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.pts"
    path.write_bytes((view / "View000_0000006.pts").read_bytes()[:600_000])
    assert describe(str(path))[0]["issues"][0]["code"] == "truncated"


def test_a_map_with_a_long_head_states_the_length_of_the_file(view: Path, tmp_path: Path) -> None:
    content = (view / "View000_0000006.pts").read_bytes()
    (start,) = struct.unpack_from("<I", content, 28)
    long = bytearray(content[:start] + bytes(32768 - start) + content[start:])
    struct.pack_into("<2I", long, 28, 32768, len(long))
    path = tmp_path / "long.pts"
    path.write_bytes(bytes(long))
    assert "issues" not in describe(str(path))[0]
    path.write_bytes(bytes(long[:-1000]))
    assert describe(str(path))[0]["issues"][0]["code"] == "truncated"


def test_another_kind_of_file_is_left_to_the_reader(spectrum: Path, tmp_path: Path) -> None:
    for name in ("image.img", "map.pts", "project.asw", "notes.txt"):
        shutil.copy(spectrum, tmp_path / name)
        with pytest.raises(NotJeol):
            describe(str(tmp_path / name))
    (tmp_path / "empty.img").touch()
    with pytest.raises(NotJeol):
        describe(str(tmp_path / "empty.img"))


@pytest.mark.parametrize("name", ["..\\..\\secret.img", "C:\\secret.img", "a/../../secret.img", ""])
def test_a_project_leads_nowhere_else(name: str) -> None:
    project = {"SampleInfo": {"0": {"ViewInfo": {"0": {"ViewData": {"0": {"Filename": name}}}}}}}
    with pytest.raises(NotJeol):
        list(members(project))
