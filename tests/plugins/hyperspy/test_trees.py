"""HyperSpy's tree made up: units, provenance, old versions, damage."""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.hdf5 import Left
from diadem.hooks.tables import table
from diadem.plugins.hyperspy.files import Hdf5Group, tree_of
from diadem.plugins.hyperspy.signal import origin_of
from diadem.terms.crosswalk import read_below_instrument
from diadem.terms.units import convert
from tests.hooks.distributions import fields_of
from tests.plugins.opened import blocks

SIGNAL = table("diadem.plugins.hyperspy/hyperspy-signal")
HSPY, ZSPY = "diadem.plugins.hyperspy.files:open_hspy", "diadem.plugins.hyperspy.files:open_zspy"


def values(metadata: Mapping[str, Any], reader: str = "", top: str = "metadata") -> dict[str, Any]:
    """Values by field."""
    tree = {top: metadata, "read by": reader, "vendor's own": False}
    return {one.field: one.value for one in apply(SIGNAL, Block("hyperspy-signal", tree), "hyperspy").values}


def instrument(reader: str = "", kind: str = "TEM", **leaves: Any) -> dict[str, Any]:
    """Values of an instrument; ``__`` stands for ``/``."""
    group: dict[str, Any] = {}
    for name, value in leaves.items():
        *above, last = name.split("__")
        place = group
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return values({"Acquisition_instrument": {kind: group}}, reader)


def test_documented_units() -> None:
    ours = instrument(
        beam_energy=200.0, beam_current=0.5, magnification=1e5, camera_length=200.0, convergence_angle=21.0,
        dwell_time=1e-5, Stage__x=0.1, Stage__tilt_alpha=12.0, Detector__EELS__collection_angle=30.0,
        Detector__Camera__exposure=0.3, Detector__EELS__aperture_size=2.5, microscope="Titan", acquisition_mode="STEM",
    )  # fmt: skip
    assert ours == {
        "beam.acceleration_voltage": 200e3, "beam.current": 5e-10, "optics.magnification": 1e5,
        "optics.camera_length": 0.2, "beam.convergence_semi_angle": 0.021, "scan.dwell_time": 1e-5, "stage.x": 1e-4,
        "stage.alpha": 12.0, "eels.collection_semi_angle": 0.03, "camera.exposure": 0.3, "eels.aperture": 0.0025,
        "instrument.model": "Titan", "beam.mode": "STEM",
    }  # fmt: skip


def test_a_unit_beside_a_value_goes_before_the_documented_one() -> None:
    ours = instrument(
        beam_energy=4996.0, beam_energy_units="V", dwell_time=100.0, dwell_time_units="ms",
        convergence_angle=1.5, convergence_angle_units="mR", camera_length=2.0, camera_length_units="furlong",
    )  # fmt: skip
    assert ours == {
        "beam.acceleration_voltage": 4996,
        "scan.dwell_time": 0.1,
        "beam.convergence_semi_angle": 0.0015,
    }


@pytest.mark.parametrize(
    ("reader", "leaves", "expected"),
    [
        ("emd", {"Stage__x": 4.6e-5, "Stage__y": 0.0}, {"stage.x": 4.6e-5}),
        ("fei", {"Stage__x": 0.01, "Stage__rotation": np.pi / 2}, {"stage.x": 0.01, "stage.rotation": 90}),
        ("tiff", {"Stage__x": 0.01, "beam_energy": 5.0}, {"beam.acceleration_voltage": 5e3}),
        ("zeiss", {"magnification": "50.00 K X", "microscope": "Merlin-61-08"}, {}),
        ("blockfile", {"camera_length": 0.2}, {"optics.camera_length": 0.2}),
        ("pantarhei", {"camera_length": 0.02}, {"optics.camera_length": 0.02}),
        ("tvips", {"Stage__x": 5.0, "beam_current": 23.0, "beam_energy": 200}, {"beam.acceleration_voltage": 200e3}),
        ("msa", {"Detector__EELS__dwell_time": 100.0}, {"scan.dwell_time": 0.1}),
        ("edax", {"Stage__tilt_alpha": -1.0}, {}),
        ("digitalmicrograph", {"beam_current": 0.0, "Stage__tilt_alpha": 0.0, "camera_length": 320.0},
         {"optics.camera_length": 0.32}),
    ],
)  # fmt: skip
def test_what_a_reader_bends(reader: str, leaves: dict[str, Any], expected: dict[str, Any]) -> None:
    assert instrument(reader, **leaves) == pytest.approx(expected)


def test_what_is_said_of_readers_is_of_leaves_and_units_that_there_are() -> None:
    text = resources.files("diadem.plugins.hyperspy").joinpath("readers.toml").read_text("utf-8")
    leaves = {leaf.path_below("TEM").replace(".", "/"): leaf.field for leaf in read_below_instrument()}
    leaves |= {leaf.path_below("SEM").replace(".", "/"): leaf.field for leaf in read_below_instrument()}
    tables = fields_of("diadem.plugins.hyperspy")[0].tables
    for name, said in tomllib.loads(text).items():
        assert {*said.get("units", ()), *said.get("drop", ()), *said.get("vendor", ())} <= leaves.keys(), name
        for path, unit in said.get("units", {}).items():
            assert convert(1.0, unit, leaves[path].unit) is not None, (name, path)
        assert said.get("block", "original-gatan") in tables, name
        assert said.get("time", "local") in ("local", "instant", "guessed", "made up"), name


def test_the_tilt_of_a_scanning_microscope_is_no_goniometers_alpha() -> None:
    assert instrument(kind="SEM", Stage__tilt_alpha=70.0) == {"stage.tilt": 70.0}
    assert instrument(kind="SEM", Stage__tilt_alpha=70.0, Stage__tilt=70.0) == {"stage.tilt": 70.0}
    assert instrument(kind="TEM", Stage__tilt_alpha=20.0) == {"stage.alpha": 20.0}


def test_of_two_instruments_the_one_with_a_beam() -> None:
    ours = values({"Acquisition_instrument": {"SEM": {"Stage": {"tilt_alpha": 5.0}}, "TEM": {"beam_energy": 80}}})
    assert ours == {"beam.acceleration_voltage": 80e3}


def test_defaults_are_assumed_and_an_azimuth_needs_an_elevation() -> None:
    eds = {"elevation_angle": 35.0, "azimuth_angle": 0.0, "energy_resolution_MnKa": 128.0, "live_time": 0.0}
    tree = {"metadata": {"Acquisition_instrument": {"SEM": {"Detector": {"EDS": eds}}}}}
    found = {one.field: one.status for one in apply(SIGNAL, Block("x", tree), "hyperspy").values}
    assert found == {"detector.elevation": "assumed", "detector.azimuth": "assumed", "eds.resolution": "stated"}
    del eds["elevation_angle"]
    assert "detector.azimuth" not in {one.field for one in apply(SIGNAL, Block("x", tree), "hyperspy").values}


@pytest.mark.parametrize(
    ("reader", "general", "expected"),
    [
        ("", {"date": "2019-03-04", "time": "12:13:14.5"}, ("2019-03-04T12:13:14.5", "unknown")),
        ("", {"date": "2019-03-04", "time": "12:13:14", "time_zone": "+02:00"}, ("2019-03-04T12:13:14+02:00", "known")),
        ("", {"date": "2019-03-04", "time": "12:13:14", "time_zone": "UTC"}, ("2019-03-04T12:13:14Z", "known")),
        ("emd", {"date": "2019-03-04", "time": "12:13:14", "time_zone": "-05:30"},
         ("2019-03-04T12:13:14-05:30", "known")),
        ("", {"date": "2019-03-04", "time": "12:13:14", "time_zone": "CET"}, None),
        ("blockfile", {"date": "2019-03-14", "time": "12:13:14", "time_zone": "UTC"}, None),
        ("digitalmicrograph", {"date": "2019-03-04", "time": "12:13:14"}, None),
        ("digitalmicrograph", {"date": "2019-03-14", "time": "12:13:14"}, ("2019-03-14T12:13:14", "unknown")),
        ("digitalmicrograph", {"date": "2019-03-03", "time": "12:13:14"}, ("2019-03-03T12:13:14", "unknown")),
        ("msa", {"date": "2019-03-04", "time": "12:13:00"}, ("2019-03-04T12:13:00", "unknown")),
        ("", {"date": "19.08.2022", "time": "12:13:00"}, None),
        ("", {"date": "2019-03-04"}, None),
        ("", {"date": "1919-03-04", "time": "12:13:00"}, None),
    ],
)  # fmt: skip
def test_times(reader: str, general: dict[str, Any], expected: tuple[str, str] | None) -> None:
    tree = {"metadata": {"General": general}, "read by": reader}
    found = [
        (one.value, one.offset_status)
        for one in apply(SIGNAL, Block("x", tree), "hyperspy").values
        if one.field == "time.acquired_start"
    ]
    assert found == ([expected] if expected else [])


def test_samples() -> None:
    ours = values(
        {"Sample": {"name": "ZnO", "elements": ["Zn", "O", "Zn"], "thickness": 50.0, "thickness_units": "nm"}}
    )
    assert ours == {"sample.name": "ZnO", "sample.elements": ["Zn", "O"], "sample.thickness": 5e-8}
    assert values({"Sample": {"thickness": 50.0, "elements": ["Xx"]}}) == {}
    assert values({"Sample": {"thickness": 5e-8}}) == {"sample.thickness": 5e-8}


@pytest.mark.parametrize(
    ("metadata", "original", "reader"),
    [
        ({}, {"ImageList": {}}, "digitalmicrograph"),
        ({}, {"Core": {}, "Optics": {}}, "emd"),
        ({}, {"BEAMKV   -kV": "1", "FORMAT": "EMSA"}, "msa"),
        ({"General": {"FileIO": {"0": {"io_plugin": "rsciio.tvips"}}}}, {}, "tvips"),
        ({"General": {"FileIO": {"0": {"io_plugin": "hyperspy.io_plugins.digital_micrograph"}}}}, {},
         "digitalmicrograph"),
        ({"General": {"FileIO": {"0": {"io_plugin": "rsciio.hspy"}}, "original_filename": "C:\\x\\a.BLO"}}, {},
         "blockfile"),
        ({"General": {"original_filename": "a.dm3"}}, {}, "digitalmicrograph"),
        ({"General": {"original_filename": "a.hspy"}}, {}, ""),
        ({}, {}, ""),
    ],
)  # fmt: skip
def test_where_a_signal_came_from(metadata: dict[str, Any], original: dict[str, Any], reader: str) -> None:
    assert origin_of(metadata, original) == reader


def test_the_first_versions(tmp_path: Path) -> None:
    """HyperSpy 0.x: other names, dates as Python wrote them, parameters of the instrument at the top."""
    path = tmp_path / "old.hdf5"
    with h5py.File(path, "w") as file:
        signal = file.create_group("Experiments/__unnamed__")
        signal["data"] = np.zeros(3)
        mapped = signal.create_group("mapped_parameters")
        mapped.attrs["_datetime_date"] = "datetime.date(1991, 10, 1)"
        mapped.attrs["_datetime_time"] = "datetime.time(12, 0)"
        mapped.attrs["signal_type"] = "EELS"
        mapped.attrs["title"] = "_None_"
        tem = mapped.create_group("TEM")
        tem.attrs["beam_energy"] = 100.0
        tem.create_group("EELS").attrs["collection_angle"] = 5.0
        original = signal.create_group("original_parameters")
        original.attrs["NPOINTS"] = 3.0
        original.attrs["BEAMKV   -kV"] = 100.0
        original.attrs["PROBECUR -nA"] = 2.0
    vendor, ours = blocks(HSPY, path)
    assert vendor.kind == "original-msa"
    assert vendor.tree["units"] == {"BEAMKV": "kV", "PROBECUR": "nA"}
    found = {one.field: one.value for one in apply(SIGNAL, ours, "hyperspy").values}
    assert found["beam.acceleration_voltage"] == 100e3
    assert found["eels.collection_semi_angle"] == 0.005
    assert found["signal.technique"] == "EELS"
    assert ours.tree["mapped_parameters"]["date"] == "1991-10-01"
    assert ours.tree["mapped_parameters"]["title"] is None


def test_types_in_names(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["_list_empty_a"] = 0
        file.attrs["_bs_b"] = np.void(b"\x01\x02")
        file.attrs["c"] = b"text"
        file["_tuple_d"] = np.array([1, 2])
        file["_list_e"] = np.array(["x", "y"], dtype=h5py.string_dtype())
        numbered = file.create_group("_list_2_f")
        numbered.attrs["0"], numbered.attrs["1"] = "first", "second"
        file.create_group("_sig_g").attrs["h"] = 1
        file["long"] = np.zeros(100_000)
        tree = tree_of(Hdf5Group(file), Left(100))
    assert tree == {"a": [], "b": b"\x01\x02", "c": "text", "d": [1, 2], "e": ["x", "y"], "f": ["first", "second"]}


def test_links_away_and_loops_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.hspy"
    with h5py.File(path, "w") as file:
        signal = file.create_group("Experiments/a")
        signal["data"] = np.zeros(3)
        metadata = signal.create_group("metadata")
        metadata["away"] = h5py.ExternalLink("/etc/hostname", "/")
        metadata["soft"] = h5py.SoftLink("/Experiments")
        metadata["loop"] = metadata
        file["Experiments/b"] = h5py.ExternalLink("other.hspy", "/")
    (block,) = blocks(HSPY, path)
    assert set(block.tree["metadata"]) == {"loop"}


@pytest.mark.program("60,000 values in one file")
def test_many_groups_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", track_order=False) as file:
        group = file.create_group("0")
        group.attrs.update({str(number): number for number in range(200)})
        for one in range(1, 300):
            file[f"{one}"] = group  # the same one by another name: 60,000 values that are quickly written
        left = Left(50_000)
        tree_of(Hdf5Group(file), left)
    assert not left


def zspy(path: Path, members: Mapping[str, Any]) -> Path:
    """A zip of JSON texts."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return path


def test_both_versions_of_zarr(tmp_path: Path) -> None:
    top = "Experiments/a"
    second: dict[str, Any] = {f"{top}/data/.zarray": {"shape": [3]}, f"{top}/metadata/.zgroup": {}}
    second[f"{top}/metadata/General/.zattrs"] = {"title": "t", "_datetime_date": "datetime.date(2020, 1, 2)"}
    third: dict[str, Any] = {
        f"{top}/data/zarr.json": {"node_type": "array", "shape": [3]},
        f"{top}/metadata/zarr.json": {},
    }
    third[f"{top}/metadata/General/zarr.json"] = {"node_type": "group", "attributes": {"title": "t"}}
    for members in (second, third):
        (block,) = blocks(ZSPY, zspy(tmp_path / "a.zspy", members))
        assert block.tree["metadata"]["General"]["title"] == "t"
        assert block.signals == (0,)
    folder = tmp_path / "b.zspy"
    for name, content in second.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    (block,) = blocks(ZSPY, folder)
    assert block.tree["metadata"]["General"]["date"] == "2020-01-02"


@pytest.mark.parametrize("content", ["{", "[]", '"a"', "\x00"])
def test_damaged_texts_of_zarr(tmp_path: Path, content: str) -> None:
    members = {"Experiments/a/data/.zarray": {}, "Experiments/a/metadata/General/.zattrs": content}
    path = zspy(tmp_path / "a.zspy", members)
    if content in ("[]", '"a"'):
        assert [block.kind for block in blocks(ZSPY, path)] == ["hyperspy-signal"]
    else:
        with pytest.raises(ValueError, match="line 1"):
            blocks(ZSPY, path)


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5)
_NAMES = st.sampled_from(
    [
        "General",
        "Acquisition_instrument",
        "TEM",
        "SEM",
        "Stage",
        "x",
        "date",
        "time",
        "time_zone",
        "beam_energy",
        "beam_energy_units",
        "Sample",
        "elements",
        "Detector",
        "EDS",
        "EELS",
        "elevation_angle",
        "azimuth_angle",
        "Signal",
        "signal_type",
        "thickness",
        "FileIO",
        "0",
        "io_plugin",
    ]
)


@given(
    st.recursive(
        _LEAVES,
        lambda inner: st.dictionaries(_NAMES, inner, max_size=4) | st.lists(inner, max_size=3),
        max_leaves=25,
    ),
    st.sampled_from(["", "emd", "fei", "msa", "blockfile"]),
)
def test_any_tree_ends_quietly(tree: Any, reader: str) -> None:
    metadata = tree if isinstance(tree, dict) else {}
    values(metadata, reader)
    values(metadata, reader, "mapped_parameters")
    origin_of(metadata, metadata)
