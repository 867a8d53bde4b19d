"""What the records of Phenom, NeXus, DECTRIS, Semper and NORDIF files state, against the files' bytes."""

from __future__ import annotations

import bz2
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.api import extract, readable_files
from diadem.errors import ReaderError
from diadem.extract.tables import apply
from diadem.hooks.fields import Block, Table
from diadem.hooks.tables import tables
from diadem.plugins.others.files import settings
from tests.plugins.opened import blocks, dictionaries, opened

OTHERS = tables("diadem.plugins.others")
OPEN = "diadem.plugins.others.files:open_"

PHENOM, ARINA, NORDIF = "Elid2Version0.elid", "test_00_master.h5", "Setting.txt"
VOLUME, TITLED = "example_signal_3d.unf", "example_with_title.unf"


@pytest.fixture(scope="module")
def singles(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the real files of all formats of this family."""
    target = tmp_path_factory.mktemp("singles")
    for name in ("elid", "arina", "semper", "ebsd", "nxs"):
        shutil.copytree(shared_data / name, target / name)
    return target


@pytest.fixture(scope="module")
def datasets(real: Mapping[str, Any]) -> Mapping[str, Any]:
    folders = ("elid/", "arina/", "semper/", "ebsd/", "nxs/")
    return {Path(path).name: dataset for path, dataset in real.items() if path.startswith(folders)}


@pytest.mark.parametrize(
    ("field", "first", "other"),
    [
        ("optics.working_distance", 8.141749999999993e-3, 8.230249999999993e-3),
        ("optics.field_of_view_x", 1.9515585197840244e-5, 3.2481689123460745e-5),
        ("stage.x", -0.002586744298575455, -0.002441141462882863),
        ("stage.y", -0.0007322168400784014, -0.001186464049366062),
        ("time.acquired_start", "2019-08-07T09:37:31", "2019-08-07T12:42:26"),
    ],
)
def test_two_pictures_of_a_phenom_project(
    datasets: Mapping[str, Any], field: str, first: float | str, other: float | str
) -> None:
    found = {assertion.applies_to[0]: assertion.value for assertion in datasets[PHENOM].assertions(field)}
    expected = {"s1": first, "s10": other}
    assert found == (pytest.approx(expected) if isinstance(first, float) else expected)


def test_phenoms_live_times(datasets: Mapping[str, Any]) -> None:
    """A spot, a region and a line; maps that say they were live for longer than they took are left out."""
    live = {name: found.value for found in datasets[PHENOM].assertions("eds.live_time") for name in found.applies_to}
    real = {name: found.value for found in datasets[PHENOM].assertions("eds.real_time") for name in found.applies_to}
    assert live == {"s2": 5.7203385, "s3": 6.5802053, "s5": pytest.approx(5.5043436)}
    assert set(real) == {"s2", "s3", "s5", "s9"}
    assert all(live[name] <= real[name] for name in live)


def test_phenom_against_the_xml(singles: Path, datasets: Mapping[str, Any]) -> None:
    """The picture's XML, found in the decompressed bytes, has units; SI values of the analyses are the same."""
    data = bz2.decompress((singles / "elid" / PHENOM).read_bytes())
    start = data.index(b"<FeiImage")
    text = data[start : data.index(b"</FeiImage>", start)].decode()

    def stated(tag: str) -> tuple[float, str]:
        match = re.search(rf'<{tag} unit="([^"]+)">([^<]+)<', text)
        assert match is not None
        return float(match[2]), match[1]

    assert stated("highVoltage") == (-15, "kV")
    assert stated("emissionCurrent") == (40.3, "uA")
    assert stated("dwellTime") == (200, "ns")
    distance, unit = stated("workingDistance")
    dataset = datasets[PHENOM]
    assert unit == "mm"
    assert dataset.value("optics.working_distance", "s1") == pytest.approx(distance / 1e3)
    assert dataset.value("optics.field_of_view_x", "s1") == pytest.approx(20 * stated("pixelWidth")[0] * 1e-9)
    position = re.search(r"<samplePosition>\s*<x>([^<]+)</x>\s*<y>([^<]+)<", text)
    axes = re.findall(r'<axis id="[XY]">([^<]+)<', text)
    assert position is not None
    assert dataset.value("stage.x", "s1") == pytest.approx(float(position[1]))
    assert [-float(axis) for axis in axes] == pytest.approx([float(position[1]), float(position[2])], abs=1e-5)
    assert '<sampleRadius unit="m">' in text


def test_arina_against_hdf5(singles: Path, datasets: Mapping[str, Any]) -> None:
    with h5py.File(singles / "arina" / ARINA) as file:
        detector = file["entry/instrument/detector"]
        assert detector["count_time"].attrs["units"] == b"s"
        assert datasets[ARINA].value("camera.exposure") == pytest.approx(detector["count_time"][()])
        assert datasets[ARINA].value("camera.counter_depth") == detector["bit_depth_readout"][()]
        assert datasets[ARINA].value("detector.serial") == detector["detector_number"][()].decode()
        date = detector["detectorSpecific/data_collection_date"][()].decode()
    assert datasets[ARINA].value("time.acquired_start") == date


def test_a_master_whose_data_file_is_lost(shared_data: Path) -> None:
    """Its own facts are read, and the message says what should be beside it."""
    (found,) = extract(shared_data / "more" / "arina" / "MEA_ptycho_15_master.h5").datasets
    assert found.primary.format == "arina"
    assert found.value("camera.exposure") == pytest.approx(0.0004995)
    assert found.value("time.acquired_start") == "2025-01-30T10:15:16.17+01:00"
    assert (found.value("detector.serial"), found.value("detector.name")) == ("A-01-0011", "Dectris ARINA CZT")
    (issue,) = found.issues
    assert issue["code"] == "missing-part"
    assert "MEA_ptycho_15_data_000001.h5" in issue["message"]
    assert "beside" in issue["message"]


def test_nordif_against_the_text(singles: Path, datasets: Mapping[str, Any]) -> None:
    text = (singles / "ebsd" / "nordif" / NORDIF).read_text("latin-1")
    for line, field, factor in (
        (r"Accelerating voltage\t(\S+)\tkV", "beam.acceleration_voltage", 1e3),
        (r"Working distance\t(\S+)\tmm", "optics.working_distance", 1e-3),
        (r"Tilt angle\t(\S+)\t°", "stage.tilt", 1),
        (r"Exposure time\t(\S+)\tµs", "camera.exposure", 1e-6),
        (r"Frame rate\t(202)\tfps", "camera.frame_rate", 1),
    ):
        match = re.search(line, text)
        assert match is not None, line
        assert datasets[NORDIF].value(field) == pytest.approx(float(match[1]) * factor)


def test_nordifs_patterns_are_read(singles: Path, datasets: Mapping[str, Any]) -> None:
    dataset = datasets[NORDIF]
    assert [file.path.rpartition("/")[2] for file in dataset.files] == [NORDIF, "Pattern.dat"]
    (signal,) = dataset.signals
    assert (signal.shape, signal.kind, signal.title) == ((3, 3, 60, 60), "4dstem", "Ni")
    assert [(axis.name, axis.scale, axis.unit) for axis in signal.axes[:2]] == [("y", 1.5e-6, "m"), ("x", 1.5e-6, "m")]
    path = singles / "ebsd" / "nordif" / NORDIF
    whole = np.fromfile(path.with_name("Pattern.dat"), "u1").reshape(3, 3, 60, 60)
    (loaded,) = dictionaries(f"{OPEN}nordif", path)
    assert np.array_equal(np.asarray(loaded["data"]), whole)
    assert loaded["original_metadata"]["Specimen"]["Name"]["value"] == "Ni"


def test_patterns_that_do_not_fit_and_other_texts(singles: Path, tmp_path: Path) -> None:
    text = (singles / "ebsd" / "nordif" / NORDIF).read_text("latin-1")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Setting.txt").write_text(text, "latin-1")
    with pytest.raises(ReaderError, match=r"no pattern\.dat beside"):
        dictionaries(f"{OPEN}nordif", tmp_path / "a" / "Setting.txt")
    (tmp_path / "a" / "PATTERN.DAT").write_bytes(bytes(100))
    with pytest.raises(ReaderError, match="100 bytes"):
        dictionaries(f"{OPEN}nordif", tmp_path / "a" / "Setting.txt")
    wide = text.replace("Width\t4.500", "Width\t6.000").replace("3x3", "3x4")
    (tmp_path / "a" / "Setting.txt").write_text(wide, "latin-1")
    (tmp_path / "a" / "PATTERN.DAT").write_bytes(bytes(12 * 3600))
    (signal,) = opened(f"{OPEN}nordif", tmp_path / "a" / "Setting.txt")[0].signals
    assert signal.shape == (3, 4, 60, 60)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "Setting.txt").write_bytes(b"of another program")
    for name, data in (("notes.txt", b"beam was unstable"), ("empty.txt", b""), ("photo.txt", b"\x89PNG\r\n\x1a\n")):
        (tmp_path / name).write_bytes(data)
    found = {dataset.path: dataset for dataset in extract(tmp_path).datasets}
    formats = {path: dataset.primary.format for path, dataset in found.items()}
    assert readable_files(tmp_path) == []
    assert formats.pop("a/Setting.txt") == "nordif"
    assert formats.pop("photo.txt") == "image"  # by what it is
    assert set(formats.values()) == {"unknown"}
    assert found["notes.txt"].issues == found["b/Setting.txt"].issues == ()
    assert [issue["code"] for issue in found["empty.txt"].issues] == ["empty"]


def fields_of(table: Table, tree: Mapping[str, Any]) -> dict[str, Any]:
    applied = apply(table, Block("test", tree), "test")
    assert applied.issues == []
    return {value.field: value.value for value in applied.values}


def write_nexus(path: Path) -> None:
    """A file as an instrument of a facility writes it."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["start_time"] = "2021-03-04T15:05:06.5+01:00"
        entry["end_time"] = np.bytes_("2021-03-04T16:05:06")
        entry["experiment_identifier"] = "mt-1234"
        for name, kind, value in (("user", "NXuser", "Ada Lovelace"), ("sample", "NXsample", "Unnamed Sample"),
                                  ("instrument", "NXinstrument", "I14")):  # fmt: skip
            group = entry.create_group(name)
            group.attrs["NX_class"] = kind
            group["name"] = value
        entry["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/")
        entry["broken"] = h5py.SoftLink("/nowhere")
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="data")
        data["data"] = np.zeros((3, 4))


def test_a_nexus_entry(tmp_path: Path) -> None:
    write_nexus(tmp_path / "scan.nxs")
    (block,) = blocks(f"{OPEN}nexus", tmp_path / "scan.nxs")
    assert fields_of(OTHERS["nexus-entry"], block.tree) == {
        "time.acquired_start": "2021-03-04T15:05:06.5+01:00",
        "time.utc_offset": "+01:00",
        "time.acquired_end": "2021-03-04T16:05:06",
        "session.identifier": "mt-1234",
        "person.operator": "Ada Lovelace",
        "instrument.name": "I14",
    }


def test_several_entries_are_not_told_apart(tmp_path: Path) -> None:
    write_nexus(tmp_path / "scan.nxs")
    with h5py.File(tmp_path / "scan.nxs", "a") as file:
        file.copy("entry", "entry2", expand_external=False)
    assert {block.kind for block in blocks(f"{OPEN}nexus", tmp_path / "scan.nxs")} == {"nexus-entries"}


def test_a_placeholder_of_a_beamline(datasets: Mapping[str, Any]) -> None:
    assert datasets["nexus_dls_example.nxs"].assertions("sample.name") == ()


def test_trees_without_anything(tmp_path: Path) -> None:
    for table in OTHERS.values():
        for tree in ({}, {"DATE": "", "time": None, "acquisition": 3, "Microscope": {"Tilt angle": {"value": "x"}}}):
            assert fields_of(table, tree) == {}
    with h5py.File(tmp_path / "other_master.h5", "w") as file:
        file["entry/data"] = 1
    assert blocks(f"{OPEN}arina", tmp_path / "other_master.h5") == []


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("115-10-27 14:28:22", None),
        ("15-10-27 14:28:22", "2015-10-27T14:28:22"),
        ("1996-2-3 4:5:6", "1996-02-03T04:05:06"),
        ("96-2-3 4:5:6", "1996-02-03T04:05:06"),
        ("0-0-0 0:0:0", None),
    ],
)
def test_dates_of_semper(date: str, expected: str | None) -> None:
    assert fields_of(OTHERS["semper"], {"DATE": date}).get("time.acquired_start") == expected


@pytest.mark.parametrize(
    ("time", "expected", "offset"),
    [
        ("2019-08-07T09:37:31", "2019-08-07T09:37:31", "unknown"),
        ("2019-08-07T09:37:31Z", "2019-08-07T09:37:31Z", "known"),
        ("2019-08-07T09:37:31+02:00", "2019-08-07T09:37:31+02:00", "known"),
    ],
)
def test_times_of_phenom(time: str, expected: str, offset: str) -> None:
    found = apply(OTHERS["phenom"], Block("test", {"time": time}), "test").values
    start = next(value for value in found if value.field == "time.acquired_start")
    assert (start.value, start.offset_status) == (expected, offset)


WORDS = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)


@given(st.dictionaries(WORDS, st.dictionaries(WORDS, st.tuples(WORDS, WORDS), min_size=1, max_size=4), max_size=4))
def test_settings_that_are_written_are_read(tree: dict[str, dict[str, tuple[str, str]]]) -> None:
    lines = ["[NORDIF]\t\t"]
    for section, inside in tree.items():
        lines += [f"[{section}]\t\t", *(f"{name}\t{value}\t{unit}" for name, (value, unit) in inside.items()), "\t\t"]
    expected = {
        section: {name: {"value": value, "unit": unit} for name, (value, unit) in inside.items()}
        for section, inside in tree.items()
    }
    assert settings("\n".join(lines)) == expected
