"""EMD of the Berkeley dialect: real files, what NCEM's own programs write, and any names of attributes."""

from __future__ import annotations

import math
import shutil
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.model.record import Dataset
from diadem.terms.fields import all_fields
from diadem.terms.units import convert
from tests.plugins.opened import blocks as blocks_of

NCEM = tables("diadem.plugins.ncem")
OPEN = "diadem.plugins.velox.files:open"

METADATA, PRISMATIC, PY4DSTEM = "example_metadata.emd", "Si100_3D.emd", "py4DSTEM_size2x3x4x5.h5"


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the real files."""
    target = tmp_path_factory.mktemp("ncem") / "emd"
    shutil.copytree(shared_data / "emd-ncem", target)
    shutil.copy(shared_data / "de5" / "de5_public.de5", target)
    return target


@pytest.fixture(scope="module")
def found(real: Mapping[str, Dataset]) -> dict[str, Any]:
    """Datasets by file name."""
    return {Path(path).name: one.document for path, one in real.items() if path.startswith(("emd-ncem/", "de5/"))}


def stated(dataset: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Value and unit by field."""
    return {
        field: [(one["value"], one.get("unit")) for one in assertions]
        for field, assertions in dataset["fields"].items()
        if assertions[0]["source"]["locator"][:5] != "axes."
    }


def test_real_files(found: dict[str, Any]) -> None:
    assert {name: dataset["issues"] for name, dataset in found.items() if dataset["issues"]} == {}
    assert stated(found[METADATA]) == {
        "beam.acceleration_voltage": [(300000.0, "V")],
        "instrument.model": [("Titan", None)],
        "instrument.vendor": [("Thermo Fisher Scientific (FEI)", None)],
        "person.operator": [("John Doe", None)],
        "sample.name": [("TiO2", None)],
        "sample.prep_step": [("FIB", None)],
    }
    assert stated(found[PRISMATIC]) == {
        "beam.acceleration_voltage": [(100000.0, "V")],
        "beam.convergence_semi_angle": [(0.03, "rad")],
    }
    assert stated(found["example_signal.emd"]) == stated(found["de5_public.de5"]) == {}
    assert set(stated(found[PY4DSTEM])) == {"image.reciprocal_pixel_size_x", "image.reciprocal_pixel_size_y"}


def test_values_against_the_bytes(found: dict[str, Any], folder: Path) -> None:
    """Numbers and texts as they stand in the files, without the HDF5 library."""
    content = {name: (folder / name).read_bytes() for name in found}
    for text in (b"Titan", b"300kV", b"John Doe", b"TiO2", b"FIB"):
        assert text in content[METADATA]
    assert np.float32(100).tobytes() in content[PRISMATIC]
    assert np.float32(30).tobytes() in content[PRISMATIC]
    size = stated(found[PY4DSTEM])["image.reciprocal_pixel_size_x"][0][0] / 1e10
    assert np.float64(0.044251566616087125).tobytes() in content[PY4DSTEM]
    assert math.isclose(size, 0.044251566616087125, rel_tol=1e-12)
    assert content[PY4DSTEM].count(b"A^-1") >= 2


def test_attributes_of_everything_are_kept(folder: Path) -> None:
    (kept,) = (block.tree for block in blocks_of(OPEN, folder / PRISMATIC) if block.kind == "ncem-attributes")
    parameters = kept["4DSTEM_simulation/metadata/metadata_0/original/simulation_parameters"]
    assert parameters["i"] == "/home/eric/test_prismatic/SI100.XYZ"
    assert parameters["c"] == pytest.approx([5.43, 5.43, 5.43])


def emd(path: Path, groups: Mapping[str, Mapping[str, Any]]) -> Path:
    """A file of EMD 0.2 with an image and attributes."""
    with h5py.File(path, "w") as root:
        root.attrs.update(version_major=0, version_minor=2)
        group = root.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = np.zeros((3, 4), np.uint16)
        for number, size in ((1, 3), (2, 4)):
            group[f"dim{number}"] = np.arange(size) * 0.5
            group[f"dim{number}"].attrs.update(name="xy"[number - 1], units="[n_m]")
        for name, content in groups.items():
            root.create_group(name).attrs.update(content)
    return path


def values(tree: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Value and unit by field, of the table of groups."""
    applied = apply(NCEM["ncem-groups"], Block("a", tree), "ncem")
    assert applied.issues == []
    return {value.field: (value.value, value.unit) for value in applied.values}


def test_acquisition_program_of_ncem(tmp_path: Path) -> None:
    """Attributes as ``STEMexperiments.py`` of openNCEM writes them."""
    microscope = {
        "microscope name": "TEAM 0.5", "high tension": 300000.0, "spot size": 6, "magnification": 1.8e6,
        "defocus": -2e-08, "convergence angle": 0.03, "camera length": 0.195, "binning": 1, "dwell time": 3e-06,
        "stage type": "TEAM Stage", "stage position": np.array([1e-5, 2e-5, 0.0, 0.1, 0.2]),
    }  # fmt: skip
    emd(tmp_path / "a.emd", {"microscope": microscope, "user": {"user name": "P"}, "sample": {"sample name": "Au"}})
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    assert dataset["issues"] == []
    assert stated(dataset) == {
        "beam.acceleration_voltage": [(300000.0, "V")],
        "beam.convergence_semi_angle": [(0.03, "rad")],
        "beam.spot_index": [(6.0, "1")],
        "camera.binning": [(1, "1")],
        "instrument.model": [("TEAM 0.5", None)],
        "optics.camera_length": [(0.195, "m")],
        "optics.defocus": [(-2e-08, "m")],
        "optics.magnification": [(1.8e6, "1")],
        "person.operator": [("P", None)],
        "sample.name": [("Au", None)],
        "scan.dwell_time": [(3e-06, "s")],
    }


def test_a_number_without_a_unit_counts_only_of_a_known_writer() -> None:
    plain = {"voltage": 300.0, "camera length": 195.0, "defocus": 12.0, "dwell time": 3.0, "high tension": 300.0}
    assert values({"microscope": plain}) == {}
    assert values({"microscope": {**plain, "spot size": 6}}) == {"beam.spot_index": (6.0, "1")}


@pytest.mark.parametrize(
    ("key", "raw", "field", "value"),
    [
        ("BeamVoltage[eV]", 200000, "beam.acceleration_voltage", 200000.0),
        ("High tension [kV]", 300, "beam.acceleration_voltage", 300000.0),
        ("accelerating_voltage_kV", 80.0, "beam.acceleration_voltage", 80000.0),
        ("Accelerating Voltage", "60 kV", "beam.acceleration_voltage", 60000.0),
        ("Accelerating Voltage", "60,5 kV", "beam.acceleration_voltage", 60500.0),
        ("camera_length_mm", 285.0, "optics.camera_length", 0.285),
        ("convergence_semiangle_mrad", 21.4, "beam.convergence_semi_angle", 0.0214),
        ("Stage X [um]", -10.5, "stage.x", -1.05e-05),
        ("Stage A [deg]", 12.5, "stage.alpha", 12.5),
        ("Stage A", 12.5, "", None),
        ("Emission [uA]", 75.0, "beam.emission_current", 7.5e-05),
        ("MnKaResolution[eV]", 129.0, "eds.resolution", 129.0),
        ("RealTime[s]", 60.0, "eds.real_time", 60.0),
        ("Exposure time (s)", 0.5, "camera.exposure", 0.5),
        ("scan_rotation_degrees", 90.0, "scan.rotation", 90.0),
        ("Magnification [x]", 1e5, "optics.magnification", 1e5),
        ("defocus", "12 furlongs", "", None),
        ("voltage", "", "", None),
        ("voltage", True, "", None),
        ("camera length", [1.0, 2.0], "", None),
    ],
)
def test_units_that_stand_with_the_number(key: str, raw: Any, field: str, value: float | None) -> None:
    found = values({"microscope": {key: raw}})
    assert {name: found[name][0] for name in found} == ({field: pytest.approx(value)} if field else {})


def test_the_names_are_of_fields_and_units_that_there_are() -> None:
    names = tomllib.loads(resources.files("diadem.plugins.ncem").joinpath("names.toml").read_text("utf-8"))
    for group, said in names.items():
        assert said.keys() <= all_fields().keys(), group
    for field, one in names["numbers"].items():
        assert one.keys() <= {"names", "ncem"}, field
        assert convert(1.0, one.get("ncem", all_fields()[field].unit), all_fields()[field].unit) == 1.0, field
        assert all(name == " ".join(name.lower().split()) for name in one["names"]), field


def test_a_unit_in_an_attribute_beside_it() -> None:
    found = values({"microscope": {"voltage": 300, "voltage_units": "[kV]", "defocus": 5, "defocus units": "parsec"}})
    assert found == {"beam.acceleration_voltage": (300000.0, "V")}


def test_dictionaries_of_py4dstem() -> None:
    tree = {"Q_pixel_size": 0.5, "Q_pixel_units": "mrad", "convergence_semiangle_mrad": 2.1, "R_pixel_size": 1.0}
    found = {value.field: value.value for value in apply(NCEM["py4dstem-dictionary"], Block("a", tree), "ncem").values}
    assert found == {"beam.convergence_semi_angle": 0.0021}


@given(
    st.dictionaries(st.text(max_size=30), st.none() | st.text(max_size=30) | st.floats() | st.integers(), max_size=4)
)
def test_any_attributes(group: dict[str, Any]) -> None:
    found = apply(NCEM["ncem-groups"], Block("a", {"microscope": group, "user": group, "sample": group}), "ncem")
    assert all(outcome.verdict != "raised" for outcome in found.outcomes)
    apply(NCEM["py4dstem-dictionary"], Block("a", group), "ncem")


def test_loops_and_very_many_groups(tmp_path: Path) -> None:
    path = emd(tmp_path / "a.emd", {"microscope": {"voltage": "200 kV"}})
    with h5py.File(path, "r+") as root:
        root["microscope/again"] = root["/"]
        root["soft"] = h5py.SoftLink("/nowhere")
        root["away"] = h5py.ExternalLink("other.h5", "/")
        for number in range(3000):
            root.create_group(f"many/{number}").attrs["number"] = number
    blocks = blocks_of(OPEN, path)
    assert [block.kind for block in blocks] == ["ncem-groups", "ncem-attributes"]
    assert blocks[0].tree == {"microscope": {"voltage": "200 kV"}}


def test_other_dialects_have_no_blocks(shared_data: Path) -> None:
    for path in (shared_data / "emd-velox").iterdir():
        assert all(block.kind.startswith("velox") for block in blocks_of(OPEN, path))
