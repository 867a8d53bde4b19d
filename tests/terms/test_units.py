"""One spelling means one thing, as the unit of a field and as that of an axis."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block, Rule
from diadem.terms.fields import symbols_among, symbols_of
from diadem.terms.units import convert, electron_wavelength, to_si

#: Spelling, unit of the record, factor.
SPELLINGS = (
    ("deg", "deg", 1.0), ("°", "deg", 1.0), ("degrees", "deg", 1.0), ("mrad", "rad", 1e-3), ("mR", "rad", 1e-3),
    ("um", "m", 1e-6), ("µm", "m", 1e-6), ("μm", "m", 1e-6), ("micron", "m", 1e-6), ("Microns", "m", 1e-6),
    ("nm", "m", 1e-9), ("pm", "m", 1e-12), ("Å", "m", 1e-10), ("Å", "m", 1e-10), ("angstrom", "m", 1e-10),
    ("nm-1", "1/m", 1e9), ("1 / nm", "1/m", 1e9), ("1/nm", "1/m", 1e9), ("nm^-1", "1/m", 1e9), ("nm⁻¹", "1/m", 1e9),
    ("1/Å", "1/m", 1e10), ("A^-1", "1/m", 1e10), ("1/pm", "1/m", 1e12), ("1/µm", "1/m", 1e6),
    ("mV", "V", 1e-3), ("MV", "V", 1e6), ("kV", "V", 1e3), ("KV", "V", 1e3), ("volts", "V", 1.0),
    ("eV", "eV", 1.0), ("KeV", "eV", 1e3), ("kev", "eV", 1e3), ("meV", "eV", 1e-3), ("MeV", "eV", 1e6),
    ("EV", "eV", 1.0), ("KEV", "eV", 1e3), ("Energy (EV)", "eV", 1.0), ("Energy Loss (eV)", "eV", 1.0),
    ("1/NM", "1/m", 1e9), ("X-ray energy (KeV)", "eV", 1e3), ("Position (nm)", "m", 1e-9),
    ("msec", "s", 1e-3), ("Secs", "s", 1.0), ("us", "s", 1e-6), ("uSec", "s", 1e-6),
    ("pA", "A", 1e-12), ("nA", "A", 1e-9), ("mPa", "Pa", 1e-3), ("MPa", "Pa", 1e6), ("mbar", "Pa", 1e2),
    ("MBAR", "Pa", 1e2), ("min", "s", 60.0), ("MIN", "s", 60.0), ("Minutes", "s", 60.0), ("hour", "s", 3600.0),
    ("px", "px", 1.0), ("PX", "px", 1.0), ("Pixels", "px", 1.0),
)  # fmt: skip


@pytest.mark.parametrize(("written", "unit", "factor"), SPELLINGS)
def test_a_spelling_means_the_same_in_a_field_and_on_an_axis(written: str, unit: str, factor: float) -> None:
    assert convert(1.0, written, unit) == factor
    assert to_si(written) == (unit, factor)


def test_a_rate_is_of_fields_alone() -> None:
    rates = {"Hz": 1.0, "HZ": 1.0, "kHz": 1e3, "KHZ": 1e3, "MHz": 1e6, "mHz": 1e-3, "1/s": 1.0, "s-1": 1.0}
    assert {written: convert(1.0, written, "1/s") for written in rates} == rates
    assert {to_si(written) for written in rates} == {("", 1.0)}


def test_the_quantity_decides_what_a_capital_a_is() -> None:
    assert convert(3.0, "A", "A") == 3.0
    assert convert(3.0, "A", "m") == pytest.approx(3e-10)
    assert to_si("A") == ("m", 1e-10)


@pytest.mark.parametrize("written", ["", "1", "x", "X"])
def test_a_magnification_is_written_with_an_x_or_without(written: str) -> None:
    assert convert(250, written, "1") == 250
    assert [convert(50, more, "1") for more in ("K X", "kX", "KX", "kx")] == [50e3] * 4


#: Units that no axis of the corpus has: of a value 2, its size in the unit of the record, reckoned by hand.
OTHERS = (
    ("0.1 V", "V", 0.2), ("0.1 us", "s", 2e-7), ("0.1 mm", "m", 2e-4), ("0.01 deg", "deg", 0.02), ("min", "s", 120.0),
    ("h", "s", 7200.0), ("mbar", "Pa", 200.0), ("Torr", "Pa", 266.644736842), ("hPa", "Pa", 200.0), ("K", "K", 2.0),
    ("°C", "K", 275.15), ("1/s", "1/s", 2.0), ("Hz", "1/s", 2.0), ("bit", "bit", 2.0), ("px", "px", 2.0),
    ("kx", "1", 2000.0), ("%", "1", 0.02), ("cm", "m", 0.02), ("fm", "m", 2e-15), ("urad", "rad", 2e-6),
    ("uA", "A", 2e-6), ("mA", "A", 2e-3), ("ns", "s", 2e-9), ("kPa", "Pa", 2000.0), ("1/cm", "1/m", 200.0),
)  # fmt: skip


@pytest.mark.parametrize(("written", "unit", "value"), OTHERS)
def test_the_size_of_each_other_unit(written: str, unit: str, value: float) -> None:
    assert convert(2.0, written, unit) == pytest.approx(value, rel=1e-11)


def test_an_energy_of_electrons_is_their_voltage_and_degrees_are_radians() -> None:
    assert convert(200, "keV", "V") == 200e3
    assert convert(180, "deg", "rad") == pytest.approx(3.141592653589793)
    assert convert(1, "rad", "deg") == pytest.approx(57.29577951308232)
    assert convert(20, "°C", "K") == pytest.approx(293.15)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("furlong", "m"),
        ("Mm", "m"),
        ("Pm", "m"),
        ("MS", "s"),
        ("M", "m"),
        ("Mv", "V"),
        ("mv", "V"),
        ("mev", "eV"),
        ("mhz", "1/s"),
        ("Mbar", "Pa"),
        ("V", "eV"),
        ("nm", "s"),
        ("", "m"),
    ],
)
def test_what_is_not_certain_has_no_number(written: str, wanted: str) -> None:
    assert convert(1.0, written, wanted) is None


@pytest.mark.parametrize(
    "written", ["", "furlong", "Mm", "S", "M", "1", "x", "%", "°C", None, 3, "a", "1/a", "pa", "mv", "mev", "Mbar"]
)
def test_what_is_no_unit_of_an_axis_has_none(written: object) -> None:
    assert to_si(written) == ("", 1.0)


#: A field in each unit.
FIELDS = {
    "m": "optics.camera_length",
    "1/m": "image.reciprocal_pixel_size_x",
    "deg": "stage.tilt",
    "rad": "beam.convergence_semi_angle",
    "V": "beam.acceleration_voltage",
    "eV": "eds.resolution",
}


@pytest.mark.parametrize(
    ("written", "unit", "factor"), [one for one in SPELLINGS if one[1] in FIELDS and one[0] != "MeV"]
)
def test_through_a_table(written: str, unit: str, factor: float) -> None:
    table = (Rule(FIELDS[unit], "value", unit_key="unit"), Rule(FIELDS[unit], "value", written))
    found = apply(table, Block("b", {"value": 1.5, "unit": written}), "t")
    assert [one.value for one in found.values] == [pytest.approx(1.5 * factor, rel=1e-14)] * 2


def test_through_a_file(tmp_path: Path) -> None:
    """Axes of an EMD file: its writers take units from anywhere."""
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        data = file.create_group("signals/a")
        data.attrs["emd_group_type"] = 1
        data["data"] = [[1, 2, 3], [4, 5, 6]]
        for number, (units, values) in enumerate((("deg", [0.0, 0.5]), ("nm^-1", [0.0, 2.0, 4.0])), 1):
            data[f"dim{number}"] = values
            data[f"dim{number}"].attrs.update(name=f"a{number}", units=units)
    (dataset,) = diadem.extract(tmp_path / "a.emd").to_dict()["datasets"]
    second, first = dataset["signals"][0]["axes"]
    assert (first["unit"], first["scale"]) == ("deg", 0.5)
    assert (second["unit"], second["scale"]) == ("1/m", 2e9)


def test_elements_and_electrons() -> None:
    assert symbols_of([8, 27, 8]) == ["O", "Co"]
    assert symbols_of([8, 999]) == symbols_of([0]) == []
    assert symbols_among(["Fe", "S", "Fe"]) == ["Fe", "S"]
    assert symbols_among(["Fe", "Fee"]) == []
    assert electron_wavelength(200e3) == pytest.approx(2.5079e-12, rel=1e-4)
