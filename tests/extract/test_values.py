"""From a reader's dictionaries to signals, axes and fields: mapping, units, and what is left out."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from diadem.archive.plain import signal_text
from diadem.extract.assertions import Statement, merge
from diadem.extract.axes import describe_axes, kind_of
from diadem.extract.fault_text import fault_text
from diadem.extract.mapping import Tree, leaves, look_up
from diadem.extract.normalise import pixel_sizes, values_of
from diadem.terms.units import to_si

BY = {"plugin": "p", "version": "1", "reader": "r"}


def fields(reader: str, metadata: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Values by field of one signal."""
    found = leaves({"metadata": metadata, **more})
    return {value.field: value.value for value in values_of(reader, found)}


def tem(**values: Any) -> dict[str, Any]:
    """Metadata with values below the instrument."""
    return {"Acquisition_instrument": {"TEM": values}}


def test_units_become_si() -> None:
    metadata = tem(beam_energy=200.0, camera_length=98.0, convergence_angle=21.5, Stage={"x": -0.478619, "z": 0.036348})
    assert fields("bruker_like", metadata) == {
        "beam.acceleration_voltage": 200000.0,
        "optics.camera_length": 0.098,
        "beam.convergence_semi_angle": 0.0215,
        "stage.x": -0.000478619,
        "stage.z": 3.6348e-05,
    }


@pytest.mark.parametrize("value", [0, 0.0, "", "50.00 K X", None, float("nan"), float("inf"), -5.0, 1e12, True, "0"])
def test_no_value_is_better_than_a_wrong_one(value: Any) -> None:
    assert fields("x", tem(magnification=value)) == {}


@pytest.mark.parametrize(
    ("reader", "metadata"),
    [
        ("emd", tem(Stage={"x": -0.000409, "tilt_alpha": 0.006})),
        ("blockfile", tem(camera_length=0.2)),
        ("pantarhei", tem(camera_length=0.02)),
        ("msa", tem(dwell_time=100.0)),
        ("digitalsurf", tem(beam_energy=4996.0)),
        ("digitalmicrograph", tem(camera_length=5.0, magnification=1050.0)),
        ("tia", tem(Detector={"Camera": {"exposure": "0.000005"}})),
        ("hspy", tem(Stage={"x": 1e-3})),
        ("x", tem(beam_energy=4996.0, beam_energy_units="V")),
        ("x", tem(convergence_angle=1.5, convergence_angle_units="rad")),
    ],
)
def test_known_traps_are_left_out(reader: str, metadata: dict[str, Any]) -> None:
    assert fields(reader, metadata) == {}


def test_a_unit_beside_a_value_that_agrees() -> None:
    assert fields("x", tem(beam_energy=120.0, beam_energy_units="kV")) == {"beam.acceleration_voltage": 120000.0}


def test_values_mapped_from_bent_tags_are_left_out() -> None:
    original = {"fei_metadata": {"Stage": {"StageT": 0.01}, "Beam": {"HV": 5000}}, "CZ_SEM": {"ap_mag": "5 K X"}}
    mapping = {
        "fei_metadata.Stage.StageT": ("Acquisition_instrument.SEM.Stage.tilt", None),
        "fei_metadata.Beam.HV": ("Acquisition_instrument.SEM.beam_energy", lambda volts: volts / 1e3),
    }
    assert fields("tiff", {}, original_metadata=original, mapping=mapping) == {"beam.acceleration_voltage": 5000.0}


def when(reader: str, date: str, clock: str, zone: str | None = None) -> Any:
    """The time of acquisition."""
    general = {"date": date, "time": clock, **({"time_zone": zone} if zone else {})}
    return fields(reader, {"General": general}).get("time.acquired_start")


@pytest.mark.parametrize(
    ("reader", "date", "clock", "zone", "expected"),
    [
        ("bruker", "2017-01-06", "11:42:15", None, "2017-01-06T11:42:15"),
        ("tofwerk", "2019-11-27", "16:11:26.620540", "+09:00", "2019-11-27T16:11:26.620540+09:00"),
        ("tiff", "2019-11-27", "16:11:26", "+09:00", None),  # the time of the file
        ("digitalmicrograph", "2016-08-27", "20:54:33", None, "2016-08-27T20:54:33"),
        ("digitalmicrograph", "2019-03-04", "20:54:33", None, None),
        ("digitalmicrograph", "2019-03-03", "20:54:33", None, "2019-03-03T20:54:33"),
        ("emd", "2017-03-06", "09:56:41", "UTC", None),
        ("x", "2017-03-06", "09:56:41", "UTC", None),
        ("x", "19.08.2022", "09:30:34", None, None),
        ("x", "2022-08-19", "9:01:17", None, None),
        ("x", "1601-01-01", "00:00:00", None, None),
        ("x", "", "", None, None),
    ],
)
def test_times(reader: str, date: str, clock: str, zone: str | None, expected: str | None) -> None:
    assert when(reader, date, clock, zone) == expected


def test_elements_and_people() -> None:
    metadata = {"General": {"authors": " Marie "}, "Sample": {"elements": ["Cu", "O", "Cu"], "name": "Undefined"}}
    assert fields("x", metadata) == {"person.operator": "Marie", "sample.elements": ["Cu", "O"]}
    assert fields("x", {"Sample": {"elements": ["Cu", "Xx"]}}) == {}


def test_mapping_keys_match_as_in_hyperspy() -> None:
    original = {"Image": {"Microscope Info": {"Voltage": 2e5, "Stage (um)": {"x": 1}}, "a.b": {"c": 3}}}
    assert look_up(original, "Image.Microscope_Info.Voltage") == 2e5
    assert look_up(original, "Image.Microscope Info.Stage (um).x") == 1
    assert look_up(original, "Image.a.b.c") == 3
    assert look_up(original, "Image.nothing") is None
    tree = Tree(original["Image"])
    assert tree.Microscope_Info.Voltage == 2e5
    assert tree.get("Microscope Info.Voltage") == 2e5
    assert "Microscope_Info" in tree
    assert tree.has_item("a.b.c")
    with pytest.raises(AttributeError):
        _ = tree.nothing


def test_a_mapping_function_that_fails_gives_nothing() -> None:
    def fail(value: Any) -> Any:
        raise ValueError(value)

    signal = {"original_metadata": {"a": 1, "b": {"c": 2}}, "metadata": {}}
    found = leaves({**signal, "mapping": {"a": ("X.a", fail), "b": ("X", None), "z": ("X.z", None)}})
    assert {path: (leaf.value, leaf.locator) for path, leaf in found.items()} == {"X.c": (2, "b")}


def test_evidence_and_agreement_of_signals() -> None:
    signal = {
        "original_metadata": {"HT": 200},
        "mapping": {"HT": ("Acquisition_instrument.TEM.beam_energy", None)},
        "metadata": tem(Stage={"tilt_alpha": 1.5}),
    }
    other = {**signal, "metadata": tem(Stage={"tilt_alpha": 2.5})}
    signals = enumerate((signal, other, signal), 1)
    merged = merge([Statement((f"s{n}",), BY, [*values_of("x", leaves(s))]) for n, s in signals], {}).fields
    assert merged["beam.acceleration_voltage"] == [
        {
            "value": 200000.0,
            "unit": "V",
            "applies_to": ["s1", "s2", "s3"],
            "status": "converted",
            "source": {"file": "f1", "locator": "HT", "raw": 200},
            "by": {**BY, "rule": "hyperspy/beam_energy"},
            "preferred": True,
        }
    ]
    alpha = merged["stage.alpha"]
    assert [(found["value"], found["applies_to"], "preferred" in found) for found in alpha] == [
        (1.5, ["s1", "s3"], False),
        (2.5, ["s2"], False),
    ]
    assert alpha[0]["status"] == "stated"
    assert alpha[0]["source"]["raw_unit"] == "deg"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("nm", ("m", 1e-9)), ("µm", ("m", 1e-6)), ("μm", ("m", 1e-6)), ("Å", ("m", 1e-10)), ("1 / nm", ("1/m", 1e9)),
     ("nm^-1", ("1/m", 1e9)), ("1 / Å", ("1/m", 1e10)), ("keV", ("eV", 1e3)), ("mrad", ("rad", 1e-3)),
     ("pix", ("px", 1.0)), ("MeV", ("eV", 1e6)), ("Energy (EV)", ("", 1.0)), ("", ("", 1.0)), (None, ("", 1.0))],
)  # fmt: skip
def test_spellings_of_units(unit: Any, expected: tuple[str, float]) -> None:
    assert to_si(unit) == expected


def axis(size: int, *, navigate: bool | None = False, units: str = "nm", **more: Any) -> dict[str, Any]:
    """An axis of a reader."""
    return {"name": "a", "size": size, "scale": 2.0, "offset": 1.0, "units": units, "navigate": navigate, **more}


def test_axes_keep_what_the_file_says() -> None:
    listed = {"name": None, "axis": [1.0, 2.0, 4.0], "units": "nm"}
    axes = [axis(3, scale=Fraction(1, 4)), axis(4, units="furlong"), listed]
    fraction, unknown, uneven = describe_axes(axes, (3, 4, 3))
    assert (fraction["scale"], fraction["scale_as_stored"], fraction["unit"]) == (2.5e-10, 0.25, "m")
    assert "unit" not in unknown
    assert (unknown["unit_as_stored"], unknown["scale"]) == ("furlong", 2.0)
    assert uneven == {"name": "", "size": 3, "values": [1e-9, 2e-9, 4e-9], "unit": "m", "unit_as_stored": "nm"}


def test_axes_in_any_order() -> None:
    axes = [axis(2, index_in_array=1), axis(5, index_in_array=0)]
    assert [found["size"] for found in describe_axes(axes, (5, 2))] == [5, 2]


@pytest.mark.parametrize(
    ("navigate", "units", "kind"),
    [([False, False], "nm", "image"), ([True, False, False], "nm", "image_stack"), ([False], "eV", "spectrum"),
     ([True, True, False], "eV", "spectrum_image"), ([True] * 2 + [False] * 2, "nm", "4dstem"),
     ([False], "s", "time_series"), ([None, None], "nm", "image"), ([None], "eV", "spectrum"),
     ([True] * 4 + [False], "eV", "array"), ([True, True], "nm", "image")],
)  # fmt: skip
def test_kinds(navigate: list[bool | None], units: str, kind: str) -> None:
    axes = [axis(3, navigate=value, units=units) for value in navigate]
    assert kind_of(axes, [3] * len(axes), {}) == kind


def test_old_files_say_what_they_are() -> None:
    axes = [axis(3, navigate=None), axis(4, navigate=None)]
    assert kind_of(axes, (3, 4), {"Signal": {"record_by": "spectrum"}}) == "spectrum_line"


def test_pixel_sizes_of_images_only() -> None:
    axes = [axis(3), axis(4, units="1/nm", scale=np.float64(0.5))]
    assert {value.field: value.value for value in pixel_sizes("image", axes, (3, 4))} == {
        "image.pixel_size_y": 2e-9,
        "image.reciprocal_pixel_size_x": 5e8,
    }
    assert list(pixel_sizes("spectrum_line", axes, (3, 4))) == []
    assert list(pixel_sizes("image", [axis(3, units="pix"), axis(3, units="m", scale=1.0)], (3, 3))) == []


def test_a_reader_that_met_the_end_of_the_file_says_so() -> None:
    with pytest.raises(struct.error) as short:
        struct.unpack("<B", b"")
    assert fault_text(short.value).startswith("it ends earlier than it should, or is damaged (error: unpack requires")
    assert fault_text(EOFError()).startswith("it ends earlier")
    assert fault_text(ValueError("no  such\nkey")) == "ValueError: no such key"


def test_a_signal_without_a_title_is_named_in_words() -> None:
    assert signal_text({"id": "s1", "kind": "spectrum_image", "shape": [4, 5]}) == "spectrum image, 4 × 5"
