"""Real DigitalMicrograph files: expected values, and values found by another route than the parser's."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from rsciio.digitalmicrograph import file_reader

from diadem.model.record import Dataset


def test_order_of_day_and_month_is_decided_by_the_instant_beside_it(datasets: Mapping[str, Dataset]) -> None:
    """Files of old versions have a FILETIME too, under another name: 7/9/2014 and 7/1/2019 are July."""
    for file, expected in (
        ("test_diffraction_pattern.dm3", "2014-07-09T18:56:37+02:00"),
        ("JEOL3010_TEM_diffraction_dataZeroed.dm3", "2019-07-01T14:55:56-04:00"),
    ):
        start = datasets[file].assertion("time.acquired_start")
        assert start is not None
        assert (start.value, start.offset_status) == (expected, "derived")


def test_spectra_have_a_start_and_an_end(datasets: Mapping[str, Dataset]) -> None:
    for file, begun, ended in (
        ("EELS_SI.dm4", "2019-05-14T20:50:13", "2019-05-14T21:00:58"),
        ("Titan_EDS_SI_dataZeroed.dm4", "2019-05-21T15:49:18", "2019-05-21T15:51:06"),
        ("test-EELS_spectrum.dm3", "2016-08-08T19:35:17", "2016-08-08T19:35:18"),
        ("test-MonarcCL_spectrum-ccd.dm4", "2022-01-17T16:09:21", "2022-01-17T16:19:19"),
    ):
        start, end = (datasets[file].assertion(f"time.acquired_{key}") for key in ("start", "end"))
        assert start is not None
        assert end is not None
        assert (start.value, start.offset_status, end.value, end.offset_status) == (begun, "unknown", ended, "unknown")


def test_a_diffraction_pattern_has_a_camera_length_and_no_magnification(datasets: Mapping[str, Dataset]) -> None:
    dataset = datasets["test_diffraction_pattern.dm3"]
    assert dataset.value("optics.magnification") is None
    assert dataset.value("optics.camera_length") == pytest.approx(0.32)
    assert dataset.value("signal.technique") == "diffraction"
    assert dataset.value("beam.mode") == "TEM"


def test_what_nobody_measured_is_absent(datasets: Mapping[str, Dataset]) -> None:
    """Currents of zero, a camera length of zero in a scanning microscope, `DO NOT EDIT` and `DO NOT ENTER`."""
    for dataset in datasets.values():
        for field in ("beam.current", "beam.probe_current", "beam.emission_current"):
            assert dataset.assertions(field) == ()
    for file in ("JEOL3010_TEM_diffraction_dataZeroed.dm3", "Titan_EELS_proc_1_dataZeroed.dm3"):
        assert datasets[file].value("person.operator") is None
        assert datasets[file].value("sample.name") is None
    assert datasets["test-MonarcCL_spectrum-ccd.dm4"].value("optics.camera_length") is None
    assert datasets["test-EELS_spectrum.dm3"].value("eels.collection_semi_angle") is None
    assert datasets["Titan_EDS_SI_dataZeroed.dm4"].value("eds.live_time") is None  # 1 s of 0.5 s: the last setting
    assert datasets["test-1.dm3"].document["fields"] == {}


def test_units_are_those_of_the_record(datasets: Mapping[str, Dataset]) -> None:
    units = {"stage.x": "m", "stage.alpha": "deg", "beam.convergence_semi_angle": "rad", "scan.dwell_time": "s"}
    for dataset in datasets.values():
        for field, unit in units.items():
            assert all(assertion.unit == unit for assertion in dataset.assertions(field))


def test_values_belong_to_their_image(datasets: Mapping[str, Dataset]) -> None:
    """A plot beside an image has no microscope; the four spectra of one document have one technique told."""
    both = datasets["multi_signal.dm3"]
    assert [signal.id for signal in both.signals] == ["s1", "s2"]
    voltage = both.assertion("beam.acceleration_voltage")
    assert voltage is not None
    assert voltage.applies_to == ("s1",)
    assert both.value("beam.acceleration_voltage", "s2") is None
    assert both.value("instrument.software", "s2") == "GMS 2.32.888.0"
    spectra = datasets["Titan_EELS_proc_1_dataZeroed.dm3"]
    assert [spectra.value("signal.technique", signal.id) for signal in spectra.signals] == ["EELS", None, None, None]


def test_images_are_in_the_order_of_the_reader(dm_files: Path, datasets: Mapping[str, Dataset]) -> None:
    for path in sorted(dm_files.iterdir()):
        signals = file_reader(str(path))
        trees = [block for block in datasets[path.name].vendor() if block.path.startswith("ImageList")]
        names = [block.tree["Name"] for block in trees]
        assert names == [signal["metadata"]["General"]["title"] for signal in signals], path.name


# -- an independent route: the bytes behind a tag's name ------------------------------------------------------------


def number_behind(data: bytes, name: str, version: int, *, nth: int = 0) -> float:
    """The simple number of a tag, found by its name and its marker, without walking through the tags.

    The n-th one; the byte before the name says its length, so that no longer name that ends like it is met.
    """
    code, wide = (8, "q") if version == 4 else (0, "i")
    key = struct.pack(">h", len(name.encode("latin-1"))) + name.encode("latin-1")
    places = [match.end() for match in re.finditer(re.escape(b"\x15" + key), data)]
    place = places[nth] + code
    assert data[place : place + 4] == b"%%%%"
    size = struct.calcsize(">" + wide)
    one, kind = struct.unpack(">2" + wide, data[place + 4 : place + 4 + 2 * size])
    assert one == 1
    form = {2: "<h", 3: "<i", 4: "<H", 5: "<I", 6: "<f", 7: "<d", 8: "<B"}[kind]
    return float(struct.unpack_from(form, data, place + 4 + 2 * size)[0])


@pytest.mark.parametrize(
    ("file", "tag", "field", "factor"),
    [
        ("EELS_SI.dm4", "Dispersion (eV/ch)", "eels.dispersion", 1.0),
        ("EELS_SI.dm4", "Pixel time (s)", "scan.dwell_time", 1.0),
        ("EELS_SI.dm4", "Stage X", "stage.x", 1e-6),
        ("EELS_SI.dm4", "Convergence semi-angle (mrad)", "beam.convergence_semi_angle", 1e-3),
        ("Fei HAADF-DE_location.dm3", "Flyback", "scan.flyback_time", 1e-6),
        ("Fei HAADF-DE_location.dm3", "Sample Time", "scan.dwell_time", 1e-6),
        ("neoarm-gatan_image_dataZeroed.dm4", "Flyback", "scan.flyback_time", 1e-6),
        ("neoarm-gatan_image_dataZeroed.dm4", "Stage Z", "stage.z", 1e-6),
        ("Titan_EDS_SI_dataZeroed.dm4", "Azimuthal angle", "detector.azimuth", 1.0),
        ("Titan_EDS_SI_dataZeroed.dm4", "Elevation angle", "detector.elevation", 1.0),
        ("Titan_EELS_proc_1_dataZeroed.dm3", "Dispersion (eV/ch)", "eels.dispersion", 1.0),
        ("Titan_EELS_proc_1_dataZeroed.dm3", "Collection semi-angle (mrad)", "eels.collection_semi_angle", 1e-3),
        ("test-MonarcCL_spectrum-ccd.dm4", "Voltage", "beam.acceleration_voltage", 1.0),
        ("test-MonarcCL_spectrum-ccd.dm4", "Indicated Magnification", "optics.magnification", 1.0),
        ("JEOL3010_TEM_diffraction_dataZeroed.dm3", "Exposure Time (s)", "camera.exposure", 1.0),
        ("test_STEM_image.dm3", "STEM Camera Length", "optics.camera_length", 1e-3),
        ("multi_signal.dm3", "Stage Y", "stage.y", 1e-6),
    ],
)
def test_numbers_by_another_route(
    datasets: Mapping[str, Dataset], dm_files: Path, file: str, tag: str, field: str, factor: float
) -> None:
    written = number_behind((dm_files / file).read_bytes(), tag, int(file[-1]))
    assert datasets[file].value(field) == pytest.approx(written * factor, rel=1e-12)


def test_the_camera_length_is_in_millimetres(dm_files: Path, datasets: Mapping[str, Dataset]) -> None:
    """The operator wrote it into the name: ``CL550mm``."""
    assert b"C\0L\0005\0005\0000\0m\0m\0" in (dm_files / "EELS_SI.dm4").read_bytes()
    assert datasets["EELS_SI.dm4"].value("optics.camera_length") == 0.55


def test_dispersion_is_the_scale_of_the_energy_axis(datasets: Mapping[str, Dataset]) -> None:
    for file in ("EELS_SI.dm4", "test-EELS_spectrum.dm3", "Titan_EELS_proc_1_dataZeroed.dm3"):
        axis = datasets[file].document["signals"][0]["axes"]
        scale = next(one["scale"] for one in axis if one.get("unit") == "eV")
        assert datasets[file].value("eels.dispersion") == pytest.approx(scale)


def test_vendor_blocks_are_the_bytes_of_the_file(datasets: Mapping[str, Dataset], dm_files: Path) -> None:
    """The directory and the arrays that it leaves out make the file again."""
    for name, dataset in datasets.items():
        content = (dm_files / name).read_bytes()
        block = next(block for block in dataset.vendor() if block.path.startswith("tag directory"))
        assert len(block.data) < 200_000
        rebuilt, place = b"", 0
        for array in block.tree["left out"]:
            piece = array["offset"] - len(rebuilt)
            rebuilt += block.data[place : place + piece] + content[array["offset"] :][: array["bytes"]]
            place += piece
        assert rebuilt + block.data[place:] == content, name
        assert all("ImageData/Data" in array["tag"] for array in block.tree["left out"])
