"""Fibics' XML: units by its attributes, others only where none other is possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from diadem.plugins.fibics.scan import parse
from tests.plugins.tiff.files import firsts, values, write

read = cutter("diadem.plugins.fibics/fibics")

SCAN = (
    '<Scan><Dwell units="ns">10000</Dwell><FOV_X units="um">1.6</FOV_X><FOV_Y units="um">1.2</FOV_Y>'
    '<ScanRot units="deg">30</ScanRot><Ux>0.16</Ux><Uy>0.12</Uy><Vx>0.12</Vx><Vy>-0.16</Vy></Scan>'
)
STAGE = (
    '<Stage><X units="um">-21319.2368624182</X><Y units="um">5</Y><Z units="mm">3</Z><Tilt units="deg">0</Tilt>'
    '<Rot units="deg">12.5</Rot><M units="furlong">1</M></Stage>'
)


def made(tmp_path: Path, inner: str, head: str = '<?xml version="1.0" encoding="iso-8859-1"?>') -> dict[str, Any]:
    text = f'{head}<Fibics version="1.0">{inner}</Fibics>\0\0'
    return values(read, tables("diadem.plugins.fibics"), write(tmp_path / "a.tif", {51023: text.encode("latin-1")}))


def items(**entries: str) -> str:
    inner = "".join(f'<item name="{name}">{value}</item>' for name, value in entries.items())
    return f"<BeamInfo>{inner}</BeamInfo>"


def test_values_with_units(tmp_path: Path) -> None:
    found = firsts(made(tmp_path, SCAN + STAGE))
    assert found == {
        "scan.dwell_time": pytest.approx(1e-5),
        "optics.field_of_view_x": pytest.approx(1.6e-6),
        "optics.field_of_view_y": pytest.approx(1.2e-6),
        "scan.rotation": 30,
        "stage.x": pytest.approx(-0.0213192368624182),
        "stage.y": pytest.approx(5e-6),
        "stage.z": pytest.approx(0.003),
        "stage.tilt": 0,
        "stage.rotation": 12.5,
        "image.pixel_size_x": pytest.approx(0.2e-6),
        "image.pixel_size_y": pytest.approx(0.2e-6),
    }


def test_a_resized_copy_has_no_pixel_size(tmp_path: Path) -> None:
    same = made(tmp_path, SCAN + "<Image><Width>8</Width><Height>6</Height></Image>")
    other = made(tmp_path, SCAN + "<Image><Width>16</Width><Height>12</Height></Image>")
    assert "image.pixel_size_x" in same
    assert "image.pixel_size_x" not in other
    assert "optics.field_of_view_x" in other


@pytest.mark.parametrize(("text", "volts"), [("29997", 29997.0), ("-5000", 5000.0), ("30", None), ("0", None)])
def test_voltage_where_no_other_unit_is_possible(tmp_path: Path, text: str, volts: float | None) -> None:
    assert firsts(made(tmp_path, items(AccV=text))).get("beam.acceleration_voltage") == volts


def test_helium(tmp_path: Path) -> None:
    found = firsts(made(tmp_path, items(GFISGas="Helium", BeamI="1.3275146484375")))
    assert found == {
        "beam.species": "He",
        "instrument.kind": "him",
        "beam.current": pytest.approx(1.3275146484375e-12),
    }
    assert "beam.current" not in made(tmp_path, items(BeamI="1.3275146484375"))
    assert "beam.current" not in made(tmp_path, items(GFISGas="Helium", BeamI="0.01"))


@pytest.mark.parametrize(
    ("date", "expected", "status"),
    [
        ("2020-03-11T14:05:00-05:00", "2020-03-11T14:05:00-05:00", "known"),
        ("2020-03-11T14:05:00", "2020-03-11T14:05:00", "unknown"),
        ("3/21/2020 2:05:00 PM", "2020-03-21T14:05:00", "unknown"),
        ("3/11/2020 2:05:00 PM", None, ""),
    ],
)
def test_times(tmp_path: Path, date: str, expected: str | None, status: str) -> None:
    found = made(tmp_path, f"<Application><Version>NPVE v4.5</Version><Date>{date}</Date></Application>")
    assert firsts(found).get("time.acquired_start") == expected
    assert expected is None or found["time.acquired_start"][0].offset_status == status
    assert firsts(found)["instrument.software"] == "NPVE v4.5"


def test_names(tmp_path: Path) -> None:
    found = firsts(made(tmp_path, "<Image><Machine>M1</Machine><Beam>SEM</Beam><Detector>InLens</Detector></Image>"))
    assert found == {"instrument.name": "M1", "beam.species": "electron", "detector.name": "InLens"}


@pytest.mark.parametrize("machine", ["ORION-CONSOLE", "Support_PC", "PC-1234", "NanoFab Workstation"])
def test_a_computer_is_no_instrument(tmp_path: Path, machine: str) -> None:
    assert "instrument.name" not in firsts(made(tmp_path, f"<Image><Machine>{machine}</Machine></Image>"))


def test_tags_of_others() -> None:
    assert parse(b"<Other/>") is None
    assert parse(b"<!-- <Fibics --><Other/>") is None
    with pytest.raises(SyntaxError):
        parse(b"<Fibics><Scan>")
