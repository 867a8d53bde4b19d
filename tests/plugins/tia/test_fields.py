"""What TIA's documents and series state: real files by two routes, and made-up ones for what those do not have."""

from __future__ import annotations

import datetime as dt
import re
import struct
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.model.record import Dataset
from diadem.plugins.tia.files import MAX_OBJECTS, objects, parse
from diadem.terms import fields
from tests.plugins.opened import Bytes, blocks
from tests.plugins.tia.tia_file import STEM, TEM, Dimension, Made, emi, object_info

TIA = tables("diadem.plugins.tia")
LINE = "16x16-line_profile_horizontal_5x128x128_EDS.emi"
MAP = "16x16-spectrum_image-5x5x1024.emi"
SPECTRA = np.arange(6 * 5, dtype="<u4").reshape(6, 5)


@pytest.fixture(scope="module")
def datasets(real: Mapping[str, Dataset]) -> Mapping[str, Dataset]:
    """What the record says, by file name."""
    return {Path(path).name: dataset for path, dataset in real.items() if path.startswith("tia/")}


def answers(dataset: Dataset, field: str) -> list[Any]:
    """What the record answers for the dataset and for each of its signals."""
    return [dataset.value(field, signal) for signal in (None, *(signal.id for signal in dataset.signals))]


def test_a_survey_image_speaks_for_the_dataset_and_a_map_for_itself(datasets: Mapping[str, Dataset]) -> None:
    """A map is dwelt upon ten thousand times as long as the image that it was chosen from, and later."""
    dataset = datasets[MAP]
    assert answers(dataset, "scan.dwell_time") == [1e-5, 0.05]
    start = dataset.assertion("time.acquired_start", "s1")
    assert start is not None
    assert (start.value, start.offset_status) == ("2016-02-22T11:56:27+01:00", "derived")
    survey = dataset.assertion("time.acquired_start")
    assert survey is not None
    assert (survey.value, survey.offset_status, survey.applies_to) == ("2016-02-22T11:55:58", "unknown", ())
    assert dataset.value("time.acquired_end") == "2016-02-22T11:56:32+01:00"
    assert [issue["code"] for issue in dataset.document["issues"]] == []


def test_each_series_has_its_own_document(datasets: Mapping[str, Dataset]) -> None:
    """The reader gives the first series the survey's document, and the second one that of the first."""
    dataset = datasets[LINE]
    assert [dataset.value("signal.technique", signal) for signal in ("s1", "s2")] == ["EDS", "diffraction"]
    assert [dataset.value("detector.name", signal) for signal in ("s1", "s2")] == [None, "BM-Ceta"]
    assert [dataset.value("camera.exposure", signal) for signal in ("s1", "s2")] == [None, 0.05]
    assert [dataset.value("time.acquired_start", signal)[11:19] for signal in ("s1", "s2")] == ["19:18:16", "19:18:24"]
    assert dataset.value("image.reciprocal_pixel_size_x", "s2") == pytest.approx(1.74353e8, rel=1e-5)


def test_series_without_a_path_are_joined_by_their_kind(datasets: Mapping[str, Dataset]) -> None:
    """The paths in NIST's files are zeroed: a spectrum's document is the one of spectra."""
    dataset = datasets["Titan_TEM_4_eds_line_scan_2_dataZeroed.emi"]
    assert answers(dataset, "scan.dwell_time") == [6e-6, 10.0]
    assert dataset.value("signal.technique", "s1") == "EDS"
    both = datasets["Titan_TEM_1_STEM_image_dataZeroed.emi"]
    assert [both.value("scan.frame_time", signal) for signal in ("s1", "s2")] == [60.0, 60.0]


def test_techniques(datasets: Mapping[str, Dataset]) -> None:
    assert datasets[MAP].value("signal.technique") == "EELS"
    assert datasets[MAP].value("eels.dispersion") == 0.2
    assert datasets[MAP].value("eels.aperture") == 0.002
    assert datasets["Titan_TEM_5_eds_spectrum_dataZeroed.emi"].value("signal.technique") == "EDS"
    assert datasets["Titan_TEM_5_eds_spectrum_dataZeroed.emi"].value("eels.dispersion") is None  # the filter's, unused
    assert datasets["Titan_TEM_1_STEM_image_dataZeroed.emi"].value("signal.technique") == "STEM"
    assert datasets["64x64_TEM_images_acquire.emi"].value("signal.technique") == "TEM"


@pytest.mark.parametrize(
    ("mode", "camera", "technique"),
    [
        ("STEM nP SA Zoom Diffraction", False, "STEM"),
        ("EFSTEM nP SA Zoom Diffraction", False, "STEM"),
        ("STEM nP SA Zoom Diffraction", True, "diffraction"),
        ("TEM uP LM Image", True, "TEM"),
        ("EFTEM uP SA Zoom Image", True, "TEM"),
        ("EFTEM uP SA Zoom Diffraction", True, "diffraction"),
    ],
)
def test_modes(mode: str, camera: bool, technique: str) -> None:
    """With the energy filter the first word is longer."""
    place = "ExperimentalDescription"
    described = {"Mode": {"Value": mode, "Unit": ""}, "Stem rotation": {"Value": "90.0", "Unit": "deg"}}
    tree = {place: described, "AcquireInfo": {"CameraNamePath": "Ceta"} if camera else {}}
    found = {value.field: value.value for value in apply(TIA["tia-object"], Block("tia-object", tree), "tia").values}
    assert (found["signal.technique"], found["instrument.kind"], found["beam.mode"]) == (technique, "tem", mode)
    assert ("scan.rotation" in found) is ("STEM" in mode)


@pytest.mark.parametrize(
    ("mode", "stated"),
    [
        ("TEM uP SA Zoom Image", False),
        ("EFTEM uP SA Zoom Image", False),
        ("", False),
        ("TEM uP SA Zoom Diffraction", True),
        ("EFTEM nP LM Diffraction", True),
        ("STEM nP SA Zoom Diffraction", True),
        ("EFSTEM nP SA Zoom Image", True),
    ],
)
def test_behind_an_image_the_camera_length_is_that_of_the_last_pattern(tmp_path: Path, mode: str, stated: bool) -> None:
    labels = (("Mode", mode, ""), ("Camera length", "0.26", "m"))
    made = {1: Made(SPECTRA[:1], [Dimension(1)], times=[UTC])}
    dataset = rows(tmp_path, (object_info(labels=labels), PATH.format("a", 1)), series=made)
    assert dataset.value("optics.camera_length") == (0.26 if stated else None)


# -- another route: text between tags, numbers at fixed places -----------------------------------------------------


def labelled(tia_files: Path, file: str, label: str, *, nth: int = 0) -> float:
    """The n-th number behind a label in the bytes of a file."""
    pattern = rb"<Label>" + label.encode() + rb"</Label><Value>([-\d.]+)</Value>"
    return float(re.findall(pattern, (tia_files / file).read_bytes())[nth])


def test_fewer_documents_than_series(tmp_path: Path) -> None:
    """The document is of one of two series of spectra, of which nothing tells: each has its own time."""
    made = object_info(
        "Wed Aug 05 18:20:11 2020",
        labels=TEM,
        acquired="<ShapingTime>51.2</ShapingTime>",
        more="<DetectorRange><Start>0</Start><End>9</End></DetectorRange>",
    )
    (tmp_path / "two.emi").write_bytes(emi((made, "")))
    for number, moment in ((1, 1596665887), (2, 1596666049)):
        made_series = Made(SPECTRA, [Dimension(6)], times=(moment,))
        (tmp_path / f"two_{number}.ser").write_bytes(made_series.content())
    (dataset,) = diadem.extract(tmp_path).datasets
    times = {item.applies_to: item.value for item in dataset.fields["time.acquired_start"]}
    assert times == {
        ("s1",): "2020-08-05T22:18:07Z",
        ("s2",): "2020-08-05T22:20:49Z",
        (): "2020-08-05T18:20:11",
    }
    assert [item.value for item in dataset.fields["signal.technique"]] == ["EDS"]
    assert [issue for issue in dataset.issues if issue["severity"] != "info"] == []


@pytest.mark.parametrize(
    ("file", "label", "nth", "field", "factor"),
    [
        ("128x128_TEM_acquire-sum1.emi", "Extraction voltage", 0, "beam.extraction_voltage", 1.0),
        ("128x128_TEM_acquire-sum1.emi", "Spot size", 0, "beam.spot_index", 1.0),
        ("64x64_TEM_images_acquire.emi", "Emission", 0, "beam.emission_current", 1e-6),
        ("Titan_TEM_1_STEM_image_dataZeroed.emi", "Stem rotation", 0, "scan.rotation", 1.0),
        ("Titan_TEM_4_eds_line_scan_2_dataZeroed.emi", "Defocus", 1, "optics.defocus", 1e-6),
        ("Titan_TEM_5_eds_spectrum_dataZeroed.emi", "Defocus", 0, "optics.defocus", 1e-6),
        (MAP, "Filter selected dispersion", 1, "eels.dispersion", 1.0),
        (MAP, "Extraction voltage", 1, "beam.extraction_voltage", 1.0),
        (LINE, "Camera length", 1, "optics.camera_length", 1.0),
        ("Titan_TEM_1_STEM_image_dataZeroed.emi", "Stage Z", 0, "stage.z", 1e-6),
    ],
)
def test_numbers_by_another_route(
    datasets: Mapping[str, Dataset], tia_files: Path, file: str, label: str, nth: int, field: str, factor: float
) -> None:
    written = labelled(tia_files, file, label, nth=nth)
    assert datasets[file].value(field, "s1") == pytest.approx(written * factor, rel=1e-12)


def test_pixel_sizes_and_times_stand_at_fixed_places(datasets: Mapping[str, Dataset], tia_files: Path) -> None:
    for stem, table in (("64x64_TEM_images_acquire", 68), ("128x128_TEM_acquire-sum1", 72)):
        content = (tia_files / f"{stem}_1.ser").read_bytes()
        (start,) = struct.unpack_from("<I", content, table)
        delta, rows = struct.unpack_from("<d", content, start + 8)[0], struct.unpack_from("<I", content, start + 42)[0]
        dataset = datasets[f"{stem}.emi"]
        assert dataset.value("image.pixel_size_x") == pytest.approx(delta, rel=1e-12)
        assert dataset.signals[0].shape[0] == rows
        (seconds,) = struct.unpack_from("<I", content, start + 50 + 4 * rows * rows + 4)
        start_time = dt.datetime.fromisoformat(dataset.value("time.acquired_start"))
        assert abs(start_time.timestamp() - seconds) < 15


def test_dwell_times_fill_the_frame_time(tia_files: Path) -> None:
    """Seconds: the dwell time of all pixels is the frame time but for the way back of each line."""
    content = (tia_files / "Titan_TEM_1_STEM_image_dataZeroed.emi").read_bytes()
    dwell, frame = (float(re.findall(rb"<%s>([\d.]+)<" % tag, content)[0]) for tag in (b"DwellTimePath", b"FrameTime"))
    assert 0.8 < dwell * 1024 * 1024 / frame < 1


# -- series alone --------------------------------------------------------------------------------------------------


def test_a_series_alone_has_its_time_and_its_pixels(tia_files: Path, tmp_path: Path) -> None:
    name = "16x16-line_profile_horizontal_5x128x128_EDS_2.ser"
    (tmp_path / "orphan.ser").write_bytes((tia_files / name).read_bytes())
    dataset = diadem.extract(tmp_path / "orphan.ser").datasets[0]
    start, end = (dataset.assertion(f"time.acquired_{key}") for key in ("start", "end"))
    assert start is not None
    assert end is not None
    assert (start.value, start.offset_status) == ("2016-02-22T19:18:23Z", "known")
    assert (end.value, end.offset_status) == ("2016-02-22T19:18:24Z", "known")
    assert dataset.value("image.pixel_size_x") is None
    assert dataset.value("image.reciprocal_pixel_size_x") == pytest.approx(1.74353e8, rel=1e-5)
    assert dataset.document["issues"] == []


def test_a_time_of_zero_is_none(tmp_path: Path) -> None:
    (tmp_path / "a_1.ser").write_bytes(Made(SPECTRA, [Dimension(6)], times=[0]).content())
    assert "time.acquired_start" not in diadem.extract(tmp_path / "a_1.ser").datasets[0].document["fields"]


# -- documents -----------------------------------------------------------------------------------------------------


def test_every_document_is_kept(datasets: Mapping[str, Dataset], tia_files: Path) -> None:
    for name, dataset in datasets.items():
        content = (tia_files / name).read_bytes()
        blocks = [block for block in dataset.vendor() if block.media_type == "application/xml"]
        assert [block.data for block in blocks] == re.findall(rb"<ObjectInfo>.*?</ObjectInfo>", content, re.DOTALL)
        for block in blocks:
            assert block.byte_range is not None
            assert content[slice(*block.byte_range)] == block.data


def test_heads_and_tags_of_elements_are_kept(datasets: Mapping[str, Dataset], tia_files: Path) -> None:
    content = (tia_files / "16x16-spectrum_image-5x5x1024_1.ser").read_bytes()
    blocks = [block for block in datasets[MAP].vendor() if block.media_type == "application/x-tia-series"]
    head, elements = blocks
    assert head.data == content[: len(head.data)]
    assert len(elements.data) == 25 * (26 + 24)
    assert head.tree["Dimensions"][0]["DimensionSize"] == 5


def rows(folder: Path, *documents: tuple[str, str], series: Mapping[int, Made]) -> Dataset:
    """The dataset of a made-up .emi file."""
    (folder / "a.emi").write_bytes(emi(*documents))
    for number, made in series.items():
        (folder / f"a_{number}.ser").write_bytes(made.content())
    return diadem.extract(folder / "a.emi").datasets[0]


PATH = "C:\\somebody\\else\\{}_{}.ser"
UTC = int(dt.datetime(2016, 2, 22, 10, 56, 30, tzinfo=dt.UTC).timestamp())


def test_a_renamed_file_keeps_its_numbers(tmp_path: Path) -> None:
    dataset = rows(
        tmp_path,
        (object_info(labels=TEM), PATH.format("old name", 2)),
        (object_info(labels=STEM), PATH.format("old name", 1)),
        series={1: Made(SPECTRA[:1], [Dimension(1)], times=[UTC]), 2: Made(SPECTRA, [Dimension(6)], times=[UTC])},
    )
    assert [dataset.value("beam.mode", signal) for signal in ("s1", "s2")] == [
        "STEM nP SA Zoom Diffraction",
        "TEM uP SA Zoom Image",
    ]


def test_a_missing_series_takes_its_document_with_it(tmp_path: Path) -> None:
    dataset = rows(
        tmp_path,
        (object_info(labels=TEM), PATH.format("a", 1)),
        (object_info(labels=STEM), PATH.format("a", 2)),
        series={2: Made(SPECTRA, [Dimension(6)], times=[UTC])},
    )
    assert [signal.id for signal in dataset.signals] == ["s1"]
    assert dataset.value("beam.mode", "s1") == "STEM nP SA Zoom Diffraction"


def test_series_of_two_digits_are_passed_over_as_in_the_reader(tmp_path: Path) -> None:
    """In the order of names 10 stands before 2."""
    made = Made(SPECTRA, [Dimension(6)], times=[UTC])
    documents = [(object_info(labels=labels), PATH.format("a", number)) for number, labels in ((10, STEM), (2, TEM))]
    dataset = rows(tmp_path, *documents, series={10: made, 2: made})
    assert [signal.id for signal in dataset.signals] == ["s1"]
    mode = dataset.assertion("beam.mode", "s1")
    assert mode is not None
    assert (mode.value, mode.applies_to) == ("TEM uP SA Zoom Image", ("s1",))


def test_a_series_that_is_cut_short_is_not_said_of_the_emi_file(tmp_path: Path) -> None:
    made = Made(SPECTRA, [Dimension(6)], times=[UTC])
    (tmp_path / "a.emi").write_bytes(emi((object_info(labels=TEM), PATH.format("a", 1))))
    content = made.content() + bytes(1 << 20)
    (tmp_path / "a_1.ser").write_bytes(content.replace(struct.pack("<HI", 3, 5), struct.pack("<HI", 3, 1 << 28)))
    (dataset,) = diadem.extract(tmp_path).datasets
    (found,) = dataset.issues
    assert (found["code"], found["file"]) == ("truncated", "f2")
    assert found["message"].startswith("'a_1.ser' is not complete")


def test_without_any_series_the_document_speaks_for_the_file(tmp_path: Path) -> None:
    dataset = rows(tmp_path, (object_info(labels=TEM), PATH.format("a", 1)), series={})
    assert dataset.value("beam.acceleration_voltage") == 200e3
    assert dataset.value("time.acquired_start") == "2016-02-22T11:56:27"


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("kV", "200", 200e3),
        ("V", "80000", 80e3),
        ("", "200", None),
        ("furlong", "200", None),
        ("kV", "0", None),
        ("kV", "x", None),
    ],
)
def test_the_unit_beside_a_value_counts(tmp_path: Path, unit: str, value: str, expected: float | None) -> None:
    labels = (("High tension", value, unit), ("Mode", "TEM", ""))
    made = {1: Made(SPECTRA, [Dimension(6)], times=[UTC])}
    dataset = rows(tmp_path, (object_info(labels=labels), PATH.format("a", 1)), series=made)
    assert dataset.value("beam.acceleration_voltage") == expected


def test_the_slit_counts_only_in_the_beam(tmp_path: Path) -> None:
    for state, expected in (("Inserted", 10.0), ("Retracted", None)):
        labels = (*TEM, ("Filter slit state", state, ""), ("Filter slit width", "10.00", "eV"))
        made = {1: Made(SPECTRA, [Dimension(6)], times=[UTC])}
        dataset = rows(tmp_path, (object_info(labels=labels), PATH.format("a", 1)), series=made)
        assert dataset.value("optics.energy_filter_slit") == expected


def test_a_damaged_document_is_kept_and_the_others_read(tmp_path: Path) -> None:
    broken = "<ObjectInfo><Uuid>u</Uuid><AcquireDate>&nothing;</ObjectInfo>"
    dataset = rows(
        tmp_path,
        (object_info(labels=TEM), PATH.format("a", 1)),
        (broken, PATH.format("a", 2)),
        series={number: Made(SPECTRA, [Dimension(6)], times=[UTC]) for number in (1, 2)},
    )
    assert dataset.value("beam.mode", "s1") == "TEM uP SA Zoom Image"
    assert dataset.value("beam.mode", "s2") is None
    assert broken.encode() in [block.data for block in dataset.vendor()]


def test_names_in_the_code_page_of_the_pc() -> None:
    document = object_info(labels=(("User", "Müller", ""),)).encode("cp1252")
    assert parse(document)["ObjectInfo"]["ExperimentalDescription"]["User"]["Value"] == "Müller"


def test_documents_that_declare_entities_are_refused() -> None:
    for document in (b'<!DOCTYPE a [<!ENTITY b "c">]><ObjectInfo>&b;</ObjectInfo>', b"<ObjectInfo>" * 5000):
        with pytest.raises((ET.ParseError, RecursionError)):
            parse(document)


@given(st.binary(max_size=200))
def test_any_document_is_read_or_refused(content: bytes) -> None:
    with suppress(ET.ParseError):
        parse(b"<ObjectInfo>" + content + b"</ObjectInfo>")


def test_many_documents_and_documents_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.emi"
    path.write_bytes(b"<ObjectInfo></ObjectInfo>" * (MAX_OBJECTS + 10))
    assert len(objects(Bytes(path.read_bytes()))) == MAX_OBJECTS
    path.write_bytes(b"<ObjectInfo>" * 200_000)
    started = time.process_time()
    assert objects(Bytes(path.read_bytes())) == []
    assert time.process_time() - started < 5
    path.write_bytes(b"")
    assert objects(Bytes(path.read_bytes())) == []


def test_a_cut_file_gives_what_stands_before_the_cut(tia_files: Path, tmp_path: Path) -> None:
    content = (tia_files / LINE).read_bytes()
    path = tmp_path / "a.emi"
    path.write_bytes(content[:30_000])
    kinds = [block.kind for block in blocks("diadem.plugins.tia.files:open", path)]
    assert kinds == ["tia-object"]


def test_every_rule_names_a_field() -> None:
    for rule in chain(*TIA.values()):
        if hasattr(rule, "field"):
            assert fields.is_field(rule.field), rule
