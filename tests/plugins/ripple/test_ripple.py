"""Ripple files: a real one, and keys as other programs write them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.offers import target
from diadem.hooks.tables import tables
from diadem.plugins.ripple.files import parse
from tests.plugins.opened import Held, dictionaries

OPEN = "diadem.plugins.ripple.files:open"
KEYS = tables("diadem.plugins.ripple")["ripple-keys"]

HEAD = ";File created by RosettaSciIO version 0.15.0\nkey\tvalue\n"


def values(text: str) -> dict[str, tuple[Any, str]]:
    """Value and status by field."""
    found = apply(KEYS, Block("ripple-keys", parse(text)), "ripple").values
    return {value.field: (value.value, value.status) for value in found}


def test_a_real_file(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "rpl", tmp_path / "rpl")
    (dataset,) = diadem.extract(tmp_path / "rpl").to_dict()["datasets"]
    fields = dataset["fields"]
    ours = {key: (fields[key][0]["value"], fields[key][0].get("unit"), fields[key][0]["status"]) for key in fields}
    assert ours == {
        # HyperSpy's own defaults, told from what somebody measured
        "detector.elevation": (35, "deg", "assumed"),
        "detector.azimuth": (0, "deg", "assumed"),
        "eds.resolution": (130, "eV", "assumed"),
        "signal.technique": ("EDS", None, "stated"),
    }
    text = (shared_data / "rpl" / "test_ripple_sdim-1_ndim-1_uint16.rpl").read_text()
    for key in fields:
        source = fields[key][0]["source"]
        assert f"\n{source['locator']}\t{source['raw']}\n" in text


def test_keys_of_hyperspy() -> None:
    ours = values(
        HEAD + "beam-energy\t200\nconvergence-angle\t2.5\ncollection-angle\t11\nlive-time\t5\ntilt-stage\t-12\n"
        "elevation-angle\t20\nazimuth-angle\t0.0\ndetector-peak-width-ev\t128\nsignal\tEELS\n"
        "date\t2017-03-04\ntime\t12:30:15\n"
    )
    assert ours["beam.acceleration_voltage"] == (200e3, "converted")
    assert ours["beam.convergence_semi_angle"] == (2.5e-3, "converted")
    assert ours["eels.collection_semi_angle"] == (11e-3, "converted")
    assert ours["eds.live_time"] == (5, "stated")
    assert ours["stage.alpha"] == (-12, "stated")
    assert ours["detector.elevation"] == (20, "stated")
    assert ours["detector.azimuth"] == (0, "assumed")
    assert ours["eds.resolution"] == (128, "stated")
    assert ours["signal.technique"] == ("EELS", "stated")
    assert ours["time.acquired_start"] == ("2017-03-04T12:30:15", "stated")


def test_other_programs_are_believed_where_the_unit_is_in_the_key() -> None:
    text = "key\tvalue\nbeam-energy\t200\ndate\t2017-03-04\ntime\t12:30\ndetector-peak-width-ev\t130\n"
    assert values(text) == {"eds.resolution": (130, "stated")}


@pytest.mark.parametrize("line", ["azimuth-angle\t0.0", "tilt-stage\t0.0", "live-time\tabc", "date\t03/04/2017", ""])
def test_what_says_nothing(line: str) -> None:
    assert values(HEAD + line) == {}


def test_inca() -> None:
    tree = parse("(MLX::\n(MLX::WIDTH : 128)\n(MLX::RECORD-BY : IMAGE)\n")
    assert tree == {"width": "128", "record-by": "IMAGE"}


@given(st.text(alphabet=";key\tvalue-angle0123.\n(MLX:) ", max_size=200))
def test_any_text_ends_quietly(text: str) -> None:
    values(HEAD + text)


LISPIX = (
    "key\tvalue\nwidth\t{}\nheight\t{}\ndepth\t{}\noffset\t{}\n"
    "data-length\t{}\ndata-type\t{}\nbyte-order\t{}\nrecord-by\t{}\n"
)


def written(folder: Path, keys: str, counts: bytes) -> Path:
    """The two files."""
    (folder / "a.raw").write_bytes(counts)
    (folder / "a.rpl").write_text(keys)
    return folder / "a.rpl"


@pytest.mark.parametrize(
    ("sizes", "record", "dtype", "order"),
    [
        ((4, 3, 5), "vector", "<u2", "little-endian"),
        ((4, 3, 5), "image", ">i4", "big-endian"),
        ((1, 3, 5), "vector", "<f4", "dont-care"),
        ((4, 1, 5), "vector", "<f8", "little-endian"),
        ((1, 1, 5), "vector", "|u1", "dont-care"),
        ((4, 3, 1), "dont-care", "<u2", "little-endian"),
        ((4, 1, 1), "dont-care", "<u2", "little-endian"),
        ((1, 3, 1), "dont-care", "<u2", "little-endian"),
    ],
)
def test_counts_and_axes_are_those_of_the_reader(
    tmp_path: Path, sizes: tuple[int, ...], record: str, dtype: str, order: str
) -> None:
    from rsciio.ripple import file_reader

    kind = {"u": "unsigned", "i": "signed", "f": "float"}[dtype[1]]
    more = "width-origin\t0.5\nheight-scale\t0.1\nheight-units\tum\nheight-name\ty\ndepth-scale\t2\ndepth-units\teV\n"
    keys = LISPIX.format(*sizes, 16, dtype[2], kind, order, record) + more
    counts = np.arange(np.prod(sizes)).astype(dtype)
    path = written(tmp_path, keys, bytes(16) + counts.tobytes())
    (ours,), (theirs,) = dictionaries(OPEN, path), file_reader(str(path), lazy=True)
    assert ours["data"].dtype == theirs["data"].dtype
    assert np.array_equal(np.asarray(ours["data"]), np.asarray(theirs["data"]))
    assert ours["axes"] == [{key: axis[key] for key in ours["axes"][0]} for axis in theirs["axes"]]


def test_one_image_of_inca_is_an_image(tmp_path: Path) -> None:
    """RosettaSciIO refuses an image without a depth."""
    keys = "(MLX::\n(MLX::WIDTH : 4)\n(MLX::HEIGHT : 3)\n(MLX::DEPTH : 1)\n(MLX::OFFSET : 0)\n(MLX::DATA-LENGTH : 1)\n"
    keys += "(MLX::DATA-TYPE : UNSIGNED)\n(MLX::BYTE-ORDER : DONT-CARE)\n(MLX::RECORD-BY : IMAGE)\n"
    written(tmp_path, keys, bytes(range(12)))
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    assert (dataset["signals"][0]["kind"], dataset["signals"][0]["shape"]) == ("image", [3, 4])
    assert dataset["issues"] == []


def test_the_unit_of_a_channel_stands_in_the_key(tmp_path: Path) -> None:
    keys = LISPIX.format(1, 1, 5, 0, 2, "unsigned", "little-endian", "vector") + "ev-per-chan\t10\n"
    (signal,) = dictionaries(OPEN, written(tmp_path, keys, bytes(10)))
    (axis,) = signal["axes"]
    assert (axis["scale"], axis["units"]) == (10, "eV")


def test_counts_cut_short_are_told_of_their_file(tmp_path: Path) -> None:
    keys = LISPIX.format(4, 3, 5, 0, 2, "unsigned", "little-endian", "vector")
    written(tmp_path, keys, bytes(100))
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    assert [issue["code"] for issue in dataset["issues"]] == ["truncated"]
    assert dataset["issues"][0]["message"] == "'a.raw' is not complete: its header promises 120 bytes, 100 are there"
    files = {one["id"]: one["path"] for one in dataset["files"]}
    assert files[dataset["issues"][0]["file"]] == "a.raw"


@pytest.mark.parametrize(
    "keys",
    [
        LISPIX.format(4, 3, 5, 0, 3, "unsigned", "little-endian", "vector"),
        LISPIX.format(4, 3, 5, 0, 2, "float", "little-endian", "vector"),
        LISPIX.format(4, 3, 5, 0, 2, "unsigned", "little-endian", "sideways"),
        LISPIX.format(4, 3, 5, -1, 2, "unsigned", "little-endian", "vector"),
        LISPIX.format(4.5, 3, 5, 0, 2, "unsigned", "little-endian", "vector"),
        LISPIX.format(4, 3, 5, 0, 2, "unsigned", "little-endian", "dont-care"),
        LISPIX.format(1, 1, 1, 0, 2, "unsigned", "little-endian", "vector"),
        "",
    ],
)
def test_keys_that_are_not_as_they_should_be_are_left_to_the_reader(keys: str) -> None:
    with pytest.raises(OSError, match="no reader"):
        list(target(OPEN)(Held({"a.rpl": keys.encode(), "a.raw": bytes(1000)})).signals)
