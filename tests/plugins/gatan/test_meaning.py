"""What tags mean: modes, units, placeholders, stacks, the text of FEI's microscopes. Trees are made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.terms import fields
from tests.plugins.gatan.dm_file import Writer, document, image

IMAGE = tables("diadem.plugins.gatan")["gatan-image"]


def values(tags: Mapping[str, Any], *, unit: str = "nm") -> dict[str, list[Any]]:
    """Fields of an image with these tags, each with all its values."""
    axes = {"TagGroup0": {"Origin": 0.0, "Scale": 0.5, "Units": unit}}
    tree = {"ImageData": {"Calibrations": {"Dimension": axes, "Brightness": {"Units": "e-"}}}, "ImageTags": tags}
    applied = apply(IMAGE, Block("gatan-image", tree), "gatan")
    assert applied.issues == []
    found: dict[str, list[Any]] = {}
    for value in applied.values:
        found.setdefault(value.field, []).append(value.value)
    return found


def microscope(**info: Any) -> dict[str, Any]:
    """Tags of a microscope; underscores are spaces."""
    return {"Microscope Info": {key.replace("_", " "): value for key, value in info.items()}}


def test_every_rule_names_a_field() -> None:
    for rule in IMAGE:
        if hasattr(rule, "field"):
            assert fields.is_field(rule.field), rule


# -- magnification and camera length -------------------------------------------------------------------------------


@pytest.mark.parametrize("illumination", ["TEM", "TEM NANOPROBE", "TEM MICROPROBE"])
@pytest.mark.parametrize("imaging", ["DIFFRACTION", "EFTEM DIFFRACTION", "DIFF", "LAD"])
def test_in_diffraction_the_number_shown_is_the_camera_length(illumination: str, imaging: str) -> None:
    """`STEM Camera Length` is what was left from another mode: 5 mm here."""
    tags = microscope(
        Illumination_Mode=illumination, Imaging_Mode=imaging, Indicated_Magnification=1050.0, STEM_Camera_Length=5.0
    )
    found = values(tags, unit="1/nm")
    assert found["optics.camera_length"] == [1.05]
    assert "optics.magnification" not in found
    assert found["signal.technique"] == ["diffraction"]


@pytest.mark.parametrize("imaging", ["IMAGING", "MAG1", "LOW MAG", "SAMAG", "EFTEM IMAGING", "SA"])
def test_in_imaging_it_is_the_magnification(imaging: str) -> None:
    tags = microscope(
        Illumination_Mode="TEM", Imaging_Mode=imaging, Indicated_Magnification=5e4, STEM_Camera_Length=135.0
    )
    found = values(tags)
    assert found["optics.magnification"] == [5e4]
    assert "optics.camera_length" not in found
    assert found["signal.technique"] == ["TEM"]
    assert found["instrument.kind"] == ["tem"]


def test_a_camera_length_that_repeats_the_magnification_is_none() -> None:
    tags = microscope(Illumination_Mode="STEM", Indicated_Magnification=20000.0, STEM_Camera_Length=20000.0)
    found = values(tags)
    assert found["optics.magnification"] == [2e4]
    assert "optics.camera_length" not in found


@pytest.mark.parametrize(
    ("name", "model"),
    [("JEOL COM", None), ("FEI Titan", "FEI Titan"), ("Philips Plug-in", None), ("COMPACT", "COMPACT")],
)
def test_what_talks_to_the_microscope_is_not_the_microscope(name: str, model: str | None) -> None:
    assert values(microscope(Name=name)).get("instrument.model", [None]) == [model]


def test_of_two_spectra_in_turns_each_has_its_own_exposure() -> None:
    own = {"Exposure (s)": 0.01}
    tags = {
        "Acquisition": {"Parameters": {"High Level": {"Exposure (s)": 0.51}}},
        "EELS": {"Acquisition": own},
    }
    assert values(tags)["camera.exposure"] == [0.01]
    own["Exposure (s)"] = 0.5099
    assert values(tags)["camera.exposure"] == [0.51]


def test_a_magnification_of_one_is_none() -> None:
    assert "optics.magnification" not in values(microscope(Illumination_Mode="TEM", Indicated_Magnification=1.0))


@pytest.mark.parametrize("imaging", ["DIFFRACTION", "EFTEM DIFFRACTION", "MAG"])
def test_in_scanning_both_are_told(imaging: str) -> None:
    """A scanning microscope's lenses show a diffraction pattern; its magnification is that of the scan."""
    tags = microscope(
        Illumination_Mode="STEM NANOPROBE", Imaging_Mode=imaging, Indicated_Magnification=2e5, STEM_Camera_Length=550.0
    )
    found = values(tags)
    assert (found["optics.magnification"], found["optics.camera_length"]) == ([2e5], [0.55])


def test_a_scanning_electron_microscope_has_no_camera_length() -> None:
    found = values(microscope(Illumination_Mode="SEM", Indicated_Magnification=15e3, STEM_Camera_Length=135.0))
    assert found["optics.magnification"] == [15e3]
    assert "optics.camera_length" not in found
    assert found["instrument.kind"] == ["sem"]


def test_camera_lengths_in_an_unlikely_unit_are_left_out() -> None:
    assert "optics.camera_length" not in values(microscope(Illumination_Mode="STEM", STEM_Camera_Length=2.8))
    tags = microscope(Illumination_Mode="TEM", Imaging_Mode="DIFFRACTION", Indicated_Magnification=1.5)
    assert "optics.camera_length" not in values(tags)


@pytest.mark.parametrize(
    ("formatted", "unit", "field"),
    [
        ("225kx", "", "optics.magnification"),
        ("1.3Mx", "", "optics.magnification"),
        ("320mm", "", "optics.camera_length"),
        ("", "nm", "optics.magnification"),
        ("", "µm", "optics.magnification"),
        ("", "1/nm", ""),
        ("", "", ""),
    ],
)
def test_without_any_mode_the_units_decide_or_nothing_is_said(formatted: str, unit: str, field: str) -> None:
    info = microscope(Indicated_Magnification=320.0, Formatted_Indicated_Mag=formatted)
    found = values(info, unit=unit)
    assert [key for key in found if key.startswith("optics")] == ([field] if field else [])


def test_operation_mode_tells_where_illumination_is_silent() -> None:
    found = values(microscope(Operation_Mode="SCANNING", Indicated_Magnification=1e5, STEM_Camera_Length=77.0))
    assert (found["optics.magnification"], found["optics.camera_length"]) == ([1e5], [0.077])
    assert found["beam.mode"] == ["SCANNING"]
    found = values(microscope(Operation_Mode="DIFFRACTION", Indicated_Magnification=320.0))
    assert found["optics.camera_length"] == [0.32]


# -- units and placeholders ----------------------------------------------------------------------------------------


def test_voltage_is_checked_against_the_text_beside_it() -> None:
    assert values(microscope(Voltage=2e5, Formatted_Voltage="200kV"))["beam.acceleration_voltage"] == [2e5]
    assert values(microscope(Voltage=2e5))["beam.acceleration_voltage"] == [2e5]
    assert values(microscope(Voltage=200.0, Formatted_Voltage="200kV"))["beam.acceleration_voltage"] == [2e5]
    assert "beam.acceleration_voltage" not in values(microscope(Voltage=200.0, Illumination_Mode="TEM"))
    assert values(microscope(Voltage=200.0, Illumination_Mode="SEM"))["beam.acceleration_voltage"] == [200.0]
    assert "beam.acceleration_voltage" not in values(microscope(Voltage=0.0))


@pytest.mark.parametrize("name", ["Emission Current (µA)", "Emission Current (μA)", "Emission Current (ﾎｼA)"])
def test_currents(name: str) -> None:
    found = values({"Microscope Info": {name: 4.5, "Probe Current (nA)": 0.12}})
    assert found["beam.emission_current"] == [4.5e-6]
    assert found["beam.probe_current"] == [1.2e-10]
    assert "beam.current" not in found
    assert values({"Microscope Info": {name: 0.0, "Probe Current (nA)": 0.0}}).keys() == {"signal.quantity"}


def test_a_stage_of_zeros_was_not_read() -> None:
    zeros = {f"Stage {axis}": 0.0 for axis in ("X", "Y", "Z", "Alpha", "Beta")}
    assert not [key for key in values(microscope(Stage_Position=zeros)) if key.startswith("stage")]
    found = values(microscope(Stage_Position={**zeros, "Stage X": -480.4, "Stage Alpha": 24.95}))
    assert (found["stage.x"], found["stage.y"], found["stage.alpha"]) == ([-480.4e-6], [0.0], [24.95])


@pytest.mark.parametrize("text", ["DO NOT EDIT", "DO NOT ENTER", "do not touch", "", "  ", "-", "Unknown"])
def test_texts_that_nobody_wrote(text: str) -> None:
    session = {"Operator": text, "Specimen": text, "Microscope": text}
    found = values({"Session Info": session, "Microscope Info": {"Name": "FEI Tecnai"}})
    assert found.keys() <= {"signal.quantity", "instrument.model", "instrument.vendor"}
    assert found.get("instrument.model") in (None, ["FEI Tecnai"])


def test_the_name_that_somebody_gave_goes_before_that_of_the_interface() -> None:
    info = {"Name": "FEI Tecnai Remote", "Microscope": "Titan 2"}
    assert values({"Microscope Info": info})["instrument.model"] == ["Titan 2"]
    assert values({"Microscope Info": info, "Session Info": {"Microscope": "Titan"}})["instrument.model"] == ["Titan"]


def test_the_interface_tells_the_maker_where_no_tag_does() -> None:
    told = {"Type": {"Vendor": "Nion"}, "Name": "FEI Tecnai Remote"}
    assert values({"Microscope Info": told})["instrument.vendor"] == ["Nion"]
    for name, maker in (
        ("FEI Tecnai", "Thermo Fisher Scientific (FEI)"),
        ("Zeiss SEM COM", "Carl Zeiss"),
        ("JEOL COM", "JEOL"),
    ):
        assert values({"Microscope Info": {"Name": name}})["instrument.vendor"] == [maker]
    for name in ("COM", "Simulator", "Feistel 3"):
        assert "instrument.vendor" not in values({"Microscope Info": {"Name": name}})


def test_binning_is_one_number_or_none() -> None:
    binned = {"Acquisition": {"Parameters": {"High Level": {"Binning": (2, 2)}}}}
    assert values(binned)["camera.binning"] == [2]
    assert "camera.binning" not in values({"Acquisition": {"Parameters": {"High Level": {"Binning": (1, 130)}}}})


def test_exposures_one_of_several_tags() -> None:
    sequence = {"Frame": {"Sequence": {"Exposure Time (ns)": 2e8}}}
    assert values({"Acquisition": sequence})["camera.exposure"] == [0.2]
    both = {"Acquisition": {**sequence, "Parameters": {"High Level": {"Exposure (s)": 0.25}}}}
    assert values(both)["camera.exposure"] == [0.25]
    assert values({**both, "DataBar": {"Exposure Time (s)": 0.5}})["camera.exposure"] == [0.5]


def test_the_scan_generator() -> None:
    scan = {"Sample Time": 16.0, "Flyback": 500.0, "Rotation": 90.0, "Rotation Offset": 180.0}
    bar = {"Device Name": "DigiScan", "Signal Name": "ADF"}
    found = values({"DigiScan": scan, "DataBar": bar})
    assert (found["scan.dwell_time"], found["scan.flyback_time"], found["scan.rotation"]) == ([1.6e-5], [5e-4], [90.0])
    assert found["detector.name"] == ["DigiScan", "ADF"]
    spectrum_image = {"DigiScan": {"Rotation": 0.0}, "SI": {"Acquisition": {"Pixel time (s)": 0.02}}}
    found = values(spectrum_image)
    assert found["scan.dwell_time"] == [0.02]
    assert "scan.rotation" not in found
    found = values(spectrum_image | {"DigiScan": scan})
    assert found["scan.dwell_time"] == [0.02]
    assert "scan.flyback_time" not in found
    assert found["scan.rotation"] == [90.0]
    assert values({"CL": {"Acquisition": {"Dwell time (s)": 2.0}}})["scan.dwell_time"] == [2.0]


def test_the_slit_counts_only_in_the_beam() -> None:
    spectrometer = {"Slit width (eV)": 10.0, "Dispersion (eV/ch)": 0.5, "Aperture label": "2.5 mm"}
    found = values({"EELS Spectrometer": {**spectrometer, "Slit inserted": 0}})
    assert "optics.energy_filter_slit" not in found
    assert (found["eels.dispersion"], found["eels.aperture"]) == ([0.5], [0.0025])
    assert values({"EELS Spectrometer": {**spectrometer, "Slit inserted": 1}})["optics.energy_filter_slit"] == [10.0]


def test_angles_of_zero_were_not_entered() -> None:
    zero = {"Convergence semi-angle (mrad)": 0.0, "Collection semi-angle (mrad)": 0.0}
    assert values({"EELS": {"Experimental Conditions": zero}}).keys() == {"signal.quantity"}


def test_live_time_is_that_of_one_spectrum_only() -> None:
    found = values({"EDS": {"Live time": 3.806, "Real time": 4.233}})
    assert (found["eds.live_time"], found["eds.real_time"]) == ([3.806], [4.233])
    for eds in (
        {"Live time": 1.0, "Real time": 0.5},
        {"Live time": 1.0, "Real time": 2.0, "Images": {"Live time": np.ones(3)}},
        {"Live time": 0.0, "Real time": 0.0},
    ):
        assert "eds.live_time" not in values({"EDS": eds})


# -- stacks, and text of other makers ------------------------------------------------------------------------------


def test_stackbuilder_keeps_tags_elsewhere() -> None:
    tags = {"source": {"Tags at creation": microscope(Voltage=3e5, Illumination_Mode="STEM", STEM_Camera_Length=77.0)}}
    found = values(tags)
    assert (found["beam.acceleration_voltage"], found["optics.camera_length"]) == ([3e5], [0.077])
    both = values({**tags, **microscope(Voltage=2e5, Illumination_Mode="TEM")})
    assert (both["beam.acceleration_voltage"], both["beam.mode"]) == ([3e5, 2e5], ["STEM", "TEM"])


def test_a_stack_end_to_end(tmp_path: Path) -> None:
    stacked = {"source": {"Tags at creation": microscope(Voltage=3e5, Illumination_Mode="STEM")}}
    frames = np.arange(24, dtype="f").reshape(2, 3, 4)
    (tmp_path / "stack.dm3").write_bytes(Writer(3).file(document(image(frames[0]), image(frames, stacked))))
    dataset = diadem.extract(tmp_path / "stack.dm3").datasets[0]
    voltage = dataset.assertion("beam.acceleration_voltage")
    assert voltage is not None
    assert voltage.value == 3e5
    locator = "ImageList/TagGroup1/ImageTags/source/Tags at creation/Microscope Info/Voltage"
    assert voltage.source["locator"] == locator


TECNAI = """\
Microscope Titan 300 kV D3094 SuperTwin
User ALICE
Gun FEG Extr volt 4400 V Gun Lens 3 Emission 145.00uA
Mode TEM uP SA Zoom Image Defocus (um) -0.283 Magn 185000x
Spot 2
C2 42.1%
Stage -259.807, 18.101, 7.060 um, 0.00, 0.11 deg
C2 Aperture: 150 um""".replace("\n", "\u2028")


def test_the_text_of_fei_microscopes() -> None:
    found = values({"Tecnai": {"Microscope Info": TECNAI}})
    assert {key: found[key][0] for key in found if key != "signal.quantity"} == {
        "person.operator": "ALICE",
        "beam.source_type": "FEG",
        "beam.extraction_voltage": 4400.0,
        "beam.emission_current": 1.45e-4,
        "beam.spot_index": 2.0,
        "optics.defocus": -2.83e-7,
        "optics.magnification": 185000.0,
        "stage.x": -2.59807e-4,
        "stage.y": 1.8101e-5,
        "stage.z": 7.06e-6,
        "stage.alpha": 0.0,
        "stage.beta": 0.11,
    }
    pattern = TECNAI.replace("Image Defocus (um) -0.283 Magn 185000x", "Diffraction Defocus 0.00 CL 1.05m")
    found = values({"Tecnai": {"Microscope Info": pattern}})
    assert found["optics.camera_length"] == [1.05]
    assert "optics.defocus" not in found


def test_tags_go_before_the_text() -> None:
    stage = {"Stage X": 1.0, "Stage Y": 2.0, "Stage Z": 3.0, "Stage Alpha": 4.0, "Stage Beta": 5.0}
    info = microscope(Stage_Position=stage, Indicated_Magnification=2e5, Illumination_Mode="TEM")
    found = values({**info, "Session Info": {"Operator": "Bob"}, "Tecnai": {"Microscope Info": TECNAI}})
    assert (found["person.operator"], found["stage.x"], found["optics.magnification"]) == (["Bob"], [1e-6], [2e5])


@pytest.mark.parametrize("text", ["", "Stage", "Stage ,,, um, deg", "Mode", TECNAI[:40], "\u2028" * 50])
def test_other_text_says_nothing_wrong(text: str) -> None:
    found = values({"Tecnai": {"Microscope Info": text}})
    assert found.keys() <= {"signal.quantity", "person.operator"}


@pytest.mark.parametrize(
    "value", [[], {}, "text", None, float("nan"), float("inf"), -1e300, b"\0", np.zeros(3), (1, 2)]
)
def test_values_of_another_kind_are_passed_over(value: Any) -> None:
    """A damaged file may have anything anywhere; nothing of it may stop the table."""
    tags = {
        "Microscope Info": dict.fromkeys(("Voltage", "Indicated Magnification", "STEM Camera Length"), value),
        "DataBar": dict.fromkeys(("Acquisition Date", "Acquisition Time", "Acquisition Time (OS)"), value),
        "DigiScan": {"Sample Time": value, "TimeStamp": value},
        "EELS": value,
        "Session Info": value,
        "Tecnai": value,
    }
    tree = {"ImageData": {}, "ImageTags": tags}
    found = {one.field for one in apply(IMAGE, Block("gatan-image", tree), "gatan").values}
    assert found <= {"optics.magnification"}


@pytest.mark.parametrize("tag", [{"a": 1}, [1, 2], (1, 2), 0, 0.0, False, ""])
def test_what_is_no_text_names_nothing(tag: Any) -> None:
    tags = {"Session Info": {"Specimen": tag, "Microscope": tag}, "GMS Version": {"Created": tag}}
    assert not {"sample.name", "instrument.model", "instrument.software"} & set(values(tags))


def test_a_number_is_a_name_too() -> None:
    assert values({"Session Info": {"Specimen": 12}})["sample.name"] == ["12"]
