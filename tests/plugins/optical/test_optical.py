"""What the records of spectrometers and cathodoluminescence state, against the files' bytes."""

from __future__ import annotations

import datetime as dt
import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.plugins.optical.trees import attolight_settings
from tests.plugins.optical.conftest import Apply

OPTICS = tables("diadem.plugins.optical")

LINE, POINT = "renishaw_test_linescan.wdf", "renishaw_test_spectrum.wdf"
MAP, SPECTRUM = "jobinyvon_test_map_x3-y2.xml", "jobinyvon_test_spec.xml"
SCAN, AVERAGE = "linescan.tvf", "spec_1s_1acc_1frame_average.tvf"
ANGLES, COLOURS = "sparc-angle-resolved.h5", "sparc-hyperspectral.h5"
SURFACE = "test_spectral_map.sur"


def test_what_is_not_stated_is_absent(datasets: Mapping[str, Any]) -> None:
    """Magnifications of objectives and light paths, positions of three zeros or without a unit."""
    assert datasets[MAP].assertions("optics.magnification") == ()
    assert datasets[SPECTRUM].assertions("stage.x") == ()
    assert datasets[SURFACE].assertions("stage.x") == datasets[SURFACE].assertions("beam.current") == ()
    for name in (SCAN, AVERAGE):
        assert datasets[name].assertions("detector.serial") == ()
    for name in ("test_spectrum.pro", "test_surface.sur"):
        assert datasets[name].assertions("time.acquired_start") == datasets[name].assertions("person.operator") == ()


def test_two_times_of_one_file_stand_side_by_side(datasets: Mapping[str, Any]) -> None:
    """The file's and the record's; six years apart is a contradiction, half a minute is not."""
    for name, times, codes in (
        (SCAN, ["2022-06-27T18:17:03", "2016-09-29T12:51:30.867"], ["sources-disagree"]),
        (AVERAGE, ["2022-06-14T13:35:01", "2022-06-14T13:34:27.453"], []),
    ):
        stated = datasets[name].assertions("time.acquired_start")
        assert [item.value for item in stated] == times
        assert [item.offset_status for item in stated] == ["unknown", "unknown"]
        assert [issue["code"] for issue in datasets[name].issues] == codes


def test_renishaw_against_the_bytes(optics: Path, datasets: Mapping[str, Any]) -> None:
    """Times and user at their places in the header of 512 bytes; exposures take the time between the two."""
    for name in (LINE, POINT):
        data = (optics / "wdf" / name).read_bytes()
        start, end = struct.unpack_from("<2Q", data, 136)
        first = dt.datetime(1601, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=start // 10)
        stated, derived = datasets[name].assertions("time.acquired_start")  # Renishaw's own reader makes UTC of it
        assert (stated.value, stated.offset_status) == (f"{first:%Y-%m-%dT%H:%M:%S}", "unknown")
        assert (derived.value, derived.status, derived.offset_status) == (f"{stated.value}Z", "derived", "derived")
        assert data[208:240].partition(b"\0")[0].decode() == datasets[name].value("person.operator")
        if name == POINT:
            (accumulations,) = struct.unpack_from("<I", data, 80)
            assert (end - start) / 1e7 == pytest.approx(datasets[name].value("camera.exposure") * accumulations, rel=5e-3)  # fmt: skip # noqa: E501


def test_the_white_light_picture_is_wider_than_high(datasets: Mapping[str, Any]) -> None:
    """752 x 480 pixels are 649.714 x 411.5 micrometres, by the picture's own tags."""
    picture = datasets[LINE].signals[1]
    assert (picture.shape, [axis.name for axis in picture.axes]) == ((480, 752), ["y", "x"])
    assert datasets[LINE].value("image.pixel_size_x") == pytest.approx(649.714e-6 / 752)
    assert datasets[LINE].value("image.pixel_size_y") == pytest.approx(411.5e-6 / 480)


def test_labspec_against_the_text(optics: Path, datasets: Mapping[str, Any]) -> None:
    """A setting is a value and a name in two lines, in either order, sometimes with its unit in a third."""
    for name in (MAP, SPECTRUM):
        text = (optics / "jobinyvon" / name).read_bytes().decode("latin-1")
        exposure = re.search(r">([\d.]+)</LSX>\s*<LSX[^>]*>Acq\. time \(s\)</LSX>\s*<LSX[^>]*>(\w+)<", text)
        binning = re.search(r">([\d.]+)</LSX>\s*<LSX[^>]*>Binning<", text)
        acquired = re.search(r">Acquired</LSX>\s*<LSX[^>]*>(\d+)\.(\d+)\.(\d+) ([\d:]+)<", text)
        assert exposure is not None
        assert binning is not None
        assert acquired is not None
        assert exposure[2] == "s"
        assert datasets[name].value("camera.exposure") == float(exposure[1])
        assert datasets[name].value("camera.binning") == int(binning[1])
        day, month, year, hour = acquired.groups()
        assert datasets[name].value("time.acquired_start") == f"{year}-{month}-{day}T{hour}"


def test_odemis_against_hdf5(optics: Path, datasets: Mapping[str, Any]) -> None:
    for name in (ANGLES, COLOURS):
        with h5py.File(optics / "delmic" / name) as file:
            last = file["Acquisition2"]
            settings = json.loads(last["PhysicalData/ExtraSettings"][0])
            began = last["ImageData/TOffset"][()]
            scan = file["Acquisition1/PhysicalData/IntegrationTime"][0]
        dataset = datasets[name]
        assert settings["SEM E-beam"]["dwellTime"] == [dataset.value("scan.dwell_time"), "s"]
        assert settings["SEM E-beam"]["magnification"][0] == dataset.value("optics.magnification")
        assert scan == pytest.approx(dataset.value("scan.dwell_time"), rel=1e-3)
        stated = dt.datetime.fromisoformat(dataset.value("time.acquired_start"))
        assert stated.timestamp() == pytest.approx(began, abs=1e-3)


def test_attolight_against_the_bytes(optics: Path, datasets: Mapping[str, Any]) -> None:
    text = (optics / "digitalsurf" / SURFACE).read_bytes().decode("cp1252", "replace")
    for name, field, factor in (
        ("Beam Energy", "beam.acceleration_voltage", 1),
        ("Emission Current", "beam.emission_current", 1e-6),
        ("Extractor Voltage", "beam.extraction_voltage", 1),
        ("HYP Dwelltime", "scan.dwell_time", 1e-3),
        ("Exposure Time", "camera.exposure", 1),
    ):
        number = re.search(rf"\${name} = (\S+) (\S+)", text)
        assert number is not None
        assert datasets[SURFACE].value(field) == pytest.approx(float(number[1]) * factor)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("03.04.2022 16:26:24", "2022-04-03T16:26:24"),
        ("27.06.2022 4:26:24 PM", "2022-06-27T16:26:24"),
        ("03/04/2022 16:26:24", None),
        ("04/04/2022 16:26:24", "2022-04-04T16:26:24"),
        ("04/27/2022 16:26:24", "2022-04-27T16:26:24"),
        ("27.06.2022", None),
        ("31.02.2022 10:00:00", None),
        ("", None),
    ],
)
def test_dates_of_labspec(date: str, expected: str | None) -> None:
    found = apply(OPTICS["jobinyvon"], Block("rosettasciio", {"date": {"Acquired": date}}), "test")
    assert [one.value for one in found.values] == ([] if expected is None else [expected])
    assert [one["code"] for one in found.issues] == (["ambiguous-date"] if date.startswith("03/04") else [])


def test_a_labspec_position(applied: Apply) -> None:
    setup = {"X (µm)": -12.5, "Y (µm)": 0.0, "Z (µm)": 3.0, "Binning": 0.5}
    found = applied(OPTICS["jobinyvon"], {"experimental_setup": setup})
    assert found == {"stage.x": -1.25e-5, "stage.y": 0.0, "stage.z": 3e-6}


def test_odemis_with_everything(applied: Apply) -> None:
    settings = {
        "Optical Path": {"magnification": [0.31, ""]},
        "e-beam": {
            "dwellTime": [1e-6, "s"], "magnification": [5000, None], "accelVoltage": [5000.0, "V"],
            "probeCurrent": [1e-9, "A"], "horizontalFoV": [2.5e-5, "m"], "rotation": [0.5, "rad"],
        },
        "Sample Stage": {"position": [{"x": 1e-3, "y": -2e-3}, "m"], "speed": [{"x": 1}, "m/s"]},
    }  # fmt: skip
    found = applied(OPTICS["delmic"], {"ExtraSettings": settings, "AcquisitionDate": 0.0, "HardwareName": "Camera"})
    assert found.pop("scan.rotation") == pytest.approx(28.6478898)
    assert found == {
        "scan.dwell_time": 1e-6,
        "optics.magnification": 5000.0,
        "beam.acceleration_voltage": 5000.0,
        "beam.probe_current": 1e-9,
        "optics.field_of_view_x": 2.5e-5,
        "stage.x": 1e-3,
        "stage.y": -2e-3,
        "detector.name": "Camera",
    }


def test_a_component_that_is_not_called_a_beam_states_none(applied: Apply) -> None:
    assert applied(OPTICS["delmic"], {"ExtraSettings": {"Laser": {"accelVoltage": [5000.0, "V"]}}}) == {}


def test_odemis_with_a_component_for_the_column(applied: Apply) -> None:
    settings = {
        "EBeam scanner": {"dwellTime": [1e-6, "s"], "magnification": [5000, None]},
        "EBeam column": {"accelVoltage": [5.0, "kV"], "probeCurrent": [1.0, "nA"]},
    }
    assert applied(OPTICS["delmic"], {"ExtraSettings": settings}) == {
        "scan.dwell_time": 1e-6,
        "optics.magnification": 5000.0,
        "beam.acceleration_voltage": 5000.0,
        "beam.probe_current": 1e-9,
    }


def test_attolight_with_decimal_commas(applied: Apply) -> None:
    header = {"H60_Comment": "$_SEM\n$Beam Energy = 4996,00 V"}
    assert applied(OPTICS["digitalsurf"], {"Object_0_Channel_0": {"Header": header}}) == {
        "beam.acceleration_voltage": 4996.0
    }


def test_trees_without_anything(applied: Apply) -> None:
    for table in OPTICS.values():
        for tree in ({}, {"ExtraSettings": 3, "WDF1_1": [], "Object_0_Channel_0": {"Header": {}}, "date": None}):
            assert applied(table, tree) == {}


def test_renishaws_year_1601(applied: Apply) -> None:
    assert applied(OPTICS["renishaw"], {"WDF1_1": {"time_start": "1601-01-01#00:00:00", "username": ""}}) == {}


def test_digital_surfs_own_header(applied: Apply) -> None:
    header = {
        "H07_Operator_Name": "Ada", "H45_Year": 2021, "H44_Month": 3, "H43_Day": 4, "H42_Hours": 15, "H41_Minutes": 5,
        "H40_Seconds": 6, "H60_Comment": "$_SEM\n$Blanker = Off um\n$Beam Energy = 10.0 kV\n$Emission Status = ON",
    }  # fmt: skip
    assert applied(OPTICS["digitalsurf"], {"Object_0_Channel_0": {"Header": header}}) == {
        "person.operator": "Ada",
        "time.acquired_start": "2021-03-04T15:05:06",
        "beam.acceleration_voltage": 10_000.0,
    }


NAMES = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)
NUMBERS = st.floats(-1e6, 1e6).map(repr)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.tuples(NUMBERS, NAMES), min_size=1, max_size=4), max_size=4))
def test_settings_that_are_written_are_read(tree: dict[str, dict[str, tuple[str, str]]]) -> None:
    lines = [
        line
        for section, inside in tree.items()
        for line in (f"$_{section}", *(f"${name} = {value} {unit}" for name, (value, unit) in inside.items()))
    ]
    expected = [(section, name, *pair) for section, inside in tree.items() for name, pair in inside.items()]
    assert list(attolight_settings("\n".join(lines))) == expected


def test_the_exposure_is_that_of_the_camera_that_integrated(applied: Apply) -> None:
    settings = {
        "SEM E-beam": {"dwellTime": [8e-7, "s"]},
        "Camera": {"exposureTime": [0.1, "s"]},
        "Spectrometer": {"exposureTime": [0.01, "s"]},
    }
    for integrated, expected in ((0.009999999776, 0.01), (0.1, 0.1), (0.5, None)):
        found = applied(OPTICS["delmic"], {"ExtraSettings": settings, "IntegrationTime": integrated})
        assert found.get("camera.exposure") == (None if expected is None else pytest.approx(expected))
