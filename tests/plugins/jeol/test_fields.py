"""What the records of JEOL files state, against the files' bytes."""

from __future__ import annotations

import datetime as dt
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from diadem.api import extract
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables


@pytest.fixture(scope="module")
def dataset(project: Path) -> Any:
    return extract(project.parent).datasets[0]


@pytest.fixture(scope="module")
def single(spectrum: Path) -> Any:
    return extract(spectrum).datasets[0]


def number(data: bytes, name: str, code: str, start: int = 0) -> Any:
    """The value of the first entry of a name, found in the bytes without any parser."""
    place = data.index(name.encode() + b"\0", start) + len(name) + 9
    return struct.unpack_from("<" + code, data, place)[0]


def test_the_project_is_one_dataset_without_issues(dataset: Any) -> None:
    assert len(dataset.files) == 8
    assert [signal.shape for signal in dataset.signals] == [(512, 512)] * 6 + [(512, 512, 4096)]
    assert dataset.issues == ()


@pytest.mark.parametrize(
    ("field", "value", "unit", "signals"),
    [
        ("beam.acceleration_voltage", 200_000.0, "V", "s1 s2 s3 s4 s5 s6 s7"),
        ("optics.magnification", 40_000.0, "1", "s1 s2 s3 s4 s5 s6 s7"),
        ("instrument.model", "JEM-2100F(UHR)", "", "s1 s2 s3 s4 s5 s6 s7"),
        ("optics.field_of_view_x", 4.45e-6, "m", "s1 s2 s3 s4 s5 s6"),
        ("scan.dwell_time", 1e-4, "s", "s2 s3 s4 s5 s6 s7"),
        ("scan.frames", 14, "1", "s2 s3 s4 s5 s6 s7"),
        ("eds.live_time", 325.46, "s", "s7"),
        ("eds.real_time", 366.9, "s", "s7"),
        ("eds.resolution", 138.0, "eV", "s7"),
        ("detector.type", "EX24075JGT", "", "s7"),
        ("detector.elevation", 22.3, "deg", "s7"),
        ("detector.azimuth", 90.0, "deg", "s7"),
        ("image.pixel_size_x", 8.69140625e-9, "m", "s1 s2 s3 s4 s5 s6 s7"),
    ],
)
def test_fields_of_the_project(dataset: Any, field: str, value: Any, unit: str, signals: str) -> None:
    (assertion,) = dataset.assertions(field)
    assert assertion.value == pytest.approx(value) if isinstance(value, float) else assertion.value == value
    assert (assertion.unit or "") == unit
    assert list(assertion.applies_to) == signals.split()


def test_times_are_local_and_without_offset(dataset: Any, single: Any) -> None:
    starts = {tuple(found.applies_to): found for found in dataset.assertions("time.acquired_start")}
    assert starts[("s1",)].value == "2017-04-07T18:08:05"
    assert starts[("s2", "s3", "s4", "s5", "s6")].value == "2017-04-07T18:08:39"
    (end,) = dataset.assertions("time.acquired_end")
    assert (end.value, list(end.applies_to)) == ("2017-04-07T18:16:41", ["s7"])
    (start,) = single.assertions("time.acquired_start")
    assert start.value == "2018-06-25T14:14:51"
    assert {found.offset_status for found in (*starts.values(), end, start)} == {"unknown"}


@pytest.mark.parametrize(
    ("field", "value", "unit"),
    [
        ("beam.acceleration_voltage", 200_000.0, "V"),
        ("person.operator", "gatan", ""),
        ("instrument.model", "JEM-2100F(UHR)", ""),
        ("eds.live_time", 30.0, "s"),
        ("eds.real_time", 34.97, "s"),
        ("eds.resolution", 138.0, "eV"),
        ("detector.type", "EX24075JGT", ""),
        ("detector.elevation", 22.3, "deg"),
        ("detector.azimuth", 90.0, "deg"),
    ],
)
def test_fields_of_a_spectrum(single: Any, field: str, value: Any, unit: str) -> None:
    (assertion,) = single.assertions(field)
    assert assertion.value == value
    assert (assertion.unit or "") == unit


def test_nothing_unproven_is_stated(dataset: Any, single: Any) -> None:
    """Probe current, working distance and stage are the program's settings, the same on days a year apart."""
    for field in ("beam.current", "beam.probe_current", "optics.working_distance", "stage.z", "scan.rotation"):
        assert dataset.assertions(field) == single.assertions(field) == ()


def test_values_against_the_bytes(view: Path, dataset: Any) -> None:
    """By searching names in the bytes, without any parser."""
    events = (view / "View000_0000006.pts").read_bytes()
    measured = events.index(b"AnalyzableMap MeasData\0")
    assert dataset.value("eds.real_time", "s7") == pytest.approx(number(events, "RealTime", "d", measured))
    assert dataset.value("eds.live_time", "s7") == number(events, "LiveTime", "d", measured)
    assert dataset.value("scan.dwell_time", "s7") == pytest.approx(number(events, "DwellTime(msec)", "d") / 1e3)
    assert dataset.value("scan.frames", "s7") == number(events, "Sweep", "H", measured)
    assert dataset.value("detector.elevation", "s7") == pytest.approx(number(events, "ElevAng", "f"))
    assert dataset.value("detector.azimuth", "s7") == number(events, "DirAng", "f")
    assert dataset.value("eds.resolution", "s7") == number(events, "MnKaRES", "f")
    image = (view / "View000_0000000.img").read_bytes()
    assert dataset.value("beam.acceleration_voltage") == 1e3 * number(image, "AccV", "f")
    assert dataset.value("optics.magnification") == number(image, "Mag", "i")
    created = dt.datetime(1899, 12, 30) + dt.timedelta(days=number(image, "Created", "d"))  # noqa: DTZ001
    assert dataset.value("time.acquired_start", "s1") == created.isoformat(timespec="seconds")


def test_how_the_units_are_proven(project: Path, view: Path) -> None:
    """Sweeps take the real time; the view's millimetres are screen over magnification; limits name their unit."""
    events, listed = (view / "View000_0000006.pts").read_bytes(), project.read_bytes()
    measured = events.index(b"AnalyzableMap MeasData\0")
    took = number(events, "DwellTime(msec)", "d") / 1e3 * 512 * 512 * number(events, "Sweep", "H", measured)
    assert number(events, "RealTime", "d", measured) == pytest.approx(took, rel=1e-3)
    position = listed.index(b"PositionMM\0") + len("PositionMM") + 9
    millimetres = struct.unpack_from("<4f", listed, position)[3]
    assert number(listed, "ScanSize", "f") / number(listed, "Mag", "i") == pytest.approx(millimetres, rel=1e-6)
    limits = events.index(b"Limits\0", events.index(b"AccKV\0"))
    assert struct.unpack_from("<f4xf", events, limits + 15) == (20, 2000)
    assert b"kV\0" in events[limits : limits + 60]


def test_headers_are_kept_as_bytes(project: Path, view: Path) -> None:
    record = extract(project.parent)
    blocks = {block.path: block for block in record.datasets[0].vendor()}
    assert blocks["View000_0000006.pts/header"].data == (view / "View000_0000006.pts").read_bytes()[:13438]
    for number_, name in ((0, "View000_0000000.img"), (5, "View000_0000005.map")):
        whole = (view / name).read_bytes()
        header, footer = blocks[f"{name}/header"], blocks[f"{name}/footer"]
        assert header.byte_range is not None
        assert footer.byte_range is not None
        assert whole[: header.byte_range[1]] == header.data, number_
        assert whole[footer.byte_range[0] :] == footer.data
        assert footer.byte_range[0] - header.byte_range[1] == 512 * 512


def test_a_second_project_in_the_folder_takes_no_field_away(copied: Path, dataset: Any) -> None:
    """Whose files the others are cannot be told by names then; the project still says what they state."""
    shutil.copy(copied, copied.with_name("other.ASW"))
    found = {Path(one.path).name: one for one in extract(copied.parent).datasets}
    for name in (copied.name, "other.ASW"):
        fields = {key: [one.value for one in found[name].assertions(key)] for key in dataset.fields}
        assert fields == {key: [one.value for one in dataset.assertions(key)] for key in dataset.fields}


def test_placeholders_are_absent() -> None:
    tree = {"Header": {"username": "", "live time": 0.0, "filedate": 0.0}, "Footer": {"Parameters": {"AccKV": 0.0, "SEM": ""}}}  # fmt: skip # noqa: E501
    assert apply(tables("diadem.plugins.jeol")["jeol-spectrum"], Block("jeol-spectrum", tree), "jeol").values == []
    assert (
        apply(tables("diadem.plugins.jeol")["jeol-map"], Block("jeol-map", {"Date": float("nan")}), "jeol").values == []
    )
