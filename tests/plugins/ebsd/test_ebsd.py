"""Maps and patterns of EBSD: real files of each maker, and made ones of what those do not have."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import diadem
from diadem.errors import ReaderError
from diadem.hooks.offers import target
from diadem.model.record import Dataset
from tests.plugins.opened import Held

Array = NDArray[Any]

#: 2 rows of 3 columns of patterns of 4 x 5 pixels.
PATTERNS = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
BC = np.arange(6, dtype=np.uint8)


def write(path: Path, **values: Any) -> Path:
    """An HDF5 file: values by place, a value with a unit as ``(value, unit)``."""
    with h5py.File(path, "w") as root:
        for place, told in values.items():
            value, unit = told if isinstance(told, tuple) else (told, "")
            root[place] = np.bytes_(value) if isinstance(value, str) else value
            if unit:
                root[place].attrs["Unit"] = np.bytes_(unit)
    return path


def oxford(path: Path, **more: Any) -> Path:
    """AZtec's file of one map."""
    header = {
        "X Cells": 3, "Y Cells": 2, "X Step": (0.5, "um"), "Y Step": (0.25, "um"), "Beam Voltage": (15.0, "kV"),
        "Working Distance": (12.0, "mm"), "Magnification": 500.0, "Tilt Angle": (np.radians(70.0), "rad"),
        "Stage Position/X": (3.0, "mm"), "Stage Position/Tilt": (0.0, "rad"), "Camera Exposure Time": (20.0, "ms"),
        "Camera Mode": "4x4", "Detector Serial Number": "S-1", "Specimen Label": "duplex steel",
        "Acquisition Date": "2024-05-06T07:08:09",
    }  # fmt: skip
    root = {"Manufacturer": "Oxford Instruments", "Software Version": "6.1", "Format Version": "7.0", "Index": "1"}
    data = {"Processed Patterns": PATTERNS, "Band Contrast": BC, "X": BC, "Euler": np.ones((6, 3), np.float32)}
    inside = {**{f"1/EBSD/Header/{name}": value for name, value in header.items()}}
    return write(path, **root, **inside, **{f"1/EBSD/Data/{name}": array for name, array in data.items()}, **more)


def only(path: Path) -> Dataset:
    (dataset,) = diadem.extract(path).datasets
    return dataset


def loaded(path: Path, out: Path) -> dict[str, Array]:
    """Every signal of a package of the file, by its title."""
    package = diadem.pack(path, out)
    found = package.load(path.name, lazy=False)
    return {one.metadata.General.title: one.data for one in (found if isinstance(found, list) else [found])}


# -- real files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "format_", "shape", "said"),
    [
        ("patterns.h5oina", "h5oina", (3, 3, 60, 60), {"optics.working_distance": 0.0235, "stage.tilt": 69.9}),
        ("bruker_patterns_roi.h5", "bruker-ebsd", (3, 2, 60, 60), {"optics.working_distance": 1e-3, "stage.tilt": 70}),
        ("kikuchipy_patterns.h5", "kikuchipy", (3, 3, 60, 60), {"beam.acceleration_voltage": 2e4, "stage.tilt": 70}),
        ("EBSD_TEST_Ni.h5", "emsoft", (1, 480, 640), {}),
        ("edax_binary.up2", "edax-patterns", (10, 60, 60), {}),
        ("Test_US_1.ctf", "ctf", (5, 40), {"beam.acceleration_voltage": 15e3, "optics.magnification": 200}),
        ("Test_1.ang", "ang", (4, 40), {"optics.working_distance": 5e-3, "person.operator": "Administrator"}),
    ],
)
def test_real_files(shared_data: Path, name: str, format_: str, shape: tuple[int, ...], said: dict[str, Any]) -> None:
    dataset = only(shared_data / "more" / "ebsd" / name)
    assert (dataset.primary.format, dataset.signals[0].shape) == (format_, shape)
    assert {key: dataset.value(key) for key in said} == {
        key: value if isinstance(value, str) else pytest.approx(value, rel=1e-5) for key, value in said.items()
    }
    assert "instrument.vendor" not in dataset.fields or dataset.value("instrument.vendor") == "Hitachi"
    hexagonal = name == "edax_binary.up2"  # as its head says
    assert [one["code"] for one in dataset.issues] == ["uneven-grid"] * hexagonal


def test_a_real_project_without_its_points(shared_data: Path) -> None:
    dataset = only(shared_data / "more" / "ebsd" / "testDataEBSD.cpr")
    assert dataset.value("time.acquired_start") == "2017-12-12T18:14:46"
    said = {
        "stage.x": 0.18012e-3,
        "stage.y": 6.2405e-3,
        "stage.z": 13.99985e-3,
        "stage.rotation": 47.01,
        "stage.tilt": 70,
    }
    assert {key: dataset.value(key) for key in said} == pytest.approx(said, rel=1e-6)
    assert "testDataEBSD.crc" in dataset.issues[0]["message"]
    assert not dataset.signals


# -- HDF5 --------------------------------------------------------------------------------------------------------------


def test_aztec_states_what_its_header_says(tmp_path: Path) -> None:
    dataset = only(oxford(tmp_path / "a.h5oina"))
    said = {
        "beam.acceleration_voltage": 15e3, "optics.working_distance": 12e-3, "optics.magnification": 500,
        "stage.tilt": pytest.approx(70), "stage.x": 3e-3, "camera.exposure": 0.02, "camera.binning": 4,
        "detector.serial": "S-1", "sample.name": "duplex steel", "time.acquired_start": "2024-05-06T07:08:09",
        "instrument.software": "Oxford Instruments 6.1", "signal.technique": "EBSD",
    }  # fmt: skip
    assert {key: dataset.value(key) for key in said} == said
    patterns, contrast = dataset.signals[:2]
    assert [axis.scale for axis in patterns.axes[:2]] == pytest.approx([0.25e-6, 0.5e-6])
    assert (patterns.kind, contrast.kind, contrast.shape) == ("4dstem", "image", (2, 3))
    assert len(dataset.signals) == 5  # and three angles; what the axes say is no signal


def test_its_patterns_and_maps_are_loaded(tmp_path: Path) -> None:
    found = loaded(oxford(tmp_path / "a.h5oina"), tmp_path / "out")
    assert np.array_equal(found["Processed Patterns"], PATTERNS.reshape(2, 3, 4, 5))
    assert np.array_equal(found["Band Contrast"], BC.reshape(2, 3))


def test_they_stay_in_the_package_until_they_are_asked_for(tmp_path: Path) -> None:
    package = diadem.pack(oxford(tmp_path / "a.h5oina"), tmp_path / "out")
    signal = package.load("a.h5oina")[0]
    assert signal._lazy
    assert np.array_equal(signal.inav[2, 1].data.compute(), PATTERNS[5])


def test_spectra_of_aztec_have_energies(tmp_path: Path) -> None:
    eds = {
        "X Cells": 3, "Y Cells": 2, "X Step": 1.0, "Y Step": 1.0, "Channel Width": 10.0, "Start Channel": -200.0,
        "Beam Voltage": 20.0, "Detector Elevation": np.radians(35.0),
    }  # fmt: skip
    more = {f"1/EDS/Header/{name}": value for name, value in eds.items()}
    dataset = only(oxford(tmp_path / "a.h5oina", **more, **{"1/EDS/Data/Spectrum": np.ones((6, 8), np.int32)}))
    spectra = next(one for one in dataset.signals if one.shape == (2, 3, 8))
    assert (spectra.axes[2].scale, spectra.axes[2].offset, spectra.axes[2].unit) == (10, -200, "eV")
    assert {one.value for one in dataset.fields["signal.technique"]} == {"EBSD", "EDS"}
    assert dataset.value("detector.elevation") == pytest.approx(35)


def test_points_of_a_part_of_brukers_map_are_put_in_their_places(tmp_path: Path) -> None:
    places = np.array([[1, 0], [0, 0], [0, 2], [1, 2], [1, 1], [0, 1]])
    header = {"NCOLS": 9, "NROWS": 9, "XSTEP": 2.0, "YSTEP": 2.0, "Grid Type": "isometric", "KV": 20.0, "WD": 15.0}
    path = write(
        tmp_path / "a.h5",
        Manufacturer="Bruker Nano",
        **{f"Scan 0/EBSD/Header/{name}": value for name, value in header.items()},
        **{"Scan 0/EBSD/SEM/IY": places[:, 0] + 4, "Scan 0/EBSD/SEM/IX": places[:, 1] + 2},
        **{"Scan 0/EBSD/Data/RawPatterns": PATTERNS, "Scan 0/EBSD/Data/MAD": BC},
    )
    assert only(path).value("optics.working_distance") == pytest.approx(15e-3)
    found = loaded(path, tmp_path / "out")
    assert found["Scan 0: MAD"].tolist() == [[1, 5, 2], [0, 4, 3]]
    assert np.array_equal(found["Scan 0: RawPatterns"][1, 2], PATTERNS[3])


@pytest.mark.parametrize("odd", [{"NCOLS": -3, "NROWS": -2}, {"NCOLS": 9, "NROWS": 9}])
def test_an_odd_grid_costs_neither_signals_nor_what_the_header_says(tmp_path: Path, odd: dict[str, int]) -> None:
    header = {"NCOLS": 9, "NROWS": 9, "Grid Type": "isometric", "KV": 20.0, **odd}
    path = write(
        tmp_path / "a.h5",
        Manufacturer="Bruker Nano",
        **{f"Scan 0/EBSD/Header/{name}": value for name, value in header.items()},
        **{"Scan 0/EBSD/SEM/IY/no": [1], "Scan 0/EBSD/SEM/IX/array": [1]},  # groups, where arrays are meant
        **{"Scan 0/EBSD/Data/RawPatterns": PATTERNS},
    )
    dataset = only(path)
    assert dataset.value("beam.acceleration_voltage") == 20e3
    assert dataset.signals[0].shape == PATTERNS.shape


def test_kikuchipy_counts_in_seconds(tmp_path: Path) -> None:
    header = {"n_columns": 3, "n_rows": 2, "step_x": 1.5, "step_y": 1.5, "exposure_time": 0.0035, "frame_rate": 202.0}
    path = write(
        tmp_path / "a.h5",
        manufacturer="kikuchipy",
        **{f"Scan 1/EBSD/Header/{name}": value for name, value in header.items()},
        **{"Scan 1/EBSD/Data/patterns": PATTERNS},
    )
    dataset = only(path)
    said = {"camera.exposure": 0.0035, "camera.frame_rate": 202}
    assert (dataset.primary.format, {key: dataset.value(key) for key in said}) == ("kikuchipy", said)
    assert dataset.signals[0].axes[0].scale == pytest.approx(1.5e-6)


@pytest.mark.parametrize("suffix", [".h5", ".oh5", ".dat"])
@pytest.mark.parametrize(("grid", "shape"), [("SqrGrid", (2, 3, 4, 5)), ("HexGrid", (6, 4, 5))])
def test_edax_has_blanks_before_its_names(tmp_path: Path, suffix: str, grid: str, shape: tuple[int, ...]) -> None:
    header = {
        "nColumns": [3], "nRows": [2], "Step X": [0.1], "Step Y": [0.1], "Grid Type": grid, "Working Distance": [18.0],
        "Sample Tilt": [70.0], "Operator": "Kim", "Sample ID": "S7",
    }  # fmt: skip
    path = write(
        tmp_path / f"a{suffix}",
        **{" Manufacturer": "EDAX", " Version": "OIM Analysis 7.3"},
        **{f"Scan 1/EBSD/Header/{name}": value for name, value in header.items()},
        **{"Scan 1/EBSD/Data/Pattern": PATTERNS, "Scan 1/SEM-PRIAS Images/Header/Mag": [1000.0]},
        **{"Scan 1/SEM-PRIAS Images/Data/SEM": np.ones((9, 8), np.uint8)},
    )
    dataset = only(path)
    said = ("optics.working_distance", "stage.tilt", "person.operator", "sample.identifier", "optics.magnification")
    assert [dataset.value(key) for key in said] == [pytest.approx(18e-3), 70, "Kim", "S7", 1000]
    assert (dataset.primary.format, dataset.signals[0].shape) == ("edax-ebsd", shape)
    assert dataset.signals[1].kind == "image"
    assert not {"instrument.vendor", "instrument.software"} & set(dataset.fields)


@pytest.mark.parametrize(("grid", "rows", "columns"), [("HexGrid", 2, 3), ("hexagonal", 2, 3), ("HexGrid", 3, 2)])
def test_hexagonal_maps_are_no_pictures(tmp_path: Path, grid: str, rows: int, columns: int) -> None:
    """Rows are shifted and may have different numbers of points: points follow each other, and X and Y say where."""
    header = {"nColumns": columns, "nRows": rows, "Step X": 0.5, "Step Y": 0.433, "Grid Type": grid}
    x = np.array([0, 0.5, 1, 0.25, 0.75, 1.25], np.float32)
    y = np.array([0, 0, 0, 0.433, 0.433, 0.433], np.float32)
    data = {"IQ": BC, "X Position": x, "Y Position": y, "Pattern": PATTERNS}
    path = write(
        tmp_path / "a.oh5",
        Manufacturer="EDAX",
        **{f"Scan 1/{one}/Header/{name}": value for one in ("EBSD", "EDS") for name, value in header.items()},
        **{f"Scan 1/EBSD/Data/{name}": array for name, array in data.items()},
        **{"Scan 1/EDS/Data/SPC": np.ones((6, 8), np.int32), "Scan 1/EDS/Data/ROI 1": BC},
    )
    dataset = only(path)
    told = {
        one.title.rpartition(": ")[2]: (one.kind, one.shape, [axis.name for axis in one.axes])
        for one in dataset.signals
    }
    assert told == {
        "Pattern": ("image_stack", (6, 4, 5), ["point", "dy", "dx"]),
        "SPC": ("spectrum_line", (6, 8), ["point", ""]),
        **dict.fromkeys(("IQ", "X Position", "Y Position", "ROI 1"), ("array", (6,), ["point"])),
    }
    assert "image.pixel_size_x" not in dataset.fields
    assert [one["code"] for one in dataset.issues] == ["uneven-grid"]
    found = loaded(path, tmp_path / "out")
    assert found["Scan 1: X Position"].tolist() == x.tolist()


def test_hexagonal_points_of_texts_and_pattern_files_are_told_so(tmp_path: Path) -> None:
    head = (
        "# HEADER: Start\n# GRID: HexGrid\n# XSTEP: 0.2\n# YSTEP: 0.17\n# NCOLS_ODD: 3\n# NCOLS_EVEN: 2\n# NROWS: 2\n"
    )
    points = [(0, 0), (0.2, 0), (0.4, 0), (0.1, 0.17), (0.3, 0.17)]
    (tmp_path / "a.ang").write_text(head + "".join(f" 1.0 2.0 3.0 {x} {y} 5.0 0.6 1\n" for x, y in points))
    dataset = only(tmp_path / "a.ang")
    assert {(one.kind, one.shape, one.axes[0].name) for one in dataset.signals} == {("array", (5,), "point")}
    assert [one["code"] for one in dataset.issues] == ["uneven-grid"]
    found = loaded(tmp_path / "a.ang", tmp_path / "out")
    assert list(zip(found["x"].tolist(), found["y"].tolist(), strict=True)) == points
    path = tmp_path / "a.up1"
    path.write_bytes(struct.pack("<4IB2IB2d", 3, 5, 4, 42, 1, 3, 2, 1, 0.5, 0.25) + PATTERNS.tobytes())
    dataset = only(path)
    assert ([axis.name for axis in dataset.signals[0].axes], dataset.signals[0].shape) == (
        ["point", "dy", "dx"],
        (6, 4, 5),
    )
    assert [one["code"] for one in dataset.issues] == ["uneven-grid"]


def test_links_that_lead_away_are_not_followed(tmp_path: Path) -> None:
    path = oxford(tmp_path / "a.h5oina")
    with h5py.File(path, "a") as root:
        root["1/EBSD/Data/Phase"] = h5py.SoftLink("/1/EBSD/Data/Band Contrast")
    assert "Phase" not in {one.title for one in only(path).signals}


def test_other_hdf5_files_are_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5oina", Manufacturer="Oxford Instruments", data=BC)
    assert only(path).primary.format == "unknown"


# -- texts and records -------------------------------------------------------------------------------------------------

CTF = (
    "Channel Text File\r\nPrj\tmap\r\nAuthor\tJ. Doe\r\nJobMode\tGrid\r\nXCells\t3\r\nYCells\t2\r\nXStep\t0,5\r\n"
    "YStep\t0,5\r\nEuler angles refer to Sample Coordinate system (CS0)!\tMag\t800\tKV\t20\tTiltAngle\t70\r\n"
    "Phases\t1\r\n3.6;3.6;3.6\t90;90;90\tCopper\t11\t225\r\nPhase\tX\tY\tEuler1\tBC\r\n"
)


def test_a_channel_text_file_with_commas_under_any_name(tmp_path: Path) -> None:
    rows = "".join(f"1\t{0.5 * (one % 3)}\t{0.5 * (one // 3)}\t10.5\t{one}\r\n".replace(".", ",") for one in range(6))
    path = tmp_path / "map.dat"
    path.write_text(CTF + rows, newline="")
    dataset = only(path)
    assert dataset.primary.format == "ctf"
    assert (dataset.value("person.operator"), dataset.value("stage.tilt")) == ("J. Doe", 70)
    assert dataset.value("image.pixel_size_x") == pytest.approx(0.5e-6)
    found = loaded(path, tmp_path / "out")
    assert found["BC"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["Euler1"][1, 2] == 10.5


@pytest.mark.parametrize(("grid", "odd", "even", "shape"), [("SqrGrid", 3, 3, (2, 3)), ("HexGrid", 3, 2, (5,))])
def test_columns_of_an_ang_file_are_named(tmp_path: Path, grid: str, odd: int, even: int, shape: tuple[int]) -> None:
    head = (
        f"# HEADER: Start\n# WorkingDistance 17.5\n# SampleTiltAngle 70.0\n# GRID: {grid}\n# XSTEP: 0.2\n# YSTEP: 0.2\n"
        f"# NCOLS_ODD: {odd}\n# NCOLS_EVEN: {even}\n# NROWS: 2\n# OPERATOR: Ada\n# SAMPLEID: S-3\n"
        "# COLUMN_HEADERS: phi1, PHI, phi2, x, y, IQ, CI, Phase index\n# HEADER: End\n"
    )
    path = tmp_path / "a.ang"
    path.write_text(head + "".join(f" 1.0 2.0 3.0 0.0 0.0 {one} 0.5 1\n" for one in range(odd + even)))
    dataset = only(path)
    said = [dataset.value(key) for key in ("optics.working_distance", "stage.tilt", "person.operator")]
    assert said == [pytest.approx(17.5e-3), 70, "Ada"]
    assert {"IQ", "phi1", "PHI", "phi2", "CI", "Phase index"} <= {one.title for one in dataset.signals}
    assert dataset.signals[0].title == "IQ"
    assert dataset.signals[0].shape == shape
    assert loaded(path, tmp_path / "out")["IQ"].ravel().tolist() == list(range(odd + even))


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_names_in_a_head_are_read_in_its_coding(tmp_path: Path, coding: str) -> None:
    head = "# HEADER: Start\n# OPERATOR: Åsa Öberg\n# GRID: SqrGrid\n# XSTEP: 1\n# YSTEP: 1\n# NCOLS_ODD: 2\n"
    text = head + "# NCOLS_EVEN: 2\n# NROWS: 1\n" + " 1.0 2.0 3.0 0.0 0.0 22.2 0.6 1\n" * 2
    (tmp_path / "a.ang").write_bytes(text.encode(coding))
    assert only(tmp_path / "a.ang").value("person.operator") == "Åsa Öberg"


def test_more_points_than_the_head_names_are_refused(tmp_path: Path) -> None:
    head = "# HEADER: Start\n# GRID: SqrGrid\n# XSTEP: 1\n# YSTEP: 1\n# NCOLS_ODD: 2\n# NCOLS_EVEN: 2\n# NROWS: 1\n"
    (tmp_path / "a.ang").write_text(head + " 1.0 2.0 3.0 0.0 0.0 22.2 0.6 1\n" * 6)
    with pytest.raises(ReaderError, match="more are there"):
        loaded(tmp_path / "a.ang", tmp_path / "out")


def test_maps_of_acom_have_their_steps_in_nanometres(tmp_path: Path) -> None:
    head = (
        "# File created from ACOM RES results\n# a.res\n# GRID: SqrGrid#\n# XSTEP: 8.3\n# YSTEP: 8.3\n# NCOLS_ODD: 3\n"
    )
    head += "# NCOLS_EVEN: 3\n# NROWS: 2\n# OPERATOR: sudo\n"
    (tmp_path / "a.ang").write_text(head + " 1.0 2.0 3.0 0.0 0.0 22.2 19.6 1 1960\n" * 6)
    dataset = only(tmp_path / "a.ang")
    assert dataset.value("image.pixel_size_x") == pytest.approx(8.3e-9)
    assert "signal.technique" not in dataset.fields
    assert dataset.signals[3].title == "Index"


def test_records_of_channel_5_lie_beside_their_project(tmp_path: Path) -> None:
    records = [struct.pack("<B4f2B", 1, 0.1, 0.2, 0.3, 0.5, one, 9) for one in range(6)]
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "a.cpr"
    path.write_text(
        "[General]\nVersion=5.0\n[Job]\nkV=20\nTiltAngle=70\nGridDistX=0.5\nGridDistY=0.25\nxCells=3\nyCells=2\n"
        "[Fields]\nCount=6\nField1=3\nField2=4\nField3=5\nField4=6\nField5=7\nField6=8\n"
    )
    (tmp_path / "a" / "a.crc").write_bytes(b"".join(records))
    dataset = only(path.parent)
    assert [file.path.rpartition("/")[2] for file in dataset.files] == ["a.cpr", "a.crc"]
    assert [axis.scale for axis in dataset.signals[0].axes] == pytest.approx([0.25e-6, 0.5e-6])
    assert not dataset.issues
    package = diadem.pack(path.parent, tmp_path / "out")
    found = {one.metadata.General.title: one.data for one in package.load("a.cpr", lazy=False)}
    assert found["BC"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.allclose(found["Euler 3"], 0.3)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.cpr").write_bytes(path.read_bytes())
    (tmp_path / "b" / "a.crc").write_bytes(b"".join(records)[:-1])
    assert only(tmp_path / "b").issues


@pytest.mark.parametrize(("suffix", "kind"), [("up1", "<u1"), ("up2", "<u2")])
def test_patterns_of_edax(tmp_path: Path, suffix: str, kind: str) -> None:
    head = struct.pack("<4IB2IB2d", 3, 5, 4, 42, 1, 3, 2, 0, 0.5, 0.25)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(head + PATTERNS.astype(kind).tobytes())
    dataset = only(path)
    assert [axis.scale for axis in dataset.signals[0].axes[:2]] == pytest.approx([0.25e-6, 0.5e-6])
    assert np.array_equal(loaded(path, tmp_path / "out")["Patterns"], PATTERNS.reshape(2, 3, 4, 5))
    path.write_bytes(path.read_bytes()[:-1])
    cut = only(path)
    assert "truncated" in {one["code"] for one in cut.issues}
    assert cut.value("signal.technique") == "EBSD"


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.up1", b"\x03\0\0\0" + b"\xff" * 60), ("a.ang", b"# remarks\n1 2 3\n"), ("a.cpr", b"[Corel]\nx=1\n")],
)
def test_what_only_has_the_name_is_unknown(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert only(tmp_path / name).primary.format == "unknown"


def test_a_head_that_names_no_grid_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.ctf").write_text(CTF.replace("XCells\t3", "XCells\t0"), newline="")
    dataset = only(tmp_path / "a.ctf")
    assert "grid" in dataset.issues[0]["message"]
    assert dataset.value("beam.acceleration_voltage") == 2e4


def test_a_text_that_cannot_hold_its_points_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / "a.ctf").write_text(CTF + "1\t0\t0\t1\t2\r\n", newline="")
    assert "truncated" in {one["code"] for one in only(tmp_path / "a.ctf").issues}


@pytest.mark.parametrize("length", [(1 << 16) - 3, 1 << 16, (1 << 17) + 5])
def test_a_head_goes_on_over_pieces_and_the_points_are_not_read(length: int) -> None:
    head = b"# HEADER: Start\n# GRID: SqrGrid\n# XSTEP: 1\n# YSTEP: 1\n# NCOLS_ODD: 2\n# NCOLS_EVEN: 2\n# NROWS: 1\n"
    head += b"# " + b"x" * (length - len(head) - 3) + b"\n"
    held = Held({"a.ang": head + b" 1.0 2.0 3.0 0.0 0.0 22.2 0.6 1\n" * (1 << 15)})
    (block,) = target("diadem.plugins.ebsd.maps:open_ang")(held).blocks
    assert block.data == head
    assert held.held["a.ang"].read <= length + (1 << 17)
