"""HPD-TA's comment in both kinds of files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import tifffile

import diadem
from diadem.hooks.cuts import cutter
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.plugins.hamamatsu.files import parse
from tests.plugins import opened
from tests.plugins.tiff.files import firsts, values, write

TABLES = tables("diadem.plugins.hamamatsu")
OPEN = "diadem.plugins.hamamatsu.files:open"


def read(path: str, files: Sequence[str]) -> list[Block]:
    """Blocks of a TIFF file, which is another's format, or of an `.img`."""
    if path.endswith(".img"):
        return opened.blocks(OPEN, Path(path))
    return [block for block in cutter("diadem.plugins.hamamatsu/hamamatsu")(path, files) if isinstance(block, Block)]


def said(data: bytes, key: str) -> str:
    match = re.search(key.encode() + rb'=(?:"([^"]*)"|([^,\[\r\n]*))', data)
    assert match is not None
    return (match[1] or match[2]).decode()


def test_real_files_by_regular_expressions(shared_data: Path) -> None:
    times = {"focus_mode.img": "2023-01-20T11:28:55.083", "test_hamamatsu_streak_FOCUS.tif": "2022-02-10T13:00:03.484"}
    exposures = {"focus_mode.img": 5.0, "test_hamamatsu_streak_FOCUS.tif": 1.004e-3}
    for path in (
        shared_data / "hamamatsu/focus_mode.img",
        shared_data / "tif-hamamatsu/test_hamamatsu_streak_FOCUS.tif",
    ):
        data, found = path.read_bytes(), values(read, TABLES, path)
        first = firsts(found)
        assert first["detector.name"] == said(data, "CameraName")
        assert f"S/N: {first['detector.serial']}" == said(data, "SerialNumber")
        assert first["instrument.model"] == re.search(rb'\[Streak camera\].*?DeviceName="([^"]*)"', data)[1].decode()  # type: ignore[index]
        assert first["instrument.software"] == f"HPD-TA {said(data, 'SoftwareVersion')}"
        assert first["camera.exposure"] == pytest.approx(exposures[path.name])
        assert first["camera.binning"] == 2
        assert first["time.acquired_start"] == times[path.name]
        assert found["time.acquired_start"][0].offset_status == "unknown"
        for block in read(str(path), ()):
            if block.byte_range:
                assert data[slice(*block.byte_range)] == block.data


def test_a_date_that_nothing_decides(tmp_path: Path) -> None:
    comment = b'[Application],Date="05/06/2023",Time="11:28:55"[Camera],CameraName="Orca"'
    path = tmp_path / "a.img"
    path.write_bytes(b"IM" + len(comment).to_bytes(2, "little") + b"\0" * 60 + comment + b"pixels")
    assert firsts(values(read, TABLES, path)) == {"detector.name": "Orca"}


def test_files_of_others(tmp_path: Path) -> None:
    assert list(read(str(write(tmp_path / "a.tif")), ())) == []


def test_a_file_cut_short_is_known(shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / "hamamatsu/focus_mode.img").read_bytes()
    path = tmp_path / "a.img"
    path.write_bytes(whole)
    assert 3365 + 512 * 672 * 4 == opened.opened(OPEN, path)[0].size < len(whole)  # the axes stand behind the pixels
    path.write_bytes(whole[: len(whole) // 2])
    (dataset,) = diadem.extract(path).datasets
    assert "truncated" in {issue["code"] for issue in dataset.issues}
    assert dataset.value("detector.name") == "Orca R2"


def test_sections() -> None:
    found = parse(b'[A],x=1,y="2, [3]",z=a b[B],u=\r\n[C],v="w"\0rest')
    assert found == {"A": {"x": "1", "y": "2, [3]", "z": "a b"}, "B": {"u": ""}, "C": {"v": "w"}}
    assert parse(b"no sections") == {}


def test_tifffile_sees_the_same_description(shared_data: Path) -> None:
    path = shared_data / "tif-hamamatsu/test_hamamatsu_streak_FOCUS.tif"
    with tifffile.TiffFile(path) as file:
        description = file.pages.first.description
    assert description is not None
    assert next(iter(read(str(path), ()))).data.rstrip(b"\0").decode().strip() == description.strip()
