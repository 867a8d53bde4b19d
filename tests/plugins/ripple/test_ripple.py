"""Ripple files: a real one, and keys as other programs write them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.plugins.ripple.blocks import parse, read

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


def test_an_empty_file_has_no_block(tmp_path: Path) -> None:
    path = tmp_path / "a.rpl"
    path.write_bytes(b"")
    assert list(read(str(path), [])) == []


@given(st.text(alphabet=";key\tvalue-angle0123.\n(MLX:) ", max_size=200))
def test_any_text_ends_quietly(text: str) -> None:
    values(HEAD + text)
