"""MIB files of Merlin detectors: real ones against their own bytes, made-up ones for what those do not have."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
from diadem.hooks.tables import tables
from diadem.model.record import Dataset
from diadem.plugins.merlin.files import parse
from tests.plugins.opened import Held, blocks, dictionaries

MERLIN = tables("diadem.plugins.merlin")
OPEN = "diadem.plugins.merlin.files:open"

SCAN, SINGLE = "002_4x2_6bit_roi128", "Single_1_Frame_CounterDepth_12_Rows_256"


@pytest.fixture(scope="module")
def found(real: Mapping[str, Dataset]) -> dict[str, Any]:
    """Datasets by the name of the primary."""
    return {Path(path).stem: one.document for path, one in real.items() if path.startswith("mib/")}


@pytest.mark.parametrize("name", [SCAN, SINGLE])
def test_times_are_of_both_files(found: dict[str, Any], name: str) -> None:
    assert found[name]["issues"] == []
    assert {one["source"]["file"] for one in found[name]["fields"]["time.acquired_start"]} == {"f1", "f2"}


@pytest.mark.parametrize("name", [SCAN, SINGLE])
def test_values_against_the_bytes(found: dict[str, Any], shared_data: Path, name: str) -> None:
    """By regular expressions on the whole file, not by the parser."""
    content = (shared_data / "mib" / f"{name}.mib").read_bytes()
    stamps = re.findall(rb"MQ1A,(\S+?)Z,(\d+)ns,(\d+),", content)
    fields = found[name]["fields"]
    start, end = fields["time.acquired_start"][0], fields["time.acquired_end"][0]
    assert stamps[0][0].decode().startswith(start["value"].removesuffix("Z"))
    assert end["source"]["raw"] == f"{stamps[-1][0].decode()}Z, {stamps[-1][1].decode()}ns"
    assert fields["camera.exposure"][0]["value"] == int(stamps[0][1]) / 1e9
    assert fields["camera.counter_depth"][0]["value"] == int(stamps[0][2])
    assert end["source"]["locator"].startswith(f"frame {len(stamps)}/")
    assert len(stamps) == (8 if name == SCAN else 1)
    # the shutter time is also there in seconds
    assert float(content.split(b",")[10]) == fields["camera.exposure"][0]["value"]


def test_blocks_are_the_files_bytes(shared_data: Path) -> None:
    path = shared_data / "mib" / f"{SCAN}.mib"
    content = path.read_bytes()
    found = [block for block in blocks(OPEN, path) if not block.file or SCAN in block.file]
    assert [block.kind for block in found][:4] == [
        "merlin-first-frame",
        "merlin-last-frame",
        "merlin-frames",
        "merlin-hdr",
    ]
    for block in found[:2]:
        assert block.byte_range is not None
        assert content[slice(*block.byte_range)] == block.data
        assert block.data.startswith(b"MQ1,00000")
    assert found[2].data.count(b"MQ1A,") == 6
    assert found[3].tree["Sensor Bias (V)"] == "120 V"


def frame(
    kind: str = "U16",
    stamp: str = "2014-06-13 09:33:38.432",
    shutter: str = "0.010000",
    extension: str = "",
    number: int = 1,
    chips: int = 1,
) -> bytes:
    """A frame of 4 x 2 pixels."""
    length = 384 if chips == 1 else 768
    layout = "   1x1" if chips == 1 else "  2x2G"
    dacs = ",".join(["3RX," + ",".join(["011"] * 27)] * chips)
    levels = ",".join(["1.000000E+1"] * 8)
    text = (
        f"MQ1,{number:06},{length:05},{chips:02},0004,0002,{kind},{layout},0F,{stamp},{shutter},0,0,1,{levels},{dacs},"
    )
    bits = int(kind[1:]) if kind[0] == "U" else 16
    return (text + extension).encode().ljust(length, b"\0") + bytes(bits)


def values(path: Path) -> dict[str, list[Any]]:
    """Values by field, as the tables find them."""
    gathered: dict[str, list[Any]] = {}
    for block in blocks(OPEN, path):
        for value in apply(MERLIN.get(block.kind, ()), block, "merlin").values:
            gathered.setdefault(value.field, []).append((value.value, value.offset_status))
    return gathered


def test_headers_of_older_programs_have_local_time_and_seconds_only(tmp_path: Path) -> None:
    path = tmp_path / "a.mib"
    path.write_bytes(frame() + frame(stamp="2014-06-13 09:33:39.432", number=2))
    ours = values(path)
    assert ours["camera.exposure"] == [(0.01, "")]
    assert ours["time.acquired_start"] == [("2014-06-13T09:33:38.432", "unknown")]
    assert ours["time.acquired_end"] == [("2014-06-13T09:33:39.442", "unknown")]
    assert "time.utc_offset" not in ours
    assert "camera.counter_depth" not in ours


@pytest.mark.parametrize(
    ("stamp", "extension"),
    [("2014-06-13T09:33:38+02:00", ""), ("x", "MQ1A,2021-05-07T16:56:51.5+02:00,1000000ns,12,")],
)
def test_offsets_stand_where_no_stamp_has_them(tmp_path: Path, stamp: str, extension: str) -> None:
    path = tmp_path / "a.mib"
    path.write_bytes(frame(stamp=stamp, extension=extension))
    assert not [field for field in values(path) if field.startswith("time.")]


def test_four_chips_and_raw_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.mib"
    extension = "MQ1A,2021-05-07T16:56:5{}.5Z,1000000ns,12,"
    path.write_bytes(
        b"".join(frame("R64", extension=extension.format(n), number=n, chips=4, stamp="x") for n in range(1, 4))
    )
    ours = values(path)
    assert ours["camera.counter_depth"] == [(12, "")]
    assert ours["time.acquired_start"] == [("2021-05-07T16:56:51.5Z", "known")]
    assert ours["time.acquired_end"] == [("2021-05-07T16:56:53.501Z", "known")]
    header = parse(path.read_bytes())
    assert header is not None
    assert [len(dac) for dac in header.tree["DACs"]] == [28] * 4


def stamped(seconds: float) -> str:
    """The extension of a frame's header that newer programs write."""
    return f"MQ1A,2021-05-07T16:56:{seconds:06.3f}Z,1000000ns,6,"


@pytest.mark.parametrize(("code", "dtype"), [("U08", "u1"), ("U16", ">u2"), ("U32", ">u4")])
@pytest.mark.parametrize("chips", [1, 4])
def test_counts_are_read_from_where_they_lie(code: str, dtype: str, chips: int) -> None:
    data = np.random.default_rng(0).integers(0, 255, (5, 2, 4)).astype(dtype)
    size = int(code[1:])
    frames = [frame(code, chips=chips, number=n)[:-size] + one.tobytes() for n, one in enumerate(data)]
    files = Held({"a.mib": b"".join(frames) + b"part of a frame"})
    (signal,) = target(OPEN)(files).signals
    assert np.array_equal(array_of(signal, files, "a", lazy=False), data[:, ::-1])
    (issue,) = signal.issues
    assert issue["code"] == "truncated"
    assert issue["message"].endswith(f"its frames have {len(frames[0])} bytes each, the last has 15")
    lazy = array_of(signal, files, "a", chunk=size)
    files.held["a.mib"].read = 0
    lazy[3].compute()
    assert files.held["a.mib"].read == size


@pytest.mark.parametrize("content", [b"", b"MQ1,", b"MQ1" + b",x" * 20, b"\xff" * 384, frame("R64")])
def test_what_is_packed_or_no_frame_is_left_to_the_reader(content: bytes) -> None:
    with pytest.raises(OSError, match="no reader"):
        list(target(OPEN)(Held({"a.mib": content})).signals)


@pytest.mark.parametrize("cut", [60, 100, 383, 390])
def test_a_file_of_less_than_a_frame_says_how_much_is_missing(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.mib"
    path.write_bytes(frame()[:cut])
    (dataset,) = diadem.extract(path).to_dict()["datasets"]
    assert [one["code"] for one in dataset["issues"]] == ["truncated", "reader-failed"]
    assert dataset["issues"][0]["message"] == f"'a.mib' is not complete: its header promises 400 bytes, {cut} are there"


def test_what_is_no_header_is_an_issue(tmp_path: Path) -> None:
    path = tmp_path / "a.mib"
    path.write_bytes(b"MQ1,000001,003x4,01,0016,0016,U16,".ljust(384, b" "))
    (dataset,) = diadem.extract(path).to_dict()["datasets"]
    assert [one["code"] for one in dataset["issues"]] == ["reader-failed"]


@pytest.mark.parametrize(
    ("seconds", "shape"),
    [
        ([0, 1, 2, 7, 8, 9, 14], (2, 3)),  # a pause before each line; the last one is not whole
        ([0, 1, 2, 3], (4,)),
        ([0], ()),
        ([0, 5, 6, 7], (4,)),
    ],
)
def test_frames_make_the_scan_that_the_reader_makes_of_them(
    tmp_path: Path, seconds: list[float], shape: tuple[int, ...]
) -> None:
    from rsciio.quantumdetector import file_reader

    path = tmp_path / "a.mib"
    path.write_bytes(b"".join(frame(extension=stamped(one), number=n) for n, one in enumerate(seconds)))
    (ours,), (theirs,) = dictionaries(OPEN, path), file_reader(str(path), lazy=True)
    assert ours["data"].shape == theirs["data"].shape == (*shape, 2, 4)
    assert [axis["navigate"] for axis in ours["axes"]] == [axis["navigate"] for axis in theirs["axes"]]
    assert np.array_equal(np.asarray(ours["data"]), np.asarray(theirs["data"]))


@pytest.mark.parametrize(
    ("trigger", "planned", "shape"), [(4, 8, (2, 4)), (4, 400, (2, 4)), (0, 0, (9,)), (40, 40, (9,))]
)
def test_the_side_file_tells_the_length_of_a_line(
    tmp_path: Path, trigger: int, planned: int, shape: tuple[int, ...]
) -> None:
    path, side = tmp_path / "a.mib", tmp_path / "a.hdr"
    path.write_bytes(b"".join(frame(extension=stamped(n), number=n) for n in range(9)))
    side.write_text(
        f"HDR,\t\nFrames in Acquisition (Number):\t{planned}\nFrames per Trigger (Number):\t{trigger}\nEnd\t  "
    )
    (ours,) = dictionaries(OPEN, path)
    assert ours["data"].shape == (*shape, 2, 4)


def test_frames_of_older_programs_are_a_signal_too(tmp_path: Path) -> None:
    """RosettaSciIO takes the time of the exposure from the part of the header that they do not write."""
    path = tmp_path / "a.mib"
    path.write_bytes(frame() + frame(number=2))
    (dataset,) = diadem.extract(path).to_dict()["datasets"]
    assert dataset["signals"][0]["shape"] == [2, 2, 4]
    assert dataset["issues"] == []


@pytest.mark.parametrize(
    ("name", "written", "start"),
    [
        ("day, mnth, yr, hr, min, s", "03/04/2021 18:56:38", "2021-04-03T18:56:38"),
        ("mnth, day, yr, hr, min, s", "03/04/2021 6:56:38 PM", "2021-03-04T18:56:38"),
        ("yr, mnth, day, hr, min, s", "2021/03/04 18:56:38", "2021-03-04T18:56:38"),
        ("day, mnth, yr, hr, min, s", "13/13/2021 18:56:38", None),
        ("day, mnth, yr, hr, min, s", "", None),
    ],
)
def test_order_of_the_date_is_the_one_that_the_line_names(
    tmp_path: Path, name: str, written: str, start: str | None
) -> None:
    path, side = tmp_path / "a.mib", tmp_path / "a.HDR"
    path.write_bytes(b"")
    side.write_text(f"HDR,\t\nTime and Date Stamp ({name}):\t{written}\nChip ID:\t - , - , - , - \nEnd\t  ", "latin-1")
    ours = values(path)
    assert ours.get("time.acquired_start") == ([(start, "unknown")] if start else None)
    assert "detector.serial" not in ours


@pytest.mark.parametrize("content", [b"", b"MQ1", b"MQ1,,,,", b"MQ1,1,99999999,1,1,1,U08" + b",1" * 99, b"\0" * 999])
def test_no_header_no_block(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mib"
    path.write_bytes(content)
    assert blocks(OPEN, path) == []


def test_a_file_cut_in_its_only_frame_keeps_the_first_header(tmp_path: Path) -> None:
    path = tmp_path / "a.mib"
    path.write_bytes(frame()[:390])
    assert [block.kind for block in blocks(OPEN, path)] == ["merlin-first-frame"]


@given(st.lists(st.text(alphabet="0123456789URMQ1Axns -:.TZ", max_size=12), max_size=80), st.integers(0, 900))
def test_anything_between_commas_is_read_or_refused(parts: list[str], length: int) -> None:
    data = ("MQ1,000001," + f"{length:05}," + ",".join(parts)).encode()
    header = parse(data)
    if header is not None:
        assert header.length == length
        assert header.step == 0 or header.step > length
        for table in MERLIN.values():
            apply(table, Block("x", header.tree), "merlin")
