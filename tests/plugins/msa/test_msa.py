"""EMSA/MAS files: real ones line by line, made-up ones for writers' deviations."""

from __future__ import annotations

import calendar
import datetime as dt
import re
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.offers import target
from diadem.hooks.tables import tables
from diadem.model.record import Dataset
from diadem.plugins.msa.blocks import number, parse
from diadem.terms.dates import dates, month
from tests.plugins import opened
from tests.plugins.opened import blocks

OPEN = "diadem.plugins.msa.blocks:open"

HEADER = tables("diadem.plugins.msa")["msa-header"]


@pytest.fixture(scope="module")
def found(real: Mapping[str, Dataset]) -> dict[str, Any]:
    """Fields by file name."""
    return {Path(path).name: one.document["fields"] for path, one in real.items() if path.startswith("msa/")}


def test_what_is_not_measured_is_absent(found: dict[str, Any]) -> None:
    assert "eds.real_time" not in found["leo_edax_test.msa"]  # 0.0
    assert "stage.x" not in found["example2.msa"]  # a number without a unit
    assert "optics.magnification" not in found["leo_edax_test.msa"]


@pytest.mark.parametrize("name", ["ISO_22029_2022_compliance.msa", "example1.msa", "example2.msa", "leo_edax_test.msa"])
def test_every_number_against_its_line(found: dict[str, Any], shared_data: Path, name: str) -> None:
    """The raw value is what stands behind the keyword, found by a regular expression."""
    text = (shared_data / "msa" / name).read_text("latin-1")
    checked = 0
    for assertions in found[name].values():
        for one in assertions:
            key = one["source"]["locator"]
            if " + " not in key:
                line = re.search(rf"^#+{re.escape(key)}[^:\n]*:\s*(.*?)\s*$", text, re.MULTILINE)
                assert line is not None
                assert line[1] == one["source"]["raw"]
                checked += 1
    assert checked >= 8


def test_resolution_is_that_of_the_same_spectrum_in_the_vendors_format(
    found: dict[str, Any], shared_data: Path
) -> None:
    spc = (shared_data / "spc" / "leo_edax_test.spc").read_bytes()
    (resolution,) = struct.unpack_from("<f", spc, 472)
    assert found["leo_edax_test.msa"]["eds.resolution"][0]["value"] == pytest.approx(resolution, abs=0.05)


def values(text: str) -> dict[str, list[Any]]:
    """Values by field of a made-up header."""
    gathered: dict[str, list[Any]] = {}
    for value in apply(HEADER, Block("msa-header", parse(text)), "msa").values:
        gathered.setdefault(value.field, []).append(value.value)
    return gathered


def test_units_in_the_keyword_go_before_the_standards() -> None:
    ours = values("#BEAMKV -V: 200000\n#PROBECUR-pA: 50\n#DWELLTIME -us: 20\n#COLLANGLE -rad: 0.01\n#LIVETIME -min: 2")
    assert ours["beam.acceleration_voltage"] == [200e3]
    assert ours["beam.probe_current"] == [5e-11]
    assert "beam.current" not in ours
    assert ours["scan.dwell_time"] == [2e-5]
    assert ours["eels.collection_semi_angle"] == [0.01]
    assert ours["eds.live_time"] == [120]
    assert values("#BEAMKV -furlong: 200") == {}
    assert values("#BEAMKV -kg: 200\n#BEAMKV -cm: 3") == {}


def test_currents_that_nobody_has_measured() -> None:
    applied = apply(HEADER, Block("msa-header", parse("#EMISSION -uA: -1\n#PROBECUR -nA: -1.0")), "msa")
    assert (applied.values, applied.issues) == ([], [])


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("EDS_SEM", {"eds.live_time", "detector.type"}),
        ("edx", {"eds.live_time", "detector.type"}),
        ("ELS", {"scan.dwell_time", "detector.type", "eels.dispersion"}),
        ("EELS", {"scan.dwell_time", "detector.type", "eels.dispersion"}),
        ("XRF", set()),
        ("", {"eds.live_time", "scan.dwell_time", "detector.type"}),
    ],
)
def test_what_counts_of_a_spectrum_of_each_kind(kind: str, fields: set[str]) -> None:
    ours = values(
        f"#SIGNALTYPE: {kind}\n#DWELLTIME: 20\n#LIVETIME: 30\n#EDSDET: SIWLS\n#ELSDET: SERIAL\n"
        "#XPERCHAN: -0.5\n#XUNITS: Energy [eV]"
    )
    assert set(ours) - {"signal.technique"} == fields
    assert ours.get("eels.dispersion", [0.5]) == [0.5]


def test_positions_need_a_unit_and_a_stage() -> None:
    ours = values("#XPOSITION mm: 1.5\n#YPOSITION mm: 0.0\n#ZPOSITION um: 20")
    assert (ours["stage.x"], ours["stage.y"], ours["stage.z"]) == ([1.5e-3], [0], [2e-5])
    assert values("#XPOSITION mm: 0.0000\n#YPOSITION mm: 0.0000\n#ZPOSITION mm: 0.0000") == {}
    assert values("#XPOSITION   : 123.\n#YPOSITION   : 456.") == {}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("#MAGCAM: 1500\n#OPERMODE: SCIMG", {"optics.magnification": [1500]}),
        ("#MAGCAM: 1500\n#OPERMODE: DIFR", {"optics.camera_length": [1.5]}),
        ("#MAGCAM: 1500\n#SIGNALTYPE: EDS", {"optics.magnification": [1500]}),
        ("#MAGCAM: 1500\n#SIGNALTYPE: ELS", {}),
        ("#MAGCAM: 1500", {}),
    ],
)
def test_magcam_is_two_things(lines: str, expected: dict[str, Any]) -> None:
    ours = values(lines)
    assert {key: ours[key] for key in ours if key.startswith("optics")} == expected


@pytest.mark.parametrize(
    ("written", "value"),
    [("50.    ", 50), ("2.0 E-06", 2e-6), ("1,5", 1.5), ("-3", -3), ("1,0000", 1), ("1e3", 1000)],
)
def test_numbers(written: str, value: float) -> None:
    assert number(written) == value


@pytest.mark.parametrize("written", ["", "1,000", "532.0 540.1", "abc", "1,2,3"])
def test_no_numbers(written: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*"):
        number(written)


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("01-OCT-1991", "1991-10-01"), ("29-Aug-2022", "2022-08-29"), ("1-Mai-2019", "2019-05-01"),
        ("05-Dez-17", "2017-12-05"), ("05 déc. 2017", "2017-12-05"), ("03-Mrz-2018", "2018-03-03"),
        ("12-août-2011", "2011-08-12"), ("2-dic-2020", "2020-12-02"), ("7-juil-2020", "2020-07-07"),
        ("7-juin-2020", "2020-06-07"), ("1991-10-01", "1991-10-01"), ("13/04/2019", "2019-04-13"),
        ("04/13/2019", "2019-04-13"), ("5-září-2020", "2020-09-05"), ("3-maj-2020", "2020-05-03"),
        ("03/04/2019", None), ("31-FEB-2019", None), ("5-lis-2020", None), ("5-jui-2020", None), ("", None),
        ("5-xyz-2020", None), ("2019-13-01", None),
    ],
)  # fmt: skip
def test_dates(written: str, day: str | None) -> None:
    found = dates(written)
    assert (found[0].isoformat() if len(found) == 1 else None) == day


def test_english_months_are_all_known() -> None:
    assert [month(name) for name in calendar.month_name[1:]] == list(range(1, 13))
    assert [month(name) for name in calendar.month_abbr[1:]] == list(range(1, 13))


def test_a_day_without_a_time_is_a_day() -> None:
    assert values("#DATE: 01-OCT-1991\n#TIME:")["time.acquired_start"] == ["1991-10-01"]
    assert values("#DATE:\n#TIME: 12:00") == {}
    assert values("#DATE: 01-OCT-1891\n#TIME: 12:00") == {}


def test_elements() -> None:
    assert values("##Elements: 8,27;16,8,")["sample.elements"] == [["O", "Co", "S"]]
    assert "sample.elements" not in values("##Elements: 8,999")
    assert "sample.elements" not in values("##Elements: ")


def test_only_the_keywords_are_the_block(tmp_path: Path) -> None:
    path = tmp_path / "a.msa"
    path.write_bytes(b"#FORMAT: x\r\n#TITLE: \xb5m\r\n#TITLE: more\r\n#SPECTRUM: here\r\n1, 2\r\n#ENDOFDATA: \r\n")
    (block,) = blocks(OPEN, path)
    assert block.data == b"#FORMAT: x\r\n#TITLE: \xb5m\r\n#TITLE: more\r\n#SPECTRUM: here\r\n"
    assert block.byte_range == (0, len(block.data))
    assert block.tree["TITLE"] == "µm\nmore"
    path.write_bytes(b"#FORMAT: x\n1, 2\n")  # without the line that ends the keywords
    (block,) = blocks(OPEN, path)
    assert block.data == b"#FORMAT: x\n"


@given(st.text(alphabet="#BEAMKVMGC -:.,0123456789\r\nµéE", max_size=300))
def test_any_text_ends_quietly(text: str) -> None:
    apply(HEADER, Block("msa-header", parse(text)), "msa")


@given(st.binary(max_size=300))
def test_any_file_ends_quietly(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.msa"
    path.write_bytes(content)
    for block in blocks(OPEN, path):
        assert content.startswith(block.data)


@given(st.dates(min_value=dt.date(1980, 1, 1), max_value=dt.date(2060, 1, 1)))
def test_dates_as_the_standard_writes_them_come_back(day: Any) -> None:
    names = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
    assert dates(f"{day.day:02}-{names[day.month - 1]}-{day.year}") == [day]


def test_blank_lines_take_no_time() -> None:
    began = time.monotonic()
    assert list(target(OPEN)(opened.Held({"a.msa": b"#FORMAT : EMSA/MAS\n" + b"\n" * (1 << 20)})).blocks)
    assert time.monotonic() - began < 10
