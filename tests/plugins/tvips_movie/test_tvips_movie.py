"""TVIPS movies: a copy that HyperSpy wrote, and movies made up as the recorder writes them."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.plugins.tvips_movie.files import frame, general
from tests.plugins.opened import blocks, dictionaries, opened

OPEN = "diadem.plugins.tvips_movie.files:open"
TABLES = tables("diadem.plugins.tvips_movie")

#: 2021-03-04 05:06:07 UTC.
EPOCH = 1614834367


def head(version: int = 2, header: int = 108, mark: bytes = b"TVIPS " * 34, **changes: int) -> bytes:
    """The header of a movie of 4 x 2 pixels."""
    values = {"size": 256, "version": version, "x": 4, "y": 2, "bits": 16, "ox": 0, "oy": 0, "bx": 2, "by": 2}
    values |= {"pixel": 15600, "ht": 300, "mag": 80000, "header": header, **changes}
    return struct.pack("<13I", *values.values()) + mark


def picture(
    time: int = EPOCH,
    ms: int = 250,
    mode: int = 1,
    stage: tuple[float, ...] = (0, 0, 0, 0, 0),
    pixels: bytes = bytes(16),
) -> bytes:
    """A frame of version 2 with its header."""
    first = struct.pack("<4If2I5fI", 7, time, ms, 0, 0.0, 80000, mode, *stage, 1)
    return first.ljust(108, b"\0") + pixels


def values(path: Path) -> dict[str, Any]:
    """Value, unit and status of the offset by field."""
    gathered: dict[str, Any] = {}
    for block in blocks(OPEN, path):
        table = TABLES[block.kind]
        for one in apply(table, block, "tvips-movie").values:
            assert one.field not in gathered
            gathered[one.field] = (one.value, one.offset_status)
    return gathered


def test_a_copy_of_hyperspys(shared_data: Path, tmp_path: Path) -> None:
    name = "test_tvips_2233_000.tvips"
    shutil.copy(shared_data / "tvips" / name, tmp_path)
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    fields = dataset["fields"]
    assert fields["beam.acceleration_voltage"][0]["value"] == 200e3
    # its axes are reciprocal, so that what it filled in is a camera length
    assert fields["optics.camera_length"][0]["value"] == 0.08
    assert "optics.magnification" not in fields
    assert not [key for key in fields if key.startswith(("stage.", "camera."))]
    (start,) = fields["time.acquired_start"]
    assert (start["value"], start["offset_status"]) == ("1993-06-18T10:34:56", "unknown")
    assert "time.acquired_end" not in fields
    content = (shared_data / "tvips" / name).read_bytes()
    assert struct.unpack_from("<2I", content, 40) == (200, 80)
    assert struct.unpack_from("<I", content, 256 + 4) == (740399696,)
    assert struct.unpack_from("<I", content, 256 + 24) == (2,)


def test_a_movie(tmp_path: Path) -> None:
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head() + picture(stage=(1500.0, -2e5, 0.0, 12.5, 0.0)) + picture(EPOCH + 3, 500))
    assert values(path) == {
        "beam.acceleration_voltage": (300e3, ""),
        "optics.magnification": (80000, ""),
        "beam.mode": ("imaging", ""),
        "camera.binning": (2, ""),
        "stage.x": (1.5e-6, ""),
        "stage.y": (-2e-4, ""),
        "stage.z": (0, ""),
        "stage.alpha": (12.5, ""),
        "stage.beta": (0, ""),
        "time.acquired_start": ("2021-03-04T05:06:07.25Z", "known"),
        "time.acquired_end": ("2021-03-04T05:06:10.5Z", "known"),
    }


def test_a_magnification_that_only_the_frames_have(tmp_path: Path) -> None:
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head(mag=0) + picture())
    assert values(path)["optics.magnification"] == (80000, "")


def test_patterns_have_no_magnification_and_a_silent_microscope_no_stage(tmp_path: Path) -> None:
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head(bx=1) + picture(mode=2))
    assert set(values(path)) == {"beam.acceleration_voltage", "beam.mode", "time.acquired_start"}


def test_the_last_frame_is_in_the_last_part(tmp_path: Path) -> None:
    parts = [tmp_path / f"a_{number:03}.tvips" for number in range(3)]
    parts[0].write_bytes(head() + picture() + picture(EPOCH + 1))
    parts[1].write_bytes(picture(EPOCH + 2) + picture(EPOCH + 30, 0) + b"\0" * 50)
    parts[2].write_bytes(b"\0" * 20)
    assert values(parts[0])["time.acquired_end"] == ("2021-03-04T05:06:37Z", "known")
    *_, last = blocks(OPEN, parts[0])
    assert last.place == "frame 2 of 001"
    assert last.byte_range is not None
    assert parts[1].read_bytes()[slice(*last.byte_range)] == last.data


def test_version_1_has_time_only(tmp_path: Path) -> None:
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head(1, 0) + struct.pack("<3I", 1, EPOCH, 0) + bytes(16))
    ours = values(path)
    assert ours["time.acquired_start"] == ("2021-03-04T05:06:07Z", "known")
    assert ours["optics.magnification"] == (80000, "")
    assert "beam.mode" not in ours


def test_a_movie_cut_in_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head() + picture()[:20])
    assert "beam.acceleration_voltage" in values(path)


@given(st.binary(min_size=256, max_size=500))
def test_any_numbers_end_quietly(data: bytes) -> None:
    movie = general(data)
    assert movie is None or movie.step > movie.header
    tree = {"IHT": 1, "IMagTotal": 1, "IXBin": 1, "IYBin": 1, "first frame": frame(data)}
    apply(TABLES["tvips-movie"], Block("x", tree), "x")
    apply(TABLES["tvips-last-frame"], Block("x", frame(data)), "x")


@pytest.mark.parametrize("mode", [1, 2])
def test_the_size_of_the_cameras_pixels_is_not_the_images(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head() + picture(mode=mode) + picture(EPOCH + 1, mode=mode))
    (dataset,) = diadem.extract(path).datasets
    axes = dataset.signals[0].axes
    assert [(axis.scale, axis.unit) for axis in axes] == [(1, "s"), (1, None), (1, None)]
    assert not [key for key in dataset.fields if "pixel_size" in key]


def frames(count: int) -> tuple[list[bytes], Any]:
    """Frames one second apart, and their pixels."""
    pixels = np.random.default_rng(0).integers(0, 60000, (count, 2, 4)).astype("<u2")
    return [picture(EPOCH + number, pixels=one.tobytes()) for number, one in enumerate(pixels)], pixels


@pytest.mark.parametrize("split", [[5], [1, 4], [2, 2, 1]])
def test_frames_of_all_parts_are_those_of_the_reader(tmp_path: Path, split: list[int]) -> None:
    from rsciio.tvips import file_reader

    whole, pixels = frames(5)
    rest = iter(whole)
    for number, count in enumerate(split):
        part = b"".join(next(rest) for _ in range(count))
        (tmp_path / f"a_{number:03}.tvips").write_bytes((b"" if number else head()) + part)
    path = tmp_path / "a_000.tvips"
    (ours,), (theirs,) = dictionaries(OPEN, path), file_reader(str(path), lazy=True)
    assert ours["data"].dtype == theirs["data"].dtype
    assert np.array_equal(np.asarray(ours["data"]), pixels)
    assert np.array_equal(ours["data"][3].compute(), pixels[3])
    assert np.array_equal(ours["data"][1:4, 1, ::2].compute(), theirs["data"][1:4, 1, ::2].compute())
    assert [axis["size"] for axis in ours["axes"]] == [axis["size"] for axis in theirs["axes"]] == [5, 2, 4]
    assert ours["axes"][0]["scale"] == theirs["axes"][0]["scale"] == 1
    assert ours["axes"][0]["offset"] == theirs["axes"][0]["offset"]


def test_a_part_that_is_missing_ends_the_movie(tmp_path: Path) -> None:
    whole, pixels = frames(3)
    for number, one in zip((0, 1, 3), whole, strict=True):
        (tmp_path / f"a_{number:03}.tvips").write_bytes((b"" if number else head()) + one)
    (ours,) = dictionaries(OPEN, tmp_path / "a_000.tvips")
    assert np.array_equal(np.asarray(ours["data"]), pixels[:2])


@pytest.mark.parametrize("count", [1, 3])
def test_a_last_frame_that_is_not_whole_is_left_out_and_told(tmp_path: Path, count: int) -> None:
    """RosettaSciIO reads nothing of such a movie, nor of one that has a single frame."""
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head() + b"".join(frames(count)[0]) + b"part of a frame")
    (dataset,) = diadem.extract(path).to_dict()["datasets"]
    assert dataset["signals"][0]["shape"] == [count, 2, 4]
    (issue,) = dataset["issues"]
    assert issue["code"] == "truncated"
    assert issue["message"] == "'a_000.tvips' is not complete: its frames have 124 bytes each, the last has 15"


def test_a_movie_without_a_whole_frame_says_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head() + picture()[:100])
    (dataset,) = diadem.extract(path).to_dict()["datasets"]
    assert "truncated" in {issue["code"] for issue in dataset["issues"]}


def test_frames_of_version_1_are_a_signal_too(tmp_path: Path) -> None:
    path = tmp_path / "a_000.tvips"
    path.write_bytes(head(1, 0) + 2 * (struct.pack("<3I", 1, EPOCH, 0) + bytes(range(16))))
    (signal,) = opened(OPEN, path)[0].signals
    assert signal.shape == (2, 2, 4)
    assert signal.reader is None
