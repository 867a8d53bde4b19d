"""Block files: a real one by its bytes, made-up headers for placeholders and damage."""

from __future__ import annotations

import datetime as dt
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.opening import array_of
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.offers import target
from diadem.hooks.tables import table
from diadem.plugins.nanomegas.blockfile import parse
from tests.plugins.opened import Held, blocks, opened

OPEN = "diadem.plugins.nanomegas.blockfile:open"
HEADER = table("diadem.plugins.nanomegas/blockfile-header")


def test_a_real_file(shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "blo" / "test1.blo", tmp_path)
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    fields = dataset["fields"]
    ours = {key: (fields[key][0]["value"], fields[key][0].get("unit")) for key in fields}
    assert ours == {
        "beam.acceleration_voltage": (200e3, "V"),
        "optics.camera_length": (0.2, "m"),
        "scan.rotation": (25, "deg"),
        "image.pixel_size_x": (1.28e-8, "m"),
        "image.pixel_size_y": (1.28e-8, "m"),
        "time.acquired_start": ("2015-12-01T15:40:59.812", None),
    }
    assert fields["time.acquired_start"][0]["offset_status"] == "unknown"
    assert fields["optics.camera_length"][0]["source"]["raw_unit"] == "0.1 mm"


def test_values_against_the_bytes(shared_data: Path) -> None:
    """At their places in the file, not by the parser."""
    content = (shared_data / "blo" / "test1.blo").read_bytes()
    (block,) = blocks(OPEN, shared_data / "blo" / "test1.blo")
    assert block.data == content[:4096]
    tree = block.tree
    assert struct.unpack_from("<I", content, 46) == (tree["Beam_energy"],) == (200000,)
    assert struct.unpack_from("<I", content, 52) == (tree["Camera_length"],) == (2000,)
    assert struct.unpack_from("<d", content, 56) == (tree["Acquisition_time"],)
    assert struct.unpack_from("<d", content, 30) == (tree["SX"],) == (12.8,)
    assert struct.unpack_from("<H", content, 28) == (tree["Scan_rotation"],) == (2500,)
    assert tree["Notes"] == {"Camera gamma": "on"}


def header(note: bytes = b"", **changes: Any) -> bytes:
    """A header with some values changed."""
    values: dict[str, Any] = {
        "id": b"IMGBLO", "magic": 0x0102, "image": 4096, "patterns": 8192, "flags": 0, "edge": 8, "turn": 0,
        "columns": 2, "rows": 3, "rotation": 0, "sx": 1.0, "sy": 1.0, "voltage": 0, "sdp": 100, "length": 0,
        "time": 0.0,
    }  # fmt: skip
    values.update(changes)
    return (struct.pack("<6sHIII5HddIHId", *values.values()) + bytes(176) + note).ljust(4096, b"\0")


def values(data: bytes) -> dict[str, Any]:
    """Values by field."""
    tree = parse(data)
    assert tree is not None
    return {one.field: one.value for one in apply(HEADER, Block("blockfile-header", tree), "blockfile").values}


def test_what_a_writer_without_knowledge_fills_in_is_no_measurement() -> None:
    assert values(header(time=25570.0)) == {"scan.rotation": 0}  # the second day of 1970
    assert values(header(time=float(1 << 40))) == {"scan.rotation": 0}
    assert values(header(time=float("nan"))) == {"scan.rotation": 0}


def test_precession() -> None:
    assert values(header(b"Precession angle : 0,7\r\n"))["signal.technique"] == "PED"
    assert "signal.technique" not in values(header(b"Precession angle : 0.0\r\n"))
    assert "signal.technique" not in values(header(b"Precession angle : off\r\n"))


@given(st.integers(30_000, 69_000), st.times())
def test_serial_days_come_back(day: int, clock: dt.time) -> None:
    moment = dt.datetime.combine(dt.date(1899, 12, 30) + dt.timedelta(days=day), clock)
    passed = dt.timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond)
    days = day + passed / dt.timedelta(days=1)
    found = dt.datetime.fromisoformat(values(header(time=days))["time.acquired_start"])
    assert abs(found - moment) < dt.timedelta(milliseconds=2)


def written(data: Any, mark: bytes = b"\xaa\x55", **changes: Any) -> bytes:
    """A block file of patterns, rows by columns."""
    rows, columns, edge, _ = data.shape
    head = header(columns=columns, rows=rows, edge=edge, patterns=4096 + rows * columns, **changes)
    patterns = (mark + n.to_bytes(4, "little") + one.tobytes() for n, one in enumerate(data.reshape(-1, edge, edge)))
    return head + bytes(rows * columns) + b"".join(patterns)


def test_patterns_are_read_from_where_they_lie() -> None:
    data = np.random.default_rng(0).integers(0, 255, (3, 4, 8, 8)).astype(np.uint8)
    files = Held({"a.blo": written(data)})
    (signal,) = target(OPEN)(files).signals
    assert np.array_equal(array_of(signal, files, "a", lazy=False), data)
    lazy = array_of(signal, files, "a", chunk=64)
    files.held["a.blo"].read = 0
    lazy[2, 3].compute()
    assert files.held["a.blo"].read == 64


@pytest.mark.parametrize(
    "content",
    [
        written(np.zeros((3, 4, 8, 8), np.uint8), b"\x34\x12"),
        b"OTHER!" + written(np.zeros((3, 4, 8, 8), np.uint8))[6:],
        header(rows=0),
        written(np.zeros((3, 4, 8, 8), np.uint8))[:-1],
    ],
)
def test_what_is_not_as_usual_or_not_whole_is_left_to_the_reader(content: bytes) -> None:
    with pytest.raises(OSError, match="no reader"):
        list(target(OPEN)(Held({"a.blo": content})).signals)


@pytest.mark.parametrize("cut", [10, 239, 240, 4900])
def test_a_file_cut_short_says_how_much_is_missing(tmp_path: Path, cut: int) -> None:
    content = written(np.ones((3, 4, 8, 8), np.uint8))
    (tmp_path / "a.blo").write_bytes(content[:cut])
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    (issue,) = (one for one in dataset["issues"] if one["code"] == "truncated")
    promised = len(content) if cut >= 240 else 240
    assert issue["message"] == f"'a.blo' is not complete: its header promises {promised} bytes, {cut} are there"


@pytest.mark.parametrize(
    ("changes", "units"),
    [
        ({"voltage": 200_000}, ["nm", "nm", "cm", "cm"]),
        ({"sx": 2.0}, ["nm", "nm", "cm", "cm"]),
        ({}, ["", "", "cm", "cm"]),
        ({"sdp": 0}, ["", "", "", ""]),
    ],
)
def test_what_a_writer_without_knowledge_fills_in_is_no_scale(
    tmp_path: Path, changes: dict[str, Any], units: list[str]
) -> None:
    (tmp_path / "a.blo").write_bytes(written(np.zeros((3, 4, 8, 8), np.uint8), **changes))
    (signal,) = opened(OPEN, tmp_path / "a.blo")[0].signals
    assert [axis["units"] for axis in signal.axes] == units
    assert [axis["scale"] for axis in signal.axes][2:] == [1.0, 1.0]


@given(st.binary(min_size=232, max_size=400))
def test_any_numbers_end_quietly(data: bytes) -> None:
    tree = parse(b"IMGBLO\x02\x01\x00\x10\0\0" + data)
    assert tree is not None
    apply(HEADER, Block("blockfile-header", tree), "blockfile")
